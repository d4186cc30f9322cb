"""Where bytes were born, on stages made here: each rule of `tracing`, and that it all adds up."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from staged import context, file, folder, hard_link, made, symlink, whiteout

from shiplight.dockerfile import parse
from shiplight.errors import UsageError
from shiplight.inspection import Origins, trace
from shiplight.scans import OS, Finding, PackageDatabase, ScanReport

BASE = made(("ADD rootfs", [file("bin/sh", 3000), file("etc/ca", 200)]))
SEVERAL = (None, "content that stands in several places")
CONTEXT = (None, "the build context")


def traced(text: str, *stages, images=None, sent=None) -> Origins:
    """The origins of the last stage, added up once more, and through JSON and back."""
    found = trace(parse(text), dict(enumerate(stages)), images or {}, sent or {})
    assert sum(row.shipped_bytes for row in found.rows) == stages[-1].unpacked_bytes
    assert sum(flow.bytes for flow in found.flows) == found.born_bytes
    for number, row in enumerate(found.rows):
        ships = [flow.bytes for flow in found.flows if flow.origin == number and flow.ships]
        assert sum(ships) == row.shipped_bytes and row.left_behind_bytes >= 0
    assert Origins.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    return found


def table(found: Origins) -> dict[tuple, tuple[int, int]]:
    """What was born and what ships, by stage and instruction."""
    return {(row.stage, row.instruction): (row.born_bytes, row.shipped_bytes) for row in found.rows}


def ways(found: Origins) -> dict[str, int]:
    """The bytes that ship, by the stages that they went through."""
    bytes_of: Counter = Counter()
    for flow in found.flows:
        bytes_of[" ".join(flow.through)] += flow.bytes * flow.ships
    return {way: count for way, count in bytes_of.items() if count}


def test_what_is_copied_was_born_in_the_step_that_made_it_and_in_the_base():
    text = """FROM a AS builder
RUN make
FROM scratch
COPY --from=builder /out/app /app
COPY --from=builder /etc/ca /etc/
"""
    builder = made(("RUN make", [file("out/app", 900), file("cache", 5000)]), on=BASE)
    last = made(
        ("COPY /out/app /app", [file("app", 900, "out/app")]),
        ("COPY /etc/ca /etc/", [file("etc/ca", 200)]),
    )
    found = traced(text, builder, last, images={(0, "FROM", "a"): BASE})
    assert table(found) == {
        ("builder", "FROM a"): (3200, 200),
        ("builder", "RUN make"): (5900, 900),
    }
    assert [row.line for row in found.rows] == [1, 2]
    assert {flow.through for flow in found.flows if flow.ships} == {("builder", "stage-1")}


def test_four_stages_in_a_row_ship_what_the_first_made():
    text = "FROM scratch AS a\nRUN make\n" + "".join(
        f"FROM scratch AS {name}\nCOPY --from={source} /x /x\n"
        for source, name in ["ab", "bc", "cd"]
    )
    copy = made(("COPY /x /x", [file("x", 70)]))
    first = made(("RUN make", [file("x", 70), file("y", 5)]))
    found = traced(text, first, copy, copy, copy)
    assert table(found) == {("a", "RUN make"): (75, 70)} and ways(found) == {"a b c d": 70}


def test_a_file_that_three_stages_copy_is_of_the_context():
    text = """FROM a AS deps
