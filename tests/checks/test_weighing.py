"""Where an image's bytes are: each rule on images of factories, and that nothing counts twice."""

import gzip
import io
import json
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from dataclasses import replace

import checking
import factories
import pytest
from checking import built_subject
from factories import Image, directory, file, hard_link, legacy, whiteout

from shiplight.checks import checklist, print_checklist, to_sarif
from shiplight.checks.questions.weighing import weigh
from shiplight.checks.reading.inside import NOTHING_READ, Inside, understood, wanted
from shiplight.checks.reading.subject import Built
from shiplight.image import Program, read_image


def rows(found):
    """(kind, path, bytes, line) of each row."""
    return [(r.kind, r.place.path, r.bytes, r.place.line) for r in weigh(found).rows]


def test_each_kind_of_spare_bytes_is_told_by_its_path_with_its_line(tmp_path):
    layers = [
        [file("root/.cache/pip/http/a", 200_000), file("root/.npm/_cacache/b", 210_000)],
        [file("app/.git/objects/pack/p", 300_000), file("app/tests/big.json", 310_000)],
        [
            *(file("usr/include/zlib.h", 320_000), file("usr/lib/x86_64-linux-gnu/libz.a", 31_000)),
            file("usr/share/doc/git/changelog.gz", 330_000),
            file("usr/local/lib/python3.13/site-packages/numpy/core/tests/t.py", 340_000),
            file("usr/local/lib/python3.13/site-packages/numpy/core/include/n.h", 350_000),
            file("usr/bin/git", 900_000),
        ],
    ]
    text = "FROM debian\nRUN pip install a\nCOPY . /app\nRUN apt-get install -y git\n"
    found = built_subject(tmp_path, text, layers)
    site = "/usr/local/lib/python3.13/site-packages/numpy/core"
    assert rows(found) == [
        ("headers", "/usr", 351_000, 4),
        ("headers", f"{site}/include/n.h", 350_000, 4),
        ("tests", f"{site}/tests/t.py", 340_000, 4),
        ("docs", "/usr/share/doc/git/changelog.gz", 330_000, 4),
        ("tests", "/app/tests/big.json", 310_000, 3),
        ("history", "/app/.git/objects/pack/p", 300_000, 3),
        ("cache", "/root/.npm/_cacache/b", 210_000, 2),
        ("cache", "/root/.cache/pip/http/a", 200_000, 2),
    ]
    assert weigh(found).base_bytes == 800_000, "the base's manuals are the base's"
    fixes = {row.kind: row.fix for row in weigh(found).rows}
    assert ".dockerignore" in fixes["history"] and "cache mount" in fixes["cache"]


def test_a_byte_stands_in_one_row_only(tmp_path):
    """A cache that is hidden, a copy that is a test, symbols of a program that is there twice."""
    program = Program("app/tests/run", "", (), 150_000, 0)
    layers = [
        [file("root/.cache/pip/a", 200_000)],
        [file("app/tests/run", b"p" * 400_000), file("app/run", b"p" * 400_000)],
        [whiteout("root/.cache")],
    ]
    text = "FROM debian\nRUN pip install a\nCOPY . /app\nRUN rm -rf /root/.cache\n"
    found = built_subject(tmp_path, text, layers, inside=Inside(programs=(program,)))
    assert rows(found) == [
        ("tests", "/app/tests/run", 400_000, 3),
        ("hidden", "/root/.cache/pip/a", 200_000, 2),
    ]
    weight = weigh(found)
    assert weight.can_go_bytes == 600_000
    assert weight.unpacked_bytes == 1_800_000 and weight.base_bytes == 800_000


def test_a_file_with_another_name_outside_a_cache_stays(tmp_path):
    """As cargo's programs: deleting one of two names of a file frees nothing."""
    deps = "src/target/release/deps"
    layers = [
        [
            *(file(f"{deps}/app-1", 500_000), hard_link("src/target/release/app", f"{deps}/app-1")),
            *(file(f"{deps}/x.rlib", 200_000), hard_link(f"{deps}/y.rlib", f"{deps}/x.rlib")),
        ]
    ]
    found = built_subject(tmp_path, "FROM debian\nRUN cargo build --release\n", layers)
    assert rows(found) == [("cache", f"/{deps}/x.rlib", 200_000, 2)]


