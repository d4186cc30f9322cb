"""BuildKit's own linter, which newer engines run with every build: what it alone finds."""

from collections.abc import Callable

from ...buildkit import Warned
from ..reading.subject import Subject
from .lines import variables, workdir
from .outcomes import FAILED, Outcome, Place, at_line, failed, listed, not_applicable, passed
from .running import secrets
from .signals import signals

# Which rules of https://docs.docker.com/reference/build-checks/ our own checks find as well.
_SAME: dict[str, Callable[[Subject], Outcome]] = {
    "JSONArgsRecommended": signals,
    "SecretsUsedInArgOrEnv": secrets,
    "UndefinedArgInFrom": variables,
    "UndefinedVar": variables,
    "WorkdirRelativePath": workdir,
}


def buildkit(subject: Subject) -> Outcome:
    """Check that BuildKit's linter has no warning, other than those that a check here gives too."""
    if not subject.built:
        return not_applicable("BuildKit's linter runs in a build: --build")
    warnings = subject.built.warnings
    if not warnings:
        return not_applicable("no warning came with the build; engines before Docker 27 send none")
    known = {rule: _lines(run(subject)) for rule, run in _SAME.items()}
    new = [each for each in warnings if each.line not in known.get(each.rule, ())]
    if not new:
        return passed("the checks above give each of its warnings")
    what = listed(each.rule or each.text for each in new)
    return failed(f"BuildKit's linter warns: {what}", [_place(subject, each) for each in new], _FIX)


_FIX = "the address of each warning explains it and shows the fix"


def _lines(outcome: Outcome) -> set[int | None]:
    return {place.line for place in outcome.places} if outcome.result == FAILED else set()


def _place(subject: Subject, each: Warned) -> Place:
    said = ": ".join(part for part in (each.rule, each.text) if part)
    return at_line(subject, each.line, f"{said} ({each.url})" if each.url else said)
