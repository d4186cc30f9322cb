"""Twice the input takes about twice the time, whatever a stranger writes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="not for this machine: no limits on a process"
)
if sys.platform != "win32":
    import growing

MOST = 2.5


@pytest.mark.parametrize("case", [case.__name__ for case in growing.CASES])
def test_twice_the_input_takes_about_twice_the_time(case):
    for _ in range(3):  # a busy machine may spoil one comparison, and no quadratic one passes any
        done = subprocess.run(
            [sys.executable, growing.__file__, case],
            cwd=Path(__file__).parent, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        if float(done.stdout.split()[0]) <= MOST:
            return
    raise AssertionError(f"{case}: {done.stdout}")
