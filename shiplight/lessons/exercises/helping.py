"""What helps a learner along: hints on demand, the solution after some tries, how far they are."""

from ...boxes import inline
from ...builds import recipe
from ...units import format_bytes
from .. import learned
from ..shown import Shown
from .checking import every, named
from .grading import Exercise

HINT_TRIES, SOLUTION_TRIES = 2, 3  # tries that open the second hint, and the solution


def hint(exercise_id: str) -> Shown:
    """Return a hint: the first one on demand, with the second one after two tries.

    A try is a build that the check refused, if its text differs from the start and from earlier
    tries. Raises UsageError for an unknown exercise.
    """
    found, state = named(exercise_id), learned.state(exercise_id)
    opened = list(found.hints[: 2 if len(state.tries) >= HINT_TRIES or state.solved else 1])
    left = HINT_TRIES - len(state.tries)
    if len(opened) == 1:
        opened.append(f"Another hint after {_tries(left, 'more ')} of your own.")
    return Shown(f"{found.id} ({found.level}): {opened[0]}", opened[1], mark="▸")


def solution(exercise_id: str, *, teacher: bool = False):
    """Return a right answer as a Dockerfile, after three tries; at once for a teacher.

    Before that, a sentence says how many tries are left. It is not the only right answer: the
    check accepts everything that does what the exercise asks. Raises UsageError for an unknown
    exercise.
    """
    found, state = named(exercise_id), learned.state(exercise_id)
    left = SOLUTION_TRIES - len(state.tries)
    if left > 0 and not state.solved and not teacher:
        return Shown(
            f"The solution of {found.id} is shown after {_tries(left, 'more ')} of your own.",
            f'`hint("{found.id}")` gives a hint now; `solution("{found.id}", teacher=True)` '
            "shows it now",
            mark="○",
        )
    return recipe(str(found.solutions()[0]))


class Progress:
    """How far a learner is with all exercises: what a notebook shows, and `./lab progress`."""

    def __init__(self):
        self.rows = [(found, learned.state(found.id)) for found in every()]

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(bool(state.solved) for _, state in self.rows)

    @property
    def next(self) -> Exercise | None:
        """The first exercise that is not solved; None where all are."""
        return next((found for found, state in self.rows if not state.solved), None)

    @property
    def sentence(self) -> str:
        """`7 of 16 exercises solved. Next: 02.2 (medium): …`."""
        begin = f"{self.solved} of {len(self.rows)} exercises solved."
        if self.next is None:
            return f"{begin} That is all of them."
        return f"{begin} Next: {self.next.id} ({self.next.level}): {self.next.task}."

    def to_dict(self) -> dict:
        """Everything as JSON holds it."""
        return {
            "solved": self.solved,
            "next": self.next and self.next.id,
            "exercises": [
                {"id": found.id, "level": found.level, "task": found.task} | state.to_dict()
                for found, state in self.rows
            ],
            "guesses": learned.guesses(),
            "beliefs": learned.beliefs(),
        }

    def __repr__(self) -> str:
        lines = [
            f"{mark} {found.id}  {found.level:<6}  {said}" for mark, found, said in self._told()
        ]
        return "\n".join([*lines, "", self.sentence])

    def _repr_html_(self) -> str:
        cells = [
            f"<tr><td style='white-space:nowrap'>{mark} {found.id}</td><td>{found.level}</td>"
            f"<td style='text-align:left'>{inline(said)}</td></tr>"
            for mark, found, said in self._told()
        ]
        return f"<table>{''.join(cells)}</table>{inline(self.sentence)}"

    def _told(self):
        for found, state in self.rows:
            tried = _tries(len(state.tries)) if state.tries else ""
            if state.solved:
                size = format_bytes(state.unpacked_bytes) if state.unpacked_bytes else ""
                said = ", ".join(filter(None, [f"solved {state.solved}", tried, size]))
                yield "✓", found, said
            else:
                yield "○", found, f"{tried}: {state.mistakes[-1]}" if tried else found.task


def _tries(count: int, more: str = "") -> str:
    return f"{count} {more}{'try' if count == 1 else 'tries'}"
