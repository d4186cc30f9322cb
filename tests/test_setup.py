"""Setting up: taken up again after an interruption, done once, fixed when something changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shiplight import setup


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in which pip's work is counted instead of done."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text(f"# {name}\n")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    installed = []

    def make(python: Path) -> None:
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(setup, "_make", make)
    monkeypatch.setattr(setup, "_install", lambda python, path: installed.append(path.name))
    setup._packages_of(tmp_path / ".venv").mkdir(parents=True)
    return tmp_path, installed


def test_a_second_set_up_installs_nothing(checkout):
    _, installed = checkout
    assert setup.environment() == setup.environment()
    assert installed == ["requirements.txt"]


def test_what_the_tests_need_covers_what_a_learner_needs(checkout):
    _, installed = checkout
    setup.environment(for_tests=True)
    setup.environment()
    assert installed == ["requirements-dev.txt"]


def test_tests_after_a_learners_set_up_install_the_rest(checkout):
    _, installed = checkout
    setup.environment()
    setup.environment(for_tests=True)
    assert installed == ["requirements.txt", "requirements-dev.txt"]


def test_an_interrupted_set_up_is_taken_up_again(checkout, monkeypatch):
    _, installed = checkout
    whole = setup._install

    def interrupted(python, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "_install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.environment()
    monkeypatch.setattr(setup, "_install", whole)
    setup.environment()
    assert installed == ["requirements.txt"]


def test_the_environment_imports_this_checkout_and_no_earlier_one(tmp_path, monkeypatch):
    root = tmp_path / "Übung 'eins'"
    (root / "shiplight").mkdir(parents=True)
    (root / "shiplight" / "__init__.py").write_text("")
    (tmp_path / "__editable__.shiplight-0.1.0.pth").write_text("/nowhere\n")
    monkeypatch.setattr(setup, "ROOT", root)
    setup.link(tmp_path)
    code = (
        f"import site; site.addsitedir({str(tmp_path)!a})\n"
        "import shiplight; print(ascii(shiplight.__file__))"
    )
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code],
            env={"LC_ALL": locale, "PATH": os.environ["PATH"]}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout == ascii(str(root / "shiplight" / "__init__.py")) + "\n", done.stderr
    assert [path.name for path in tmp_path.glob("*.pth")] == ["shiplight.pth"]


def test_changed_requirements_are_installed(checkout):
    folder, installed = checkout
    setup.environment()
    (folder / "requirements.txt").write_text("rich\n")
    setup.environment()
    assert len(installed) == 2


def test_a_failing_pip_is_an_error_with_its_last_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text("./no/such/folder\n")
    python = Path(sys.executable)
    with pytest.raises(setup.SetupFailed, match="no/such/folder"):
        setup._install(python, tmp_path / "requirements.txt")


def test_packages_are_asked_for_and_not_installed_without_the_right_to(monkeypatch):
    monkeypatch.setattr(setup, "is_root", lambda: False)
    monkeypatch.setattr(setup, "on_debian", lambda: True)
    with pytest.raises(setup.SetupFailed, match="sudo apt-get install mmdebstrap"):
        setup.install_packages(["mmdebstrap"], "it is needed")
    monkeypatch.setattr(setup, "on_debian", lambda: False)
    with pytest.raises(setup.SetupFailed, match="install your system's mmdebstrap"):
        setup.install_packages(["mmdebstrap"], "it is needed")


def test_an_engine_is_never_installed_beside_dockers_own(monkeypatch):
    from shiplight.engine import private
    from shiplight.errors import EngineNotReachable

    asked = []
    monkeypatch.setattr(private.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup, "has_package", lambda name: name == "docker-ce")
    monkeypatch.setattr(setup, "install_packages", lambda *names: asked.append(names))
    with pytest.raises(EngineNotReachable, match="docker-ce is installed"):
        private._install()
    assert not asked


def test_what_somebody_else_set_up_is_used_without_a_right_to_write(checkout, monkeypatch):
    setup.environment()
    monkeypatch.setattr(setup, "_lock", lambda: pytest.fail("it was written to"))
    assert setup.environment().exists()


def test_a_folder_that_cannot_be_written_is_told_with_the_way_out(checkout):
    folder, _ = checkout
    (folder / ".lab").write_text("a file, where a folder has to be")
    with pytest.raises(setup.SetupFailed, match="cannot be written") as failed:
        setup.environment()
    assert "chown" in str(failed.value)
