"""Before a class: a kit for a room without a network, and whether machines are ready.

`packing` writes a kit, one file that says in its `manifest` what it holds, and `unpacking` verifies
all of it before it uses any; `packages` records and replays what RUN steps download, through the
`proxy`; `wheels` gets Python packages for other platforms; `serving` hands a kit out in a room;
`readiness` looks at a learner's or a teacher's machine. Knows lessons, builds and the engine, and
no command.
"""

from .manifest import Manifest
from .packing import Plan, pack, plan
from .readiness import PROBLEM, Found, Ready, ready, rehearse
from .serving import fetch, serve
from .unpacking import check_kit, has_packages, unpack, wheels_of

__all__ = [
    "PROBLEM",
    "Found",
    "Manifest",
    "Plan",
    "Ready",
    "check_kit",
    "fetch",
    "has_packages",
    "pack",
    "plan",
    "ready",
    "rehearse",
    "serve",
    "unpack",
    "wheels_of",
]
