"""Before a class: whether a learner's machine, and a teacher's, is ready for the lessons planned.

`readiness` asks a machine. Knows lessons, builds and the engine, and no command.
"""

from .readiness import PROBLEM, Found, Ready, ready, rehearse

__all__ = ["PROBLEM", "Found", "Ready", "ready", "rehearse"]
