"""The answer key: every exercise with its task, its hints and its right answers."""

from ..lessons import exercises

AS_TYPED = "```dockerfile\n{}\n```"


def answer_key(exercise_ids: list[str] | None = None) -> str:
    """Return the solutions of these exercises, or of all, as Markdown. Raises UsageError."""
    wanted = [exercises.named(one) for one in exercise_ids] if exercise_ids else exercises.every()
    return "\n\n".join(["# Answer key", _BEFORE, *map(_section, wanted)]) + "\n"


_BEFORE = (
    "A check inspects the image and asks the service, so every answer that does what the exercise "
    "asks is right, not only these. Each of them is built and checked in the tests."
)


def _section(found) -> str:
    parts = [
        f"## {found.id} ({found.level})",
        f"{found.task[0].upper()}{found.task[1:]}.",
        f"It starts from `{found.start}`. The hints:",
        "\n".join(f"{number}. {hint}" for number, hint in enumerate(found.hints, 1)),
    ]
    for number, path in enumerate(found.solutions()):
        parts.append("The solution that learners are shown:" if number == 0 else "Right as well:")
        parts.append(AS_TYPED.format(path.read_text(encoding="utf-8").rstrip("\n")))
    return "\n\n".join(parts)
