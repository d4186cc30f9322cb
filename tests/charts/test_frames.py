"""Tables and charts: their numbers, their titles, and what they do at the edges."""

import json
from dataclasses import replace

import pytest
from factories import directory, file, whiteout
from replay import trace_of
from results import SETTING, image, texts, title_of

from shiplight import builds, catalogue, charts, lessons, progress
from shiplight.builds import Times, timing
from shiplight.charts import frames
from shiplight.engine import disk
from shiplight.errors import ClaimFailed, UsageError
from shiplight.inspection import Probe
from shiplight.setting import Setting, together
from shiplight.units import format_percent

LARGE = image([file("a", 900_000), file("b", 100)], [whiteout("a")], [file("c", 90_000)])
SMALL = image([file("c", 90_000)], name="other/image:1")


def build(trace="answer-20.10-multi") -> builds.Build:
    return builds.Build("go", "multi", "tag", "id", 49.0, trace_of(trace).steps(), {}, SETTING)


def rebuilt(seconds: float, cached: int) -> builds.Build:
    """A build of two instructions after its FROM, of which some came from the cache."""
    own = [step for step in build().numbered_steps if not step.instruction.startswith("FROM ")][:2]
    steps = [replace(step, cached=number < cached) for number, step in enumerate(own)]
    base = replace(own[0], instruction="FROM golang:1.23", cached=False)
    return replace(build(), seconds=seconds, steps=(base, *steps))


def test_what_runs_again_is_counted_without_the_bases_and_compared_by_time():
    ways = {"no cache": rebuilt(10.0, 0), "a cache": rebuilt(2.0, 1)}
    table = frames.rebuilds(ways)
    assert list(table["ran"]) == [2, 1] and list(table["cached"]) == [0, 1]
    assert list(table["steps"]) == [2, 2]
    figure = charts.rebuilds(ways)
    assert (
        title_of(figure)
        == f"With a cache, the build takes {format_percent(2, 10)} of the time with no cache"
    )
    assert "10.0 s, 2 of 2 steps ran" in texts(figure)
    assert "2.00 s, 1 of 2 steps ran" in texts(figure)


def test_a_build_says_which_instructions_ran_in_a_stage():
    made = rebuilt(1.0, 1)
    [ran] = made.ran()
    assert ran == made.own_steps()[1].instruction and made.ran(made.steps[2].stage) == [ran]
    assert made.ran("no such stage") == []


def test_a_table_of_layers_has_the_bytes_of_each():
    table = frames.layers(LARGE)
    assert list(table["unpacked_bytes"]) == [900_100, 0, 90_000]
    assert list(table["reclaimable_bytes"]) == [900_000, 0, 0]


def test_names_of_this_lab_are_shown_as_people_type_them():
    table = frames.images(LARGE, SMALL)
    assert list(table["image"]) == ["app/small", "other/image:1"]


def test_the_largest_files_come_first_and_buried_ones_not_at_all():
    assert list(frames.largest_files(LARGE)["path"]) == ["/c", "/b"]


def test_what_is_buried_names_the_instruction_that_made_it_and_the_one_that_hides_it():
    twice = image(
        [file("a", 100), file("w/x", 3_000), file("w/y", 4_000)],
        [whiteout("w"), file("b", 10)],
        [whiteout("a")],
    )
    table = frames.buried(twice)
    assert list(table["reclaimable_bytes"]) == [7_000, 100] and list(table["files"]) == [2, 1]
    assert [name[:10] for name in table["added_by"]] == ["RUN step 0"] * 2
    assert [name[:10] for name in table["buried_by"]] == ["RUN step 1", "RUN step 2"]
    assert int(table["reclaimable_bytes"].sum()) == twice.reclaimable_bytes
    assert frames.buried(SMALL).empty


def test_what_pairs_save_is_a_share_of_what_was_before():
    larger = image([file("c", 180_000)], name="grown")
    pairs = {"half": (larger, SMALL), "none": (SMALL, SMALL), "more": (SMALL, larger)}
    assert list(frames.savings(pairs)["share"]) == [0.5, 0.0, -1.0]
    figure = charts.savings({name: pairs[name] for name in ("none", "half")})
    assert title_of(figure) == "A second stage saves 50 % with half, 0 % with none"
    assert [list(dots.x) for dots in figure.data] == [[180_000, 90_000], [90_000, 90_000]]
    assert SETTING.engine in texts(figure) and "180 kB → 90.0 kB" in texts(figure)


