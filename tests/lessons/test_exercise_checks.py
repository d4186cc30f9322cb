"""What checks of exercises say of images that no engine built."""

from dataclasses import replace

import pytest
import results
from factories import file

from shiplight.errors import CheckFailed
from shiplight.lessons.exercises import bases, grading


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
