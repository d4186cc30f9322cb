"""Why a build ran steps again: what two builds of one Dockerfile were given, told apart."""

import json
import os

import pytest

from shiplight.buildkit import Step
from shiplight.builds import reasons
from shiplight.builds.bases import Base
from shiplight.checks import mask
from shiplight.cli import commands
from shiplight.dockerfile import read_sources
from shiplight.engine import journal
from shiplight.errors import ContextError, UsageError

TEXT = """FROM golang AS builder
WORKDIR /app
COPY go.mod ./
RUN go mod download
COPY . .
RUN go build
FROM scratch
COPY --from=builder /app/x /x
"""
LINES = (2, 3, 4, 5, 6, 8)


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path / "root")
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(reasons.engine, "id_of", lambda client, name: f"sha256:{name}")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "app"
    made.mkdir()
    for name in ("go.mod", "main.go", "other.go"):
        (made / name).write_text(name)
    (made / ".dockerignore").write_text("Dockerfile\n.dockerignore\n*.log\n")
    return made


def steps(text: str, first: int) -> tuple[Step, ...]:
    """The steps of a chain: those from the line `first` on ran; a FROM is never cached."""
    lines = text.splitlines()
    numbers = [n for n, line in enumerate(lines, 1) if line.split()[0] in ("FROM", *reasons._KEYED)]
    numbers = [n for n in numbers if lines[n - 1].split()[0] not in ("ENV", "ARG")]
    return tuple(
        Step(
            name=f"[x] {lines[n - 1]}", stage="x", instruction=lines[n - 1], started=1.0,
            seconds=0.5, cached=n < first and not lines[n - 1].startswith("FROM"), error="", log=(),
            digest=str(n), inputs=(str(numbers[i - 1]),) if i else (), line=n,
        )
        for i, n in enumerate(numbers)
    )  # fmt: skip


def built(folder, text: str, first: int, *, base: str = "one", args=None, **how) -> None:
    """Keep a build of this text, which ran its steps from a line on."""
    (folder / "Dockerfile").write_text(text)
    sources = read_sources(folder, dockerfile="Dockerfile")
    bases = (Base("golang", base, "official"),)
    given = reasons.inputs_of(None, text, sources, bases, args or {}, **how)
    place = reasons.place_of(folder, "Dockerfile", "tag")
    reasons.keep(place, given, steps(text, first))


def why(folder):
    return reasons.why(reasons.place_of(folder, "Dockerfile", "tag"), "app", mask)


def test_a_changed_file_is_named_with_the_step_that_copies_it(folder):
    built(folder, TEXT, 1)
    (folder / "main.go").write_text("another")
    (folder / "ignored.log").write_text("x")
    built(folder, TEXT, 5)
    found = why(folder)
    assert [(one.line, one.why, one.after) for one in found.reasons] == [(5, "main.go changed", 2)]
    assert repr(found) == "Why app  3 of 6 steps ran, 1 first"
    assert found.sentences() == [
        "3 of 6 steps ran, for 1.50 s",
        "line 5, `COPY . .`, ran: main.go changed; 2 steps that need it ran, too",
    ]
    assert found.by_line() == {5: ("main.go changed",)}


def test_a_new_file_and_one_that_is_gone_are_told_apart(folder):
    built(folder, TEXT, 1)
    (folder / "new.go").write_text("x")
    (folder / "other.go").unlink()
    built(folder, TEXT, 5)
    assert why(folder).reasons[0].why == "new.go is new, other.go is gone"


@pytest.mark.parametrize(
    "copied", ['"main.go"', "'main.go'", "mai\\n.go", '["\'main.go\'", "./"]', '"$NAME"']
)
def test_quotes_and_escapes_are_no_part_of_a_file_name(folder, copied):
    into = "" if copied.startswith("[") else " ./"
    text = TEXT.replace("COPY . .", f"COPY {copied}{into}")
    built(folder, text, 1)
    (folder / "main.go").write_text("another")
    built(folder, text, 5)
    assert why(folder).reasons[0].why == "main.go changed"


def test_a_mode_counts_and_a_time_does_not(folder):
    built(folder, TEXT, 1)
    os.utime(folder / "main.go", (1, 1))
    (folder / "go.mod").chmod(0o755)
    built(folder, TEXT, 3)
    assert [one.why for one in why(folder).reasons] == ["go.mod changed"]


@pytest.mark.parametrize(
    ("old", "new", "first", "says"),
    [
        ("RUN go build\n", "RUN go build -v\n", 6, "it was `RUN go build`"),
        ("WORKDIR /app\n", "ENV A=1\nWORKDIR /app\n", 3, "line 2, `ENV A=1`, is new"),
        ("RUN go mod download\n", "", 4, "`RUN go mod download` before it is gone"),
        ("COPY . .\n", "COPY . .\nRUN go vet\n", 6, "it is new"),
        ("FROM golang AS", "FROM golang:2 AS", 2, "line 1 was `FROM golang`"),
    ],
)
def test_a_changed_line_is_named_with_what_it_was(folder, old, new, first, says):
    built(folder, TEXT, 1)
    built(folder, TEXT.replace(old, new), first)
    assert why(folder).reasons[0].why == says


