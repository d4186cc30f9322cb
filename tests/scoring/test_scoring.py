"""A Dockerfile is built, looked at and scored; here without an engine."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import results
from factories import directory, file

from shiplight.buildkit import Step
from shiplight.engine import journal
from shiplight.errors import BuildFailed, ContextError, UsageError
from shiplight.inspection import Found, Probe, Traces
from shiplight.scoring import Limits, Score, points_of, scoring
from shiplight.setting import Setting

TEXT = """FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod ./
RUN go mod download
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build go build -o /server .
FROM scratch
COPY --from=builder /server /server
USER 65532
ENTRYPOINT ["/server"]
"""
SETTING = Setting("Docker 1", "overlay2", "linux/amd64", "official", "2026-11-30T00:00:00+00:00")
SECRET = "made-up-secret"
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"


def step(instruction: str, line: int, *, cached: bool, log: tuple = (), stage="builder") -> Step:
    return Step(
        f"[{stage} 1/1] {instruction}", stage, instruction, 0.0, 1.0, cached, "", log, "", (), line
    )


def steps(*, download: bool, build_log: tuple = ()) -> list[Step]:
    """The steps of a build of TEXT; whether `go mod download` came from the cache."""
    return [
        step("RUN go mod download", 4, cached=download),
        step("COPY . .", 5, cached=False),
        step("RUN go build -o /server .", 6, cached=False, log=build_log),
    ]


def test_the_first_step_of_a_stage_that_installs_decides():
    assert scoring.installed_again(TEXT, steps(download=True)) == ()
    assert scoring.installed_again(TEXT, steps(download=False)) == ("RUN go mod download",)


def test_a_cache_mount_keeps_dependencies_unless_the_step_downloaded_some():
    own = "go: downloading github.com/go-chi/chi/v5 v5.1.0"
    alone = steps(download=True)[1:]
    assert scoring.installed_again(TEXT, alone) == ()
    loud = steps(download=True, build_log=(own,))[1:]
    assert scoring.installed_again(TEXT, loud) == ("RUN go build -o /server .",)
    bare = TEXT.replace("--mount=type=cache,target=/root/.cache/go-build ", "")
    assert scoring.installed_again(bare, alone) == ("RUN go build -o /server .",)


@pytest.mark.parametrize(
    "command",
    [
        "npm ci", "npm install", "pip install -r r.txt", "pip3 wheel .", "uv sync", "yarn install",
        "/tools/bin/pip --python /venv/bin/python install x", "cargo build --release",
    ],
)  # fmt: skip
def test_what_installs_is_known_in_four_languages(command):
    text = f"FROM x AS builder\nRUN {command}\n"
    ran = [step(f"RUN {command}", 2, cached=False)]
    assert scoring.installed_again(text, ran) == (f"RUN {command}",)


def test_a_cache_mount_is_not_enough_for_what_only_installs():
    text = "FROM x AS builder\nRUN --mount=type=cache,target=/root/.npm npm ci\n"
    assert scoring.installed_again(text, [step("RUN npm ci", 2, cached=False)]) == ("RUN npm ci",)


@pytest.mark.parametrize("command", ["npm run build", "python -m venv /v", "cp pip.conf /etc/"])
def test_what_installs_nothing_may_run_again(command):
    ran = [step(f"RUN {command}", 2, cached=False)]
    assert scoring.installed_again(f"FROM x AS builder\nRUN {command}\n", ran) == ()


class Engine:
    """Stands for all that asks an engine; `fail` names the build that fails."""

    def __init__(self, monkeypatch, folder):
        self.folder, self.fail, self.given, self.edited = folder, "", [], ""
        self.image = replace(
            results.image([directory("app"), file("server", b"x" * 1000)]),
            config={"User": "65532", "Entrypoint": ["/server"]},
        )
        self.traces = ()
        self.steps_of = lambda name: steps(download=name.endswith("edited"))
        self.probe = Probe(
            "x", True, 0.1, {"user_id": 65532, "ca_certificates": 3}, "65532", False, 0, 0.1, ()
        )
        for name, stand_in in {
            "build": self.build,
            "measure": lambda client, made: self.image,
            "probe": lambda client, made, port, briefly: self.probe,
            "search": lambda client, made, word: Traces("x", 1, self.traces),
            "with_image": lambda client, subject, made: subject,
            "engine": SimpleNamespace(
                remove_image=lambda client, tag: True, setting=lambda client, bases: SETTING
            ),
        }.items():
            monkeypatch.setattr(scoring, name, stand_in)

    def build(self, client, folder, *, text, file, name, screen, **given):
        self.given.append(given)
        if name.endswith("edited"):
            self.edited = (folder / "main.go").read_text()
        if self.fail and name.endswith(self.fail):
            raise BuildFailed(f"step 1 exited with 1\n  {SECRET}")
        ran = self.steps_of(name)
        return SimpleNamespace(
            tag="t", seconds=1.0, setting=SETTING, own_steps=lambda: ran,
            ran=lambda: [one.instruction for one in ran if not one.cached],
        )  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path / "lab")
    app = tmp_path / "app"
    app.mkdir()
    (app / "Dockerfile").write_text(TEXT)
    (app / "main.go").write_text("package main\n")
    (app / "go.mod").write_text("module x\n")
    return Engine(monkeypatch, app)


LIMITS = Limits(at_most=20_000, port=8080, keeps=("ca_certificates",), edit="main.go")


def scored(made, **more) -> Score:
    return scoring.score(None, made.folder, **{"limits": LIMITS, "token": SECRET} | more)


def test_a_folder_is_scored_and_its_source_is_left_as_it_was(made):
    found = scored(made)
    assert found["edit"].passed and "2 of 3 steps ran again" in found["edit"].measured
    assert made.edited.startswith("package main\n\n// ") and len(made.edited) > 30
    assert (made.folder / "main.go").read_text() == "package main\n"
    assert found.points + 3 * found["findings"].measured.count(",") >= 80 and found.most == 100


def test_the_build_gets_the_token_in_both_ways_and_no_folder_keeps_it(made):
    scored(made)
    assert [one["build_args"] for one in made.given] == [{"TOKEN": SECRET}] * 2
    assert all(list(one["secrets"]) == ["token"] for one in made.given)
    kept = [path for path in journal.path().rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET in path.read_text(errors="replace")]


def test_without_a_token_nothing_is_given_and_nothing_is_asked_of_it(made):
    assert scored(made, token="")["secret"].points is None
    assert made.given[0] == {"build_args": None, "secrets": None}


def test_a_build_that_fails_has_no_points_and_does_not_repeat_the_secret(made):
    made.fail = "latest"
    found = scored(made)
    assert found.points == 0 and found.most == 100 and found.digest is None
    assert "step 1 exited with 1" in found["builds"].measured and SECRET not in repr(found)
    assert not found.passed and found.unpacked_bytes is None


def test_a_build_that_fails_after_the_edit_fails_that_criterion_alone(made):
    made.fail = "edited"
    found = scored(made)
    assert not found["edit"].passed and "no longer builds" in found["edit"].measured
    assert found["answers"].passed and SECRET not in repr(found)


def test_a_mount_that_was_emptied_meanwhile_is_filled_by_one_edit_and_found_by_the_next(made):
    text, log = TEXT.replace("RUN go mod download\n", ""), ("go: downloading example.com/x v1",)
    first = [step("RUN go build -o /server .", 5, cached=False, log=log)]
    ran = [first, first, [replace(first[0], log=())]]  # the first build, and two edits
    made.steps_of = lambda name: ran.pop(0)
    assert scored(made, text=text)["edit"].passed and not ran


def test_what_compiles_without_a_mount_is_not_edited_twice(made):
    text = TEXT.replace("--mount=type=cache,target=/root/.cache/go-build ", "")
    assert text != TEXT
    made.steps_of = lambda name: steps(download=False)[2:]
    assert not scored(made, text=text)["edit"].passed and len(made.given) == 2


def test_an_image_that_starts_nothing_does_not_answer(made):
    made.image = replace(made.image, config={"User": "65532"})
    found = scored(made)
    assert not found["answers"].passed and found.points == 10


def test_where_the_secret_was_found_is_said_without_it(made):
    made.traces = (Found("history", f"RUN |1 TOKEN={SECRET} make"), Found("file", "/root/.netrc"))
    found = scored(made)
    assert not found["secret"].passed and SECRET not in repr(found) + found._repr_html_()
    assert "history" in found["secret"].measured and "/root/.netrc" in found["secret"].measured


@pytest.mark.parametrize(
    ("what", "more", "error", "says"),
    [
        ("empty", {}, ContextError, "Dockerfile"),
        ("nowhere", {}, UsageError, "neither in the catalogue nor a folder"),
        (
            "app",
            {"limits": replace(LIMITS, edit="gone.go")},
            UsageError,
            r"no ordinary file gone\.go",
        ),
    ],
)
def test_what_cannot_be_scored_is_named(made, what, more, error, says):
    (made.folder.parent / "empty").mkdir()
    with pytest.raises(error, match=says):
        scoring.score(None, made.folder.parent / what, **{"limits": LIMITS} | more)
    assert made.given == [], "nothing was built"


@pytest.mark.parametrize("edit", ["main.go", "link.go", "../main.go", "linked/main.go", "."])
def test_only_an_ordinary_file_that_is_sent_is_edited(made, edit):
    outside = made.folder.parent / "outside"
    outside.mkdir()
    for path in (outside / "main.go", made.folder.parent / "main.go"):
        path.write_text("not ours\n")
    (made.folder / "link.go").symlink_to(outside / "main.go")
    (made.folder / "linked").symlink_to(outside)
    (made.folder / ".dockerignore").write_text("main.go\n")
    with pytest.raises(UsageError, match="sent no ordinary file"):
        scored(made, limits=replace(LIMITS, edit=edit))
    assert (outside / "main.go").read_text() == "not ours\n" and made.given == []


def test_a_source_file_that_is_read_only_is_edited_in_its_copy(made):
    (made.folder / "main.go").chmod(0o444)
    assert scored(made)["edit"].passed
    assert (made.folder / "main.go").stat().st_mode & 0o777 == 0o444


def test_a_comment_accepts_what_may_stay_and_nothing_else(made):
    text = f"# shiplight: accept supported-bases, user because of the course\n{TEXT}"
    text = text.replace("USER 65532\n", "")
    assert "user" not in scored(made, text=text)["findings"].measured
    strict = replace(LIMITS, may_stay=("supported-bases",))
    findings = scored(made, text=text, limits=strict)["findings"].measured
    assert "user" in findings and "supported-bases" not in findings


@pytest.mark.parametrize(
    ("stop_seconds", "said"), [(None, "exited with code 0"), (0.1, "still running")]
)
def test_a_program_that_ended_is_told_from_one_that_nobody_reaches(made, stop_seconds, said):
    made.probe = replace(made.probe, answered=False, exit_code=0, stop_seconds=stop_seconds)
    assert said in scored(made)["answers"].measured


def test_image_that_starts_no_program_is_not_said_to_be_running(made):
    made.image = replace(made.image, config={"User": "65532"})
    assert scored(made)["answers"].measured == "no response: the image has no ENTRYPOINT and no CMD"


def test_a_failed_check_is_named_with_its_lines_but_those_that_may_stay(made):
    text = TEXT.replace("RUN go mod", "RUN apt-get update && apt-get install -y git\nRUN go mod")
    text = text.replace("WORKDIR /app\n", "")
    measured = scored(made, text=text)["findings"].measured
    assert "cache-mounts (lines 3 and 4), " in measured
    assert "recommends (line 3), workdir (lines 2 and 5)" in measured
    accepted = "# shiplight: accept cache-mounts because it is quick\nRUN go mod"
    text = text.replace("RUN go mod", accepted)
    assert "cache-mounts (line 3), " in scored(made, text=text)["findings"].measured
    strict = replace(LIMITS, may_stay=("supported-bases",))
    measured = scored(made, text=text, limits=strict)["findings"].measured
    assert "cache-mounts (lines 3 and 5), " in measured


def test_an_instruction_that_ran_again_is_named_without_its_password(made):
    command = f"RUN pip install -i https://me:hunter2pass@host/simple x --token {SECRET}"
    made.steps_of = lambda name: [step(command, 2, cached=False)]
    found = scored(made, text=f"FROM x AS builder\n{command}\n")
    assert "installed again: RUN pip install" in found["edit"].measured
    assert not {"hunter2pass", SECRET} & set(re.split(r"[\s:@/]", found["edit"].measured))


def test_a_score_is_kept_and_read_back_without_the_secrets_of_its_dockerfile(made):
    found = scored(made, text=TEXT + "ENV API_TOKEN=s3cr3t-0123456789abcdef\n")
    again = Score.from_dict(found.to_dict())
    assert again.rows == found.rows and again.limits == found.limits
    assert "s3cr3t" in found.text and "s3cr3t" not in str(found.to_dict())


@pytest.mark.parametrize("end", ["", "NONSENSE x\n"], ids=["whole", "that cannot be parsed"])
def test_a_report_has_no_secret_of_any_line_of_its_dockerfile(made, tmp_path, end):
    text = "FROM x\nENV API_TOKEN s3cr3t-0123456789abcdef\nRUN curl -u \\\n  me:s3cr3t-pass h\n"
    found = replace(scored(made), text=text.replace("\\\n", "") + end if end else text)
    page = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "s3cr3t" not in page and "s3cr3t" not in str(found.to_dict()) and "RUN curl" in page


def hostile(found: Score) -> Score:
    """The score with a hostile text in every field that has one."""
    rows = tuple(replace(row, asked=HOSTILE, measured=HOSTILE) for row in found.rows)
    on = Setting(*[HOSTILE] * 4, "2026-11-30", HOSTILE)
    return replace(
        found, name=HOSTILE, tag=HOSTILE, digest=HOSTILE, rows=rows, text=HOSTILE, setting=on,
        limits=replace(LIMITS, source=HOSTILE),
    )  # fmt: skip


def test_what_comes_from_outside_is_escaped_wherever_it_is_shown(made, tmp_path):
    found = hostile(scored(made))
    written = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    for shown in (written, found._repr_html_()):
        assert "<script" not in shown and "&lt;script&gt;" in shown
        assert not {"\x1b", "\u202e"} & set(shown)
    assert not {"\x1b", "\u202e"} & set(repr(found))


def test_the_report_has_what_others_need_to_check_it_and_loads_nothing(made, tmp_path):
    found = scored(made, limits=replace(LIMITS, source="recorded 2026-11-30"))
    text = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    for said in (found.digest, "1.00 kB", "2026-11-30", "Docker 1", "ENTRYPOINT", found.total):
        assert said in text, said
    assert all(row.measured.split(",")[0] in text for row in found.rows)
    assert "color-scheme" in text and "default-src 'none'" in text
    assert "src=" not in text and "href=" not in text


def test_a_score_without_an_image_has_a_report_too(made, tmp_path):
    made.fail = "latest"
    text = scored(made).report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not built" in text and SECRET not in text


def test_the_chart_has_a_bar_for_each_criterion_of_each_score(made):
    one = scored(made)
    figure = points_of(one, replace(one, name="two"))
    assert len(figure.data[0].x) == 14 and one.total in results.title_of(figure)
