"""Whether a build compiled the service, or found what an earlier one had compiled."""

import pytest

from shiplight.buildkit import Step
from shiplight.lessons.exercises.rust import compiled_last

SAID = "   Compiling server v0.1.0 (/app)"
OTHER = "   Compiling tokio v1.40.0"


def step(instruction: str, *log: str, cached: bool = False) -> Step:
    return Step(instruction, "a", instruction, 1.0, 1.0, cached, "", log, "", ())


FIRST = step("RUN cargo build --release", OTHER, SAID)


@pytest.mark.parametrize(
    ("last", "compiled"),
    [
        (step("RUN cargo build --release", SAID), True),
        (step("RUN rm -r x && cargo build --release", OTHER, SAID), True),
        (step("RUN cargo build --release", OTHER, "    Finished `release`"), False),
        (step("RUN cargo build --release", SAID, cached=True), False),
        (step("RUN cargo build && cp -r src . && cargo build", OTHER, SAID), False),
        (step("RUN cargo build && cp -r src . && cargo build", OTHER, SAID, SAID), True),
    ],
)
def test_only_what_the_last_cargo_build_says_counts(last, compiled):
    assert compiled_last([FIRST, last, step("COPY --from=a /server /")]) is compiled
