"""The learner's Python packages for machines of other platforms, by pip and with its hashes."""

import re
import subprocess
import sys
from pathlib import Path

from packaging.markers import Marker

from ..errors import UsageError
from ..setup import ROOT

# What pip calls each platform, the newest last, and how markers see it.
PLATFORMS = {
    "linux/amd64": (
        ["manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"],
        {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    ),
    "linux/arm64": (
        ["manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"],
        {"sys_platform": "linux", "os_name": "posix", "platform_machine": "aarch64"},
    ),
    "macos/arm64": (
        [f"macosx_{one}_arm64" for one in ("11_0", "12_0", "13_0", "14_0")]
        + [f"macosx_{one}_universal2" for one in ("10_9", "10_12", "11_0")],
        {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    ),
    "windows/amd64": (
        ["win_amd64"],
        {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
    ),
}


def requirements_of(text: str, platform: str, python: str) -> str:
    """Return the requirements of a locked file that a platform needs, without their markers.

    pip reads a marker for the machine that it runs on, whatever platform it downloads for.

    >>> requirements_of("a==1 ; sys_platform == 'win32' --hash=x", "linux/amd64", "3.12")
    ''
    """
    sees = PLATFORMS[platform][1] | {"python_version": python, "python_full_version": f"{python}.9"}
    kept = []
    for block in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not block.strip() or block.lstrip().startswith("#"):
            continue
        named, _, hashes = block.partition(" --hash=")
        what, _, marker = named.partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(sees):
            kept.append(f"{what.strip()} --hash={hashes}")
    return "\n".join(kept)


def download(folder: Path, platform: str) -> None:
    """Download into a folder what `./lab` installs on this platform, with this version of Python.

    Raises UsageError for an unknown platform, or where pip cannot get everything.
    """
    if platform not in PLATFORMS:
        known = ", ".join(PLATFORMS)
        raise UsageError(f"there are no wheels for {platform!r}.", hint=f"one of {known}")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(requirements_of(text, platform, python) + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "--quiet", "--require-hashes", "--no-deps"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *("--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
        *(option for name in PLATFORMS[platform][0] for option in ("--platform", name)),
        *("--dest", str(folder), "-r", str(wanted)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    wanted.unlink()
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UsageError(
            f"pip could not get the packages for {platform}: {said}",
            hint="check that Python's package registry can be reached, or pack without wheels",
        )
