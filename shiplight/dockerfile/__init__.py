"""What a Dockerfile says, and the files that a build of it sends.

Parsing, stages and the images that they use, `.dockerignore`, the build context. Knows no engine,
no image and no network: text and files in, dataclasses out.
"""

from .context import (
    Context,
    Rule,
    Sources,
    apply_rules,
    ignore_rules,
    read_context,
    read_rules,
    read_sources,
)
from .graphs import StageGraph, StageRun, draw
from .parser import GAP, Dockerfile, Instruction, Stage, closest, fail, parse
from .stages import (
    STEPS,
    Link,
    image_uses,
    links_of,
    needed_stages,
    platforms_of,
    triggers_of,
)
from .words import BadWord, Lexer, Room, TooLarge, split_words

__all__ = [
    "GAP",
    "STEPS",
    "BadWord",
    "Context",
    "Dockerfile",
    "Instruction",
    "Lexer",
    "Link",
    "Room",
    "Rule",
    "Sources",
    "Stage",
    "StageGraph",
    "StageRun",
    "TooLarge",
    "apply_rules",
    "closest",
    "draw",
    "fail",
    "ignore_rules",
    "image_uses",
    "links_of",
    "needed_stages",
    "parse",
    "platforms_of",
    "read_context",
    "read_rules",
    "read_sources",
    "split_words",
    "triggers_of",
]