def test_what_is_hidden_in_the_base_is_apart_and_copies_of_it_can_go(tmp_path):
    base = [file("usr/lib/a", b"a" * 400_000), file("usr/lib/b", b"b" * 300_000)]
    layers = [[file("usr/lib/a", b"a" * 400_000, mode=0o755), whiteout("usr/lib/b")]]
    found = built_subject(tmp_path, "FROM debian\nRUN chmod -R +x /usr/lib\n", layers, base=base)
    weight = weigh(found)
    assert rows(found) == [("hidden", "/usr/lib/a", 400_000, 2)]
    assert [(r.place.path, r.bytes) for r in weight.of_base] == [("/usr/lib/b", 300_000)]
    assert weight.base_bytes == 700_000 and weight.can_go_bytes == 400_000


LOCK = {
    "packages": {
        "": {"devDependencies": {"jest": "1"}},
        "node_modules/jest": {"dev": True},
        "node_modules/jest/node_modules/deep": {"dev": True},
        "node_modules/@types/node": {"dev": True},
        "node_modules/jest-free": {},
        "node_modules/fsevents": {"devOptional": True},
    }
}


def test_development_packages_are_those_of_the_lock_file(tmp_path):
    names = ("jest", "jest/node_modules/deep", "@types/node", "jest-free", "fsevents")
    layer = [file(f"app/node_modules/{name}/a.js", 100_000 + i) for i, name in enumerate(names)]
    text = "FROM node\nCOPY package.json package-lock.json /app/\nRUN npm ci\n"
    files = {"package.json": "{}", "package-lock.json": json.dumps(LOCK)}
    found = built_subject(tmp_path, text, [[], layer], files=files)
    assert rows(found) == [("dev packages", "/app/node_modules", 300_003, 3)]
    files = {"package.json": '{"devDependencies": {"jest": "1"}}', "package-lock.json": "{"}
    found = built_subject(tmp_path, text, [[], layer], files=files)
    assert rows(found) == [("dev packages", "/app/node_modules/jest", 200_001, 3)], "at least"
    assert not rows(built_subject(tmp_path, text, [[], layer], files={"package.json": "{}"}))


def test_packages_for_developers_in_a_site_packages_are_known_with_what_they_bring(tmp_path):
    site = "venv/lib/python3.13/site-packages"
    layer = [
        *(file(f"{site}/pytest/a.py", 50_000), file(f"{site}/_pytest/b.py", 60_000)),
        *(file(f"{site}/pytest-8.4.2.dist-info/RECORD", 1_000), file("venv/bin/pytest", 2_000)),
        *(file(f"{site}/iniconfig/c.py", 3_000), file(f"{site}/flask/d.py", 90_000)),
        *(file(f"{site}/ruff-1.dist-info/METADATA", 500), file("venv/bin/ruff", 4_000)),
        *(file("usr/bin/ruff", 800_000), file(f"{site}/black/no-metadata.py", 700_000)),
    ]
    found = built_subject(tmp_path, "FROM python\nRUN pip install flask pytest ruff\n", [layer])
    assert rows(found) == [("dev packages", "/venv", 120_500, 2)]


def test_bytecode_that_nothing_loads_can_go_and_other_bytecode_stays(tmp_path):
    cached = "app/__pycache__"
    layer = [
        *(file(f"app/{name}.py", 10) for name in "abc"),
        *(file(f"{cached}/{name}.cpython-313.pyc", 100_000) for name in "abc"),
        file(f"{cached}/a.cpython-311.pyc", 110_000),
        file(f"{cached}/gone.cpython-313.pyc", 120_000),
        file(f"{cached}/b.cpython-313.opt-2.pyc", 130_000),
    ]  # fmt: skip
    found = built_subject(tmp_path, "FROM python\nCOPY . /app\n", [layer])
    assert [(r.bytes, r.place.path) for r in weigh(found).rows] == [
        (130_000, f"/{cached}/b.cpython-313.opt-2.pyc"),
        (120_000, f"/{cached}/gone.cpython-313.pyc"),
        (110_000, f"/{cached}/a.cpython-311.pyc"),
    ]


