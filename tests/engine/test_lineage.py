"""Whose a cache record is, by times and descriptions of a build with Docker 20.10.24."""

import dataclasses
import random

import pytest

from shiplight.engine import disk, lineage

CONTEXT, TEXT = "local source for context", "local source for dockerfile"
RUN = "mount / from exec /bin/sh -c "
FILE = "fileop target"
END = 13.07

STEPS = [
    [8.741, 8.817, "[internal] load build definition from Dockerfile"],
    [8.756, 8.859, "[internal] load .dockerignore"],
    [8.913, 9.190, "[internal] load build context"],
    [8.913, 8.941, "FROM docker.io/shiplight/base/busybox:latest"],
    [8.961, 11.449, "RUN sleep 2 && echo hello > /one"],
    [11.453, 11.481, "WORKDIR /w/x"],
    [11.482, 11.513, "COPY big /big"],
    [11.526, 12.927, "RUN --mount=type=cache,target=/c echo x > /c/x; sleep 1"],
    [12.940, 12.966, "COPY --from=a /one /one"],
    [12.967, 13.023, "COPY big /b2"],
    [13.025, 13.070, "exporting to image"],
]
BUILD = {"kind": "build", "engine_id": "x", "window": [8.741, END], "ran": STEPS}


def record(id, parent, description, created, used=13.11, uses=1, **more) -> disk.CacheRecord:
    parents = (parent,) if parent else ()
    return disk.CacheRecord(
        id, "regular", description, 1000, created, False, parents, used, uses, **more
    )


OURS = [
    record("q6k5", "", TEXT, 8.747),
    record("cxgj", "", CONTEXT, 8.764),
    record("hzfb", "", "from local ", 8.916),
    record("za51", "", CONTEXT, 8.917),
    record("o6g0", "hzfb", RUN + "sleep 2 && echo hello > /one", 11.447),
    record("m269", "o6g0", FILE, 11.470),
    record("8typ", "m269", FILE, 11.506),
    record("m4qr", "8typ", RUN + "echo x > /c/x; sleep 1", 11.539),
    record(
        "euev", "", "cached mount /c from exec /bin/sh -c echo x > /c/x; sleep 1", 11.542, 13.868
    ),
    record("yszn", "", FILE, 12.965),
    record("uyy8", "yszn", FILE, 13.016),
]
# What somebody else's builds made before, meanwhile and after.
THEIRS = [
    record("j1ak", "he47", RUN + "apt-get update", 8.888, 10.75),
    record("jmgo", "j1ak", FILE, 9.189, 10.75),
    record("rzq9", "", TEXT, 11.005, 28.3),
    record("imwz", "", CONTEXT, 11.007, 28.28),
    record("old1", "", CONTEXT, 3.0, 4.0),
    record("old2", "hzfb", RUN + "sleep 2 && echo hello > /one", 7.0, 7.5),
    record("new1", "", CONTEXT, 20.0, 21.0),
]


def told(records, *builds, **more) -> tuple[set[str], set[str]]:
    own, doubt = lineage.ours(records, lineage.of_builds(builds or [BUILD]), **more)
    return {one.id for one in own}, {one.id for one in doubt}


def ids(records) -> set[str]:
    return {one.id for one in records}


def test_every_record_of_a_build_is_ours_and_none_of_others_nor_in_doubt():
    assert told([*OURS, *THEIRS]) == (ids(OURS), set())


def test_without_a_build_nothing_is_ours():
    assert lineage.ours([*OURS, *THEIRS], []) == ([], [])


def test_the_same_instruction_on_another_base_at_the_same_time_is_theirs():
    same = record("same", "other", RUN + "sleep 2 && echo hello > /one", 10.5, 12.0)
    assert told([*OURS, same]) == (ids(OURS), set())


def test_of_the_same_instructions_that_end_together_ours_is_the_one_that_follows_from_ours():
    same = record("same", "other", RUN + "sleep 2 && echo hello > /one", 10.5)
    assert told([*OURS, same]) == (ids(OURS), set())


