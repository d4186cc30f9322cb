"""Setting up: the virtual environment, and Debian packages where this runs as root.

Standard library only: `./lab` calls this before anything is installed.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from . import files
from .units import visible, visible_line


def _state() -> Path:
    """The folder for what is kept between runs where there is no checkout: the user's own."""
    usual = {"darwin": "Library/Application Support", "win32": "AppData/Local"}
    given = [os.environ.get(name, "") for name in ("XDG_STATE_HOME", "LOCALAPPDATA")]
    absolute = next((Path(path) for path in given if os.path.isabs(path)), None)
    return (absolute or Path.home() / usual.get(sys.platform, ".local/state")) / "shiplight"


_PLACE = Path(__file__).resolve().parents[1]
IS_CHECKOUT = (_PLACE / "lab").is_file()  # else installed as a package, without lessons and apps
ROOT = _PLACE if IS_CHECKOUT else _state()
PROGRAM = "./lab" if IS_CHECKOUT else "shiplight"  # as it is typed
VENV = ROOT / ".venv"
STAMP = "shiplight-stamp"  # in VENV: what is installed there


class SetupFailed(Exception):
    """Setting up stopped; the message says why and what to do."""


def environment(*, for_tests: bool = False) -> Path:
    """Return the Python of `.venv` with everything installed, creating or repairing it.

    A stamp is written last, so an interrupted set-up is taken up again by the next one. What is
    whole is used without a right to write, whoever made it. Raises SetupFailed.
    """
    requirements = ROOT / ("requirements-dev.txt" if for_tests else "requirements.txt")
    python = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if _is_complete(python, requirements):
        return python
    try:
        with _lock():
            if not _is_complete(python, requirements):
                _make(python)
                _install(python, requirements)
                link(_packages_of(VENV))
                _ask_nothing()
                files.write(VENV / STAMP, _stamp_of(requirements))
    except OSError as error:
        raise SetupFailed(
            f"{error.filename or ROOT} cannot be written: {error.strerror}.\n  Try: free some "
            f"space; or, if it is another user's, `sudo chown -R $USER {ROOT / '.lab'} {VENV}`"
        ) from error
    return python


def _is_complete(python: Path, requirements: Path) -> bool:
    stamp = VENV / STAMP
    stamps = {_stamp_of(path) for path in _covering(requirements)}
    return python.exists() and stamp.exists() and stamp.read_text() in stamps


def _covering(requirements: Path) -> list[Path]:
    """The requirement files that include all that `requirements` asks for."""
    both = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]
    return both[both.index(requirements) :]


def _stamp_of(requirements: Path) -> str:
    """Changes whenever something has to be installed again, or the checkout was moved."""
    texts = [(ROOT / name).read_bytes() for name in ("requirements.txt", "requirements-dev.txt")]
    text = b"\0".join([*texts, str(ROOT).encode(), sys.version.encode()])
    return f"{requirements.name} {hashlib.sha256(text).hexdigest()}\n"


def _lock() -> contextlib.AbstractContextManager:
    """One set-up of this checkout at a time."""
    folder = files.private_folder(ROOT / ".lab" / "setup")
    return files.alone(folder, lambda: say(f"another `{PROGRAM}` is setting up; waiting for it"))


def _make(python: Path) -> None:
    """A virtual environment that runs; one that does not is made again."""
    if (
        python.exists()
        and subprocess.run([python, "-m", "pip", "--version"], **_QUIET).returncode == 0
    ):
        return
    if not _has_ensurepip():
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        install_packages([name], "Python's venv module is not installed")
    say(f"making {VENV.name} with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.create(VENV, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupFailed(
            f"could not make {VENV}: {error}\n  Try: check the free space and the permissions"
        ) from error


def link(packages: Path) -> None:
    """Let the Python whose packages are in this folder import `shiplight` from this checkout."""
    for old in packages.glob("__editable__*shiplight*"):  # of `pip install -e`, perhaps elsewhere
        old.unlink()
    line = f"import sys; sys.path.append({str(ROOT)!a})\n"  # ASCII: read in any locale
    files.write(packages / "shiplight.pth", line)