COPY package.json ./
RUN install
FROM a AS builder
COPY package.json ./
COPY . .
FROM a
COPY --from=deps /app/modules ./modules
COPY package.json ./
"""
    package = ("COPY package.json ./", [file("app/package.json", 30, "package.json")])
    base = made(("ADD rootfs", [file("bin/node", 5000)]), workdir="/app")
    deps = made(package, ("RUN install", [file("app/modules/m", 80)]), on=base)
    everything = [file("app/package.json", 30, "package.json"), file("app/src/main", 7, "src/main")]
    builder = made(package, ("COPY . .", everything), on=base)
    modules = ("COPY /app/modules ./modules", [file("app/modules/m", 80)])
    last = made(modules, ("COPY package.json ./", [*package[1], folder("app")]), on=base)
    images = {(index, "FROM", "a"): base for index in range(3)}
    sent = context(package_json=30, src__main=7)
    found = traced(text, deps, builder, last, images=images, sent=sent)
    assert table(found) == {
        CONTEXT: (37, 30),
        ("deps", "FROM a"): (5000, 5000),
        ("deps", "RUN install"): (80, 80),
        ("builder", "COPY . ."): (30, 0),
    }
    assert ways(found) == {"stage-2": 5030, "deps stage-2": 80}


def test_files_of_a_context_that_no_stage_copies_are_not_born():
    copy = made(("COPY a /", [file("a", 5)]))
    found = traced("FROM scratch\nCOPY a /\n", copy, sent=context(a=5, secret=1000))
    assert table(found) == {CONTEXT: (5, 5)}


def test_a_copy_from_an_image_ships_what_was_born_there_and_leaves_the_rest():
    text = "FROM scratch\nCOPY --from=busybox /bin/sh /bin/sh\n"
    last = made(("COPY /bin/sh /bin/sh", [file("bin/sh", 3000)]))
    found = traced(text, last, images={(0, "COPY", "busybox"): BASE})
    assert table(found) == {(None, "image busybox"): (3200, 3000)}
    assert {flow.through for flow in found.flows if not flow.ships} == {()}


def test_an_image_to_copy_from_that_is_a_base_as_well_counts_once():
    text = "FROM a AS builder\nRUN make\nFROM scratch\nCOPY --from=a /bin/sh /bin/sh\n"
    last = made(("COPY /bin/sh /bin/sh", [file("bin/sh", 3000)]))
    images = {(0, "FROM", "a"): BASE, (1, "COPY", "a"): BASE}
    builder = made(("RUN make", [file("x", 1)]), on=BASE)
    found = traced(text, builder, last, images=images)
    assert table(found)["builder", "FROM a"] == (3200, 3000) and len(found.rows) == 2


def test_a_stage_can_be_named_by_its_number():
    text = "FROM scratch\nRUN make\nFROM scratch\nCOPY --from=0 /x /\n"
    found = traced(text, made(("RUN make", [file("x", 9)])), made(("COPY /x /", [file("x", 9)])))
    assert table(found) == {("stage-0", "RUN make"): (9, 9)}


def test_what_a_run_makes_of_a_mounted_stage_is_born_in_the_run():
    text = """FROM scratch AS builder
RUN make
FROM scratch
RUN --mount=from=builder,source=/w,target=/w --mount=type=cache,target=/root/.cache install
"""
    builder = made(("RUN make", [file("w/wheel", 50)]))
    last = made(("RUN install", [file("w/wheel", 50), file("module", 90)]))
    found = traced(text, builder, last)
    made_by, installed = found.rows
    assert (made_by.shipped_bytes, made_by.left_behind_bytes) == (0, 50)
    assert (installed.born_bytes, installed.shipped_bytes) == (140, 140)
    assert installed.mounted == ("builder",) and installed.outside == ("/root/.cache",)


def test_a_mount_without_a_source_is_of_the_context():
    text = "FROM scratch\nRUN --mount=type=bind,target=. --mount=type=secret,id=x make\n"
    [row] = traced(text, made(("RUN make", [file("x", 9)]))).rows
    assert row.mounted == ("the build context",) and row.outside == ()


def test_stages_that_begin_from_a_stage_share_what_it_has():
    text = """FROM a AS common
RUN update
FROM common AS builder
RUN make
FROM common
COPY --from=builder /app /app
"""
    common = made(("RUN update", [file("var/lists", 40)]), on=BASE)
    builder = made(("RUN make", [file("app", 60)]), on=common)
    last = made(("COPY /app /app", [file("app", 60)]), on=common)
    found = traced(text, common, builder, last, images={(0, "FROM", "a"): BASE})
    assert table(found) == {
        ("common", "FROM a"): (3200, 3200),
        ("common", "RUN update"): (40, 40),
        ("builder", "RUN make"): (60, 60),
    }
    assert ways(found) == {"common stage-2": 3240, "builder stage-2": 60}


def test_a_base_that_two_stages_share_belongs_to_the_first_and_ships():
    text = "FROM a AS builder\nRUN make\nFROM a\nCOPY --from=builder /app /app\n"
    builder = made(("RUN make", [file("app", 60)]), on=BASE)
    last = made(("COPY /app /app", [file("app", 60)]), on=BASE)
    images = {(0, "FROM", "a"): BASE, (1, "FROM", "a"): BASE}
    found = traced(text, builder, last, images=images)
    assert table(found) == {
        ("builder", "FROM a"): (3200, 3200),
        ("builder", "RUN make"): (60, 60),
    }
    assert ways(found) == {"stage-1": 3200, "builder stage-1": 60}


def test_a_step_that_two_stages_have_alike_counts_once():
    text = """FROM scratch AS a
