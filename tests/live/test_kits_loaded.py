"""A kit that this engine's bases were packed into is loaded by it again."""

from shiplight import engine, kit
from shiplight.builds import here
from shiplight.lessons import shelf


def test_a_kit_of_the_first_lesson_is_packed_and_loaded(client, tmp_path):
    planned = kit.plan(client, [shelf.lessons()[0]])
    made = kit.pack(client, planned, tmp_path / "class.tar")
    assert 500_000 < made.bytes < 100_000_000 and made.bases == ("busybox:latest",)
    before = engine.inspect_image(client, here(client, "busybox:latest").used)["Id"]
    found = kit.unpack(client, tmp_path / "class.tar")
    assert found == made
    assert engine.inspect_image(client, here(client, "busybox:latest").used)["Id"] == before
