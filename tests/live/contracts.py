"""What the contract of a base promises, compared with an image that stands for it."""

import io
import json
import posixpath
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from shiplight.builds.bases import Recipe
from shiplight.engine import journal
from shiplight.inspection import measure
from shiplight.inspection.probing import of_its_platform

# What base.toml names as on amd64, and how the same is called on arm64; either way round.
ON_ARM64 = {
    "/lib64/ld-linux-x86-64.so.2": "/lib/ld-linux-aarch64.so.1",
    "race/internal/amd64v1/race_linux.syso": "race/race_linux_arm64.syso",
    "linux_amd64": "linux_arm64",
    "x86_64": "aarch64",
    '"x64"': '"arm64"',  # as Node calls it
}


def contract(recipe: Recipe, platform: str) -> dict:
    """The contract of a recipe in the words of a platform."""
    if platform == "linux/amd64":
        return recipe.contract
    words = ON_ARM64 | {there: here for here, there in ON_ARM64.items()}
    either = re.compile("|".join(map(re.escape, words)))
    return json.loads(either.sub(lambda word: words[word[0]], json.dumps(recipe.contract)))


class Inside:
    """The files of an image as a program in it finds them: symbolic links are followed."""

    def __init__(self, client, name: str):
        self.client, self.name = client, name
        self.image = measure(client, name)
        self.tree = {path: entry for path, (entry, _) in self.image.tree().items()}

    def entry(self, path: str, links: int = 20):
        """What is at `path`; None where nothing is, or where its links go nowhere."""
        done, found = "", None
        parts = path.strip("/").split("/")
        for number, part in enumerate(parts, 1):
            done = posixpath.join(done, part)
            found = self.tree.get(done)
            if found is None:
                return None
            if found.kind == "symlink":
                to = posixpath.join("/", posixpath.dirname(done), found.link, *parts[number:])
                return self.entry(posixpath.normpath(to), links - 1) if links else None
        return found

    def read(self, path: str) -> str:
        """The text of a file, through a container that never runs."""
        with container(self.client, self.name, ["x"]) as made:
            chunks, _ = made.get_archive("/" + self.entry(path).path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            return archive.extractfile(archive.next()).read().decode()


@contextmanager
def container(client, image: str, command: list[str]) -> Iterator:
    """A labelled container without a network, removed whatever happens."""
    how = of_its_platform(client, image) | {"network_mode": "none"}
    made = client.containers.create(image, command, labels=journal.made(), **how)
    try:
        yield made
    finally:
        made.remove(force=True, v=True)


def files(inside: Inside, contract: dict) -> list[str]:
    """The files that builds rely on and that are not there or have another mode; and others."""
    lacking = [path for path in contract["paths"] if inside.entry(path) is None]
    wrong = [path for path in contract["absent"] if inside.entry(path) is not None]
    for path, mode in contract["modes"].items():
        entry = inside.entry(path)
        if entry is None or entry.mode & 0o7777 != int(mode, 8):
            wrong.append(path)
    return lacking + wrong


def users(inside: Inside, contract: dict) -> list[str]:
    """The users that are not there or are others, and the suite where it is another."""
    rows = [line.split(":") for line in inside.read("/etc/passwd").splitlines()]
    seen = {
        row[0]: {"name": row[0], "uid": int(row[2]), "gid": int(row[3]), "home": row[5]}
        for row in rows
    }
    wrong = [user["name"] for user in contract["users"] if seen.get(user["name"]) != user]
    suite = contract.get("suite")
    return wrong + ([suite] if suite and suite not in inside.read("/etc/os-release") else [])


def configuration(inside: Inside, contract: dict) -> list[str]:
    """The settings of the image that are others."""
    image = inside.image
    seen = {
        "env": {key: image.env.get(key) for key in contract["env"]},
        "cmd": [*image.cmd],
        "entrypoint": [*image.entrypoint],
        "user": image.user,
        "workdir": image.workdir or "/",
    }
    return [f"{key}: {value}" for key, value in seen.items() if value != contract[key]]


def commands(inside: Inside, contract: dict) -> list[str]:
    """The commands that fail or print something else, with what they print."""

    def ran(command: dict) -> str:
        with container(inside.client, inside.name, command["run"]) as made:
            made.start()
            code, said = made.wait(timeout=60)["StatusCode"], made.logs().decode()
        return "" if code == 0 and command["prints"] in said else f"{command['run']}: {said}"

    with ThreadPoolExecutor() as pool:
        return list(filter(None, pool.map(ran, contract["commands"])))


PARTS = (files, users, configuration, commands)