RUN same
FROM scratch AS b
RUN same
RUN make
FROM scratch
COPY --from=b /x /x
"""
    same = ("RUN same", [file("x", 10), file("y", 3)])
    last = made(("COPY /x /x", [file("x", 10)]))
    found = traced(text, made(same), made(same, ("RUN make", [file("z", 2)])), last)
    assert table(found) == {("a", "RUN same"): (13, 10), ("b", "RUN make"): (2, 0)}


def test_a_second_copy_of_a_file_is_born_where_it_was_copied():
    text = "FROM scratch AS b\nRUN make\nFROM scratch\nCOPY --from=b /x /1\nCOPY --from=b /x /2\n"
    last = made(("COPY /x /1", [file("1", 10, "x")]), ("COPY /x /2", [file("2", 10, "x")]))
    found = traced(text, made(("RUN make", [file("x", 10)])), last)
    assert table(found) == {
        ("b", "RUN make"): (10, 10),
        ("stage-1", "COPY --from=b /x /2"): (10, 10),
    }


def test_what_a_stage_copies_out_of_its_own_base_is_there_twice():
    text = "FROM a AS b\nRUN make\nFROM a\nCOPY --from=b /etc /etc\n"
    builder = made(("RUN make", [file("etc/new", 5)]), on=BASE)
    last = made(("COPY /etc /etc", [file("etc/ca", 200), file("etc/new", 5)]), on=BASE)
    images = {(0, "FROM", "a"): BASE, (1, "FROM", "a"): BASE}
    found = traced(text, builder, last, images=images)
    assert table(found) == {
        ("b", "FROM a"): (3200, 3200),
        ("b", "RUN make"): (5, 5),
        ("stage-1", "COPY --from=b /etc /etc"): (200, 200),
    }


def test_a_layer_that_stands_twice_in_an_image_ships_twice():
    again = ("COPY x /", [file("x", 10)])
    found = traced("FROM scratch\nCOPY x /\nCOPY x /\n", made(again, again), sent=context(x=10))
    assert sum(row.shipped_bytes for row in found.rows) == 20
    assert table(found) == {CONTEXT: (10, 10), ("stage-0", "COPY x /"): (10, 10)}


def test_a_file_that_is_deleted_later_ships_all_the_same():
    last = made(("RUN make", [file("big", 500)]), ("RUN rm big", [whiteout("big")]))
    found = traced("FROM scratch\nRUN make\nRUN rm big\n", last)
    assert table(found) == {("stage-0", "RUN make"): (500, 500)}


def test_a_file_that_its_stage_deleted_cannot_be_copied_but_was_born():
    text = "FROM scratch AS b\nRUN make\nRUN rm big\nFROM scratch\nCOPY --from=b / /\n"
    builder = made(
        ("RUN make", [file("big", 500), file("app", 7)]), ("RUN rm big", [whiteout("big")])
    )
    found = traced(text, builder, made(("COPY / /", [file("app", 7)])))
    assert table(found) == {("b", "RUN make"): (507, 7)}


def test_wheels_ship_hidden():
    text = """FROM a AS builder
