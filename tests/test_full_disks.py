"""A disk that is full or read-only: the old file stays whole, and the message says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

import shiplight

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
TRIED = Path(__file__).with_name("full_disk.py")


@pytest.mark.skipif(sys.platform != "linux", reason="not for this machine: no mount namespaces")
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_every_file_is_whole_where_it_cannot_be_written(tmp_path, kind):
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("not for this machine: no mount namespaces")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(TRIED), kind, str(tmp_path)],
        cwd=Path(shiplight.__file__).parents[1], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    why = "No space left" if kind == "full" else "Read-only"
    assert said.pop("layers") == "nothing", (
        "what is only faster with it is not kept, and not missed"
    )
    assert all(why in text for text in said.values()), said
    for name in ("journal", "learned", "verdicts"):
        assert "free some space or fix the permissions" in said[name]
