"""Three learners whose wrong answers were built and refused, and twenty-seven made from them."""

import answers
import pytest
from answers import Answer
from classes import hand_in, made_from

from shiplight import builds, classroom
from shiplight.catalogue import APPS
from shiplight.errors import CheckFailed
from shiplight.lessons import exercises, learned

LEARNERS = {
    "ada": (["00.1-wrong-never-deleted"], "00.1"),
    "bob": (["00.1-wrong-nothing-written", "00.1-wrong-deleted-later"], ""),
    "cyd": (["00.2-wrong-zeros", "00.1-wrong-deleted-later"], ""),
}


def test_a_class_of_thirty_shows_who_is_stuck_on_what(client, tmp_path, monkeypatch):
    folder, learners = tmp_path / "class", []
    folder.mkdir()
    builds.build(client, str(APPS / "first"))
    for name, (wrong, right) in LEARNERS.items():
        file = tmp_path / f"{name}.json"
        monkeypatch.setattr("shiplight.lessons.learned.FILE", file)  # of a learner of their own
        for stem in wrong:
            [path] = answers.kept(f"{stem}.Dockerfile")
            answer = Answer(stem[:4], stem[5:], path.read_text(encoding="utf-8"))
            with pytest.raises(CheckFailed):
                exercises.check(client, answer.exercise, answers.built(client, answer))
        if right:
            found = next(one for one in exercises.every() if one.id == right)
            answer = Answer(right, "right", found.solutions()[0].read_text(encoding="utf-8"))
            exercises.check(client, right, answers.built(client, answer))
        learned.note_guess("01.1", f"{10 * len(name)} MB")  # for no chart of the next tests to show
        path = classroom.hand_over(folder, pseudonym=name, client=client)
        learners.append(classroom.Record.from_json(path.read_bytes()))
    hand_in(folder, *made_from(learners, 27))

    seen = classroom.see(folder, with_names=True)
    assert len(seen.learners) == 30 and not seen.refused
    stuck = {learner.name: on for learner, on in seen.stuck}
    assert "ada" not in stuck and stuck["bob"].mistake == "something is deleted but still ships."
    assert stuck["cyd"].exercise == "00.1" and 0 <= stuck["cyd"].seconds < 600
    assert seen.wrong[0].mistake == "something is deleted but still ships."
    assert seen.wrong[0].learners == 20
    own = [one for one in learners if one.images]
    assert len(own) == 3 and len({one.images for one in own}) == 1
    assert own[0].images[0].name == "first" and own[0].images[0].unpacked_bytes > 5_000_000
