"""BuildKit's own warnings, as Docker 28.5 sent them with a build of this Dockerfile."""

from dataclasses import replace

import pytest
import results
from checking import built_subject, result
from factories import file
from replay import trace_of

from shiplight.buildkit import StatusResponse, Trace
from shiplight.builds import Build
from shiplight.checks import checklist, to_sarif

TEXT = """\
FROM scratch as base
MAINTAINER me@example.com
ARG API_TOKEN
ENV GREETING hello
WORKDIR app
COPY word $WHERE/word
FROM base
CMD /word and more
"""
WARNINGS = trace_of("answer-28.5-warnings").warnings()


def linted(folder, text=TEXT, warnings=WARNINGS):
    """The checklist of a build that came with these warnings."""
    layers = [[], [file("word", 10)]] if text == TEXT else []
    found = built_subject(folder, text, layers)
    return checklist.run(replace(found, built=replace(found.built, warnings=warnings)))


def test_warnings_are_read_with_their_line_and_address():
    assert [(each.line, each.rule) for each in WARNINGS] == [
        (1, "FromAsCasing"),
        (2, "MaintainerDeprecated"),
        (3, "SecretsUsedInArgOrEnv"),
        (4, "LegacyKeyValueFormat"),
        (5, "WorkdirRelativePath"),
        (6, "UndefinedVar"),
        (8, "JSONArgsRecommended"),
    ]
    last = WARNINGS[-1]
    assert last.text.startswith("JSON arguments recommended for CMD") and "(line" not in last.text
    assert last.url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    assert "OS signals" in last.detail


def test_what_both_find_is_shown_once_and_the_rest_with_line_and_address(tmp_path):
    found = linted(tmp_path)
    outcome = result(found, "buildkit").outcome
    assert [(place.line, place.found.partition(":")[0]) for place in outcome.places] == [
        (1, "FromAsCasing"),
        (2, "MaintainerDeprecated"),
        (4, "LegacyKeyValueFormat"),
    ]
    assert all("https://docs.docker.com/" in place.found for place in outcome.places)
    assert outcome.places[0].instruction.startswith("FROM scratch as base")
    lines = {"secrets": 3, "workdir": 5, "variables": 6, "signals": 8}
    for name, line in lines.items():
        assert line in [place.line for place in result(found, name).outcome.places]
    rules = [each["ruleId"] for each in to_sarif(found)["runs"][0]["results"]]
    assert rules.count("buildkit") == 3


def test_a_warning_that_our_check_does_not_share_is_shown(tmp_path):
    """The same rule at a line where the check of ours passes."""
    outcome = result(linted(tmp_path, "FROM scratch\nUSER 7\n", WARNINGS[-1:]), "buildkit").outcome
    assert outcome.result == "failed" and outcome.places[0].line == 8


def test_all_of_it_known_already_passes_and_no_warning_says_nothing(tmp_path):
    known = tuple(each for each in WARNINGS if each.line in (3, 5, 6, 8))
    assert result(linted(tmp_path, warnings=known), "buildkit").outcome.result == "passed"
    nothing = result(linted(tmp_path, warnings=()), "buildkit").outcome
    assert nothing.result == "does not apply" and "before Docker 27" in nothing.evidence
    unbuilt = replace(linted(tmp_path).subject, built=None)
    assert result(checklist.run(unbuilt), "buildkit").outcome.result == "does not apply"


@pytest.mark.parametrize(
    ("short", "rule", "text"),
    [
        (b"Rule: a text: of parts (line 3)", "Rule", "a text: of parts"),
        (b"no rule in it", "", "no rule in it"),
        (b"\xff\xfe", "", "\ufffd\ufffd"),
        (b"", "", ""),
    ],
)
def test_a_warning_of_any_form_is_kept_once(short, rule, text):
    trace = Trace()
    for _ in range(3):
        trace.add(StatusResponse(warnings=[{"short": short}]).SerializeToString())
    [found] = trace.warnings()
    assert (found.rule, found.text, found.line, found.url) == (rule, text, None, "")


def test_no_more_warnings_are_kept_than_is_bounded():
    trace = Trace()
    rows = [{"short": f"R: {number}".encode()} for number in range(3000)]
    trace.add(StatusResponse(warnings=rows).SerializeToString())
    assert len(trace.warnings()) == 1000


def test_a_build_keeps_its_warnings_in_json_and_one_without_them_is_read():
    build = Build(
        app="a", variant="b", tag="t", engine_id="sha256:1", seconds=1.0, steps=(), bases={},
        setting=results.SETTING, warnings=WARNINGS,
    )  # fmt: skip
    assert Build.from_dict(build.to_dict()).warnings == WARNINGS
    recorded = {key: value for key, value in build.to_dict().items() if key != "warnings"}
    assert Build.from_dict(recorded).warnings == ()
