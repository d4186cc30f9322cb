"""What several commands do: connect to an engine, print JSON, read options."""

from ..setup import say


def connect(given, *, to_make: bool = False):
    """Return the client of an engine, started to make something or if it has something already."""
    from ..engine import private

    may_start = not given.no_engine and (to_make or private.has_data())
    return private.connect_or_start(may_start=may_start)


def connect_or_say(given):
    """Return the client of an engine; where there is none, say that recordings take its place.

    Where recordings are asked for, no engine is looked for, and none is started.
    """
    from .. import recordings
    from ..errors import EngineNotReachable

    if recordings.mode() == "recorded":
        say("SHIPLIGHT_MODE=recorded: the lessons replay their recordings, marked as recorded.")
        return None
    try:
        return connect(given, to_make=True)
    except EngineNotReachable as error:
        say(str(error))
        say("the lessons replay their recordings, each marked as recorded.")
        return None


def print_json(data) -> None:
    """Print what `--json` asks for."""
    from ..units import as_json

    print(as_json(data, indent=2), flush=True)


def named_values(texts: list[str]) -> dict[str, str]:
    """Return the values of `--build-arg NAME=VALUE` by name. Raises UsageError."""
    from ..errors import UsageError

    for text in texts:
        if "=" not in text[1:]:
            raise UsageError("a --build-arg has no value.", hint="--build-arg NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


def has_budget(given) -> bool:
    """Return whether a command measures against a budget."""
    return given.at_most is not None or given.baseline is not None