def test_an_argument_before_a_step_is_named_at_its_line(folder):
    text = TEXT.replace("WORKDIR /app\n", "ENV MODE=fast\nWORKDIR /app\n")
    built(folder, text, 1)
    built(folder, text.replace("fast", "slow"), 3)
    assert why(folder).reasons[0].why == "line 2, `ENV MODE=slow`, was `ENV MODE=fast`"


def test_another_base_another_argument_and_nothing_at_all(folder):
    built(folder, TEXT, 1)
    built(folder, TEXT, 2, base="two")
    assert why(folder).reasons[0].why == "golang is another image than it was"
    text = TEXT.replace("RUN go build", "ARG TOKEN\nRUN go build")
    built(folder, text, 7, base="two")
    built(folder, text, 7, base="two", args={"TOKEN": "hunter2"})
    assert why(folder).reasons[0].why == "the build argument TOKEN has another value"
    kept = b"".join(path.read_bytes() for path in journal.path("given").glob("*.json.zst"))
    assert b"hunter2" not in reasons.zstandard.decompress(kept)
    built(folder, text, 7, base="two", args={"TOKEN": "hunter2"})
    assert "was not in the cache" in why(folder).reasons[0].why


FROM_A_STAGE = "FROM golang AS a\nENV A=1\nRUN one\nFROM a\nRUN two\n"
OF_A_STAGE = "FROM golang AS a\nRUN one\nRUN two\nFROM scratch\nCOPY --from=a /x /x\n"


@pytest.mark.parametrize(
    ("text", "new", "first", "says"),
    [
        (FROM_A_STAGE, ("A=1", "A=2"), 5, "line 2, `ENV A=2`, was `ENV A=1`"),
        (FROM_A_STAGE, ("golang AS", "golang:2 AS"), 5, "line 1 was `FROM golang`"),
        (OF_A_STAGE, ("RUN two\n", ""), 4, "`RUN two` in a is gone"),
        (OF_A_STAGE, ("RUN one", "RUN 1"), 5, "line 2, `RUN 1`, was `RUN one`"),
        (OF_A_STAGE, ("golang AS", "--platform=linux/arm64 golang AS"), 2,
         "line 1 was `FROM golang`"),
    ],
)  # fmt: skip
def test_what_changed_is_found_in_the_stages_that_a_stage_uses(folder, text, new, first, says):
    built(folder, text, 1)
    built(folder, text.replace(*new), first)
    assert [one.why for one in why(folder).reasons] == [says]


def test_the_base_of_a_stage_that_is_copied_from_is_named(folder):
    text = "FROM golang AS go\nFROM scratch\nCOPY --from=go /x /x\n"
    built(folder, text, 1)
    built(folder, text, 3, base="two")
    assert why(folder).reasons[0].why == "golang is another image than it was"


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("ARG V=1\nFROM golang:$V\nRUN x\n", True),
        ("ARG V=1\nARG W=${V}\nFROM golang\nARG W\nRUN x\n", True),
        ("FROM golang AS a\nARG V\nENV W=$V\nFROM a\nRUN x\n", True),
        ("ARG V=1\nFROM golang\nRUN x\n", False),
        ("FROM golang\nRUN x\nARG V\nRUN y\n", False),
        ("FROM golang\nRUN x\nFROM golang\nARG V\nRUN y\n", False),
    ],
)
def test_an_argument_is_blamed_only_where_the_step_can_see_it(folder, text, is_it):
    line = next(n for n, one in enumerate(text.splitlines(), 1) if one == "RUN x")
    built(folder, text, 1)
    built(folder, text, line, args={"V": "2"})
    found = why(folder).reasons[0]
    assert (found.line, found.why == "the build argument V has another value") == (line, is_it)
    built(folder, text, 1)
    built(folder, text.replace("ARG V=1", "ARG V=2"), line)
    assert ("`ARG V=2`, was `ARG V=1`" in why(folder).reasons[0].why) is (is_it and "V=1" in text)


def test_another_platform_is_named_where_the_stage_is_for_the_target(folder):
    built(folder, TEXT, 1)
    built(folder, TEXT, 2, platform="linux/arm64")
    assert why(folder).reasons[0].why == "it was for the engine's own platform before"
    text = TEXT.replace("FROM golang", "FROM --platform=$BUILDPLATFORM golang")
    for one in (text, text.replace("RUN go build", "ARG TARGETARCH\nRUN go build")):
        built(folder, one, 1)
        built(folder, one, 6, platform="linux/arm64")
        assert ("was for" in why(folder).reasons[0].why) is ("TARGETARCH" in one)


def test_a_build_without_the_cache_says_only_that(folder):
    built(folder, TEXT, 1)
    (folder / "main.go").write_text("another")
    built(folder, TEXT, 1, no_cache=True)
    assert why(folder).reasons[0].why == "the build was told to use no cache"