def test_steps_count_from_the_first_start():
    table = frames.steps(build())
    assert table["start"].iloc[0] == 0 and table["start"].is_monotonic_increasing


def test_what_could_not_be_asked_is_a_dash_and_not_a_zero():
    dead = Probe("x", False, None, None, "", None, 1, None, ("no such file",))
    alive = Probe("y", True, 0.1, {"user_id": 0, "tmp_writable": False}, "", True, 0, 0.1, ())
    shown = repr(frames.readable(frames.probes(dead, alive)))
    rows = {line.split("  ")[0]: line.split()[-2:] for line in shown.splitlines()[1:]}
    assert rows["user_id"] == ["—", "0"] and rows["tmp_writable"] == ["—", "no"]
    assert rows["answers"] == ["no", "yes"]


def test_a_readable_table_keeps_its_words_from_markup_and_from_mathjax():
    shown = frames.readable(frames.layers(LARGE))._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown and "tex2jax_ignore" in shown
    assert "900 kB" in shown and "unpacked bytes" in shown


def test_before_and_after_says_how_much_smaller():
    figure = charts.before_after(SMALL, LARGE, names=["small", "large"])
    assert title_of(figure) == "small is 91 % smaller than large (11.0×)"
    assert list(figure.data[0].x) == [990_100, 90_000]
    assert "offline equivalent bases" in texts(figure).replace("<br>", " ")


def test_a_waterfall_starts_each_bar_where_the_last_one_ended():
    figure = charts.waterfall(LARGE)
    bars = figure.data[0]
    assert list(bars.base) == [0, 900_100, 900_100] and sum(bars.x) == LARGE.unpacked_bytes
    buried = figure.data[1]
    assert (list(buried.x), list(buried.y)) == ([900_000], [1])
    assert title_of(figure).startswith("91 % of app/small (990 kB) comes from")
    assert "&lt;b" in figure.layout.title.text or "<b" not in figure.layout.title.text


def test_a_waterfall_with_its_base_says_what_was_there_before():
    base = image([file("a", 900_000), file("b", 100)])
    figure = charts.waterfall(LARGE, base=base, name="app")
    assert title_of(figure).startswith("91 % of app (990 kB) comes from its base image")
    assert list(figure.data[0].marker.color) == [charts.ACCENT, charts.GREY, charts.GREY]


def test_neighbours_that_add_next_to_nothing_share_a_row():
    many = image([file("a", 900_000)], [directory("x")], [file("y", 3)], [file("z", 500_000)])
    assert list(charts.waterfall(many).data[0].x) == [900_000, 3, 500_000]


def test_a_waterfall_of_an_empty_image_is_a_chart():
    assert charts.waterfall(image([directory("x")])).layout.title.text


def test_a_timeline_names_the_longest_step_and_shows_cached_ones_as_open_circles():
    figure = charts.timeline(build())
    title = title_of(figure)
    assert title.startswith("“RUN CGO_ENABLED=0") and "of go/multi’s 49.0 s" in title
    circles = figure.data[-1]
    assert circles.marker.symbol == "circle-open"
    assert len(circles.x) == build().cached_steps


def test_a_timeline_of_a_build_from_the_cache_says_so():
    steps = tuple(step for step in build().steps if step.state == "cached" or "FROM" in step.name)
    cached = builds.Build("go", "multi", "t", "i", 0.05, steps, {}, SETTING)
    assert "from the cache, in 50 ms" in title_of(charts.timeline(cached))


def test_every_chart_is_free_of_legend_and_has_its_setting():
    for figure in (
        charts.waterfall(LARGE),
        charts.timeline(build()),
        charts.before_after(LARGE, SMALL),
        charts.treemap(LARGE, SMALL),
    ):
        assert not figure.layout.template.layout.showlegend
        assert "measured 2026-11-23" in texts(figure)


def test_a_recorded_setting_says_so():
    recorded = Setting(
        "Docker 1", "x", "linux/amd64", "official", "2026-11-23T10:00:00", "recorded"
    )
    assert (
        str(recorded).startswith("recorded 2026-11-23")
        and Setting.from_dict(recorded.to_dict()) == recorded
    )


