"""A byte budget: what is too large, which instruction that is, and a baseline that only shrinks."""

import json
from dataclasses import replace

import factories
import pytest
import results
from command import lab
from factories import file

from shiplight.errors import UsageError
from shiplight.image import Image, read_image
from shiplight.inspection import keep_to
from shiplight.units import parse_bytes


def image(*layers: tuple[str, int], **how) -> Image:
    """An image of these instructions, each with a file of so many bytes."""
    made = factories.Image(
        [[file(f"f{number}", size)] for number, (_, size) in enumerate(layers)],
        history=[{"created_by": text} for text, _ in layers],
        **how,
    )
    return read_image([factories.legacy(made)])


BASE, COPY, RUN = ("ADD rootfs", 5000), ("COPY app /app", 300), ("RUN make", 90)


@pytest.mark.parametrize(
    ("text", "count"),
    [("90MB", 90_000_000), ("1.5 kB", 1500), ("64MiB", 64 << 20), ("7", 7), ("2gb", 2 * 10**9)],
)
def test_sizes_as_people_type_them(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1e9", "90 M B", "90 apples", "٣MB", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a number of bytes"):
        parse_bytes(text)
    with pytest.raises(UsageError):
        keep_to(image(BASE), at_most=text)


def test_so_many_bytes_and_no_more():
    whole = image(BASE, COPY)
    assert keep_to(whole, at_most=5300).is_kept and keep_to(whole, at_most="5.3kB").is_kept
    broken = keep_to(whole, at_most=5299)
    assert not broken.is_kept
    assert (broken.instruction, broken.instruction_bytes, broken.grew) == (*BASE, False)


def test_packed_bytes_are_another_budget():
    whole = image(BASE, COPY)
    kept = keep_to(whole, at_most=whole.packed_bytes, packed=True)
    assert kept.is_kept and kept.is_estimate and kept.bytes == whole.packed_bytes < 5300
    assert not keep_to(whole, at_most=whole.packed_bytes - 1, packed=True).is_kept


def test_a_baseline_is_written_then_held_and_only_becomes_smaller(tmp_path):
    path = tmp_path / "sizes.json"
    first = keep_to(image(BASE, COPY), baseline=path)
    assert first.is_kept and first.before is None and "is written" in first.said
    written = path.read_bytes()
    same = keep_to(image(BASE, COPY), baseline=path)
    assert same.is_kept and same.before == 5300 and not same.said and path.read_bytes() == written
    larger = keep_to(image(BASE, ("COPY app /app", 301)), baseline=path)
    assert not larger.is_kept and path.read_bytes() == written
    smaller = keep_to(image(BASE), baseline=path)
    assert smaller.is_kept and "rewritten" in smaller.said
    assert keep_to(image(BASE, COPY), baseline=path).before == 5000


@pytest.mark.parametrize(
    ("layers", "instruction", "count"),
    [
        ([BASE, ("COPY app /app", 800), RUN], "COPY app /app", 500),
        ([BASE, COPY, RUN, ("RUN apt-get install gcc", 700)], "RUN apt-get install gcc", 700),
        ([("ADD new rootfs", 5100), COPY, RUN], "ADD new rootfs", 100),
        ([("ADD new", 4000), ("RUN more", 1900), COPY, RUN], "ADD new", 900),
        ([("ADD rootfs", 4900), ("COPY app /app", 500), RUN], "COPY app /app", 200),
    ],
)
def test_the_instruction_that_grew_is_named(tmp_path, layers, instruction, count):
    path = tmp_path / "sizes.json"
    keep_to(image(BASE, COPY, RUN), baseline=path)
    found = keep_to(image(*layers), baseline=path)
    assert (found.instruction, found.instruction_bytes, found.grew) == (instruction, count, True)


def test_over_a_limit_where_nothing_grew_the_largest_is_named(tmp_path):
    path = tmp_path / "sizes.json"
    keep_to(image(BASE, COPY), baseline=path)
    found = keep_to(image(BASE, COPY), baseline=path, at_most=100)
    assert not found.is_kept and not found.grew and found.instruction == "ADD rootfs"


