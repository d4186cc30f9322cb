"""The last cell of a lesson: it lists what is left, and removes nothing that nobody asked for."""

from shiplight import builds, engine
from shiplight.catalogue import APPS
from shiplight.lessons import clean_up


def test_clean_up_lists_what_is_left_and_removes_it_on_yes(client, capsys):
    first = builds.build(client, str(APPS / "first"), name="tidy/first")
    mine = builds.build(client, str(APPS / "first"), name="tidy/mine")
    clean_up(client, first)
    said = capsys.readouterr().out
    assert "still here (2)" in said and "tidy/first, tidy/mine" in said and "yes=True" in said
    assert "exercises solved" in said
    assert engine.has_image(client, first.tag) and engine.has_image(client, mine.tag)
    clean_up(client, first, yes=True)
    assert not engine.has_image(client, first.tag) and not engine.has_image(client, mine.tag)
    clean_up(client, first)
    assert "Everything is removed." in capsys.readouterr().out
