"""Rewrite `ends.json`: the last days of security support, from endoflife.date's repository.

    git clone https://github.com/endoflife-date/endoflife.date
    python shiplight/checks/reading/data/refresh.py endoflife.date

Run by a maintainer, never by CI: what is checked does not change with the day on which it is.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

SOURCE = "endoflife.date (MIT), github.com/endoflife-date/endoflife.date"
FILE = Path(__file__).with_name("ends.json")
_DOCKER_HUB = re.compile(r"pkg:docker/(?:library/)?([^?@]+)$")
_ELSEWHERE = re.compile(r"pkg:oci/([^?@]+)\?repository_url=([^&]+)$")


def images_of(identifiers: list[dict]) -> list[str]:
    """Return the names of a product's images, as they stand in a FROM."""
    found = []
    for text in (str(each["purl"]) for each in identifiers if "purl" in each):
        if match := _DOCKER_HUB.match(text):
            found.append(match[1])
        elif match := _ELSEWHERE.match(text):
            found.append(f"{match[2]}/{match[1]}")
    return found


def product_of(text: str) -> dict:
    """Return a product out of its page: its images, and the last day of each of its releases.

    A day is ISO's; True where support ended on a day that nobody wrote down, False where no last
    day is known yet.
    """
    page = yaml.safe_load(text.split("\n---", 1)[0])
    ends = {
        str(release["releaseCycle"]): end if isinstance(end, bool) else end.isoformat()
        for release in page["releases"]
        if (end := release.get("eol")) is not None and hasattr(end, "isoformat") | (end in (0, 1))
    }
    return {"images": images_of(page.get("identifiers") or []), "ends": ends}


def git(repository: str, *command: str) -> str:
    """Return what git prints."""
    run = subprocess.run(["git", "-C", repository, *command], check=True, capture_output=True)
    return run.stdout.decode()


def main(repository: str) -> None:
    """Write `ends.json`, one product a line, from the newest commit of the repository."""
    commit, day = git(repository, "log", "-1", "--format=%h %cs").split()
    names = git(repository, "ls-tree", "--name-only", "HEAD", "products/").split()
    lines = [
        f'"{Path(name).stem}": {json.dumps(product_of(git(repository, "show", f"HEAD:{name}")))}'
        for name in names
    ]
    head = f'"source": "{SOURCE} at {commit}",\n"as_of": "{day}",\n"products": {{\n'
    FILE.write_text("{\n" + head + ",\n".join(lines) + "\n}\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