RUN pip wheel
FROM a
COPY --from=builder /wheels /wheels
RUN pip install && rm -rf /wheels
"""
    builder = made(("RUN pip wheel", [file("wheels/a.whl", 11), file("gcc", 900)]), on=BASE)
    copy = ("COPY /wheels /wheels", [folder("wheels"), file("wheels/a.whl", 11)])
    run = ("RUN pip install && rm -rf /wheels", [whiteout("wheels"), file("lib/a.py", 18)])
    images = {(0, "FROM", "a"): BASE, (1, "FROM", "a"): BASE}
    found = traced(text, builder, made(copy, run, on=BASE), images=images)
    assert table(found) == {
        ("builder", "FROM a"): (3200, 3200),
        ("builder", "RUN pip wheel"): (911, 11),
        ("stage-1", "RUN pip install && rm -rf /wheels"): (18, 18),
    }


def test_empty_files_have_no_bytes_and_hard_links_none_of_their_own():
    text = "FROM scratch AS b\nRUN make\nFROM scratch\nCOPY --from=b /link /empty /\n"
    builder = made(("RUN make", [file("a", 40), hard_link("link", "a"), file("empty", 0)]))
    last = made(("COPY /link /empty /", [file("link", 40, "a"), file("empty", 0)]))
    assert table(traced(text, builder, last)) == {("b", "RUN make"): (40, 40)}


def test_the_last_name_of_a_file_leads_to_where_it_was_made():
    text = "FROM scratch AS b\nRUN make\nRUN rm a\nFROM scratch\nCOPY --from=b /link /\n"
    builder = made(
        ("RUN make", [file("a", 40), hard_link("link", "a")]), ("RUN rm a", [whiteout("a")])
    )
    last = made(("COPY /link /", [file("link", 40, "a")]))
    assert table(traced(text, builder, last)) == {("b", "RUN make"): (40, 40)}


def _licences(target: str) -> tuple:
    """A stage in which two steps wrote the same licence, and one that copied it by a symlink."""
    text = "FROM scratch AS b\nRUN one\nRUN two\nFROM scratch\nCOPY --from=b /lib/link /to/\n"
    builder = made(
        ("RUN one", [file("one/LICENSE", 10, "mit")]),
        ("RUN two", [file("two/LICENSE", 10, "mit"), symlink("lib", target)]),
    )
    return text, builder, made(("COPY /lib/link /to/", [file("to/LICENSE", 10, "mit")]))


def test_content_that_stands_in_several_places_is_given_to_none():
    found = traced(*_licences("elsewhere"))
    assert table(found) == {
        ("b", "RUN one"): (10, 0),
        ("b", "RUN two"): (10, 0),
        SEVERAL: (10, 10),
    }


def test_the_path_decides_where_content_stands_in_several_places():
    text = "FROM scratch AS b\nRUN one\nRUN two\nFROM scratch\nCOPY --from=b /two /to/\n"
    _, builder, _ = _licences("elsewhere")
    last = made(("COPY /two /to/", [file("to/LICENSE", 10, "mit")]))
    assert table(traced(text, builder, last)) == {
        ("b", "RUN one"): (10, 0),
        ("b", "RUN two"): (10, 10),
    }


def test_two_places_of_one_step_are_one_origin():
    text = "FROM scratch AS b\nRUN one\nFROM scratch\nCOPY --from=b /lib/x /to/\n"
    builder = made(("RUN one", [file("1", 10, "mit"), file("2", 10, "mit")]))
    last = made(("COPY /lib/x /to/", [file("to/x", 10, "mit")]))
    assert table(traced(text, builder, last)) == {("b", "RUN one"): (20, 10)}


def test_a_path_is_followed_through_symlinks_wildcards_variables_and_the_workdir():
    text = """FROM scratch AS b
