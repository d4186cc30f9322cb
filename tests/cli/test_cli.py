"""The command line: help, bad words, and what a newcomer's Python says."""

import json
import re
import subprocess
import sys

import pytest
from command import lab

from shiplight.cli import arguments, commands, lesson_commands
from shiplight.engine import private
from shiplight.errors import EngineNotReachable
from shiplight.lessons import notebooks
from shiplight.setup import ROOT

COMMANDS = ["up", "test", "doctor", "run", "build", "measure", "scan", "check", "bases", "engine"]
COMMANDS += ["record", "reset", "clean", "origins", "graph"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        arguments.parser().parse_args([command, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and f"./lab {command}" in said.partition("example")[2]


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        arguments.parser().parse_args(["--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"^\s+{command}\s", said, re.M) for command in COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["bogus"],
        ["up", "--port", "0"],
        ["up", "--port", "http"],
        ["engine"],
        ["measure"],
        ["test", "--live", "--unit"],
    ],
)
def test_wrong_words_end_with_2_and_a_usage_line(words, capsys):
    with pytest.raises(SystemExit) as end:
        arguments.parser().parse_args(words)
    assert end.value.code == 2 and "usage: ./lab" in capsys.readouterr().err


@pytest.mark.parametrize("do", ["start", "status"])
@pytest.mark.parametrize("option", ["--remove-data", "--remove-gone"])
def test_an_engines_data_is_removed_with_stop_alone(do, option, monkeypatch, capsys):
    for act in ("start", "stop", "remove_gone"):
        monkeypatch.setattr(private, act, None)  # what calls it fails
    assert commands.main(["engine", do, option]) == 1
    assert "goes with stop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        (["measure", "nosuch"], False),
        (["scan", "nosuch"], False),
        (["bases"], False),
        (["bases", "get"], True),
        (["build", "go/multi"], True),
        (["build", "go/nosuch"], None),
        (["check", "nosuch", "--build"], None),
    ],
)
@pytest.mark.parametrize("has_data", [False, True])
def test_an_engine_is_started_to_make_something_and_not_to_look_for_it(
    words, starts, has_data, monkeypatch
):
    """Where the private engine has data, what is looked for may be there."""
    asked = []

    def connect(*, may_start: bool):
        asked.append(may_start)
        raise EngineNotReachable("none here")

    monkeypatch.setattr(private, "connect_or_start", connect)
    monkeypatch.setattr(private, "has_data", lambda: has_data)
    assert commands.main(words) != 0
    assert asked == ([] if starts is None else [starts or has_data])


def test_help_needs_nothing_installed():
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "lab"), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "./lab up" in done.stdout


@pytest.fixture
def older(tmp_path):
    """Call it with programs by name: what `./lab doctor` says in a Python that is too old."""
    text = (ROOT / "lab").read_text().partition("\nimport os\n")[0]
    (tmp_path / "lab").write_text(text.replace("\nif sys.version_info < (3, 11)", "\nif True"))

    def run(**programs: str) -> subprocess.CompletedProcess:
        for name, lines in programs.items():
            file = tmp_path / name.replace("_", ".")
            file.write_text(f"#!/bin/sh\n{lines}\n")
            file.chmod(0o755)
        command = [sys.executable, str(tmp_path / "lab"), "doctor"]
        environment = {"PATH": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


PYTHON, GONE = 'if [ "$1" = -c ]; then exit 0; fi; echo "$0 $@"', "exit 127"


def test_an_older_python_is_told_what_to_do(older):
    done = older()
    assert done.returncode == 1 and "Python 3.11 or later" in done.stderr and "Try:" in done.stderr


def test_a_newer_python_on_path_takes_over(older):
    done = older(python3_11=PYTHON, python3_12=PYTHON, python3_13=GONE, uv='echo "uv $@"')
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(r"python3\.12 .*/lab doctor$", done.stdout), "a shim may lead nowhere"


def test_uv_gets_a_python_where_there_is_no_newer_one(older):
    done = older(python3_13=GONE, uv='echo "uv $@"')
    assert re.match(r"uv run --no-project --python >=3\.11 python .*/lab doctor$", done.stdout)


def test_no_engine_is_a_message_and_not_a_traceback():
    done = lab("measure", "golang:1.23", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 1 and done.stderr.startswith("lab: cannot connect to a Docker engine")
    assert "Traceback" not in done.stderr and "Try:" in done.stderr


def test_the_doctor_says_what_is_wrong_as_json_too():
    done = lab("doctor", "--json", DOCKER_HOST="unix:///nowhere.sock")
    found = json.loads(done.stdout)
    engine = next(finding for finding in found["findings"] if finding["name"] == "engine")
    assert done.returncode == 1 and not found["ready"]
    assert engine["state"] == "problem" and engine["advice"]


@pytest.mark.parametrize("command", ["run", "up"])
def test_where_recordings_are_asked_for_no_engine_is_started(monkeypatch, capsys, command):
    def started(**_):
        raise AssertionError("an engine was looked for")

    monkeypatch.setenv("SHIPLIGHT_MODE", "recorded")
    monkeypatch.setattr(private, "connect_or_start", started)
    monkeypatch.setattr(notebooks, "run", lambda path: notebooks.Run("00", path, 1.0, (), ""))
    monkeypatch.setattr(notebooks, "serve", lambda *_, **__: 0)
    assert commands.main([command] + ["00"] * (command == "run")) == 0
    assert "replay their recordings" in capsys.readouterr().err


def test_an_unknown_variant_is_answered_with_those_there_are():
    done = lab("build", "go/nosuch", "--no-engine")
    assert done.returncode == 1 and "go/single, go/multi" in done.stderr


def test_a_build_argument_without_value_is_refused():
    done = lab("build", "go/multi", "--build-arg", "A", "--no-engine")
    assert done.returncode == 1 and "NAME=VALUE" in done.stderr


def test_an_unknown_lesson_is_answered_with_those_there_are():
    done = lab("run", "99", "--no-engine")
    assert done.returncode == 1 and "01-go" in done.stderr


def test_lab_id_is_checked():
    done = lab("build", LAB_ID="No Such/Id")
    assert "Traceback" not in done.stderr


def test_ctrl_c_waits_until_the_tests_have_cleaned_up(tmp_path, monkeypatch):
    done = tmp_path / "done"
    program = f"import pathlib, time; time.sleep(1); pathlib.Path({str(done)!r}).touch()"
    wait = subprocess.Popen.wait
    pressed = []

    def press_once(child, timeout=None):
        if not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return wait(child, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", press_once)
    with pytest.raises(KeyboardInterrupt):
        lesson_commands._run_to_its_end([sys.executable, "-c", program])
    assert done.exists()
