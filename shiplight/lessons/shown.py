"""A sentence with its evidence, as lessons show it."""

from ..boxes import ACCENT, LITERAL, inline
from ..units import visible


class Shown:
    """A sentence with its evidence, as lessons show it: text everywhere, HTML in a notebook."""

    def __init__(self, sentence: str, evidence: str = "", *, mark: str = "✓"):
        self.sentence, self.evidence, self.mark = sentence, evidence, mark

    def __repr__(self) -> str:
        said = f"{self.mark} {self.sentence}" + (f"\n  {self.evidence}" if self.evidence else "")
        return visible(said)

    def _repr_html_(self) -> str:
        shown = f"<b style='color:{ACCENT}'>{self.mark}</b> {inline(self.sentence)}"
        if self.evidence:
            shown += f"<br><span style='opacity:.75'>{inline(self.evidence)}</span>"
        return f"<div class='{LITERAL}' style='margin:.3em 0'>{shown}</div>"