def test_a_claim_shows_its_evidence_or_raises(capsys):
    lessons.claim("Two is more than one.", 2 > 1, "2 > 1")
    assert "✓ Two is more than one." in capsys.readouterr().out
    with pytest.raises(ClaimFailed, match="not true on this machine: One is more than two"):
        lessons.claim("One is more than two.", 1 > 2, "1 > 2")


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(1.1e9, "holds"), (0.96e9, "holds"), (0.9e9, "partly"), (2.3e9, "does not hold")],
)
def test_the_articles_figures_hold_within_fifteen_percent(measured, verdict):
    assert catalogue.claim("go-single").verdict(measured) == verdict


def test_a_range_holds_between_its_ends_and_what_is_true_is_true_or_not():
    claim = catalogue.ArticleClaim("x", "2 to 20 MB", 2e6, "bytes", upto=20e6)
    seen = [claim.verdict(measured) for measured in (1.9e6, 9e6, 22e6, 24e6, 50e6)]
    assert seen == ["holds", "holds", "holds", "partly", "does not hold"]
    nothing = catalogue.ArticleClaim("x", "nothing", 0, "bytes")
    assert nothing.verdict(0) == "holds" and nothing.verdict(1) == "does not hold"
    true = catalogue.ArticleClaim("x", "so", 1, "yes")
    assert true.verdict(True) == "holds" and true.verdict(False) == "does not hold"


def test_an_equivalent_cannot_test_what_its_original_weighs(capsys, monkeypatch):
    claim = catalogue.ArticleClaim("x", "about 7 MB", 7e6, "bytes", base="alpine:3.22")
    monkeypatch.setattr(catalogue, "claim", lambda _: claim)
    lessons.held_against("x", 3e6, of=image([file("a", 3)], name="shiplight/base/alpine:3.22"))
    said = capsys.readouterr().out
    assert (
        "cannot test this; published: 8.30 MB on 20" in said
        and "partly by that figure; not testable" in said
    )
    lessons.held_against("x", 7e6, of=image([file("a", 3)], name="alpine:3.22"))
    said = capsys.readouterr().out
    assert "measured 7.00 MB" in said and "published" not in said
    assert said.strip().endswith(": holds")


def test_packages_of_node_are_counted_by_name_wherever_they_are_installed():
    modules = "app/node_modules"
    table = frames.node_packages(
        image(
            [
                *(file(f"{modules}/a/package.json", 10), file(f"{modules}/a/lib/x/i.js", 30)),
                *(file(f"{modules}/@s/b/i.js", 70), file(f"{modules}/a/node_modules/c/i.js", 5)),
                *(file(f"{modules}/.bin/tsc", 9), file(f"{modules}/.package-lock.json", 9)),
                *(file("usr/local/lib/node_modules/npm/i.js", 99), file("app/dist/i.js", 9)),
            ]
        )
    )
    assert list(table["package"]) == ["@s/b", "a", "c"]
    assert list(table["unpacked_bytes"]) == [70, 40, 5]
    assert frames.node_packages(SMALL).empty


def test_a_base_stands_beside_what_is_published_of_it():
    table = frames.published(
        image([file("a", 3)], name="shiplight/base/distroless/base-debian12:latest"),
        image([file("a", 3)], name="docker.io/library/alpine:3.22"),
        image([file("a", 3)], name="somebody/else:1"),
    )
    assert list(table["base"]) == [
        "gcr.io/distroless/base-debian12:latest", "alpine:3.22", "somebody/else:1",
    ]  # fmt: skip
    assert list(table["measured_on"]) == ["an offline equivalent", "the image", "the image"]
    assert table["official_bytes"].isna().tolist() == [False, False, True]
    assert table["official_date"][1].startswith("20")
    assert list(table["official_from"][:2]) == ["rebuilt by us", "published"]
    assert "official_packed_bytes" not in table


