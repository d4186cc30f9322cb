"""The lessons as files: stored with real outputs, in the house's manner, with links that lead.

They are looked at as they came, as `./lab reset` would put them back: what somebody who works
through them leaves in the files is theirs. So a lesson that is recorded again is committed first.
"""

import ast
import re
import subprocess
import symtable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from shiplight import dockerfile
from shiplight.checks import CHECKS
from shiplight.cli import arguments
from shiplight.errors import UsageError
from shiplight.lessons import exercises, pages, shelf
from shiplight.lessons.exercises import guessing

ROOT = shelf.ROOT
LESSONS = shelf.lessons()
lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def as_it_came(path: Path) -> str:
    """The text of a lesson; that of the file outside a git checkout."""
    return shelf.original(path) or path.read_text(encoding="utf-8")


def cells(path: Path, kind: str | None = None):
    found = nbformat.reads(as_it_came(path), as_version=4).cells
    return [cell for cell in found if kind in (None, cell.cell_type)]


def is_dockerfile(cell) -> bool:
    """Whether a cell is the text of a Dockerfile, and no Python."""
    return cell.source.startswith("%%dockerfile ")


def test_each_lesson_has_a_number_of_its_own_and_the_first_is_00():
    """A number may be free while its lesson is still being written."""
    numbers = [path.stem[:2] for path in LESSONS]
    assert numbers[0] == "00" and len(numbers) == len(set(numbers)) >= 2


def test_the_first_lesson_builds_one_stage_and_two_and_draws_both_within_ten_cells():
    """All cells count. What an engine calls size comes later: it is no reason to build anything."""
    early = cells(LESSONS[0])[:10]
    said = "\n".join(cell.source for cell in early)
    built = [cell for cell in early if is_dockerfile(cell)]
    stages = [len(dockerfile.parse(cell.source.partition("\n")[2]).stages) for cell in built]
    assert stages == [1, 2]
    [drawn] = [cell for cell in early if "vnd.plotly" in str(cell.get("outputs"))]
    assert early.index(drawn) > early.index(built[1]) and drawn.source.count("measure(") == 2
    assert "Shift+Enter" in said
    assert not [word for word in ("docker images", "inspect", "SDK") if word in said]


@lesson
def test_every_cell_was_run_in_order_without_an_error(path):
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type in ("error", "stream")]


@lesson
def test_every_chart_has_its_picture_for_pages_without_plotly(path):
    shown = [output.get("data", {}) for cell in cells(path, "code") for output in cell.outputs]
    charts = [data for data in shown if "application/vnd.plotly.v1+json" in data]
    assert charts and all({"image/jpeg", "image/png"} & set(data) for data in charts)


@lesson
def test_a_cell_is_short_and_code_is_never_far_from_words(path):
    kinds = [cell.cell_type for cell in cells(path)]
    assert "code code code" not in " ".join(kinds)
    for cell in cells(path, "code"):
        lines = cell.source.splitlines()
        most = 25 if is_dockerfile(cell) else 15
        assert len(lines) <= most and max(map(len, lines)) <= 88


@lesson
def test_how_a_claim_is_checked_is_folded_and_what_a_learner_does_is_not(path):
    found = {cell.id: cell.metadata.get("jupyter") for cell in cells(path, "code")}
    folded = {cell.id for cell in cells(path, "code") if shelf.only_checks(cell.source)}
    assert folded and found == {
        name: {"source_hidden": True} if name in folded else None for name in found
    }


@pytest.mark.parametrize(
    ("source", "folded"),
    [
        ("claim('a', 1 > 0)", True),
        ("n = 1\nclaim('a', n > 0)\nheld_against('b', n)", True),
        ("held_against('b', n)", False),
        ("claim('a', 1 > 0)\nframes.readable(table)", False),
        ("image = measure(client, made)\nclaim('a', image.layers)", False),
        ("def f():\n    pass\n\nclaim('a', f() is None)", False),
        ("%%dockerfile go/mine\nFROM scratch", False),
        ("build(client, 'go')", False),
    ],
)
def test_only_a_cell_that_does_nothing_but_check_is_folded(source, folded):
    assert shelf.only_checks(source) is folded


def test_a_page_folds_what_the_lesson_folds(tmp_path):
    hidden = {"jupyter": {"source_hidden": True}}
    made = [
        nbformat.v4.new_code_cell("claim('a', True)", metadata=hidden),
        nbformat.v4.new_code_cell("build(client)"),
    ]
    pages.write(nbformat.v4.new_notebook(cells=made), tmp_path / "00-a.html")
    text = (tmp_path / "00-a.html").read_text(encoding="utf-8")
    [folded] = re.findall("<details>.*?</details>", text, re.DOTALL)
    assert "claim" in folded and "how this is checked" in folded and "build" not in folded
    assert "build" in text


GUESS = re.compile(r'guess\("(\d\d\.\d)", None(?:, "[^"]+")?\)')