def _packages_of(environment: Path) -> Path:
    base = dict.fromkeys(("base", "platbase"), str(environment))
    return Path(sysconfig.get_path("purelib", "venv", base))


def _ask_nothing() -> None:
    """JupyterLab of `.venv` opens the lesson, and no question about its news above it."""
    folder = VENV / "share" / "jupyter" / "lab" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    ours = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
    (folder / "overrides.json").write_text(json.dumps(ours))


def _has_ensurepip() -> bool:
    return subprocess.run([sys.executable, "-c", "import ensurepip"], **_QUIET).returncode == 0


_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}


def add(requirements: str, *, folder: Path | None = None) -> None:
    """Install what a file pins by hash into the environment that runs this.

    With `folder`, from the packages in it alone. Raises SetupFailed.
    """
    if sys.prefix == sys.base_prefix:
        raise SetupFailed(f"{sys.executable} is not in a virtual environment.\n  Try: {PROGRAM}")
    with _lock():
        source = ("--no-index", "--find-links", str(folder)) if folder else ()
        _install(Path(sys.executable), ROOT / requirements, "--only-binary", ":all:", *source)


def _install(python: Path, requirements: Path, *options: str) -> None:
    """pip install of a file that pins all by hash; its log is kept, its last line shown."""
    say(f"installing {requirements.name} into .venv (a minute or two; log: .lab/setup.log)")
    command = [
        *(str(python), "-m", "pip", "install", "--disable-pip-version-check"),
        *("--no-input", "--progress-bar", "off", "--require-hashes", "--no-deps"),
        *(*options, "-r", str(requirements)),
    ]
    log_file = files.create_private(ROOT / ".lab" / "setup.log")
    with io.TextIOWrapper(log_file, encoding="utf-8") as log:
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                for line in process.stdout:
                    log.write(line)
                    _flash(line)
            except BaseException:
                process.terminate()
                raise
        _flash("")
        if process.returncode:
            log.seek(0)
            last = "".join(f"    {line}" for line in log.readlines()[-6:])
            raise SetupFailed(
                f"pip could not install {requirements.name}. Last lines:\n{last}"
                "  Try: check that Python's package registry can be reached; behind a proxy, set\n"
                "       PIP_CERT and HTTPS_PROXY; then run this again"
            )


def _flash(line: str) -> None:
    """One line of a terminal, written over and over."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 3
        print(
            f"\r\x1b[2K  {visible_line(line.strip())[:width]}" if line else "\r\x1b[2K",
            end="",
            file=sys.stderr,
        )


def say(text: str) -> None:
    """Print one line for the person who waits."""
    print(f"{PROGRAM.removeprefix('./')}: {visible(text)}", file=sys.stderr, flush=True)


def on_debian() -> bool:
    """Return whether this machine is Debian, Ubuntu, or made from them."""
    try:
        words = Path("/etc/os-release").read_text(encoding="utf-8").lower()
    except OSError:
        return False
    return shutil.which("apt-get") is not None and ("debian" in words or "ubuntu" in words)


def is_root() -> bool:
    """Return whether this process may install packages and start engines."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def install_packages(names: list[str], why: str) -> None:
    """Install Debian packages, saying so first. Raises SetupFailed where that is not possible."""
    line = f"apt-get install {' '.join(names)}"
    if not (is_root() and on_debian()):
        do = f"sudo {line}" if on_debian() else f"install your system's {' '.join(names)}"
        raise SetupFailed(f"{why}.\n  Try: {do}")
    say(f"{why}: as root, running `{line}`")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *names]
    for command in (["apt-get", "update"], install):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode and command is install:
            last = "\n".join(f"    {text}" for text in done.stderr.strip().splitlines()[-6:])
            raise SetupFailed(f"`{line}` failed:\n{last}\n  Try: run it by hand to see why")


def has_package(name: str) -> bool:
    """Return whether a Debian package is installed."""
    if shutil.which("dpkg-query") is None:
        return False
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name], capture_output=True, text=True
    )
    return done.returncode == 0 and done.stdout.startswith("ii")
