"""`%%dockerfile`: what it writes, what it refuses, what it leaves in the notebook and in `mine`."""

import os

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from shiplight import builds, catalogue
from shiplight.errors import DockerfileError, NotRecorded, UsageError
from shiplight.lessons import magics

TEXT = 'FROM busybox:latest\nRUN echo "a $B" && true\n# why <b>\nCMD ["cat", "/message.txt"]\n'


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """An IPython with the magic, a lab of its own, and a build that only says what it was given."""

    def fake(client, folder, **how):
        return ("built", folder, how)

    monkeypatch.setattr("shiplight.engine.journal.path", tmp_path.joinpath)
    monkeypatch.setattr(magics, "build", fake)
    monkeypatch.setattr(magics.recordings, "current", lambda: "a client")
    shell = InteractiveShell.instance()
    magics.load_ipython_extension(shell)
    yield shell
    InteractiveShell.clear_instance()


def test_the_cell_is_written_to_the_learners_copy_and_built_as_mine(shell, tmp_path, capsys):
    shell.run_cell_magic("dockerfile", "first/mine", TEXT)
    folder = tmp_path / "mine" / "first"
    assert (folder / "Dockerfile.mine").read_text(encoding="utf-8") == TEXT
    assert (folder / "message.txt").exists(), "the app's files are beside it"
    assert shell.user_ns["mine"] == (
        "built", folder,
        {"file": "Dockerfile.mine", "text": TEXT, "name": "first/mine", "target": None},
    )  # fmt: skip
    assert "FROM busybox:latest" in capsys.readouterr().out


def test_a_target_is_passed_on_and_the_name_is_the_variable(shell):
    shell.run_cell_magic("dockerfile", "first/other --target a", TEXT)
    assert shell.user_ns["other"][2]["target"] == "a"


def test_secrets_are_passed_on_and_a_variable_of_the_notebook_names_a_file(shell, tmp_path):
    shell.user_ns["conf"] = tmp_path / "pip.conf"
    line = "private/mine --secret id=pip,src={conf} --target a --secret id=token,env=TOKEN"
    shell.run_cell_magic("dockerfile", line, TEXT)
    given = shell.user_ns["mine"][2]
    assert given["target"] == "a"
    assert given["secrets"] == {"pip": tmp_path / "pip.conf", "token": "env:TOKEN"}
    with pytest.raises(UsageError, match="is not understood"):
        shell.run_cell_magic("dockerfile", "private/mine --secret pip", TEXT)


def test_apps_stay_as_they_are(shell):
    def contents():
        files = sorted(path for path in (catalogue.APPS / "first").rglob("*") if path.is_file())
        return [(path, path.read_bytes()) for path in files]

    before = contents()
    shell.run_cell_magic("dockerfile", "first/mine", TEXT)
    assert before and contents() == before


def test_a_file_that_the_learner_edited_stays_from_cell_to_cell(shell, tmp_path):
    shell.run_cell_magic("dockerfile", "first/mine", TEXT)
    edited = tmp_path / "mine" / "first" / "message.txt"
    edited.write_text("mine")
    shell.run_cell_magic("dockerfile", "first/mine", TEXT)
    assert edited.read_text() == "mine"


def test_what_cannot_be_read_is_neither_written_nor_built_and_mine_is_nothing(shell, tmp_path):
    shell.user_ns["mine"] = "an older build"
    with pytest.raises(DockerfileError, match="line 2"):
        shell.run_cell_magic("dockerfile", "first/mine", "FROM busybox\nRNU true\n")
    assert shell.user_ns["mine"] is None and not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "go",
        "go/",
        "/mine",
        "go/mine builder",
        "'",
        "go/mine --target",
        "go/mine --x y",
    ],
)
def test_a_line_that_names_no_build_is_refused(shell, line):
    with pytest.raises(UsageError, match="cannot read"):
        shell.run_cell_magic("dockerfile", line, TEXT)


