"""A Dockerfile with its margin: each number at its line, nothing of a stranger's as markup."""

import re
from html.parser import HTMLParser

import checking
import pytest

from shiplight import builds, inspection
from shiplight.buildkit import Step
from shiplight.checks import checklist, margin
from shiplight.cli import commands, dockerfile_commands
from shiplight.inspection import Origin, Origins
from shiplight.setting import Setting

TEXT = """# <b>two stages</b>
FROM golang:1.19 AS builder
COPY . .
RUN go build \\
    -o /app .

FROM scratch
ENV TOKEN=ghp_0123456789abcdefghijklmnopqrstuvwxyzAB
COPY --from=builder /app /app
"""
SETTING = Setting("Docker 1", "store", "linux/amd64", "official", "2026-11-29T10:00:00")


def step(line: int, seconds: float | None = 0.0, *, cached: bool = False) -> Step:
    return Step(
        name="[x 1/1] RUN", stage="x", instruction="RUN", started=1.0, seconds=seconds,
        cached=cached, error="", log=(), digest=str(line), inputs=(), line=line,
    )  # fmt: skip


STEPS = (step(3, cached=True), step(4, 12.34), step(9, 0.05))
FOUND = Origins(
    "app",
    900_000,
    ("builder", "stage-1"),
    (
        Origin("context", None, "the build context", None, 4000, 0),
        Origin("base", "builder", "FROM golang:1.19", 2, 800_000_000, 0),
        Origin("instruction", "builder", "RUN go build", 4, 9_000_000, 900_000),
    ),
    (),
    setting=SETTING,
)


@pytest.fixture
def checked(tmp_path):
    (tmp_path / "Dockerfile").write_text(TEXT)
    return checklist.run(checklist.read_subject(tmp_path))


def line(found, number: int):
    return found.lines[number - 1]


def test_each_number_stands_at_the_first_line_of_its_instruction(checked):
    found = margin(checked, steps=STEPS, origins=FOUND)
    assert [one.number for one in found.lines] == list(range(1, 10))
    assert line(found, 4).seconds == 12.34 and line(found, 4).born_bytes == 9_000_000
    assert line(found, 4).shipped_bytes == 900_000 and line(found, 5).seconds is None
    assert line(found, 3).cached and line(found, 3).born_bytes is None
    assert (line(found, 2).born_bytes, line(found, 2).shipped_bytes) == (800_000_000, 0)
    assert "the build context: 4.00 kB, 0 B of it ships" in found.others


def test_a_finding_stands_below_its_line_and_one_without_a_line_at_the_end(checked):
    found = margin(checked)
    assert any(one.startswith("supported-bases:") for one in line(found, 2).findings)
    assert any(one.startswith("secrets:") for one in line(found, 8).findings)
    assert all(one.seconds is one.born_bytes is None for one in found.lines)
    said = repr(found)
    assert said.index("FROM golang:1.19") < said.index("! supported-bases") < said.index("COPY . .")


def test_a_secret_is_in_no_form_of_it(checked):
    found = margin(checked, steps=STEPS, origins=FOUND)
    for text in (repr(found), found.page(), found._repr_html_()):
        assert "ghp_0123" not in text and "TOKEN" in text


@pytest.mark.parametrize(
    "lines",
    [
        "RUN curl -u \\\n  bob:q7Zk21Lp9dYw https://x",
        "RUN mysql --password \\\n   q7Zk21Lp9dYw",
        "ENV DB_PASS\\\nWORD=q7Zk21Lp9dYw",
        "ENV API_KEY q7Zk21Lp9dYw3Xb0Rt5v",
        'ENV DB_PASSWORD="abc\\\nq7Zk21Lp9dYw"',
        "ENV A=1 \\\n # PASSWORD=q7Zk21Lp9dYw\n B=2",
        "COPY <<E /k\n-----BEGIN PRIVATE KEY-----\nMIIEq7Zk21Lp9dYw\n-----END PRIVATE KEY-----\nE",
        'CMD ["x", "--token", \\\n  "q7Zk21Lp9dYw3Xb0"]',
    ],
)
def test_a_secret_over_several_lines_is_hidden_and_no_line_of_others(tmp_path, lines):
    text = f"FROM alpine:3.22\n{lines}\nRUN the next\n"
    found = margin(checking.check(tmp_path, text))
    assert "q7Zk21Lp9dYw" not in repr(found) and "q7Zk21Lp9dYw" not in found.page()
    assert len(found.lines) == text.count("\n") and "RUN the next" in found.lines[-1].text


class Tags(HTMLParser):
    """The tags of a page, which must all be closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.seen = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.open += [tag] if tag != "meta" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_needs_nothing_else_and_a_strangers_text_stays_text(tmp_path):
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch AS a\n# </code><script>alert(1)</script>\u202e\nCOPY '<img src=x>' /\n"
    )
    found = margin(
        checklist.run(checklist.read_subject(tmp_path)),
        reasons={3: ("<script>alert(2)</script> changed",)},
    )
    for text in (found.page(), found._repr_html_()):
        tags = Tags(text)
        assert not tags.open and not tags.seen & {"script", "img", "link", "iframe"}
        assert "\u202e" not in text and not re.search(r"(?:src|href)=[\"']?http", text)
        assert "&lt;script&gt;alert(2)&lt;/script&gt; changed" in text


def test_the_command_prints_it_or_writes_a_page(tmp_path, capsys, monkeypatch):
    (tmp_path / "Dockerfile").write_text(TEXT)
    built = builds.Build("x", "latest", "x", "id", 1.0, STEPS, {}, SETTING, text=TEXT)
    monkeypatch.setattr(builds, "build", lambda client, what, **named: built)
    monkeypatch.setattr(inspection, "origins", lambda client, what, **named: FOUND)
    monkeypatch.setattr(dockerfile_commands, "connect", lambda given, to_make: None)
    assert commands.main(["margin", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"12\.3 s +9\.00 MB +900 kB +4  RUN go build", printed)
    assert commands.main(["margin", "go/multi"]) == 0
    assert "ENTRYPOINT" in capsys.readouterr().out, "a variant by its name"
    page = tmp_path / "margin.html"
    assert commands.main(["margin", str(tmp_path), "--output", str(page)]) == 0
    assert page.read_text().startswith("<!doctype html>") and "12.3 s" in page.read_text()