@lesson
def test_a_question_is_followed_by_a_cell_for_the_guess(path):
    asked = 0
    for cell, after in pairwise(cells(path)):
        found = GUESS.fullmatch(after.source)
        assert bool(found) == ("**Your guess?**" in cell.source), cell.source
        if found:
            asked += 1
            assert found[1] == f"{path.stem[:2]}.{asked}"
    assert asked


@lesson
def test_a_guess_is_shown_by_the_claim_that_answers_it_or_in_the_next_chart(path):
    code = cells(path, "code")
    for number, cell in enumerate(code):
        if found := GUESS.fullmatch(cell.source):
            answers = [f'answers="{found[1]}"' in later.source for later in code[number:]]
            charts = ["vnd.plotly" in str(later.outputs) for later in code[number:]]
            assert any(charts if found[1] in guessing.answered_by_charts() else answers), found[1]


@lesson
def test_nothing_stored_names_this_machine(path):
    text = as_it_came(path)
    # Targets of cache mounts in builders, and a file of an image:
    for target in ("/root/.cache/go-build", "/root/.cache/pip", "/root/.npm", "/root/.netrc"):
        text = text.replace(target, "")
    assert str(Path.home()) + "/" not in text and str(ROOT) not in text


@lesson
def test_a_number_that_was_measured_is_not_typed_in_prose(path):
    """Sizes and times stand in outputs, guesses, limits of exercises, and what a lesson costs."""
    for cell in cells(path, "markdown")[1:]:
        for line in cell.source.splitlines():
            found = re.findall(r"\d[\d.,]* ?(?:[kMG]B|ms|s|%|seconds)\b", line)
            assert not found or "How large" in line or line.startswith("**Exercise"), line


@lesson
def test_links_lead_somewhere(path):
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", cell.source):
            assert (path.parent / target).exists(), target


@lesson
def test_terms_in_bold_are_in_the_glossary(path):
    glossary = (path.parent / "glossary.md").read_text(encoding="utf-8")
    anchors = {
        line[3:].lower().replace(" ", "-") for line in glossary.splitlines() if line[:3] == "## "
    }
    used = [
        a
        for cell in cells(path, "markdown")
        for a in re.findall(r"glossary\.md#([\w-]+)", cell.source)
    ]
    assert used and set(used) <= anchors
    assert len(used) == len(set(used)), "a term is new once"


@lesson
def test_a_lesson_has_at_least_two_exercises_and_says_how_hard_each_is(path):
    stated = [
        found
        for cell in cells(path, "markdown")
        for found in re.findall(r"\*\*Exercise (\d\d\.\d)\*\* \((\w+)\)", cell.source)
    ]
    its = [one for one in exercises.every() if one.id.startswith(path.stem[:2])]
    assert stated == [(one.id, one.level) for one in its] and len(its) >= 2
    checked = [
        found
        for cell in cells(path, "code")
        for found in re.findall(r'^check\(client, "(.+?)", mine\)', cell.source, re.MULTILINE)
    ]
    assert checked == [one.id for one in its]


def test_the_readme_shows_every_command_and_every_lesson():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in arguments.parser()._subparsers._group_actions[0].choices:
        assert f"./lab {name}" in readme, name
    assert f"{shelf.BEGIN}\n{shelf.contents()}\n{shelf.END}" in readme, "./lab record writes it"
    for target in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / target).exists(), target


def test_the_readme_adds_up_what_the_lessons_take():
    minutes = [int(re.search(r"(\d+) min", shelf.head(path)[2])[1]) for path in LESSONS]
    hours, rest = divmod(sum(minutes), 60)
    assert f"about {hours} h {rest} min." in shelf.contents()


def test_lesson_08_lists_every_check():
    [path] = [path for path in LESSONS if path.stem.startswith("08")]
    [cell] = [cell for cell in cells(path, "code") if "check_frames.questions()" in cell.source]
    listed = cell.outputs[0].data["text/plain"]
    assert all(check.id in listed for check in CHECKS)


def test_an_unknown_lesson_and_a_known_one_by_any_of_its_names():
    for name in ("01", "go", "01-go", "notebooks/01-go.ipynb"):
        assert shelf.find([name]) == [LESSONS[1]]
    assert shelf.find([]) == LESSONS
    assert shelf.find([str(LESSONS[1])]) == shelf.find(["01-go.ipynb"]) == [LESSONS[1]]
    with pytest.raises(UsageError, match="no lesson '77'"):
        shelf.find(["77"])


@lesson
def test_navigation_is_as_the_files_are(path):
    first = cells(path, "markdown")[0].source
    assert first == shelf.with_navigation(first, path)


# What the engine that lessons are recorded on cannot show: these sentences, and no others.
UNTESTED = {
    "10-secrets": {"A cache exported with mode=max contains the builder's file with the token."},
    "11-platforms": {"An emulated program takes longer for the same work."},
    "12-ci": {
        "A cache exported with mode=max brings back the same steps.",
        "If the base changes, COPY runs again, and COPY --link does not.",
        "An edit of a file that COPY excludes does not run it again.",
        "The configuration of both images has the time of the commit.",
    },
}


