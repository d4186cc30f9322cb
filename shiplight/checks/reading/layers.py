"""Which instruction of the Dockerfile made a layer of the built image."""

from .subject import Step, Subject


def instructions_of_layers(subject: Subject) -> dict[int, Step]:
    """Return the step behind each layer that the Dockerfile itself added, without the base's.

    The history's last entries are the Dockerfile's own; Podman adds one for the labels that came
    with the build. Where keywords do not agree, the builder wrote something else and nothing is
    claimed.
    """
    history = subject.built.image.history
    steps = [step for step in subject.final_steps if step.keyword != "ONBUILD"]
    keywords = [step.keyword for step in steps]
    for extra in (0, 1):
        first, last = len(history) - len(steps) - extra, len(history) - extra
        added = [_keyword(text) for text, _ in history[last:]]
        own = history[max(first, 0) : last]
        if set(added) <= {"LABEL"} and [_keyword(text) for text, _ in own] == keywords:
            pairs = zip(steps, own, strict=True)
            return {index: step for step, (_, index) in pairs if index is not None}
    return {}


def own_layers(subject: Subject) -> frozenset[int]:
    """Return the layers of the built image that the Dockerfile added; all where it does not tell.

    A builder that writes another history leaves open which layers are the base's.
    """
    layers = range(len(subject.built.image.layers))
    return frozenset(instructions_of_layers(subject) or layers)


def _keyword(instruction: str) -> str:
    return instruction.split(" ", 1)[0].upper()
