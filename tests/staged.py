"""Images of stages, described by what each instruction writes, without an archive around them.

base = made(("ADD rootfs", [file("bin/sh", 3000)]))
build = made(("RUN make", [file("app", 900), folder("tmp")]), on=base)
"""

import hashlib

from shiplight.image import Entry, Image, LayerContent, assemble


def file(path: str, size: int, content: str = "") -> Entry:
    """A file; its content is another one at each path, unless it is named."""
    return Entry(path, "file", size, content=(content or path) if size else "")


def folder(path: str) -> Entry:
    return Entry(path, "dir", mode=0o755)


def whiteout(path: str) -> Entry:
    return Entry(path, "whiteout")


def hard_link(path: str, target: str) -> Entry:
    return Entry(path, "hardlink", link=target)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, "symlink", link=target)


def made(*layers: tuple[str, list[Entry]], on: Image | None = None, workdir: str = "/") -> Image:
    """An image of these layers on top of those of another; equal layers have one diff_id."""
    below = [] if on is None else list(on.layers)
    contents = [
        LayerContent(_diff_id(told, entries), tuple(entries), 1) for told, entries in layers
    ]
    kept = [LayerContent(one.diff_id, on.contents[one.index], 1) for one in below]
    history = [{"created_by": told} for told in [one.instruction for one in below]]
    history += [{"created_by": told} for told, _ in layers]
    config = {"history": history, "config": {"WorkingDir": workdir}}
    return assemble("made", config, kept + contents, config_digest="")


def context(**sizes: int) -> dict[str, Entry]:
    """The files of a context: `package_json=30` is package.json, of the content `package.json`."""
    paths = {name.replace("__", "/").replace("_", "."): size for name, size in sizes.items()}
    return {path: file(path, size) for path, size in paths.items()}


def _diff_id(told: str, entries: list[Entry]) -> str:
    return hashlib.sha256(repr((told, entries)).encode()).hexdigest()
