"""An error of ours that nobody caught: what a notebook shows of it, and what a terminal shows."""

import nbclient
import nbformat
import pytest

from shiplight.errors import BuildFailed, CheckFailed, EngineNotReachable, ShipLightError

CELLS = [
    "from shiplight.errors import *\nfrom shiplight.lessons import check, claim",
    "raise CheckFailed('01.1: it runs as <root>.\\n  Found: USER 0', hint='what is `USER`?')",
    """
try:
    raise KeyboardInterrupt
except KeyboardInterrupt as stopped:
    raise BuildCancelled('the build of go/mine was interrupted.', hint='build again') from stopped
""",
    "raise DockerfileError('Dockerfile, line 3: CPOY.', line=3, hint='did you mean COPY?')",
    "claim('Water is dry.', False, 'it is wet')",
    "check(None, '06.1', 'FROM scratch')",
    "check(None, '08.1', 7)",
    "1 / 0",
]


@pytest.fixture(scope="module")
def outputs():
    """What each cell left in a notebook that was run to its end."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS])
    nbclient.NotebookClient(notebook, allow_errors=True, timeout=60).execute()
    return [cell.outputs for cell in notebook.cells]


def boxes(outputs) -> list[str]:
    return [one.data["text/html"] for one in outputs if one.output_type == "display_data"]


def test_a_refusal_is_a_box_with_its_hint_and_no_traceback(outputs):
    [box] = boxes(outputs[1])
    assert "01.1: it runs as &lt;root&gt;." in box and "Found: USER 0" in box
    assert "<i>Hint:</i> what is <code>USER</code>?" in box
    assert "Traceback" not in box and "<details>" not in box
    assert outputs[1][0].data["text/plain"].startswith("✗ 01.1: it runs as <root>.")


@pytest.mark.parametrize("cell", range(1, len(CELLS) - 1))
def test_a_cell_with_an_error_of_ours_has_failed_for_every_tool(outputs, cell):
    """nbval, nbclient and `./lab run` look for an output of this type."""
    [failed] = [one for one in outputs[cell] if one.output_type == "error"]
    assert len(failed.traceback) == 1 and len(boxes(outputs[cell])) == 1
    assert failed.evalue.startswith(failed.traceback[0].partition(": ")[2])


def test_nbclient_raises_on_a_refusal():
    cells = [nbformat.v4.new_code_cell(one) for one in CELLS[:2]]
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="CheckFailed"):
        nbclient.NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=60).execute()


def test_an_interrupted_build_says_so_in_two_lines(outputs):
    assert outputs[2][0].data["text/plain"].splitlines() == [
        "✗ the build of go/mine was interrupted.",
        "  Try: build again",
    ]
    assert "KeyboardInterrupt" not in str(outputs[2])


def test_where_an_error_was_raised_is_folded(outputs):
    [box] = boxes(outputs[3])
    assert "<details><summary>Details</summary>" in box and "Traceback" in box
    assert "Traceback" not in str(outputs[3][0].data["text/plain"])


def test_text_where_a_build_is_wanted_is_told_as_that(outputs):
    said = outputs[5][0].data["text/plain"]
    assert "06.1 looks at what `build` returns, and got the text of a Dockerfile" in said
    assert 'mine = build(client, "go/multi", text=text, name="go/mine")' in said
    assert "08.1 looks at the path of a Dockerfile, and got int (7)" in str(outputs[6])


def test_no_password_of_an_address_is_repeated_by_a_caught_error_or_its_details():
    try:
        try:
            raise OSError("no way to tcp://me:s3cr3t@host:2376")
        except OSError as cause:
            raise EngineNotReachable("none at tcp://me:s3cr3t@host") from cause
    except EngineNotReachable as error:
        told = [repr(error), str(error), str(error.args), error._box()]
    assert all("host" in one and "s3cr3t" not in one for one in told)


def test_other_errors_keep_their_traceback(outputs):
    assert len(outputs[7]) == 1 and len(outputs[7][0].traceback) > 3


@pytest.mark.parametrize("kind", [ShipLightError, CheckFailed, BuildFailed])
def test_in_a_terminal_it_is_message_and_hint(kind):
    error = kind("what happened.\n  Found: this", hint="do that")
    assert error._render_traceback_() == str(error).splitlines()
    assert len(error._render_traceback_()) == 3
