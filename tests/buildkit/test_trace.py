"""The decoder of BuildKit's status messages, on a real engine's answer and on anything else."""

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import ANSWERS, trace_of

from shiplight.buildkit import StatusResponse, Step, Trace, tail

every_engine = pytest.mark.parametrize("answer", ANSWERS)


def vertex(**fields) -> bytes:
    return StatusResponse(vertexes=[fields]).SerializeToString()


@every_engine
def test_a_real_answer_gives_every_step_of_the_dockerfile_once_and_in_order(answer):
    names = [step.name for step in trace_of(answer).steps() if step.stage]
    assert [name.partition("]")[0] for name in names] == [
        *(f"[builder {number}/6" for number in range(1, 7)),
        *(f"[stage-1 {number}/2" for number in range(1, 3)),
    ]


@every_engine
def test_steps_know_whether_they_were_cached_and_how_long_they_took(answer):
    steps = {step.instruction: step for step in trace_of(answer).steps()}
    assert steps["WORKDIR /app"].state == "cached"
    compiled = next(s for s in steps.values() if "go build" in s.instruction)
    assert compiled.state == "done" and compiled.seconds > 0


def test_the_failed_step_carries_its_error_and_its_last_words():
    failed = [step for step in trace_of("answer-20.10-failed").steps() if step.state == "failed"]
    assert [step.stage for step in failed] == ["builder"]
    assert "cmd/missing" in failed[0].log[-1]


def test_what_comes_later_of_a_vertex_adds_to_what_was_known():
    trace = Trace()
    trace.add(vertex(digest="a", name="[1/1] RUN x", inputs=["b"]))
    trace.add(vertex(digest="a", started={"seconds": 10}))
    assert trace.steps()[0].state == "running"
    trace.add(vertex(digest="a", completed={"seconds": 12, "nanos": 500_000_000}))
    [step] = trace.steps()
    assert (step.name, step.inputs, step.seconds, step.state) == (
        "[1/1] RUN x",
        ("b",),
        2.5,
        "done",
    )


def test_what_a_step_prints_of_a_secret_is_hidden_also_in_parts():
    secret = b"hunter2-first\nhunter2-second\nab\n"
    trace = Trace([secret])
    said = (
        b"x hunter2-first y\nand hunter2-second " + base64.b64encode(b"hunter2-first") + b"\nab\n"
    )
    trace.add(vertex(digest="a", name="[1/1] RUN x", error="it said hunter2-second"))
    for part in (said[:8], said[8:]):  # a message is no line
        log = {"vertex": "a", "msg": part}
        trace.add(StatusResponse(logs=[log]).SerializeToString())
    [step] = trace.steps()
    assert step.log == ("x … y", "and … …==", "ab") and step.error == "it said …"


def test_steps_come_in_the_order_in_which_they_started():
    trace = Trace()
    trace.add(vertex(digest="c", name="waits"))
    trace.add(vertex(digest="b", name="second", started={"seconds": 2}))
    trace.add(vertex(digest="a", name="first", started={"seconds": 1}))
    assert [step.name for step in trace.steps()] == ["first", "second", "waits"]


@pytest.mark.parametrize(
    ("name", "stage", "instruction"),
    [
        ("[builder 2/6] WORKDIR /app", "builder", "WORKDIR /app"),
        ("[2/6] RUN a\nb", "stage-0", "RUN a\nb"),
        ("[linux/amd64 stage-1 1/2] COPY a b", "stage-1", "COPY a b"),
        ("[linux/arm64/v8 1/2] COPY a b", "stage-0", "COPY a b"),
        ("[internal] load metadata for x", None, "[internal] load metadata for x"),
        ("exporting to image", None, "exporting to image"),
    ],
)
def test_a_step_name_gives_its_stage_and_its_instruction(name, stage, instruction):
    trace = Trace()
    trace.add(vertex(digest="a", name=name))
    [step] = trace.steps()
    assert (step.stage, step.instruction) == (stage, instruction)


def test_a_log_is_kept_as_chunks_of_bytes_and_cut_into_lines_at_the_end():
    trace = Trace()
    trace.add(vertex(digest="a", name="x"))
    for chunk in (
        "Zeile \N{LATIN SMALL LETTER U WITH DIAERESIS}"[:7].encode(),
        b"ber\nno",
        b"ch\n",
    ):
        trace.add(StatusResponse(logs=[{"vertex": "a", "msg": chunk}]).SerializeToString())
    assert trace.steps()[0].log[-1] == "noch"


def test_a_log_of_any_length_takes_bounded_memory():
    trace = Trace()
    trace.add(vertex(digest="a", name="x"))
    for _ in range(100):
        trace.add(StatusResponse(logs=[{"vertex": "a", "msg": b"y" * 100_000}]).SerializeToString())
    assert sum(map(len, trace.steps()[0].log)) <= 64 * 1024


def test_a_running_step_is_timed_by_the_engines_clock_however_ours_jumps(monkeypatch):
    """An engine of another year, and a clock of ours that goes back a day in mid-build."""
    passed = iter([100.0, 100.0, 101.5, 104.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(passed))
    monkeypatch.setattr(time, "time", lambda: -86_400.0)
    trace = Trace()
    trace.add(vertex(digest="a", name="a", started={"seconds": 5000}))
    assert trace.now() == 5001.5
    trace.add(vertex(digest="a", name="a", started={"seconds": 5000}))  # told again: no news
    assert trace.now() == 5004.0


def test_an_engine_whose_clock_goes_back_gives_no_negative_time():
    trace = Trace()
    trace.add(vertex(digest="a", name="a", started={"seconds": 50}, completed={"seconds": 20}))
    assert trace.steps()[0].seconds == 0 and trace.now() >= 50


def test_steps_survive_json():
    for step in trace_of("answer-20.10-failed").steps():
        assert Step.from_dict(json.loads(json.dumps(step.to_dict()))) == step


@given(st.binary(max_size=300))
def test_bytes_that_are_no_status_message_raise_value_error_or_add_nothing_wrong(data):
    trace = Trace()
    try:
        trace.add(data)
    except ValueError:
        return
    assert all(step.seconds is None or step.seconds >= 0 for step in trace.steps())


@given(st.binary(max_size=200))
def test_the_tail_of_any_log_is_text_without_line_ends(log):
    assert all(line and "\n" not in line for line in tail(log))