def test_a_second_copy_can_go_but_not_what_two_packages_each_need(tmp_path):
    site = "usr/lib/python3/dist-packages"
    one = [
        *(file(f"app/{n}.bin", str(n).encode() * 60_000) for n in range(3)),
        *(file("app/small.txt", b"s" * 900), file("lib/libx.so.1", b"x" * 150_000)),
        file(f"{site}/certifi/cacert.pem", b"c" * 200_000),
    ]
    two = [
        *(file(f"srv/{n}.bin", str(n).encode() * 60_000) for n in range(3)),
        *(file("srv/small.txt", b"s" * 900), file("srv/other-name", b"1" * 60_000)),
        *(file("lib/libx.so.1.2", b"x" * 150_000),),
        *(file(f"{site}/pip/_vendor/certifi/cacert.pem", b"c" * 200_000),),
    ]
    found = built_subject(tmp_path, "FROM debian\nCOPY a /\nCOPY a b /\n", [one, two])
    weight = weigh(found)
    assert rows(found) == [
        ("twice", "/srv", 180_000, 3),
        ("twice", "/lib/libx.so.1.2", 150_000, 3),
    ]
    assert "/app as well" in weight.rows[0].place.found


@pytest.mark.parametrize(
    ("going", "kind"),
    [
        ("app/a/tests/m.bin", "tests"),
        ("app/.git/m.bin", "history"),
        ("root/.cache/pip/http/m.bin", "cache"),
    ],
)
def test_a_copy_stays_where_another_rule_takes_the_first(tmp_path, going, kind):
    data = b"m" * 500_000
    layer = [file(going, data), file("srv/z/m.bin", data)]
    found = built_subject(tmp_path, "FROM debian\nCOPY . /\n", [layer])
    assert rows(found) == [(kind, f"/{going}", 500_000, 2)]
    found = built_subject(tmp_path, "FROM debian\nCOPY . /\n", [[*layer, file("usr/m.bin", data)]])
    assert rows(found)[1:] == [("twice", "/usr/m.bin", 500_000, 2)], "of two, one can go"


def test_what_a_package_manager_wrote_twice_is_not_ours_to_change(tmp_path):
    base = [file("var/cache/debconf/templates.dat", 700_000), file("usr/bin/perl", b"p" * 800_000)]
    layer = [
        *(file("usr/bin/git", b"g" * 900_000), file("usr/lib/git-core/git", b"g" * 900_000)),
        *(file("usr/bin/perl5", b"p" * 800_000), file("srv/git", b"g" * 900_000)),
        file("var/cache/debconf/templates.dat", 700_000, mode=0o600),
    ]
    text = "FROM debian\nRUN apt-get install -y git && cp /usr/bin/git /srv\n"
    found = built_subject(tmp_path, text, [layer], base=base)
    assert rows(found) == [("twice", "/srv/git", 900_000, 2)]


def test_what_a_package_manager_writes_with_every_run_hides_no_bytes_of_the_base(tmp_path):
    base = [file("usr/lib/sysimage/rpm/rpmdb.sqlite", 9_000_000), file("opt/tool", 2_000_000)]
    layers = [[file("usr/lib/sysimage/rpm/rpmdb.sqlite", b"2" * 9_100_000)], [whiteout("opt/tool")]]
    text = "FROM fedora\nRUN dnf install -y x && dnf clean all\nRUN rm /opt/tool\n"
    found = built_subject(tmp_path, text, layers, base=base)
    assert not weigh(found).rows
    assert [row.place.path for row in weigh(found).of_base] == ["/opt/tool"]
    [place] = checking.result(checklist.run(found), "reclaimable").outcome.places
    assert place.path == "/opt/tool" and place.line == 1, "deleting it saves nothing"