def test_all_cached_is_a_sentence_and_a_first_build_has_nothing_to_compare_with(folder):
    built(folder, TEXT, 1)
    assert "no earlier build" in why(folder).sentences()[1] and not why(folder).by_line()
    built(folder, TEXT, 99)
    assert why(folder).sentences() == ["all 6 steps came from the cache"]
    built(folder, "FROM golang\nENV A=1\n", 1)
    assert why(folder).sentences() == ["it has no steps that the cache could have"]


def test_a_context_that_is_too_large_is_not_guessed(folder, monkeypatch):
    monkeypatch.setattr(reasons, "MOST_FILES", 1)
    built(folder, TEXT, 1)
    built(folder, TEXT, 5)
    assert "too large to be compared" in why(folder).reasons[0].why


def test_a_context_that_cannot_be_read_is_not_called_too_large(folder, monkeypatch):
    built(folder, TEXT, 1)
    with monkeypatch.context() as patched:
        patched.setattr(reasons.Sources, "context", refuse)
        built(folder, TEXT, 5)
    said = "perhaps its files changed: not all of the context could be read"
    assert [one.why for one in why(folder).reasons] == [said]


def refuse(_):
    raise ContextError("1 paths are not readable")


@pytest.mark.parametrize("damage", [b"", b"no zstd", "cut", "other"])
def test_what_is_damaged_is_as_if_nothing_were_kept(folder, damage):
    built(folder, TEXT, 1)
    [file] = journal.path("given").glob("*.json.zst")
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()
    other = reasons.zstandard.compress(b'{"now": {}}')
    file.write_bytes({"cut": whole[:-9], "other": other}.get(damage, damage))
    with pytest.raises(UsageError, match="no build of app was kept"):
        why(folder)
    built(folder, TEXT, 1)
    assert why(folder).first


STEP = {"line": 3, "instruction": "RUN x", "cached": False, "seconds": 1.0, "digest": "3",
        "inputs": [], "own": True}  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept.pop("steps"),
        lambda kept: kept.pop("before"),
        lambda kept: kept.update(steps=[{}]),
        lambda kept: kept.update(steps={"3": STEP}),
        lambda kept: kept.update(steps=[STEP | {"line": -5}]),
        lambda kept: kept.update(steps=[STEP | {"inputs": None}]),
        lambda kept: kept.update(steps=[STEP | {"seconds": float("inf")}]),
        lambda kept: kept.update(before={"text": TEXT}),
        lambda kept: kept.update(before="FROM scratch"),
        lambda kept: kept["now"].update(text=3),
        lambda kept: kept["now"].update(text="NOT A DOCKERFILE"),
        lambda kept: kept["before"].update(text="FROM"),
        lambda kept: kept["now"].update(files={"a": 1}),
        lambda kept: kept["now"].update(bases=[]),
        lambda kept: "[" * 100_000,
    ],
)
def test_what_was_kept_otherwise_is_as_if_nothing_were_kept(folder, damage):
    built(folder, TEXT, 1)
    built(folder, TEXT, 1)
    [file] = journal.path("given").glob("*.json.zst")
    kept = json.loads(reasons.zstandard.decompress(file.read_bytes()))
    assert kept["before"] and not why(folder).first
    text = damage(kept)
    text = text if isinstance(text, str) and text[0] == "[" else json.dumps(kept)
    file.write_bytes(reasons.zstandard.compress(text.encode()))
    with pytest.raises(UsageError, match="no build of app was kept"):
        why(folder)
    built(folder, TEXT, 1)
    assert why(folder).first


def test_a_lab_that_cannot_write_builds_all_the_same(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reasons.files, "write", full)
    built(folder, TEXT, 1)
    with pytest.raises(UsageError):
        why(folder)


def test_the_command_says_it_without_an_engine_and_without_secrets(folder, capsys, monkeypatch):
    token = "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB"
    crossing = f"RUN echo {'x' * 35} && deploy {token}"  # the sentence is cut inside the token
    text = TEXT.replace("WORKDIR /app", f"ENV TOKEN={token}\n{crossing}\nWORKDIR /app")
    monkeypatch.setattr(reasons, "place_of", lambda folder, file, tag: "here")
    place = reasons.place_of(folder, "Dockerfile", "tag")
    (folder / "Dockerfile").write_text(TEXT)
    assert commands.main(["why", str(folder)]) == 1
    assert "no build" in capsys.readouterr().err
    for one, first in ((text, 1), (text.replace("deploy", "delete"), 3)):
        (folder / "Dockerfile").write_text(one)
        sources = read_sources(folder, dockerfile="Dockerfile")
        given = reasons.inputs_of(None, one, sources, (), {})
        reasons.keep(place, given, steps(one, first))
    assert commands.main(["why", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "it was `RUN echo xxx" in said and token[:4] not in said
    assert commands.main(["why", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ran"] == 7 and said["reasons"][0]["instruction"].endswith("delete …")
    assert token[:4] not in str(said)
    margin = reasons.why(place, "app", mask).by_line()
    assert margin and token[:4] not in str(margin)
