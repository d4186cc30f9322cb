"""What assembling bases downloads is checked before anything of it runs."""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shiplight.builds import assembling, bases
from shiplight.checks.reading import shell
from shiplight.dockerfile import parse
from shiplight.engine import journal
from shiplight.errors import BaseNotAvailable
from shiplight.setup import ROOT

DOCKERFILES = sorted(bases.FOLDER.glob("*/Dockerfile"))
FETCHES = {"curl", "wget", "git", "pip", "pipx", "npm", "npx", "go", "cargo", "rustup", "gem"}
LOOSE = re.compile(
    r"(?i)trusted=|allow-unauth|allow-?insecure|allow-downgrade|--force-yes|no-check"
)
WHEEL = b"what the authors saw"


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_a_recipe_fetches_by_apt_only_which_checks_signatures(file):
    text = file.read_text(encoding="utf-8")
    assert not LOOSE.search(text)
    for stage in parse(text).stages:
        for instruction in stage.instructions:
            assert not (instruction.keyword == "ADD" and "://" in instruction.value)
            if instruction.keyword == "RUN":
                for command in shell.commands(instruction):
                    is_asked = command.words[1:] in (("version",), ("--version",))
                    assert is_asked or command.program not in FETCHES, instruction.value


@pytest.mark.parametrize(
    "file", sorted(bases.FOLDER.glob("*/base.toml")), ids=lambda file: file.parent.name
)
def test_every_download_is_pinned_by_hash_and_a_root_file_system_by_a_signature(file):
    assert not LOOSE.search(file.read_text(encoding="utf-8"))
    for entry in tomllib.loads(file.read_text(encoding="utf-8"))["base"]:
        for download in entry.get("downloads", ()):
            assert re.fullmatch("[0-9a-f]{64}", download["sha256"]) and download["version"]
        if entry["kind"] == "rootfs":
            assert not [word for word in entry["rootfs"]["arguments"] if "://" in word]


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_each_platform_has_its_own_toolchain_under_a_name_of_its_own(platform):
    for recipe in bases.recipes().values():
        assert len(assembling._downloads(recipe, platform)) == bool(recipe.downloads)
    kept = {(o["file"], o["sha256"]) for r in bases.recipes().values() for o in r.downloads}
    assert len({file for file, _ in kept}) == len({sha256 for _, sha256 in kept}) == len(kept)


@pytest.fixture
def download(tmp_path, monkeypatch):
    """A download of which pip gets what `served` holds."""
    served = [WHEEL]

    def pip(command, **options):
        folder = Path(command[command.index("--dest") + 1])
        (folder / "x-1-py3-none-any.whl").write_bytes(served[-1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(journal, "ROOT", tmp_path)
    monkeypatch.setattr(assembling.subprocess, "run", pip)
    sha256 = hashlib.sha256(WHEEL).hexdigest()
    wanted = {"package": "x", "version": "1", "platform": "any", "sha256": sha256, "file": "x.whl"}
    return wanted, served


def test_another_file_than_the_recipe_names_is_refused_and_not_kept(download):
    wanted, served = download
    served.append(b"something else")
    with pytest.raises(BaseNotAvailable, match="sha256 differs") as refused:
        assembling._downloaded(wanted)
    assert "do not use it" in refused.value.hint
    assert [path.name for path in journal.cache("downloads").iterdir()] == [journal.TAG]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="not for this machine: no setpriv")
def test_a_killed_process_leaves_no_mmdebstrap_behind(tmp_path):
    """As mmdebstrap does, the command itself heeds no signal, and its child cleans up."""
    ended = tmp_path / "ended"
    child = f"trap 'touch {ended}; exit' TERM; echo ready; while :; do sleep 0.05; done"
    script = f"({child}) & trap '' TERM; wait"
    code = (
        "import subprocess, sys\nfrom shiplight.builds import assembling\n"
        "command = assembling.ended_with_us(['sh', '-c', sys.argv[1]])\n"
        "subprocess.run(command, start_new_session=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.stdout.read()  # until nobody has it open any more
    assert ended.exists()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="not for this machine: no setpriv")
@pytest.mark.parametrize("script", ["exit 3", "kill -TERM $$", "kill -TERM 0; sleep 5"])
def test_what_a_command_leaves_in_tmpdir_goes_with_it(script, tmp_path, monkeypatch):
    """Whether it fails, or is ended before it can clean up, as mmdebstrap is while gpg runs."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = 'touch "$(mktemp -d)/file" && ls -d "$TMPDIR"/*'
    command = assembling.ended_with_us(["sh", "-c", f"{made}; {script}"])
    ended = subprocess.run(
        command, start_new_session=True, capture_output=True, text=True, check=False
    )
    assert ended.stdout.startswith(f"{tmp_path}/") and ended.returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="not for this machine: no setpriv")
@pytest.mark.parametrize("script", ["exit 3", "kill -HUP 0; sleep 0.2; exit 3"])
def test_a_command_that_fails_is_known_to_have(script):
    """The second one signals its group before it ends, as mmdebstrap does."""
    command = assembling.ended_with_us(["sh", "-c", f"trap : HUP; {script}"])
    assert subprocess.run(command, start_new_session=True).returncode == 3


def test_a_kept_file_that_was_changed_is_downloaded_again(download):
    wanted, _ = download
    kept = assembling._downloaded(wanted)
    kept.write_bytes(b"changed")
    assert assembling._downloaded(wanted).read_bytes() == WHEEL
