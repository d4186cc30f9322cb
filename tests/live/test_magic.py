"""`%%dockerfile` on an engine: what it builds is what a check looks at."""

from shiplight import recordings
from shiplight.lessons import exercises, magics

TEXT = """FROM busybox:latest
RUN head -c 5000000 /dev/zero > /zeros && rm /zeros
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
"""


def test_a_cell_builds_what_an_exercise_accepts(client, monkeypatch, capsys):
    monkeypatch.setattr(recordings, "_clients", [client])
    mine = magics.written_and_built("first", "mine", TEXT)
    assert mine.text == TEXT and mine.name == "first/mine"
    exercises.check(client, "00.1", mine)
    assert "00.1 is solved" in capsys.readouterr().out