def test_a_file_that_two_instructions_write_is_told_to_be_written_once(tmp_path):
    layers = [[file("var/lib/rpm/db", 500_000)], [file("var/lib/rpm/db", b"2" * 600_000)]]
    text = "FROM fedora\nRUN dnf install -y x\nRUN dnf install -y y\n"
    [row] = weigh(built_subject(tmp_path, text, layers)).rows
    assert (row.bytes, row.place.line) == (500_000, 2) and "in one instruction" in row.fix


def test_a_folder_of_specifications_is_no_test(tmp_path):
    layer = [file("app/spec/openapi.yaml", 200_000), file("app/spec/models/user_spec.rb", 150_000)]
    found = built_subject(tmp_path, "FROM ruby\nCOPY . /app\n", [layer])
    assert rows(found) == [("tests", "/app/spec/models/user_spec.rb", 150_000, 2)]


def tarred(members, packing="gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as tar:
        for name, size in members.items():
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return out.getvalue()


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, size in members.items():
            archive.writestr(name, bytes(size))
    return out.getvalue()


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip"])
def test_an_archive_is_spare_where_what_it_contains_is_there_too(tmp_path, ending):
    def pack(members):
        if ending == "tar.zst":
            return factories.pack(tarred(members, ""), "zstd")
        return zipped(members) if ending == "zip" else tarred(members, ending[4:])

    there, path = [file("opt/tool/bin/tool", 400_000), file("opt/tool/lib", 100_000)], f"t.{ending}"
    layer = [*there, file(path, 250_000)]
    found = built_subject(tmp_path, "FROM debian\nRUN curl x | tar x\n", [layer])
    image = found.built.image
    assert path in wanted(image, {1})
    data = {"in": {"v1/bin/tool": 400_000, "v1/lib": 100_000, "v1/empty": 0, "v1/readme": 20_000},
            "out": {"v1/bin/tool": 400_000, "v1/lib": 500_000}}  # fmt: skip
    assert understood(image, [(path, pack(data["out"]))]) == NOTHING_READ
    assert understood(image, [(path, b"no archive")]) == NOTHING_READ
    inside = understood(image, [(path, pack(data["in"]))])
    found = replace(found, built=replace(found.built, inside=inside))
    assert rows(found) == [("archive", f"/{path}", 250_000, 2)]


def pax_header(size):
    header = tarfile.TarInfo("x")
    header.type, header.size = b"x", size
    return gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(size), 1)


def directory_of_zip(names):
    record = b"PK\1\2" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, names * len(record), 0, 0)
    return record * names + end


@pytest.mark.parametrize(
    ("path", "data"),
    [("a.tar.gz", pax_header(60_000_000)), ("a.zip", directory_of_zip(150_000))],
    ids=["one header of 60 MB", "150,000 names"],
)
def test_an_archive_of_an_image_takes_no_more_memory_than_its_reader_may(tmp_path, path, data):
    image = built_subject(tmp_path, "FROM debian\nCOPY a /\n", [[file(path, data)]]).built.image
    tracemalloc.start()
    try:
        assert understood(image, [(path, data)]) == NOTHING_READ
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_an_archive_that_wants_gigabytes_to_be_unpacked_is_not_read(tmp_path):
    data = tarred({"lib": 500_000}, "xz")
    size, frame = 4 * data[12] + 4, bytearray(data)
    frame[16] = 40  # bytes of its dictionary: 4 GiB
    frame[12 + size - 4 : 12 + size] = zlib.crc32(frame[12 : 12 + size - 4]).to_bytes(4, "little")
    layer = [file("lib", 500_000), file("a.tar.xz", 250_000)]
    image = built_subject(tmp_path, "FROM debian\nCOPY a /\n", [layer]).built.image
    assert understood(image, [("a.tar.xz", data)]).unpacked == ("a.tar.xz",)
    assert understood(image, [("a.tar.xz", bytes(frame))]) == NOTHING_READ


def test_symbols_count_with_their_names_and_the_rest_of_the_program_stays(tmp_path):
    inside = Inside(
        programs=(
            Program("srv/app", "", (), 200_000, 300_000, name_bytes=50_000),
            Program("bin/sh", "", (), 100_000, 0),
        )
    )
    layer = [file("srv/app", 2_000_000, mode=0o755)]
    found = built_subject(tmp_path, "FROM debian\nCOPY app /srv/\n", [layer], inside=inside)
    assert rows(found) == [("symbols", "/srv/app", 550_000, 2)], "the base's shell is the base's"


