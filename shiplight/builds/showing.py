"""Show the text of a Dockerfile in a notebook, in colours and with line numbers."""

from html import escape

from ..boxes import ACCENT, LITERAL, QUIET
from ..dockerfile import StageGraph, draw, parse
from ..errors import UsageError
from ..units import visible

_STYLES = {  # by the beginning of what pygments calls a token
    "Token.Keyword": f"color:{ACCENT};font-weight:600",
    "Token.Comment": f"color:{QUIET};font-style:italic",
    "Token.Literal.String": "color:#a8763e",
    "Token.Name.Variable": "color:#9a6fb0",
}


class DockerfileText(str):
    """The text of a Dockerfile, shown as it is written; in a notebook with the lines' numbers."""

    def replace(self, old: str, new: str, count: int = -1) -> "DockerfileText":
        """Return a copy with `old` replaced by `new`. Raises UsageError if `old` is not in it.

        An unchanged text would also build, and seem to show the effect of the change.
        """
        if old not in self:
            raise UsageError(
                f"{old!r} is not in this Dockerfile.", hint="copy it from the text as it is shown"
            )
        return DockerfileText(super().replace(old, new, count))

    def graph(self, target: str | int | None = None) -> StageGraph:
        """Draw the graph of its stages; those that `target` does not need are grey."""
        return draw(parse(self), target)

    def __repr__(self) -> str:
        return visible(self.rstrip("\n"))

    def _repr_html_(self) -> str:
        """The text in colours for light and dark themes; MathJax does not change it."""
        rows = [
            f"<span style='color:{QUIET};user-select:none'>{number:>3}  </span>{line}"
            for number, line in enumerate(_lines(visible(self.rstrip("\n"))), 1)
        ]
        code = "\n".join(rows)
        return f"<pre class='{LITERAL}' style='white-space:pre;overflow-x:auto'>{code}</pre>"


def _lines(text: str) -> list[str]:
    """Each line of a text as HTML; a token that spans lines is split at their ends."""
    from pygments.lexers import DockerLexer

    lines = [""]
    for kind, words in DockerLexer(stripnl=False, ensurenl=False).get_tokens(text):
        style = next((css for name, css in _STYLES.items() if str(kind).startswith(name)), "")
        for number, part in enumerate(words.split("\n")):
            if number:
                lines.append("")
            shown = escape(part, quote=False)
            lines[-1] += f"<span style='{style}'>{shown}</span>" if style and part else shown
    return lines
