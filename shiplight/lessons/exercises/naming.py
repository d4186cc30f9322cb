"""Every mistake that a check can name in words of ours, read from the checks themselves."""

import ast
from functools import cache
from pathlib import Path


@cache
def mistakes() -> frozenset[str]:
    """Return the sentences with which checks refuse, as far as they are the same for everybody.

    What a check formats out of a learner's own file, as in lesson 08, is not among them.
    """
    found = set()
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "refuse":
                found |= {
                    one.value
                    for one in node.args[1:2]
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    return frozenset(found)