def test_a_program_cannot_save_more_than_it_has(tmp_path):
    inside = Inside(programs=(Program("srv/app", "", (), 10**15, 0),))
    found = built_subject(tmp_path, "FROM debian\nCOPY a /\n", [[file("srv/app", 300_000)]],
                          inside=inside)  # fmt: skip
    assert rows(found) == [("symbols", "/srv/app", 300_000, 2)]


def elf(sections):
    """A 64-bit ELF file that has nothing but these sections: (name, type, bytes)."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in sections) + b".shstrtab\0"
    at, offset = 64 + 64 * (len(sections) + 2), 1
    rows, body = [struct.pack("<IIQQQQIIQQ", *[0] * 10)], b""
    for name, kind, size in [*sections, (".shstrtab", 3, len(names))]:
        data = names if name == ".shstrtab" else bytes(size)
        rows.append(
            struct.pack("<IIQQQQIIQQ", offset, kind, 0, 0, at + len(body), size, 0, 0, 1, 0)
        )
        body += data
        offset += len(name) + 1
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64, 0, 64, 56, 0, 64, len(rows), len(rows) - 1
    )
    return head + b"".join(rows) + body


def test_a_program_is_read_with_the_names_of_its_symbols():
    data = elf([(".symtab", 2, 2400), (".strtab", 3, 700), (".debug_info", 1, 5000)])
    image = read_image([legacy(Image([[file("srv/app", len(data))]]))])
    [program] = understood(image, [("srv/app", data)]).programs
    assert program.strippable_bytes == 2400 + 700 + 5000 and not program.stripped


def test_the_largest_folders_are_named_with_their_lines(tmp_path):
    layers = [
        [directory("opt"), file("opt/big/lib/a", 900_000), file("opt/big/b", 50_000)],
        [file("srv/app/x/1", 300_000), file("srv/app/y/2", 400_000), file("etc/small", 5)],
    ]
    found = weigh(built_subject(tmp_path, "FROM debian\nRUN a\nCOPY b /\n", layers))
    assert [(p.path, p.bytes, p.line) for p in found.folders] == [
        ("/opt/big/lib", 900_000, 2),
        ("/srv/app", 700_000, 3),
    ]


def test_the_report_ends_with_what_can_go_and_json_has_it_too(tmp_path, capsys):
    layers = [[file("root/.cache/uv/x", 1_500_000)], [file("app/.git/x", 200_000)]]
    text = "FROM debian\nRUN uv sync\nCOPY . /app\n"
    found = checklist.run(built_subject(tmp_path, text, layers))
    print_checklist(found)
    said = capsys.readouterr().out
    assert "1.70 MB of 2.50 MB can go, in this order" in said
    table = said.partition("in this order")[2]
    assert table.index("uv's cache") < table.index("version history") and "line 2" in table
    row = next(row for row in found.to_list() if row["id"] == "reclaimable")
    assert row["result"] == "failed" and row["image"]["can_go_bytes"] == 1_700_000
    assert [each["bytes"] for each in row["image"]["rows"]] == [1_500_000, 200_000]
    assert all(r["image"] is None for r in found.to_list() if r["id"] != "reclaimable")
    messages = [each["message"]["text"] for each in to_sarif(found)["runs"][0]["results"]]
    assert not [text for text in messages if "can go" in text]
    print_checklist(checklist.run(replace(found.subject, built=None)))
    assert "can go" not in capsys.readouterr().out


def test_an_image_whose_history_tells_nothing_is_weighed_as_a_whole(tmp_path):
    found = read_image([legacy(Image([[file("root/.npm/_cacache/a", 300_000)]]))])
    read = checking.check(tmp_path, "FROM scratch\nCOPY a /").subject
    assert rows(replace(read, built=Built(found))) == [
        ("cache", "/root/.npm/_cacache/a", 300_000, None)
    ]