def test_the_same_contexts_that_end_together_are_both_in_doubt():
    """Two of theirs, so that what is let go of with ours is more than our build can have made."""
    same = [record(f"same{n}", "", CONTEXT, 8.76 + n / 10, 13.11) for n in range(3)]
    own, doubt = told([*OURS, *same])
    assert not own & ids(same) and doubt == {"cxgj", "za51", *ids(same)}


def test_what_is_let_go_of_with_a_record_of_ours_is_ours_and_a_little_later_theirs():
    """As measured: a build lets go of all it has made within 5 ms, two builds at other times."""
    ended = [dataclasses.replace(one, used=13.11 + n / 2000) for n, one in enumerate(OURS)]
    same = [record(f"same{n}", "", CONTEXT, 8.76 + n / 10, 13.14) for n in range(3)]
    files = [record(f"file{n}", "other", FILE, 11.46 + n / 100, 13.141) for n in range(4)]
    own, doubt = told([*ended, *same, *files])
    assert (own, doubt) == (ids(OURS), set())


def with_one(id: str, **changed) -> list[disk.CacheRecord]:
    """The records of our build, one of them changed."""
    return [dataclasses.replace(one, **changed) if one.id == id else one for one in OURS]


def test_what_follows_from_ours_while_a_step_ran_that_nothing_fits_is_ours():
    """As a heredoc, which engines describe in their own ways."""
    assert told(with_one("m4qr", description="<<EOF"))[0] == ids(OURS)
    elsewhere = with_one("m4qr", description="<<EOF", parents=("other",), used=13.2)
    assert told(elsewhere)[0] == ids(OURS) - {"m4qr"}
    two = [*with_one("m4qr", description="<<EOF"), record("two", "8typ", "<<EOF", 11.6)]
    assert told(two)[0] == ids(OURS) - {"m4qr"}


def test_what_another_lab_makes_on_a_record_that_both_have_is_theirs():
    """Two labs that build at once share the steps that are the same; then each has its own."""
    theirs = [
        record("run2", "o6g0", RUN + "echo theirs", 11.46),
        record("run3", "m269", RUN + "echo theirs", 11.54),
        record("run4", "m269", RUN + "echo theirs", 13.05),
    ]
    assert told([*OURS, *theirs]) == (ids(OURS), set())
    more = record("file", "o6g0", FILE, 11.46)
    own, doubt = told([*OURS, more])
    assert "file" not in own and {"file", "m269"} <= doubt


def test_a_record_of_ours_that_somebody_used_later_is_left_to_them():
    since = [
        one if one.id != "8typ" else record("8typ", "m269", FILE, 11.506, 99.0, 2) for one in OURS
    ]
    own, doubt = told(since)
    assert "8typ" not in own and doubt == {"8typ"}


def test_a_record_that_a_later_build_of_ours_used_is_ours():
    again = {
        "kind": "build",
        "engine_id": "x",
        "window": [50.0, 51.0],
        "ran": [[50.0, 50.1, "COPY x /x"]],
    }
    since = [record(r.id, *r.parents or [""], r.description, r.created, 51.04, 2) for r in OURS]
    assert told(since, BUILD, again)[0] == ids(OURS)


@pytest.mark.parametrize("gone", range(len(STEPS)))
def test_a_step_that_came_from_the_cache_claims_nothing(gone):
    steps = STEPS[:gone] + STEPS[gone + 1 :]
    own, _ = told(THEIRS, BUILD | {"ran": steps})
    assert own == set()


def test_of_a_build_that_was_cancelled_the_cache_is_let_go_of_later():
    cancelled = {"kind": "build", "window": [8.741, 12.0], "ran": STEPS[:7]}
    made = [dataclasses.replace(one, used=15.0) for one in OURS[:7]]
    assert told(made, cancelled)[0] == ids(made)
    whole = cancelled | {"engine_id": "x"}
    assert told(made, whole)[0] == set()


