"""A client for BuildKit: read its status while it builds, and serve what it requests.

The package takes a connected socket. It imports neither Docker's SDK nor anything else of this
project, so it could be published by itself. `session` and `control` need `grpclib`, so they are
imported by their own names where they are needed.

    messages    the protobuf messages of every service, from one table
    status      the status messages of a build, turned into steps
    patterns    `.dockerignore` patterns, by the rules of moby/patternmatcher
    opening     opening files in an untrusted folder
    globs       one pattern; patterns: those of a .dockerignore
    tree        a folder, or files in memory, as BuildKit wants files described
    filesync    sending files to BuildKit, and receiving the files of `--output`
    services    secrets, credentials, ssh agents and health
    content     a folder as the content store of a local cache
    session     serving all of that on one connected socket, in a thread of its own
    control     Solve and Status, as buildx calls them
    transport   how the bytes travel: an upgraded HTTP connection, a pipe behind a socket
"""

from . import opening
from .errors import BuildKitError, NotUpgraded, SourceChanged
from .globs import Glob
from .patterns import BadPattern, Rule, apply_rules, may_hold_kept
from .status import StatusResponse, Step, Trace, Warned, command_first, counted, tail

__all__ = [
    "BadPattern",
    "BuildKitError",
    "Glob",
    "NotUpgraded",
    "Rule",
    "SourceChanged",
    "StatusResponse",
    "Step",
    "Trace",
    "Warned",
    "apply_rules",
    "command_first",
    "counted",
    "may_hold_kept",
    "opening",
    "tail",
]
