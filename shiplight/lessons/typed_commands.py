"""The terminal commands that do what a function does in a lesson: `commands.toml`, as shown."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..boxes import box, inline, verbatim
from ..errors import UsageError


@dataclass(frozen=True)
class Command:
    """Commands that do what a function does, and in which lesson it is used first."""

    function: str
    lesson: str
    does: str
    typed: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([f"On the command line: {self.does}", *(f"  {c}" for c in self.typed)])

    @property
    def cell(self) -> str:
        """The Markdown cell next to the first use of the function."""
        typed = "\n".join(self.typed)
        return f"On the command line, this {self.does}:\n\n```sh\n{typed}\n```"

    def _repr_html_(self) -> str:
        return box(f"On the command line: {inline(self.does)}", verbatim("\n".join(self.typed)))


@cache
def commands() -> dict[str, Command]:
    """Return the commands of every function that has some, by its name as lessons write it."""
    text = Path(__file__).with_name("commands.toml").read_text(encoding="utf-8")
    found = [
        Command(**one | {"typed": tuple(one["typed"])}) for one in tomllib.loads(text)["command"]
    ]
    return {one.function: one for one in found}


def typed(function: str) -> Command:
    """Return the commands that do what a function does. Raises UsageError if there are none."""
    if function not in commands():
        raise UsageError(
            f"no command is known for {function!r}.", hint=f"one of {', '.join(commands())}"
        )
    return commands()[function]
