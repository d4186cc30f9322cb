"""What is generated in RESULTS.md, README.md and docs/article.md is what its data say."""

from dataclasses import replace

import pytest

from shiplight import catalogue
from shiplight.charts import frames
from shiplight.lessons import board_charts, results
from shiplight.lessons.judging import Verdict
from shiplight.lessons.results import Benchmark, Reach
from shiplight.lessons.scoreboard import Surveyed
from shiplight.setting import Setting

SETTING = Setting("Docker 1", "graph driver x", "linux/amd64", "equivalent", "2026-01-02T03:04:05Z")
ROW = Surveyed("go", "multi", 8_850_000, 3_000_000, 0, 14.2, {}, 2, 1, 12, SETTING)
REACH = Reach("node/bundled", "what it loads", 1.2, 1.15, "share", "its base", SETTING)
PAIRS = Benchmark(
    "a build", "the request", "times", 1.15, (2.0, 3.0, 2.2), (2.0, 2.0, 2.0), 0.5, 2, "", SETTING
)  # fmt: skip


RESULTS, README, ARTICLE = results.FILES


@pytest.mark.parametrize(
    ("file", "names"),
    [(RESULTS, ("variants", "benchmarks")), (README, ("scoreboard",)), (ARTICLE, ("claims",))],
    ids=lambda it: getattr(it, "name", ""),
)
def test_the_generated_parts_are_what_the_data_say(file, names):
    text = file.read_text(encoding="utf-8")
    assert results.with_parts(text) == text, "`shiplight.lessons.results.write()` writes it"
    for name in names:
        assert text.count(f"<!-- {name}: ") == 2, name


def test_every_claim_of_the_article_has_its_line_and_its_verdict():
    text = ARTICLE.read_text(encoding="utf-8")
    for claim in catalogue.claims():
        assert f"| {claim.says} | " in text, claim.id
    fresh = Verdict(catalogue.claim("go-multi"), None, "run lesson 01", None)
    assert "| run lesson 01 | — | " in results.claims_part([fresh])


def test_what_was_measured_on_several_days_says_from_when_to_when():
    later = replace(SETTING, when="2026-02-03T03:04:05Z")
    claim = catalogue.claim("go-multi")
    found = [Verdict(claim, None, "", one) for one in (later, SETTING, None)]
    assert "measured 2026-01-02 to 2026-02-03 · Docker 1" in results.claims_part(found)
    assert "measured 2026-01-02 · Docker 1" in results.claims_part(found[1:])


def test_the_scoreboard_takes_the_smallest_image_that_works():
    small = replace(ROW, unpacked_bytes=10_000_000)
    rows = [replace(small, app="rust", variant="single", unpacked_bytes=1_000_000_000)]
    rows += [replace(small, app="rust", variant="cached", unpacked_bytes=1)]  # never answers
    rows += [replace(small, app="rust", variant="static")]
    text = results.scoreboard_part(rows)
    assert "| Rust | 1.00 GB | 10.0 MB (`rust/static`) | 100× |" in text


def test_every_recorded_variant_and_every_benchmark_has_its_line():
    text = RESULTS.read_text(encoding="utf-8")
    rows, reached = results.recorded()
    assert [row.name for row in rows] == [row.name for row in catalogue.rows()] and reached
    names = [row.name for row in rows] + [reach.variant for reach in reached]
    for what in names + [one.what for one in results.benchmarks()]:
        assert f"\n| {what} |" in text


def test_what_stands_around_the_parts_stays():
    text = RESULTS.read_text(encoding="utf-8")
    own = text.replace("## Variants", "## Variants\n\nA sentence of ours.")
    assert "A sentence of ours." in results.with_parts(own)


def test_a_benchmark_is_the_median_of_its_pairs():
    assert PAIRS.each == [1.0, 1.5, 1.1] and PAIRS.measured == 1.1
    assert round(replace(PAIRS, unit="more").measured, 3) == 0.2
    assert replace(PAIRS, unit="seconds", theirs=()).measured == 2.2
    assert Benchmark.from_dict(PAIRS.to_dict()) == PAIRS


def test_a_benchmark_says_what_was_reached_and_how_loaded_the_machine_was():
    table = results.benchmarks_part([PAIRS, replace(PAIRS, what="other", most=1.05, why="hashing")])
    assert "| 1.10× | 1.00× to 1.50× | at most 1.15× | 0.5 on 2 CPUs | reached |" in table
    assert "| missed: hashing |" in table and str(SETTING) in table


def test_a_variant_says_what_was_found_and_a_missed_reach_what_stands_in_the_way():
    unlike = replace(ROW, vulnerabilities=None, packages=None, unlike={"user": ["0", "1"]})
    table = results.variants_part([ROW, unlike], [REACH, replace(REACH, measured=1.1)])
    assert (
        "| go/multi | 8.85 MB | 3.00 MB | 0 B | 14.2 s | 2 in 12 packages | as expected |" in table
    )
    assert "| 0 B | 14.2 s | — | unlike: user |" in table
    assert "| at most 115 % of what it loads | 120 % | missed: its base |" in table
    assert "| 110 % | reached |" in table
    assert Reach.from_dict(REACH.to_dict()) == REACH


def test_a_count_has_no_decimals_and_an_unknown_one_no_number():
    unknown = replace(ROW, variant="static", vulnerabilities=None, fixable=None, packages=None)
    text = repr(frames.readable(frames.survey([ROW, unknown])))
    assert " 12 " in text and "12.0" not in text and "—" in text
    chart = board_charts.vulnerabilities((ROW, unknown)).layout
    assert "go/multi has 2 known vulnerabilities in 12 packages" in chart.title.text.replace(
        "<br>", " "
    )
    assert "—" in str(chart.annotations)
