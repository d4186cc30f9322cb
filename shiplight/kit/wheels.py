"""Python packages for machines of other platforms, by pip and with its hashes.

What has no wheel comes as its source, with setuptools to build it.
"""

import platform as machine
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
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

    >>> requirements_of("a==1 ; sys_platform == 'win32' --hash=x", "linux/amd64", "3.12.1")
    ''
    """
    sees = PLATFORMS[platform][1] | {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
    }
    kept = []
    for block in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not block.strip() or block.lstrip().startswith("#"):
            continue
        named, _, hashes = block.partition(" --hash=")
        what, _, marker = named.partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(sees):
            kept.append(f"{what.strip()} --hash={hashes}")
    return "\n".join(kept)


def refuse_unknown(platforms: Iterable[str]) -> None:
    """Raise UsageError for a platform that is not among PLATFORMS."""
    for platform in platforms:
        if platform not in PLATFORMS:
            known = ", ".join(PLATFORMS)
            raise UsageError(f"there are no wheels for {platform!r}.", hint=f"one of {known}")


def download(folder: Path, platform: str, requirements: str = "requirements.txt") -> None:
    """Download into a folder what a locked file of ours has for a platform.

    They are for this version of Python. Raises UsageError where pip cannot get everything.
    """
    python = machine.python_version()  # to the patch: a marker can depend on it
    text = (ROOT / requirements).read_text(encoding="utf-8")
    lines = requirements_of(text, platform, python).splitlines()
    wanted, sources = {line.partition("==")[0]: line for line in lines}, {}
    folder.mkdir(parents=True, exist_ok=True)
    while missing := _download(folder, wanted.values(), _options(platform, python)):
        if missing not in wanted:
            raise _failed(platform, f"it has no {missing}")
        sources[missing] = wanted.pop(missing)
    if sources:  # which have no wheel: their sources, and what builds them
        only = [option for name in sources for option in ("--no-binary", name)]
        lacks = _download(folder, sources.values(), ["--require-hashes", *only])
        lacks = lacks or _download(folder, ["setuptools", "wheel"], ["--only-binary", ":all:"])
        if lacks:
            raise _failed(platform, f"it has no {lacks}")


def _options(platform: str, python: str) -> list[str]:
    abi = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    return [
        *("--require-hashes", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", python),
        *("--abi", abi, "--abi", "abi3", "--abi", "none"),
        *(option for name in PLATFORMS[platform][0] for option in ("--platform", name)),
    ]


def _download(folder: Path, wanted: Iterable[str], options: list[str]) -> str:
    """Let pip download all of these; "" where it did, or the name of one that is not there.

    Raises UsageError where it fails for any other reason.
    """
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "requirements.txt"
        file.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
            *("--no-input", "--progress-bar", "off", "--quiet", "--no-deps"),
            *(*options, "--dest", str(folder), "-r", str(file)),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    if found := re.search(r"No matching distribution found for ([\w.-]+?)==", done.stderr):
        return found[1]
    raise _failed("this platform", (done.stderr.strip().splitlines() or ["no reason given"])[-1])


def _failed(platform: str, why: str) -> UsageError:
    return UsageError(
        f"pip could not get the packages for {platform}: {why}",
        hint="check that Python's package registry can be reached, then pack again",
    )