def test_of_a_build_whose_process_was_killed_the_steps_are_known_that_had_ended():
    lines = [
        {"kind": "ran", "build": "b1", "ran": STEPS[:5]},
        {"kind": "ran", "build": "b1", "ran": STEPS[:7]},
    ]
    made = [dataclasses.replace(one, used=99.0) for one in OURS[:7]]
    assert told([*made, *THEIRS], *lines)[0] == ids(made)


def test_the_last_line_of_a_build_says_all_that_the_ones_before_do():
    lines = [{"kind": "ran", "build": "b1", "ran": STEPS[:5]}, BUILD | {"build": "b1"}]
    assert lineage.of_builds(lines) == lineage.of_builds([BUILD])


def test_a_cache_mount_is_ours_by_the_namespace_that_newer_engines_tell():
    mount = record("mnt", "", 'cached mount /c from exec make with id "shiplight-x//c"', 1.0, 2.0)
    other = record("oth", "", 'cached mount /c from exec make with id "shiplight-xy//c"', 1.0, 2.0)
    assert told([mount, other], mounts="shiplight-x")[0] == {"mnt"}


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ("mount / from exec /bin/bash -o pipefail -c make  -j", "RUN make -j"),
        ("mount / from exec /app/tool --x", 'RUN ["/app/tool", "--x"]'),
        ("[build 2/5] COPY a b", "COPY a b"),
        ("[build 2/5] RUN make", "RUN make"),
        ("pulled from docker.io/library/busybox:latest", "FROM busybox"),
    ],
)
def test_descriptions_of_several_engines_and_shells_fit(description, text):
    assert lineage.fits(description, text)


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ("mount / from exec /bin/sh -c make install", "RUN make"),
        ("mount / from exec /bin/sh -c cmake", "RUN make"),
        (FILE, "RUN make"),
        (CONTEXT, "COPY . ."),
        ("local source for other", "[internal] load build context"),
        ("", "RUN "),
        ("fileop target", "ENV A=b"),
    ],
)
def test_descriptions_of_something_else_do_not(description, text):
    assert not lineage.fits(description, text)


def simulated(draw: random.Random, begin: float, mark: str) -> tuple[dict, list[disk.CacheRecord]]:
    """A build as BuildKit does one, from `begin` on: what is reported of it, and its records."""
    now, steps, records, parent = begin, [], [], ""

    def step(text: str, description: str, seconds: float, follows: bool) -> None:
        nonlocal now, parent
        made, end = now + seconds * draw.random(), now + seconds
        steps.append([now, end, text])
        name = f"{mark}{len(records)}"
        records.append((name, parent if follows else "", description, made))
        parent, now = (name if follows else parent), end + 0.002

    step("[internal] load build definition", TEXT, 0.05, False)
    step("[internal] load build context", CONTEXT, 0.05, False)
    for _ in range(draw.randrange(1, 6)):
        command = draw.choice(["make", "make install", f"echo {mark}"])
        if draw.random() < 0.5:
            step(f"RUN {command}", RUN + command, draw.uniform(0.2, 3), True)
        else:
            step("COPY . .", FILE, draw.uniform(0.01, 0.05), True)
    build = {"kind": "build", "engine_id": "x", "window": [begin, now], "ran": steps}
    let_go = now + 0.05 * draw.random()
    return build, [record(*one, let_go + 0.005 * draw.random()) for one in records]


def test_of_two_dozen_builds_in_fifteen_seconds_nothing_of_theirs_goes_and_ours_does():
    """Half of them are ours; they run the same commands, and send contexts, at the same time."""
    made = found = 0
    for seed in range(100):
        draw = random.Random(seed)
        builds, ours, theirs = [], [], []
        for number in range(12):
            build, records = simulated(draw, draw.uniform(0, 15), f"ours{number}-")
            builds.append(build)
            ours += records
            theirs += simulated(draw, draw.uniform(0, 15), f"theirs{number}-")[1]
        everything = [*ours, *theirs]
        draw.shuffle(everything)
        own, _ = told(everything, *builds)
        assert not own & ids(theirs), f"seed {seed}"
        made, found = made + len(ours), found + len(own)
    assert found >= 0.95 * made