def test_what_a_registry_sends_stands_beside_a_base_where_one_answered():
    measured = [
        image([file("a", 3)], name="shiplight/base/alpine:3.22"),
        image([file("a", 3)], name="docker.io/library/debian:bookworm"),
    ]
    table = frames.published(*measured, in_registries={"alpine:3.22": 7, "debian:bookworm": None})
    assert table["official_packed_bytes"][0] == 7 and table["official_packed_bytes"].isna()[1]
    silent = frames.published(*measured, in_registries={"alpine:3.22": None})
    assert "official_packed_bytes" not in silent


def test_stops_have_a_row_for_each_command_and_its_last_words():
    words = ('{"msg": "listening"}', '{"msg": "stopped"}', "npm error", "[1]")
    probe = Probe("tag", True, 0.1, {}, "", True, 0, 0.2, words, True, SETTING)
    table = frames.stops(probe, replace(probe, exit_code=137, last_words=()), names=["a", "b"])
    assert list(table["container"]) == ["a", "b"] and list(table["exit_code"]) == [0, 137]
    assert table["last_message"][0] == "stopped" and table["last_message"].isna()[1]
    assert frames.setting_of(table) == SETTING


def test_a_copy_of_an_app_is_fresh_each_time():
    copy = lessons.copy_of("go")
    (copy / "left-behind").write_text("x")
    again = lessons.copy_of("go")
    assert again == copy and not (again / "left-behind").exists()
    assert (again / "go.mod").read_text() == (catalogue.APPS / "go/go.mod").read_text()


def test_a_copy_and_its_edits_have_the_times_that_are_said():
    copy = lessons.copy_of("rust", written="2020-09-13")
    main, other = copy / "src/main.rs", copy / "src/selfcheck.rs"
    assert {path.stat().st_mtime for path in copy.rglob("*")} == {1_599_955_200.0}
    lessons.edit(main, '"shiplight"', '"edited"', written="2020-09-13T12:26:40+00:00")
    assert '"edited"' in main.read_text() and main.stat().st_mtime == 1_600_000_000.0
    lessons.edit(main, '"edited"', '"now"')
    assert main.stat().st_mtime > 1_700_000_000 > other.stat().st_mtime
    with pytest.raises(UsageError, match="'gone' occurs 0 times"):
        lessons.edit(main, "gone", "back")


FAST = Times("fast", "tag", 0.0, 40.0, (1.0, 0.5, 0.6), (5.0, 4.0, 8.0), SETTING)
SLOW = Times("slow", "tag", 0.0, 30.0, (0.7,), (33.0,), SETTING)


def test_build_times_are_medians_with_their_runs_and_the_slowest_comes_first():
    table = frames.build_times(FAST, SLOW)
    assert list(table["case"]) == ["cold"] * 2 + ["unchanged"] * 2 + ["after an edit"] * 2
    assert list(table["way"]) == ["fast", "slow", "slow", "fast", "slow", "fast"]
    assert list(table["seconds"]) == [40.0, 30.0, 0.7, 0.6, 33.0, 5.0]
    assert list(table["runs"]) == [1, 1, 1, 3, 1, 3]
    assert (table["fastest_seconds"].iloc[-1], table["slowest_seconds"].iloc[-1]) == (4.0, 8.0)


def test_a_chart_of_build_times_compares_each_way_with_its_own_cold_build():
    figure = charts.build_times(SLOW, FAST)
    assert title_of(figure) == (
        "After an edit, a build with fast takes 12 % of its cold time; with slow, 110 %"
    )
    assert list(figure.data[0].x) == list(frames.build_times(SLOW, FAST)["seconds"])
    words = texts(figure)
    assert "after an edit: fast, 4.00 s to 8.00 s in 3 runs" in words
    assert "cold: slow, one run" in words and SETTING.engine in words


def test_what_stays_of_timing_is_each_median_with_its_range():
    shown = repr(progress._Html(timing._shown(FAST)))
    assert "fast: median seconds, measured" in shown
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert rows[0] == ["●", "cold", "40.0", "s", "one", "run"]
    assert rows[2][-7:] == ["4.00", "s", "to", "8.00", "s", "in", "3", "runs"][-7:]


