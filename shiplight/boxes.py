"""Sentences and boxes as a notebook shows them: HTML that reads on light and on dark themes.

Standard library only. Every text is escaped; between two backticks stands code.
"""

import html
import re
import sys

from .units import visible

ACCENT, QUIET, WRONG = "#3d8fd1", "#8a929d", "#d1495b"  # readable on light and on dark

_CODE = re.compile(r"`([^`\n]+)`")
_PLAIN = "margin:.3em 0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;background:none"


LITERAL = "tex2jax_ignore mathjax_ignore"  # CSS classes: a `$` in it begins no formula


def kernel_shell():
    """Return the IPython shell of this Jupyter kernel; None where this process is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None


def inline(text: str) -> str:
    """Return a text as HTML, what stands between backticks as code.

    >>> inline("a < b: see `./lab doctor`")
    'a &lt; b: see <code>./lab doctor</code>'
    """
    return _CODE.sub(r"<code>\1</code>", html.escape(visible(text), quote=False))


def box(*parts: str, edge: str = ACCENT) -> str:
    """Return parts, which are HTML, one below the other, behind an edge of this colour."""
    body = "".join(f"<div>{part}</div>" for part in parts if part)
    edged = f"border-left:4px solid {edge};padding:.3em .8em;margin:.3em 0"
    return f'<div class="{LITERAL}" style="{edged}">{body}</div>'


def verbatim(text: str) -> str:
    """Return lines that keep their breaks and spaces, as HTML."""
    return f'<pre style="{_PLAIN}">{html.escape(visible(text), quote=False)}</pre>'


def folded(title: str, text: str) -> str:
    """Return lines that open with a click on their title, as HTML."""
    return f"<details><summary>{html.escape(title)}</summary>{verbatim(text)}</details>"
