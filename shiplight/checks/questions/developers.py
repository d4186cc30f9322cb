"""Judge a dev container by what it is for: to develop in it, not to ship."""

from ..reading.subject import Subject
from .outcomes import FAILED, Outcome, passed, unseen

# What these ask of an image that ships, developers want otherwise.
OF_WHAT_SHIPS = (
    *("separate-stages", "dev-dependencies", "smallest-base", "only-needed"),
    "production-last",
)


def for_developers(subject: Subject, outcome: Outcome) -> Outcome:
    """Return what a finding means in a dev container: nothing, where the file says that it is one.

    A base for dev containers alone does not say it: somebody may ship what is built on it.
    """
    if outcome.result != FAILED:
        return outcome
    if ".devcontainer" in subject.path.absolute().parts:
        return passed(f"{outcome.evidence} (right in a dev container)")
    if "devcontainers/" in subject.final_base.name:
        why = f"{outcome.evidence}; that is right if this is a dev container"
        return unseen(why, outcome.advice, *outcome.places)
    return outcome
