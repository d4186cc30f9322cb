"""`./lab` as a user types it."""

import os
import subprocess
import sys

from shiplight.setup import ROOT


def lab(*arguments: str, input: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Run `./lab` as a user would, in this environment and with this standard input."""
    command = [sys.executable, "-m", "shiplight", *arguments]
    given = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, input=input)
