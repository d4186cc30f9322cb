"""`./lab check` as people and machines call it: exit codes, output, JSON, SARIF, skipping."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import checking
import jsonschema
import pytest
import yaml
from command import lab

from shiplight.checks import checklist, to_sarif
from shiplight.cli import commands
from shiplight.setup import ROOT

SINGLE = "apps/go/Dockerfile.single"
RIGHT = 'FROM alpine:3.22\nUSER 10001\nCMD ["/app"]\n'


def words(done) -> str:
    return " ".join(done.stdout.split())


def test_what_failed_is_exit_code_1_and_comes_first():
    done = lab("check", SINGLE)
    assert done.returncode == 1 and not done.stderr
    assert "text only: nothing was built or run" in words(done)
    assert done.stdout.index("✗ only-needed") < done.stdout.index("✓ secrets")
    assert "line 2 FROM golang:1.23 · the Go toolchain and gcc" in words(done)
    assert re.search(r"\d+ failed · \d+ could not be seen · \d+ passed", done.stdout)


def test_a_variant_is_its_dockerfile_and_a_path_that_is_there_is_itself(tmp_path, monkeypatch):
    assert lab("check", "go/single").stdout == lab("check", SINGLE).stdout
    assert "node has no variant 'nosuch'" in lab("check", "node/nosuch").stderr
    (tmp_path / "go" / "single").mkdir(parents=True)
    checking.write(tmp_path / "go" / "single", RIGHT)
    monkeypatch.chdir(tmp_path)
    assert commands.main(["check", "go/single"]) == 0


def test_nothing_failed_is_exit_code_0(tmp_path):
    checking.write(tmp_path, RIGHT)
    assert lab("check", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("path", ["no/such/place", "docs", "docs/01-go.png"])
def test_what_cannot_be_read_is_exit_code_2_and_a_sentence(path):
    done = lab("check", path)
    assert done.returncode == 2 and not done.stdout
    assert re.match(r"lab: ", done.stderr)
    assert "Traceback" not in done.stderr


ODD_BASELINES = {
    "a number in words": '{"findings": {"Dockerfile": {"x": "many"}}}',
    "no number": '{"findings": {"Dockerfile": {"x": null}}}',
    "too large a number": '{"findings": {"Dockerfile": {"x": 1e999}}}',
    "a list of findings": '{"findings": {"Dockerfile": [1, 2]}}',
    "a word for findings": '{"findings": {"Dockerfile": "str"}}',
    "another object": "{}",
    "options that are none": '{"findings": {}, "options": 1}',
    "options that are no words": '{"findings": {}, "options": [1, {"a": 2}]}',
    "a word for options": '{"findings": {}, "options": "--skip user"}',
    "deeper than a parser goes": "[" * 200_000,
    "bytes that are no text": "\udcff",
}


@pytest.mark.parametrize("text", ODD_BASELINES.values(), ids=ODD_BASELINES)
def test_a_baseline_that_is_none_is_exit_code_2_and_stays(tmp_path, text):
    checking.write(tmp_path, RIGHT)
    (tmp_path / "known.json").write_text(text, errors="surrogateescape")
    done = lab("check", str(tmp_path), "--baseline", str(tmp_path / "known.json"))
    assert done.returncode == 2 and "is not a baseline" in done.stderr and not done.stdout
    assert (tmp_path / "known.json").read_text(errors="surrogateescape") == text


@pytest.mark.parametrize("name", [".", "a/b", "pipe", "Dockerfile/a"])
def test_a_baseline_that_cannot_be_read_or_written_is_exit_code_2(tmp_path, name):
    checking.write(tmp_path, RIGHT)
    os.mkfifo(tmp_path / "pipe")
    done = lab("check", str(tmp_path), "--baseline", str(tmp_path / name))
    assert done.returncode == 2 and done.stderr.startswith("lab: "), done.stderr


def test_a_closed_standard_input_is_exit_code_2_and_a_sentence():
    command = f"{sys.executable} -m shiplight check - <&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "standard input is closed" in done.stderr


def test_a_fault_of_ours_is_exit_code_2_and_its_traceback_has_no_secret(
    tmp_path, monkeypatch, capsys
):
    def fails(*_, **__):
        raise RuntimeError("PASSWORD=hunter2secret")

    checking.write(tmp_path, RIGHT)
    monkeypatch.setattr(checklist, "run", fails)
    assert commands.main(["check", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "RuntimeError" in said and "hunter2secret" not in said


MESSY = "FROM alpine:3.22\nRUN apk add git\nUSER 10001\n"  # a note fails, no warning


def folder_of(tmp_path, **texts: str) -> Path:
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        checking.write(tmp_path / name, text)
    return tmp_path


def test_a_folder_is_walked_and_several_dockerfiles_are_summed_up(tmp_path):
    folder = folder_of(tmp_path, a=RIGHT, b="FROM alpine\n", node_modules="FROM x\n")
    (folder / "a" / "web.Dockerfile").write_text(RIGHT)
    (folder / "a" / "Dockerfile.md").write_text("no Dockerfile\n")
    done = lab("check", str(folder), str(folder / "a"))
    assert done.returncode == 1 and not done.stderr
    assert "3 Dockerfiles · 1 with something that failed" in words(done)
    assert "user, pinned-bases" in words(done) and "node_modules" not in done.stdout
    found = json.loads(lab("check", str(folder), "--format", "json").stdout)
    files = [Path(each["file"]).parent.name for each in found if each["id"] == "user"]
    assert files == ["a", "a", "b"] and len(found) == 3 * len(checklist.CHECKS)
    (folder / "b" / "Dockerfile").unlink()
    (folder / "a" / "web.Dockerfile").unlink()
    assert [*json.loads(lab("check", str(folder), "--json").stdout)[0]] == [*found[0]]


def test_one_that_cannot_be_read_leaves_the_others_checked(tmp_path):
    folder = folder_of(tmp_path, a=RIGHT, b="RUN x\n")
    done = lab("check", str(folder / "a"), str(folder / "b"))
    assert (
        done.returncode == 2 and done.stderr.startswith("lab: ") and "a/Dockerfile" in done.stdout
    )


def test_an_error_names_its_file_where_there_are_several(tmp_path):
    folder = folder_of(tmp_path, a="FROM alpine\nRUNN x\n", b="RUN x\n", c=RIGHT)
    said = lab("check", str(folder), str(folder / "nowhere")).stderr.splitlines()
    named = [line for line in said if line.startswith("lab: ")]
    assert [line.count(str(folder / name)) for line, name in zip(named, "ab", strict=False)] == [
        1,
        1,
    ]
    assert len(named) == 3 and named[2].count("nowhere") == 1
    assert "lab: Dockerfile, line 2" in lab("check", str(folder / "a")).stderr


def test_one_dockerfile_of_several_is_one_dockerfile(tmp_path):
    folder = folder_of(tmp_path, a=RIGHT, b="RUN x\n")
    assert "1 Dockerfile · 0 with" in words(lab("check", str(folder)))


def test_standard_input_is_checked_without_a_context():
    done = lab("check", "-", input="FROM python:3.13-slim\nWORKDIR /a\nCOPY . .\nUSER 5\n")
    assert done.returncode == 0 and "context of this Dockerfile is not available" in words(done)
    assert lab("check", "-", "--build", input=RIGHT).returncode == 2


def test_standard_input_is_not_judged_by_the_files_that_are_here(tmp_path):
    (tmp_path / "Makefile").write_text("scan:\n\ttrivy image app\n")
    command = [sys.executable, "-m", "shiplight", "check", "-", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    call = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    found = json.loads(subprocess.run(command, input=RIGHT, **call).stdout)
    assert {each["id"]: each["result"] for each in found}["scanned"] == "could not be seen"


def test_the_lowest_severity_that_is_asked_for_decides_the_exit_code(tmp_path):
    checking.write(tmp_path, MESSY + "COPY --from=alpine:3.22 /x /x\n")
    codes = {
        level: lab("check", str(tmp_path), "--skip", "reclaimable", "--fail-on", level).returncode
        for level in checklist.LEVELS
    }
    assert codes == {"error": 0, "warning": 0, "note": 1}


def test_a_baseline_knows_what_failed_and_may_only_become_smaller(tmp_path):
    file, known = checking.write(tmp_path, "FROM alpine\n"), tmp_path / "known.json"
    call = ("check", str(tmp_path), "--baseline", str(known))
    first = lab(*call)
    assert first.returncode == 1 and "is written" in first.stderr, "a lost baseline hides nothing"
    assert lab(*call).returncode == 0 and "known" in words(lab(*call))
    file.write_text("# moved\nFROM alpine\nRUN true\n")
    again = lab(*call)
    assert again.returncode == 0 and not again.stderr
    file.write_text("FROM alpine\nCOPY .env /\n")
    assert lab(*call).returncode == 1
    file.write_text("FROM alpine\nUSER 5\n")
    assert "rewritten" in lab(*call).stderr
    file.write_text("FROM alpine\n")
    assert lab(*call).returncode == 1, "what was gone is not known any longer"
    known.write_text("{}")
    assert lab(*call).returncode == 2


NARROWED = "FROM alpine AS a\nRUN true\nFROM alpine:3.22\nARG WHO=root\nUSER $WHO\nCOPY .env /\n"


@pytest.mark.parametrize(
    "options",
    ["--skip user", "--target a", "--build-arg WHO=5", "--context ."],
    ids=lambda options: options.split()[0],
)
def test_a_run_that_sees_less_takes_nothing_out_of_a_baseline(tmp_path, options):
    file, known = checking.write(tmp_path, NARROWED), tmp_path / "known.json"
    call = ("check", str(tmp_path), "--baseline", str(known))
    lab(*call)
    written = known.read_text()
    lab(*call, *options.split())
    assert known.read_text() == written and lab(*call).returncode == 0
    file.write_text("FROM alpine:3.22\nUSER 5\n")
    assert "stays as it is" in lab(*call, *options.replace(" a", " 0").split()).stderr
    assert "rewritten" in lab(*call).stderr


def test_a_baseline_names_files_from_its_own_folder(tmp_path):
    folder = folder_of(tmp_path, a="FROM alpine\n", ci="FROM alpine\n")
    known = folder / "ci" / "known.json"
    lab("check", str(folder / "a"), "--baseline", str(known))
    assert list(json.loads(known.read_text())["findings"]) == ["../a/Dockerfile"]
    command = [sys.executable, "-m", "shiplight", "check", "."]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--baseline", "../ci/known.json"], cwd=folder / "a", env=environment
    )
    assert done.returncode == 0


def test_sarif_says_whether_a_comment_or_a_baseline_accepts(tmp_path):
    text = "FROM alpine:3.22\n# shiplight: accept workdir because I may\nWORKDIR a\nUSER root\n"
    checking.write(tmp_path, text)
    call = ("check", str(tmp_path), "--baseline", str(tmp_path / "known.json"), "--sarif")
    lab(*call)
    log = json.loads(lab(*call).stdout)
    jsonschema.validate(log, SCHEMA)
    kinds = {
        each["ruleId"]: [one["kind"] for one in each["suppressions"]]
        for each in log["runs"][0]["results"]
    }
    assert kinds == {"workdir": ["inSource"], "user": ["external"]}


def test_a_baseline_becomes_smaller_with_the_options_that_it_was_written_with(tmp_path):
    file, known = checking.write(tmp_path, NARROWED), tmp_path / "known.json"
    call = ("check", str(tmp_path), "--baseline", str(known), "--skip", "signals,user")
    lab(*call)
    file.write_text(NARROWED.replace("COPY .env /", ""))
    again = lab(*call[:-1], "user", "--skip", "signals")
    assert "rewritten" in again.stderr and "root" not in known.read_text()
    lab(*call[:-2], "--build-arg", "A=hunter2")
    assert "hunter2" not in known.read_text()


def test_annotations_name_file_line_and_level(tmp_path):
    checking.write(tmp_path, MESSY.replace("USER 10001", "COPY .env /\nUSER 0"))
    done = lab("check", str(tmp_path), "--format", "github")
    lines = done.stdout.splitlines()
    assert all(
        re.match(r"::(error|warning|notice) file=\S+,line=\d+,endLine=\d+,title=[\w-]+::", x)
        for x in lines
    )
    assert [x for x in lines if x.startswith("::error") and "title=secrets" in x and "line=3" in x]
    assert [x for x in lines if x.startswith("::notice") and "title=apk-cache" in x]


def test_a_context_is_named_on_the_command_line(tmp_path):
    checking.write(tmp_path, "FROM python:3.13-slim\nWORKDIR /a\nCOPY . .\nUSER 5\n")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / ".dockerignore").write_text(".git")
    found = json.loads(
        lab("check", str(tmp_path), "--context", str(tmp_path / "web"), "--json").stdout
    )
    assert {each["id"]: each["result"] for each in found}["dockerignore"] == "passed"


def _processor_seconds() -> float:
    """Seconds of all programs that were called from here, whatever else the machine does."""
    return os.times().children_user + os.times().children_system


def test_it_answers_within_a_second_and_loads_nothing_heavy():
    times = []
    for _ in range(3):
        begun = _processor_seconds()
        lab("check", SINGLE)
        times.append(_processor_seconds() - begun)
    assert min(times) < 1, times
    code = "from shiplight import cli; import sys; cli.main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, "check", SINGLE]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert "shiplight.checks.questions.running" in loaded
    assert not {"docker", "requests", "pandas", "plotly", "IPython"} & set(loaded)


def test_json_is_a_list_with_the_documented_fields():
    done = lab("check", SINGLE, "--json")
    found = json.loads(done.stdout)
    documented = (ROOT / "docs" / "json.md").read_text().partition("## `./lab check")[2]
    for each in found:
        assert {"id", "result", "evidence", "where", "advice"} <= set(each)
        assert all(f"`{field}`" in documented for field in each)
        assert all(f"`{field}`" in documented for place in each["where"] for field in place)
    assert [each["id"] for each in found] == list(checklist.IDS)
    assert all(f"`{name}`" in documented for name in checklist.IDS)
    compiler = next(each for each in found if each["id"] == "only-needed")
    assert compiler["result"] == "failed" and compiler["where"][0]["file"] == SINGLE
    assert compiler["where"][0]["line"] == 2


def test_skipped_checks_are_left_out_and_do_not_count(tmp_path):
    checking.write(tmp_path, RIGHT.replace("10001", "root"))
    assert lab("check", str(tmp_path)).returncode == 1
    done = lab("check", str(tmp_path), "--skip", "user,signals", "--skip", "scanned", "--json")
    assert done.returncode == 0
    assert {each["id"] for each in json.loads(done.stdout)} == set(checklist.IDS) - {
        *("user", "signals", "scanned")
    }


def test_a_check_to_skip_that_there_is_not_is_told(tmp_path):
    checking.write(tmp_path, RIGHT)
    done = lab("check", str(tmp_path), "--skip", "usr")
    assert done.returncode == 2 and "did you mean user?" in done.stderr


def test_what_a_comment_accepts_does_not_count_and_shows_its_reason(tmp_path):
    text = "# shiplight: accept user because it binds port 80\n" + RIGHT.replace("10001", "root")
    checking.write(tmp_path, text)
    done = lab("check", str(tmp_path))
    assert done.returncode == 0 and "accepted: it binds port 80" in words(done)
    found = json.loads(lab("check", str(tmp_path), "--json").stdout)
    user = next(each for each in found if each["id"] == "user")
    assert (user["result"], user["accepted"]) == ("failed", "it binds port 80")


def test_a_comment_with_an_unknown_id_is_told_beside_the_results(tmp_path):
    checking.write(tmp_path, "# shiplight: accept uzer because no\n" + RIGHT)
    done = lab("check", str(tmp_path), "--json")
    assert "did you mean user?" in done.stderr and json.loads(done.stdout)


def test_target_and_build_arguments_are_passed_on(tmp_path):
    text = 'ARG BASE\nFROM ${BASE} AS a\nUSER 5\nCMD ["x"]\nFROM a AS b\nUSER root\n'
    checking.write(tmp_path, text)
    more = ("--target", "a", "--build-arg", "BASE=alpine:3.22")
    assert lab("check", str(tmp_path), *more).returncode == 0
    assert "stage b on ${BASE}" in words(lab("check", str(tmp_path)))
    assert lab("check", str(tmp_path), "--target", "c").returncode == 2
    assert lab("check", str(tmp_path), "--build-arg", "BASE").returncode == 2


def test_markup_in_a_dockerfile_is_no_markup_of_ours(tmp_path):
    checking.write(tmp_path, "FROM alpine:3.22\nRUN [bold]x[/] && apk update && apk add [red]\n")
    done = lab("check", str(tmp_path))
    assert done.returncode == 1 and "[bold]x[/]" in done.stdout


# --- SARIF --------------------------------------------------------------------------------------

# Of the SARIF 2.1.0 schema, what concerns the parts that are used.
REGION = {
    "type": "object",
    "properties": {f"{side}Line": {"type": "integer", "minimum": 1} for side in ("start", "end")},
    "required": ["startLine"],
}
MESSAGE = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": MESSAGE,
                                                "help": MESSAGE,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {"level": LEVEL},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"enum": list(checklist.IDS)},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "kind": {"const": "fail"},
                                "level": LEVEL,
                                "message": MESSAGE,
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "pattern": r"^[\w./~%+-]+$",
                                                            }
                                                        },
                                                    },
                                                    "region": REGION,
                                                },
                                            }
                                        },
                                    },
                                },
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                                "suppressions": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["kind"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "kind": {"enum": ["inSource", "external"]},
                                            "status": {
                                                "enum": ["accepted", "underReview", "rejected"]
                                            },
                                            "justification": {"type": "string"},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def sarif(tmp_path: Path, text: str) -> dict:
    return to_sarif(checking.check(tmp_path, text))


@pytest.mark.parametrize("text", [RIGHT, "FROM node\nCOPY .env /\nCMD npm start\n"])
def test_sarif_fits_the_schema_and_each_rule_is_where_it_says(tmp_path, text):
    folder = tmp_path / "a b"
    folder.mkdir()
    log = sarif(folder, text)
    jsonschema.validate(log, SCHEMA)
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    for each in log["runs"][0]["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]


def test_sarif_names_line_and_level_and_suppresses_what_is_accepted(tmp_path):
    text = "FROM alpine:3.22\n# shiplight: accept user because I may\nUSER root\nCOPY .env /\n"
    results = {each["ruleId"]: each for each in sarif(tmp_path, text)["runs"][0]["results"]}
    assert results["user"]["suppressions"][0]["justification"] == "I may"
    assert "suppressions" not in results["secrets"] and results["secrets"]["level"] == "error"
    place = results["secrets"]["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 4, "endLine": 4}


def test_sarif_is_printed_with_the_exit_code_of_the_checks():
    done = lab("check", SINGLE, "--sarif")
    assert done.returncode == 1
    uri = json.loads(done.stdout)["runs"][0]["results"][0]["locations"][0]
    assert uri["physicalLocation"]["artifactLocation"]["uri"] == SINGLE


def test_a_strangers_dockerfile_gives_no_orders_to_the_terminal(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\n\x1b]0;owned\x07\x1b[2JBAD foo\n")
    done = lab("check", str(tmp_path))
    assert done.returncode == 2 and "BAD" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr and "\x07" not in done.stdout + done.stderr


@pytest.mark.parametrize("sarif", ["", "found.sarif"])
def test_the_action_checks_once_and_fails_as_the_check_does(tmp_path, sarif):
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    checks = [step for step in action["runs"]["steps"] if "shiplight check" in step.get("run", "")]
    assert len(checks) == 1
    program = tmp_path / "shiplight"
    program.write_text('#!/bin/sh\necho "$@" >> calls\nexit 2\n')
    program.chmod(0o755)
    given = {"PATHS": "a b", "FAIL_ON": "note", "SARIF": sarif}
    environment = os.environ | given | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    call = ["bash", "-e", "-c", checks[0]["run"]]
    assert subprocess.run(call, cwd=tmp_path, env=environment).returncode == 2
    how = "sarif" if sarif else "github"
    assert (tmp_path / "calls").read_text() == f"check a b --format {how} --fail-on note\n"


def test_the_hook_runs_the_command_on_dockerfiles_and_on_no_ignore_file_of_one(tmp_path):
    """pre-commit takes `Dockerfile.dockerignore` for a Dockerfile, by its first part."""
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["types"] == ["dockerfile"] and hook["language"] == "python"
    program, *words = hook["entry"].split()
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    names = ("Dockerfile", "Dockerfile.prod", "Dockerfile.dockerignore", "Dockerfile.j2")
    for name in names:
        (tmp_path / name).write_text("FROM alpine:3.22\nCOPY a /\nUSER 7\n")
    given = [str(tmp_path / name) for name in names if not re.search(hook["exclude"], name)]
    assert [os.path.basename(path) for path in given] == ["Dockerfile", "Dockerfile.prod"]
    done = lab(*words, *given)
    assert done.returncode == 0 and "2 Dockerfiles" in done.stdout
