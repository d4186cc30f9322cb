"""What is typed: the commands of `./lab`, their arguments, and how their results are printed.

Standard library only until a command runs: `./lab --help` works before anything is installed. No
other package knows this one.
"""

from .commands import main

__all__ = ["main"]