@lesson
def test_a_lesson_leaves_nothing_untested_but_what_is_listed(path):
    shown = [
        str(o.get("data", {}).get("text/plain")) for c in cells(path, "code") for o in c.outputs
    ]
    untested = {text[2:].partition("\n")[0] for text in shown if "Not tested here" in text}
    assert untested <= UNTESTED.get(path.stem, set())


SHOWING = {
    "claim",
    "held_against",
    "not_here",
    "check",
    "clean_up",
    "build",
    "with_build",
    "time_builds",
}


def called(parts) -> set[str]:
    """The names of the functions that some statements call."""
    nodes = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.Call)]
    return {node.func.id for node in nodes if isinstance(node.func, ast.Name)}


def shows_something(tree: ast.Module, showing: set[str]) -> bool:
    """Whether a cell ends in an expression, or calls what displays: not only defines it."""
    run = [part for part in tree.body if not isinstance(part, ast.FunctionDef)]
    return isinstance(tree.body[-1], ast.Expr) or bool(called(run) & showing)


@lesson
def test_no_cell_that_is_compared_lacks_a_stored_output(path):
    """nbval compares nothing where nothing is stored, and says that it passed."""
    showing = set(SHOWING)
    for cell in cells(path, "code"):
        if is_dockerfile(cell):
            assert cell.outputs
            continue
        tree = ast.parse(cell.source)
        for part in tree.body:
            if isinstance(part, ast.FunctionDef) and called([part]) & showing:
                showing.add(part.name)
        assert bool(cell.outputs) == shows_something(tree, showing), cell.source


ANEW = {"app", "folder", "mine", "text"}  # each time a copy of an app, or a learner's own


def names_of(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell gives a meaning to, and those that it finds, as its functions do."""

    def within(table):
        for part in table.get_children():
            yield part
            yield from within(part)

    cell = symtable.symtable(source, "cell", "exec")
    own = cell.get_symbols()
    inner = [one for part in within(cell) for one in part.get_symbols() if one.is_global()]
    given = {one.get_name() for one in own if one.is_assigned() or one.is_imported()}
    return given, {one.get_name() for one in [*own, *inner] if one.is_referenced()} - given


@lesson
def test_a_cell_that_is_run_again_finds_what_its_names_meant(path):
    """A learner goes back; a later cell must not have given one of its names another meaning."""
    seen = [names_of(cell.source) for cell in cells(path, "code") if not is_dockerfile(cell)]
    for number, (_, found) in enumerate(seen):
        before = set().union(*(given for given, _ in seen[:number]))
        after = set().union(*(given for given, _ in seen[number:]))
        assert not found & before & after - ANEW


@lesson
def test_what_is_stored_was_replayed_and_says_so(path):
    code = cells(path, "code")
    assert any("Recorded:" in str(o) for o in code[0].outputs)
    for cell in code:
        for output in cell.outputs:
            assert "measured 20" not in str(output.get("data", {}).get("text/plain", ""))


def test_a_lesson_that_was_run_is_not_edited_and_one_that_was_changed_is(tmp_path, monkeypatch):
    path = LESSONS[0]
    first = as_it_came(path)
    monkeypatch.setattr(shelf, "original", lambda _: first)
    copy = tmp_path / path.name
    copy.write_text(first.replace('"execution_count": 1', '"execution_count": 7'))
    assert not shelf.edited(copy)
    copy.write_text(first.replace("connect(", "connect (", 1))
    assert shelf.edited(copy)
    kept = shelf.reset(copy)
    assert copy.read_text(encoding="utf-8") == first and "connect (" in kept.read_text()
    assert shelf.reset(copy) is None, "there was nothing to keep"


def test_lesson_04_finds_no_file_where_buildkit_removed_its_empty_mount_points(tmp_path):
    """From Docker 24 on it removes them; before, and where a build put a file there, they stay."""
    [path] = [path for path in LESSONS if path.stem.startswith("04")]
    [cell] = [cell for cell in cells(path, "code") if "def files_in_builder" in cell.source]
    tree = ast.parse(cell.source)
    defined = [part for part in tree.body if isinstance(part, ast.FunctionDef)]

    def ran(tag, command, *, remove):
        script = (
            command[-1]
            .replace("/target", f"{tmp_path}/target")
            .replace("/usr/local", f"{tmp_path}/usr")
        )
        return subprocess.run([*command[:-1], script], check=True, capture_output=True).stdout

    client = SimpleNamespace(containers=SimpleNamespace(run=ran))
    scope = {"builder": SimpleNamespace(tag="x")}
    exec(compile(ast.Module(defined, []), path.name, "exec"), scope)
    assert scope["files_in_builder"](client) == []
    (tmp_path / "target" / "left").touch()
    assert scope["files_in_builder"](client) == [f"{tmp_path}/target/left"]
