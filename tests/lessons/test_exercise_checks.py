"""What checks of exercises say of images that no engine built."""

from dataclasses import replace

import pytest
import results
from factories import file, symlink

from shiplight.dockerfile import parse
from shiplight.errors import CheckFailed, UsageError
from shiplight.inspection import Probe
from shiplight.lessons import check
from shiplight.lessons.exercises import bases, go, grading


@pytest.mark.parametrize("exercise_id", ["05.1", "06.1"])
@pytest.mark.parametrize(
    ("entrypoint", "says"),
    [
        ((), "the image does not say which program to start"),
        (("/gone", "now"), "the image starts no compiled program.\n  Found: /gone now"),
    ],
)
def test_an_image_without_a_program_is_not_told_that_its_program_links_nothing(
    monkeypatch, exercise_id, entrypoint, says
):
    made = results.image([file("server", b"text")])
    image = replace(made, config={"Entrypoint": list(entrypoint)})
    monkeypatch.setattr(bases, "measure", lambda client, made: image)
    monkeypatch.setattr(bases, "linked", lambda client, made: None)
    with pytest.raises(CheckFailed) as refused:
        grading.ALL[exercise_id].look(None, None)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("run", "writes"),
    [
        ("head -c 5000000 /dev/zero > /zeros && rm /zeros", True),
        ("set -e; dd if=/dev/zero of=/zeros bs=1M count=5; rm /zeros", True),
        ("head -c5 </dev/zero >/zeros", True),
        ("(cat /dev/zero|head -c 5) > /zeros", True),
        ('["sh", "-c", "head -c 5 /dev/zero > /zeros"]', True),
        ('echo "head -c 5 /dev/zero > /zeros" && echo /dev/zero', False),
        ("<<E\nhead -c 5 /dev/zero > /zeros\nE", True),
        ("printf /dev/zero > /zeros", False),
        ('echo "</dev/zero" > /zeros && ls', False),
        ("touch /zeros", False),
    ],
)
def test_zeros_are_written_by_a_command_that_reads_them(run, writes):
    [stage] = parse(f"FROM busybox\nRUN {run}\n").stages
    assert bool([*go._writing_zeros(stage)]) is writes


@pytest.mark.parametrize(
    ("run", "count"),
    [
        ("head -c 5000000 /dev/zero > /zeros && rm /zeros", 5_000_000),
        ("head --bytes=5M </dev/zero >/zeros", 5 << 20),
        ("dd if=/dev/zero of=/zeros bs=1kB count=10", 10_000),
        ("head -c10 /dev/zero > /zeros", 10),
        ("head -c 5000000 /dev/zero > /dev/null", 0),
        ("dd if=/dev/zero of=/dev/null bs=1M count=5", 0),
        ("head -c 5000000 </dev/zero >/dev/null && ls", 0),
        ("head -c 5000000 /dev/zero > /zeros 2>/dev/null && rm /zeros", 5_000_000),
        ("head -c 5000000 /dev/zero > /zeros && rm -v /zeros > /dev/null", 5_000_000),
        ("head -c 5000000 /dev/zero | tee /zeros > /dev/null", 5_000_000),
        ("dd if=/dev/zero of=/zeros bs=1000000 count=5 2>/dev/null", 5_000_000),
        ("for n in 1 2 3 4 5; do head -c 1000000 /dev/zero >> /zeros; done", None),
        ("head -c $COUNT /dev/zero > /zeros", None),
        ("tr x y < /dev/zero > /zeros", None),
    ],
)
def test_how_many_zeros_a_command_writes_is_known_where_it_says_so(run, count):
    [stage] = parse(f"FROM busybox\nRUN {run}\n").stages
    [found] = go._writing_zeros(stage)
    assert go._zeros_of(found) == count


def test_a_check_without_its_client_says_what_comes_first():
    with pytest.raises(UsageError) as told:
        check("00.1", None)
    assert told.value.hint == 'check(client, "00.1", mine)'


@pytest.mark.parametrize(
    ("stopped", "said", "advice"),
    [
        (0.1, "INFO: Finished server process [1]", "on which port and address does it listen"),
        (None, "exec /venv/bin/uvicorn: no such file or directory", "not what has to run it"),
        (
            None,
            'exec: "/venv/bin/uvicorn": stat: no such file or directory',
            "not what has to run it",
        ),
        (None, "exec /gone: no such file or directory", "what does this line of its output say"),
        (None, "Error: Cannot find module 'x'", "what does this line of its output say"),
    ],
)
def test_a_service_that_does_not_respond_is_told_why_as_far_as_it_shows(stopped, said, advice):
    made = results.image(
        [file("venv/bin/uvicorn", b"#!/nowhere"), symlink("venv/bin/python", "/usr/bin/python3")]
    )
    image = replace(made, config={"WorkingDir": "/venv/bin"})
    found = Probe("x", False, None, None, "", None, 1, stopped, (said,))
    with pytest.raises(CheckFailed, match="no longer responds") as refused:
        grading.refuse_silent("03.1", found, image)
    assert advice in refused.value.hint
    assert (said if "python" not in said else "a link to /usr") in refused.value.message


def test_program_that_exits_without_output_gets_its_own_hint():
    image = results.image([file("server", b"x")])
    found = Probe("x", False, None, None, "", None, 0, None, ())
    with pytest.raises(CheckFailed, match="exited with code 0 and printed nothing") as refused:
        grading.refuse_silent("03.1", found, image)
    assert "a service keeps running" in refused.value.hint


def test_what_a_container_prints_without_end_is_cut():
    said = "it says\n" + "\x00\ufffd" * 5_000_000
    assert len(grading.last_line(said)) < 120
    with pytest.raises(CheckFailed) as refused:
        grading.refuse("00.2", "no.", hint="look", found=said)
    assert len(refused.value.message) < 2 * grading.MOST_FOUND
