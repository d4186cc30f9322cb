"""Archives as an attacker would send them: refused or read, in bounded memory and time, and nothing
is written. Each attack runs in a process of its own, whose memory is limited by the kernel.
"""

import copy
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import factories
import pytest
from factories import Image, directory, file, hard_link, legacy, oci, symlink, whiteout
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.errors import ArchiveError
from shiplight.image import read_image
from shiplight.setup import ROOT

HERE = Path(__file__).parent
PATH = f"{HERE}:{HERE.parent}"  # of the attacks, and of what they are made of
MEMORY = 1200 << 20  # bytes of address space, with 300 MB of Python and its libraries in it
SECONDS = 60

CHILD = """
import resource, sys
sys.path[:0] = sys.argv[1].split(":")
import attacks
from shiplight import errors
from shiplight.image import archive
data = getattr(attacks, sys.argv[2])()
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]), int(sys.argv[3])))
wrote = []

def watch(event, arguments):
    if event in ("os.mkdir", "os.rename", "os.symlink", "os.link", "os.remove", "subprocess.Popen"):
        wrote.append((event, arguments))
    if event == "open" and not (arguments[1] or "r").startswith("r"):
        wrote.append((event, arguments))

sys.addaudithook(watch)
try:
    image = archive.read_image(data)
    print("read:", image.unpacked_bytes, len(image.tree()))
except errors.ArchiveError as error:
    print("refused:", error)
print("wrote:", wrote)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="not for this machine: no RLIMIT_AS")
@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("zstd_bomb", "refused: the archive unpacks to over 1,000 times its own bytes"),
        ("many_small_bombs", "refused: the archive unpacks to over 1,000 times its own bytes"),
        ("bomb_around_an_archive", "refused: the archive unpacks to over 1,000 times its own"),
        ("small_pax_records", "read: 0 1"),
        ("endless_pax_headers", "refused: this is not an image archive"),
        ("deep_paths", "refused: the layers have more directories"),
        ("indexes_of_indexes", "refused: the archive describes the same images again and again"),
        ("one_image_many_times", "read: 3"),
        ("one_layer_many_times", "refused: its layers contain more than 2,000,000 files"),
        ("many_empty_lists", "refused: manifest.json"),
        ("history_without_end", "read: 3"),
        ("a_name_of_100_kB", "longer than 4096 characters"),
        ("links_to_everywhere", "read: 3"),
        ("many_files", "read: 60000 60000"),
    ],
)
def test_an_attack_costs_little(attack, says, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, PATH, attack, str(MEMORY)],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert says in done.stdout, done.stdout + done.stderr[-2000:]
    assert "wrote: []" in done.stdout and not list(tmp_path.iterdir())


def test_what_an_archive_says_is_no_order_for_the_terminal(tmp_path):
    order = "\x1b]0;owned\x07[bold\ud800"
    layers = [[file(f"{order[:-1]}a", 9)], [whiteout(f"{order[:-1]}a")]]
    history = [{"created_by": f"COPY {order}"}, {"created_by": order}]
    (tmp_path / "a.tar").write_bytes(
        legacy(Image(layers, name=order, history=history, platform=f"linux/{order}"))
    )
    command = [sys.executable, "-m", "shiplight", "measure", str(tmp_path / "a.tar")]
    environment = os.environ | {"LAB_ID": f"hostile{os.getpid()}"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"\x1b]" not in done.stdout + done.stderr and b"\\x1b]0;owned" in done.stdout
    shutil.rmtree(ROOT / ".lab" / "labs" / environment["LAB_ID"], ignore_errors=True)


# What describes the image, changed at will

LAYERS = [
    [directory("bin"), file("bin/sh", 300), symlink("bin/ash", "sh"), hard_link("h", "bin/sh")],
    [whiteout("bin/ash"), file("app", 20)],
]
IMAGE = Image(LAYERS, history=[{"created_by": "COPY a"}, {"created_by": "RUN b"}])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def places(document, so_far=()) -> list[tuple]:
    """Every place in a JSON document, as the keys that lead to it."""
    items = (
        document.items() if isinstance(document, dict)
        else enumerate(document) if isinstance(document, list) else ()
    )  # fmt: skip
    return [so_far] + [deep for key, inner in items for deep in places(inner, (*so_far, key))]


def changed(document, place: tuple, value):
    """The document with another value at one place."""
    if not place:
        return value
    document = copy.deepcopy(document)
    at = document
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return document


def refused_or_read(data: bytes) -> None:
    try:
        image = read_image(io.BytesIO(data))
    except ArchiveError as error:
        assert error.hint
        return
    assert image.to_dict(files=True) and image.tree() is not None and repr(image)


def sealed(files: dict, path: str, document) -> dict:
    """The files with another document at a path, under its right digest wherever it is named."""
    old, new = path.rpartition("/")[2].removesuffix(".json"), factories.as_json(document)
    name = factories.sha256(new)
    named = {p: d.replace(old.encode(), name.encode()) for p, d in files.items() if p != path}
    return named | {path.replace(old, name): new}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_its_json_says(data):
    files = data.draw(st.sampled_from([FILES["legacy"], FILES["oci"], FILES["index only"]]))
    described = [p for p, d in files.items() if d[:1] in (b"{", b"[") and p != "oci-layout"]
    path = data.draw(st.sampled_from(sorted(described)))
    document = json.loads(files[path])
    place = data.draw(st.sampled_from(places(document)))
    document = changed(document, place, data.draw(JSON))
    if path in ("manifest.json", "index.json", "repositories"):
        refused_or_read(factories.archive(files | {path: factories.as_json(document)}))
    else:
        refused_or_read(factories.archive(sealed(files, path, document)))


FILES = {
    "legacy": {p: d for p, d in factories.legacy_files(IMAGE).items() if isinstance(d, bytes)},
    "oci": factories.oci_files(IMAGE),
    "index only": factories.oci_files(IMAGE, manifest_json=False, nested=True),
}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_files_that_are_missing_doubled_or_in_another_order(data):
    files = FILES[data.draw(st.sampled_from(sorted(FILES)))]
    chosen = data.draw(st.lists(st.sampled_from(sorted(files)), max_size=2 * len(files)))
    archive = b"".join(factories.archive({p: files[p]})[:-10240] for p in chosen)
    refused_or_read(archive + bytes(1024))


NAMES = st.text(st.sampled_from("a./\0\\é\n\x1b") | st.characters(), max_size=12)
ITEMS = st.builds(
    factories.Item,
    st.sampled_from(["", "../", "/", "./", ".wh.", "a/.wh.", "a/b/"]).flatmap(
        lambda start: NAMES.map(lambda name: start + name)
    ),
    st.sampled_from([b"0", b"1", b"2", b"3", b"5", b"6", b"x", b"L", b"S"]),
    st.binary(max_size=20),
    NAMES,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(ITEMS, max_size=6), max_size=3))
def test_whatever_a_layer_names(layers):
    try:
        described = [factories.tar(layer) for layer in layers]
    except (ValueError, UnicodeError):  # what Python's own tar cannot write
        return
    refused_or_read(legacy(Image(described)))
    refused_or_read(oci(Image(described), packing="zstd"))


WHOLE = [legacy(IMAGE), oci(IMAGE, packing="gzip"), oci(IMAGE), oci(IMAGE, packing="zstd")]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_bytes_that_were_changed_lost_or_doubled_anywhere(data):
    archive = bytearray(data.draw(st.sampled_from(WHOLE)))
    if data.draw(st.booleans()):
        archive = bytearray(gzip.compress(bytes(archive)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(archive)))
        count = data.draw(st.sampled_from([0, 1, 7, 512, 1024]))
        archive[at : at + count] = data.draw(st.binary(max_size=12))
    refused_or_read(bytes(archive))


def test_numbers_that_are_not_in_json_are_refused():
    files = FILES["legacy"]
    described = files["manifest.json"].replace(b"[{", b'[{"a": NaN, ', 1)
    with pytest.raises(ArchiveError, match="not valid JSON"):
        read_image(io.BytesIO(factories.archive(files | {"manifest.json": described})))