def test_cache_mounts_are_those_that_are_as_old_as_the_cold_build(monkeypatch):
    def record(kind, description, size, created):
        return disk.CacheRecord("id", kind, description, size, created, False)

    mount = "cached mount /target from exec /bin/sh -c cargo build"
    records = [
        record("exec.cachemount", mount, 5, 20.0),
        record("exec.cachemount", mount, 6, 41.0),
        record("regular", "mount / from exec /bin/sh -c cargo build", 7, 20.0),
    ]
    monkeypatch.setattr(disk, "cache_records", lambda client: records)
    assert timing.cache_mounts(object(), FAST) == {"/target": 5}


def test_times_come_back_from_json():
    assert Times.from_dict(json.loads(json.dumps(FAST.to_dict()))) == FAST
    assert Times.from_dict(FAST.to_dict() | {"setting": SETTING.to_dict()}).setting == SETTING


def test_every_claim_of_the_catalogue_can_fail():
    for claim in catalogue.claims():
        assert claim.verdict(claim.figure) == "holds"
        if claim.unit == "yes":
            assert claim.verdict(1 - claim.figure) == "does not hold"
        else:
            wrong = (
                claim.figure / 3 if claim.unit == "share" else 3 * (claim.upto or claim.figure) + 1
            )
            assert claim.verdict(wrong) == "does not hold"


def test_every_row_of_the_catalogue_says_what_its_probe_has_to_give():
    asked = {"user_id", "ca_certificates", "time_zones", "tmp_writable", "resolves_localhost"}
    asked |= {"resolves_own_name", "answered", "user", "shell", "read_only_root", "exit_code"}
    for row in catalogue.rows():
        answers = row.probe["answered"]
        assert set(row.probe) == (asked if answers else {"answered", "user", "exit_code"}), row


def test_a_probe_that_gives_anything_else_than_its_row_says_is_told():
    row = catalogue.find("go/hardened")
    check = {name: row.probe[name] for name in row.probe if name in ("time_zones", "user_id")}
    asked = Probe("x", True, 0.1, check | {"ca_certificates": 0}, "", True, 0, 0.1, (), True)
    unlike = asked.unlike(row.probe)
    assert unlike["ca_certificates"] == (True, False) and unlike["shell"] == (False, True)
    assert "time_zones" not in unlike and unlike["tmp_writable"] == (True, None)


def test_parts_add_up_to_every_live_byte_and_open_the_largest_folder():
    deep = image(
        [file("usr/lib/a", 600_000), file("usr/lib/b", 300_000), file("etc/x", 100), file("z", 99)]
    )
    table = frames.parts(deep, 4)
    assert int(table["unpacked_bytes"].sum()) == deep.unpacked_bytes
    assert list(table["path"]) == ["/usr/lib/a", "/usr/lib/b", frames.THE_REST]
    assert frames.parts(image([directory("x")])).empty


def test_a_treemap_gives_two_images_areas_as_their_bytes():
    figure = charts.treemap(LARGE, SMALL, names=["large", "small"])
    assert title_of(figure) == "All files of small take 90.0 kB, those of large 90.1 kB"
    assert "/c alone is >99 % of large" in texts(figure).replace("<br>", " ")

    def area(tiles):
        (left, right), (low, high) = tiles.domain.x, tiles.domain.y
        return (right - left) * (high - low)

    other = image([file("big", 9_000_000)])
    first, second = charts.treemap(other, SMALL).data
    assert area(first) / area(second) == pytest.approx(100, rel=0.02)
    assert sum(first.values) == 9_000_000
    assert set(second.marker.pad.to_plotly_json().values()) == {0}, "a margin hides a small image"


def test_stages_stand_apart_in_a_timeline():
    figure = charts.timeline(build())
    assert {"<b>builder</b>"} <= {note.text for note in figure.layout.annotations}
    assert "each band is a stage" in texts(figure).replace("<br>", " ")


def test_results_shown_together_say_what_they_share():
    recorded = replace(SETTING, mode="recorded", engine="Docker 2", bases="none")
    both = together(SETTING, recorded, None)
    assert (both.mode, both.engine, both.bases) == (
        "partly recorded", "Docker 1, Docker 2", "equivalent",
    )  # fmt: skip
    assert together(None) is None


def test_a_table_says_below_where_its_numbers_come_from():
    for shown in (repr(frames.readable(frames.layers(LARGE))),
                  frames.readable(frames.images(LARGE))._repr_html_()):  # fmt: skip
        assert "measured 2026-11-23" in shown and "offline equivalent bases" in shown