@pytest.mark.parametrize(
    ("name", "instead"), [("a-b", "a_b"), ("2nd", "mine_2nd"), ("class", "mine_class")]
)
def test_a_name_that_is_no_variable_is_refused_with_one_that_is(shell, name, instead):
    with pytest.raises(UsageError, match="becomes a variable") as refused:
        shell.run_cell_magic("dockerfile", f"go/{name}", TEXT)
    assert f"%%dockerfile go/{instead}" in refused.value.hint


def test_an_unknown_app_is_named_with_those_that_there_are(shell):
    with pytest.raises(UsageError, match="no app 'perl'") as refused:
        shell.run_cell_magic("dockerfile", "perl/mine", TEXT)
    assert "python" in refused.value.hint


def test_where_nothing_is_connected_it_is_written_and_says_what_to_run(shell, monkeypatch, capsys):
    monkeypatch.setattr(magics.recordings, "current", lambda: None)
    shell.run_cell_magic("dockerfile", "first/mine", TEXT)
    said = capsys.readouterr().out
    assert shell.user_ns["mine"] is None and "Dockerfile.mine, but not built" in said
    assert "run `client = connect()`" in said


@pytest.mark.parametrize("before", ["%load_ext shiplight.lessons", "shiplight.connect()"])
def test_a_notebook_of_ones_own_knows_it_once_it_is_loaded_or_connected(before):
    """In a kernel: the same shell class as in JupyterLab, and no lesson's banner."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import shiplight"),
            nbformat.v4.new_code_cell(before),
            nbformat.v4.new_code_cell(f"%%dockerfile first/mine\n{TEXT}"),
            nbformat.v4.new_code_cell("mine"),
        ]
    )
    variables = os.environ | {"SHIPLIGHT_MODE": "recorded"}
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=variables)
    said = "".join(out["data"]["text/plain"] for out in notebook.cells[2].outputs)
    assert "first/mine was written to Dockerfile.mine, but not built." in said
    wanted = "`client = connect()`" if before[0] == "%" else "a Docker engine is needed"
    assert wanted in said and not notebook.cells[3].outputs


def test_without_an_engine_only_a_text_that_was_recorded_is_replayed(shell, monkeypatch, capsys):
    def recorded(client, folder, *, text, **how):
        if text != TEXT:
            raise NotRecorded("this was not recorded")
        return "replayed"

    monkeypatch.setattr(magics, "build", recorded)
    shell.run_cell_magic("dockerfile", "first/mine", TEXT)
    assert shell.user_ns["mine"] == "replayed"
    shell.run_cell_magic("dockerfile", "first/mine", TEXT + "USER 1\n")
    assert shell.user_ns["mine"] is None and "a Docker engine is needed" in capsys.readouterr().out


def test_a_text_that_is_not_in_a_dockerfile_cannot_be_replaced_in_silence():
    text = builds.DockerfileText(TEXT)
    assert text.replace("busybox", "alpine").replace("cat", "less").startswith("FROM alpine")
    with pytest.raises(UsageError, match="'scrach' is not in this Dockerfile"):
        text.replace("busybox", "alpine").replace("scrach", "scratch")


def test_a_dockerfile_is_shown_with_numbers_and_colours_and_as_text_as_it_is():
    page = builds.DockerfileText(TEXT)._repr_html_()
    assert page.count("user-select:none") == 4 and ">  4  </span>" in page
    assert "&lt;b&gt;" in page and "<b>" not in page and "mathjax_ignore" in page
    assert "font-weight:600'>FROM</span>" in page and "font-style:italic" in page
    assert repr(builds.DockerfileText(TEXT)) == TEXT.rstrip("\n")


def test_a_token_over_several_lines_ends_with_each_line():
    page = builds.DockerfileText("FROM x\nRUN a \\\n    b\n\nCMD c\n")._repr_html_()
    rows = page.removesuffix("</pre>").partition(">")[2].splitlines()
    assert len(rows) == 5
    for row in rows:
        assert row.count("<span") == row.count("</span>")
