"""Podman's text, told as BuildKit tells it: names of steps, what is cached, what failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiplight.buildkit import Trace
from shiplight.dockerfile import parse
from shiplight.engine import Transcript
from shiplight.engine.transcript import step_name

ALONE = parse("FROM busybox\nENV A=b\nRUN x\nCMD y\n")
STAGES = parse(
    "FROM busybox AS one\nWORKDIR /a\nFROM one\nCOPY a b\nFROM scratch AS end\nCOPY c d\n"
)


@pytest.mark.parametrize(
    ("dockerfile", "stage", "number", "text", "name"),
    [
        (ALONE, 0, 1, "FROM x/busybox:1", "[1/2] FROM x/busybox:1"),
        (ALONE, 0, 2, "ENV A=b", None),
        (ALONE, 0, 3, "RUN x", "[2/2] RUN x"),
        (ALONE, 0, 5, 'LABEL "ours"="1"', None),
        (STAGES, 0, 1, "FROM busybox AS one", "[one 1/2] FROM busybox"),
        (STAGES, 1, 1, "FROM one", None),
        (STAGES, 1, 2, "COPY a b", "[stage-1 1/1] COPY a b"),
        (STAGES, 2, 1, "FROM scratch AS end", None),
        (STAGES, 2, 2, "COPY c d", "[end 1/1] COPY c d"),
        (STAGES, 3, 1, "FROM nothing", None),
    ],
)
def test_an_instruction_is_called_what_buildkit_calls_it(dockerfile, stage, number, text, name):
    assert step_name(dockerfile, stage, number, text) == name


def heard(*lines: str, dockerfile=ALONE) -> tuple:
    """The steps after these lines, which came a second apart."""
    trace = Trace()
    transcript = Transcript(dockerfile, trace)
    for now, line in enumerate(lines, 1000):
        transcript.add(line, now)
    return transcript, trace


def test_a_step_lasts_until_its_layer_is_named_and_keeps_what_it_prints():
    _, trace = heard(
        "STEP 1/4: FROM busybox\n",
        "STEP 2/4: ENV A=b\n",
        "not of a step\n",
        "--> 0123456789ab\n",
        "STEP 3/4: RUN x\n",
        "one\ntw",
        "o\n",
        "--> 89ab01234567\n",
        "STEP 4/4: CMD y\n",
        "COMMIT name\n",
    )
    base, run = trace.steps()
    assert (base.state, base.seconds, base.log) == ("done", 1, ())
    assert (run.state, run.seconds, run.log) == ("done", 3, ("one", "two"))
    assert run.inputs == (base.digest,)


def test_what_came_from_the_cache_and_what_failed_is_known():
    transcript, trace = heard("STEP 1/4: FROM busybox\n", "STEP 3/4: RUN x\n", "oh\n")
    assert trace.steps()[1].state == "running"
    transcript.fail("while running runtime: exit status 7\n", 1010)
    assert trace.steps()[1].error == "while running runtime: exit status 7"
    _, trace = heard("STEP 3/4: RUN x\n", "--> Using cache 0123456789ab\n")
    assert [step.state for step in trace.steps()] == ["cached"]


@given(st.lists(st.text() | st.sampled_from(["STEP 1/2: RUN x", "--> Using cache", "COMMIT x"])))
def test_any_text_gives_steps_or_none(lines):
    _, trace = heard(*lines, dockerfile=STAGES)
    assert all(step.stage == "one" for step in trace.steps())
