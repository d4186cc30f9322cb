"""Files of an image are copied by few requests, and little else is copied with them."""

import posixpath

from factories import Image, directory, file, legacy

from shiplight.image import read_image
from shiplight.inspection.copying import together

MB = 1_000_000


def image(*entries):
    return read_image([legacy(Image([list(entries)]))])


def test_files_that_lie_close_together_are_copied_with_their_folder():
    read = image(directory("srv"), *(file(f"srv/{name}/key.pem", 1000) for name in "abc"))
    paths = ["srv/a/key.pem", "srv/c/key.pem"]
    assert together(read, paths) == {"srv": paths}


def test_a_file_by_itself_and_one_beside_many_bytes_are_copied_alone():
    read = image(
        file("etc/passwd", 100),
        *(file(f"opt/{name}", MB // 2) for name in ("a", "b")),
        file("opt/other", MB + 1),
    )
    paths = ["etc/passwd", "opt/a", "opt/b"]
    assert together(read, paths) == {path: [path] for path in paths}


def test_a_folder_with_many_small_files_is_not_copied_for_two_of_them():
    small = [file(f"cache/{number}", 1) for number in range(60)]
    paths = ["cache/0", "cache/1"]
    assert together(image(*small), paths) == {path: [path] for path in paths}
    assert together(image(*small), [f"cache/{number}" for number in range(3)]) == {
        "cache": ["cache/0", "cache/1", "cache/2"]
    }


def test_what_is_copied_besides_grows_with_the_requests_saved():
    entries = [file(f"a/{n}/{m}", MB // (m + 1)) for n in range(9) for m in range(9)]
    read = image(*entries)
    for step in range(1, 9):
        paths = sorted(path for path in read.tree() if path.count("/") == 2)[::step]
        found = together(read, paths)
        assert sorted(path for group in found.values() for path in group) == sorted(paths)
        for place, group in found.items():
            assert all(path == place or path.startswith(f"{place}/") for path in group)
            besides = sum(
                entry.size
                for path, (entry, _) in read.tree().items()
                if path.startswith(f"{place}/") and path not in group
            )
            assert besides <= MB * (len(group) - 1), (posixpath.basename(place), step)