def test_what_cannot_be_compared_is_refused(tmp_path):
    path = tmp_path / "sizes.json"
    keep_to(image(BASE), baseline=path)
    with pytest.raises(UsageError, match="linux/arm64"):
        keep_to(image(BASE, platform="linux/arm64"), baseline=path)
    stored = read_image([factories.oci(factories.Image([[file("a", 9)]]), packing="gzip")])
    with pytest.raises(UsageError, match="has unpacked bytes, and packed ones are to be checked"):
        keep_to(stored, baseline=path, packed=True)
    estimated = tmp_path / "packed.json"
    keep_to(image(BASE), baseline=estimated, packed=True)
    with pytest.raises(UsageError, match="an estimate"):
        keep_to(stored, baseline=estimated, packed=True)
    shallow = replace(
        stored, layers=tuple(replace(one, unpacked_bytes=None) for one in stored.layers)
    )
    with pytest.raises(UsageError, match="unpacked bytes of example/app:1 are not known"):
        keep_to(shallow, at_most=9)
    assert keep_to(shallow, at_most="1MB", packed=True).is_kept


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", "[" * 99_999, '{"layers": [{}]}', '{"layers": 3}', '{"image": 1e999}'],
)
def test_a_file_that_is_no_baseline_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "sizes.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="is not the baseline"):
        keep_to(image(BASE), baseline=path)
    assert path.read_text() == content
    with pytest.raises(UsageError, match="cannot be read"):
        keep_to(image(BASE), baseline=tmp_path)


@pytest.mark.parametrize("wrong", [-1, "1", 1.5, True, [1]])
def test_a_baseline_with_other_numbers_is_refused(tmp_path, wrong):
    path = tmp_path / "sizes.json"
    keep_to(image(BASE), baseline=path)
    changed = json.loads(path.read_text())
    changed["layers"][0]["bytes"] = wrong
    path.write_text(json.dumps(changed))
    with pytest.raises(UsageError, match="is not the baseline"):
        keep_to(image(BASE), baseline=path)


def test_an_image_without_layers_keeps_to_any_budget(tmp_path):
    empty = results.image()
    assert keep_to(empty, at_most=0, baseline=tmp_path / "x.json").is_kept


# The command


@pytest.fixture
def measured(tmp_path):
    """`measured(image, …)`: exit code and what `./lab measure` prints of it."""

    def run(layers, *words):
        path = tmp_path / "image.tar"
        made = factories.Image(
            [[file(f"f{number}", size)] for number, (_, size) in enumerate(layers)],
            history=[{"created_by": text} for text, _ in layers],
        )
        path.write_bytes(factories.legacy(made))
        return lab("measure", str(path), *words, DOCKER_HOST="unix:///nowhere.sock")

    return run


def test_the_command_ends_with_1_over_the_budget_and_names_the_instruction(measured, tmp_path):
    assert measured([BASE, COPY], "--at-most", "5.3kB").returncode == 0
    done = measured([BASE, COPY], "--at-most", "5kB")
    assert done.returncode == 1 and "300 B over the limit" in done.stdout
    assert "is the largest, with 5.00 kB:\n  ADD rootfs" in done.stdout
    baseline = str(tmp_path / "sizes.json")
    first = measured([BASE, COPY], "--baseline", baseline)
    assert first.returncode == 0 and "is written" in first.stderr
    done = measured([BASE, ("COPY app /app", 400)], "--baseline", baseline, "--json")
    budget = json.loads(done.stdout)["budget"]
    assert done.returncode == 1 and budget["instruction"] == "COPY app /app" and budget["grew"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--at-most", "much"], 2),
        (["--packed"], 1),
        (["--at-most", "5MB", "--platform", "linux/arm64"], 2),
        (["--at-most", "5MB", "--platform", "linux/amd64,linux/arm64"], 2),
        (["--baseline", "/"], 2),
        (["--baseline", "/no/such/folder/sizes.json"], 2),
        (["--at-most", "0", "--platform", "linux/arm64"], 2),
    ],
)
def test_a_budget_that_cannot_be_checked_does_not_pass(measured, words, code):
    done = measured([BASE], *words)
    assert done.returncode == code and "Traceback" not in done.stderr