RUN make
FROM scratch
ARG D=/srv
WORKDIR $D
COPY --from=b /lib/a.so ./lib/
COPY --from=b /etc/*.conf conf/
COPY --from=b ["/with space", "$D/"]
"""
    same = [file(path, 10, "same") for path in ("usr/lib/a.so", "etc/a.conf", "with space")]
    builder = made(("RUN make", [*same, symlink("lib", "usr/lib")]))
    last = made(
        ("WORKDIR /srv", [folder("srv")]),
        ("COPY /lib/a.so ./lib/", [file("srv/lib/a.so", 10, "same")]),
        ("COPY /etc/*.conf conf/", [file("srv/conf/a.conf", 10, "same")]),
        ("COPY /with space /srv/", [file("srv/with space", 10, "same")]),
    )
    assert table(traced(text, builder, last)) == {("b", "RUN make"): (30, 30)}


def test_what_an_add_unpacks_or_downloads_and_a_here_document_are_born_there():
    text = "FROM scratch\nADD a.tar /\nCOPY <<EOF /note\nx\nEOF\n"
    last = made(
        ("ADD a.tar /", [file("inside", 70, "twin")]), ("COPY <<EOF /note", [file("note", 2, "x")])
    )
    found = traced(text, last, sent=context(a_tar=100, twin=70, x=2))
    assert table(found) == {
        ("stage-0", "ADD a.tar /"): (70, 70),
        ("stage-0", "COPY <<EOF /note"): (2, 2),
    }


def test_an_instruction_that_the_base_triggers_has_the_line_of_the_from():
    text = "FROM a\nRUN make\n"
    last = made(("COPY . /app", [file("app/x", 4, "x")]), ("RUN make", [file("app/y", 6)]), on=BASE)
    found = traced(text, last, images={(0, "FROM", "a"): BASE}, sent=context(x=4))
    assert table(found)[CONTEXT] == (4, 4) and table(found)["stage-0", "RUN make"] == (6, 6)


def test_the_trigger_of_a_stage_runs_in_the_stage_that_begins_from_it():
    text = "FROM scratch AS a\nONBUILD COPY x /\nFROM a\nRUN make\n"
    last = made(("COPY x /", [file("x", 4)]), ("RUN make", [file("y", 6)]))
    found = traced(text, made(), last, sent=context(x=4))
    assert table(found) == {CONTEXT: (4, 4), ("stage-1", "RUN make"): (6, 6)}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([("COPY x /", [])], "the history of stage stage-0"),
        ([], "fewer layers than its Dockerfile"),
    ],
)
def test_an_image_of_another_dockerfile_is_refused(told, said):
    with pytest.raises(UsageError, match=said):
        traced("FROM scratch\nRUN make\n", made(*told))


def test_an_image_on_another_base_is_refused():
    other = made(("ADD rootfs", [file("bin/sh", 1)]))
    with pytest.raises(UsageError, match="does not begin with the layers of its base"):
        traced("FROM a\n", made(on=BASE), images={(0, "FROM", "a"): other})


def test_sums_that_do_not_hold_are_never_returned():
    last = made(("RUN make", [file("x", 9)]))
    wrong = replace(last, layers=(replace(last.layers[0], unpacked_bytes=10),))
    with pytest.raises(AssertionError, match="9 bytes shipped, and its layers have 10"):
        trace(parse("FROM scratch\nRUN make\n"), {0: wrong}, {}, {})


PATHS, CONTENTS = st.sampled_from(["a", "b", "d/a", "d/b"]), st.sampled_from(["u", "vv", "www"])
FILES = st.lists(
    st.builds(lambda path, content: file(path, len(content), content), PATHS, CONTENTS),
    max_size=4,
    unique_by=lambda entry: entry.path,
)
STAGES = st.lists(
    st.lists(st.tuples(st.sampled_from(["RUN x", "COPY . /", "COPY /d /"]), FILES), max_size=4),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(STAGES, st.booleans())
def test_whatever_the_stages_hold_the_sums_hold(described, on_each_other):
    """Each stage begins from the one before or from nothing, and copies from it or the context."""
    text, stages = "", []
    for number, layers in enumerate(described):
        below = stages[-1] if on_each_other and stages else None
        text += f"FROM {f's{number - 1}' if below else 'scratch'} AS s{number}\n"
        for told, _ in layers:
            source = f"--from={number - 1} " if number and told == "COPY /d /" else ""
            text += told.replace("COPY ", f"COPY {source}") + "\n"
        stages.append(made(*layers, on=below))
    traced(text, *stages, sent={"a": file("a", 1, "u"), "d/b": file("d/b", 2, "vv")})


# --- vulnerabilities -----------------------------------------------------------------------------

TWO_STAGES = """FROM debian AS builder
RUN make
FROM scratch
COPY --from=builder /app /app
"""
DEBIAN = made(("ADD rootfs", [file("var/lib/dpkg/status", 3000)]))
BUILDER = made(("RUN make", [file("app", 900), file("cache", 5000)]), on=DEBIAN)
LAST = made(("COPY /app /app", [file("app", 900)]))


def report(image, *findings: tuple[str, int, str], covered=True) -> ScanReport:
    """A report that found these (id, layer, path of a program or "" for the system's)."""
    diff_ids = [layer.diff_id for layer in image.layers]
    rows = tuple(
        Finding(id, "HIGH", "pkg", "pkg", "1", None, "", "lang-pkgs" if where else OS, "t", where,
                layer, diff_ids[layer], "")
        for id, layer, where in findings
    )  # fmt: skip
    databases = (PackageDatabase("os-pkgs", "debian", 1, 1),) if covered else ()
    return ScanReport("x", "scanned", rows, databases, diff_ids=tuple(diff_ids))


def scanned(text: str, *stages, images=None, scans) -> Origins:
    return trace(parse(text), dict(enumerate(stages)), images or {}, {}, scans=scans)


def counts(found) -> tuple:
    return (
        found.vulnerabilities, found.shipped_vulnerabilities, found.left_behind_vulnerabilities,
    )  # fmt: skip


def test_a_vulnerability_ships_from_where_the_file_was_born_that_has_it():
    scans = {
        0: report(BUILDER, ("CVE-1", 0, ""), ("CVE-2", 0, ""), ("CVE-2", 1, "app")),
        1: report(LAST, ("CVE-2", 0, "app")),
    }
    found = scanned(TWO_STAGES, BUILDER, LAST, images={(0, "FROM", "debian"): DEBIAN}, scans=scans)
    base, make = found.rows
    assert counts(base) == (2, 0, 2) and counts(make) == (1, 1, 0)
    assert counts(found) == (2, 1, 1), "each counts once"
    assert Origins.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_what_a_scan_could_not_read_is_unknown_and_named():
    scans = {0: report(BUILDER, ("CVE-1", 0, "")), 1: report(LAST, covered=False)}
    found = scanned(TWO_STAGES, BUILDER, LAST, images={(0, "FROM", "debian"): DEBIAN}, scans=scans)
    assert counts(found) == (None, None, None) and found.unscanned == ("stage-1",)
    assert counts(found.rows[0]) == (1, None, None)
    blind = {0: report(BUILDER, covered=False), 1: report(LAST, ("CVE-2", 0, "app"))}
    found = scanned(TWO_STAGES, BUILDER, LAST, images={(0, "FROM", "debian"): DEBIAN}, scans=blind)
    assert counts(found) == (None, 1, None) and counts(found.rows[1]) == (None, 1, None)


def test_a_system_that_is_copied_whole_keeps_where_it_was_installed():
    text = "FROM debian AS builder\nFROM scratch\nCOPY --from=builder / /\n"
    copied = made(("COPY / /", [file("var/lib/dpkg/status", 3000)]))
    scans = {0: report(DEBIAN, ("CVE-1", 0, "")), 1: report(copied, ("CVE-1", 0, ""))}
    found = scanned(text, DEBIAN, copied, images={(0, "FROM", "debian"): DEBIAN}, scans=scans)
    assert [counts(row) for row in found.rows] == [(1, 1, 0)] and counts(found) == (1, 1, 0)


def test_an_image_that_a_copy_names_leaves_behind_what_it_has():
    text = "FROM scratch\nCOPY --from=tools /bin/a /a\n"
    tools = made(("ADD x", [file("bin/a", 70), file("bin/b", 80)]))
    last = made(("COPY /bin/a /a", [file("a", 70, "bin/a")]))
    scans = {
        0: report(last, ("CVE-1", 0, "a")),
        (0, "tools"): report(tools, ("CVE-1", 0, "bin/a"), ("CVE-2", 0, "bin/b")),
    }
    found = scanned(text, last, images={(0, "COPY", "tools"): tools}, scans=scans)
    assert [counts(row) for row in found.rows] == [(2, 1, 1)] and counts(found) == (2, 1, 1)


def test_without_a_scan_there_is_no_number():
    found = traced(TWO_STAGES, BUILDER, LAST, images={(0, "FROM", "debian"): DEBIAN})
    assert counts(found) == (None, None, None) and not found.scanned_by
