"""Measuring images, from an engine or from an archive; results are cached."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from .. import engine, progress, recordings
from ..builds import kind_of_image
from ..engine import journal
from ..errors import ArchiveError, UsageError
from ..image import (
    Image,
    LayerContent,
    LayerStore,
    Saved,
    assemble,
    find_saved_for,
    instruction_of,
    not_saved,
    platform_inspected,
    read_image,
    read_saved,
    renamed,
)
from ..setting import Setting
from ..units import format_bytes
from . import remote

# Instructions that change the configuration only, and make no layer.
_NO_LAYER = {
    "ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME",
}  # fmt: skip

# So it is after a pull of layers that were here in another compression, from another registry.
_PART_IS_MISSING = (
    "this engine's store has the image only in part: remove it and the images that share its\n"
    "       layers with `docker rmi`, then pull it again"
)

Progress = Callable[[int], None]

# What programs look for in an image, and where it is if it is there.
_CONTENTS = {
    "shell": ("bin/sh", "usr/bin/sh"),
    "glibc": ("*/libc.so.6",),
    "musl": ("lib/ld-musl-*",),
    "apt": ("usr/bin/apt-get",),
    "apk": ("sbin/apk",),
    "certificates": ("etc/ssl/certs/ca-certificates.crt",),
    "time zones": ("usr/share/zoneinfo/Europe/Berlin",),
}


def _client_may_be_left_out(function):
    """Take `f(what)` for `f(None, what)`: a file and a registry need no client."""

    @functools.wraps(function)
    def call(client, *arguments, **named):
        if not arguments and "what" not in named:
            if hasattr(client, "tag"):
                name = function.__name__
                raise UsageError(
                    f"{name} needs the client for what was built on an engine.",
                    hint=f"{name}(client, …): the client, then the build",
                )
            return function(None, client, **named)
        return function(client, *arguments, **named)

    return call


@_client_may_be_left_out
@recordings.replayed(Image)
def measure(
    client,
    what,
    *,
    store: LayerStore | None = None,
    platform: str | None = None,
    deep: bool = False,
) -> Image:
    """Measure an image: of a build, on the engine by name, in an archive by path, in a registry.

    An archive, or an OCI layout in a folder, wins over an image of the same name; one of several
    images is named behind the path: `two.tar:busybox:1.36`. `docker://NAME` is read from its
    registry; only `deep` reads its layers, without which unpacked and reclaimable bytes are None.
    Both are read for `platform` or this machine's, and `client` may then be None or left out.
    What is learnt of a layer is kept in `store` (this lab's own, unless another is given), so an
    image measured before costs one question to the engine. Shows its progress. Raises
    ImageNotFound, ArchiveError, EngineFailed, RegistryFailed, UsageError.
    """
    store = store or _own_store()
    name_or_path = getattr(what, "tag", what)
    with _reading(os.fspath(name_or_path)) as count:
        if remote.is_remote(name_or_path):
            found = remote.measured(name_or_path, store, platform=platform, deep=deep, count=count)
            return replace(found, setting=_without_engine(found, "a registry"))
        if saved := find_saved_for(name_or_path, platform):
            image = _measure_saved(saved, store, platform, count)
        else:
            image = _measure_image(client, name_or_path, store, count)
    if image.engine_id is None:
        return replace(image, setting=_without_engine(image, "a saved archive"))
    return replace(
        image, setting=engine.setting(client, bases=kind_of_image(image.name, image.labels))
    )


def export(client, name: str, path: Path) -> Image:
    """Export an image of the engine to a file, and measure that file; raises as `measure`."""
    engine.inspect_image(client, name)  # an export of no image fails without saying so
    with _reading(name) as count:
        with engine.export_image(client, name) as chunks, open(path, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                count(file.tell())
        return _measure_image(client, name, _own_store(), lambda total: None, path)


def _own_store() -> LayerStore:
    return LayerStore(journal.cache("layers", with_caches=True))


@contextmanager
def _reading(name: str) -> Iterator[Progress]:
    """Show how many bytes of an image have been read: call the result with each new total."""
    read = 0

    def draw() -> str:
        return f"Reading {name} · {format_bytes(read)}"

    def count(total: int) -> None:
        nonlocal read
        read = total

    with progress.Screen(draw):
        yield count


def _without_engine(image: Image, source: str) -> Setting:
    """The setting of an image that was read without an engine."""
    return Setting(
        engine=source,
        store="",
        platform=image.platform,
        bases=kind_of_image(image.name, image.labels),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def contents(image: Image) -> list[str]:
    """Return what a program can find in this image: a shell, a C library, …"""
    return [name for name, paths in _CONTENTS.items() if any(image.find(path) for path in paths)]


def stored_bytes(*images: Image) -> int:
    """Return the unpacked bytes that these images take together, counting shared layers once."""
    read = [image.whole() for image in images]
    layers = {layer.diff_id: layer.unpacked_bytes for image in read for layer in image.layers}
    return sum(layers.values())


def _measure_image(
    client, name_or_path, store: LayerStore, count: Progress, exported: Path | None = None
) -> Image:
    """Measure an image of the engine: from what is known of it, or else from its export."""
    name = os.fspath(name_or_path)
    if client is None or isinstance(name_or_path, os.PathLike):
        raise not_saved(name)
    info = engine.inspect_image(client, name)
    known = store.image(info["Id"])
    # On a containerd store an Id can be that of an index, and its platform another by now.
    if known is not None and known.platform == platform_inspected(info):
        return renamed(known, name, info["Id"])
    image = _from_known_layers(client, name, info, store)
    if image is None:
        image = _read(client, name, info, store, count, exported)
    image = renamed(image, name, info["Id"])
    store.put_image(image)
    return image


def _measure_saved(saved: Saved, store: LayerStore, platform: str | None, count: Progress) -> Image:
    image = read_saved(saved, platform=platform, known=store.get, progress=count)
    store.put_image(image)
    return renamed(image, image.name or os.path.basename(os.path.abspath(saved.path)), None)


def _read(
    client, name: str, info: dict, store: LayerStore, count: Progress, exported: Path | None
) -> Image:
    with open(exported, "rb") if exported else engine.export_image(client, name) as chunks:
        platform = platform_inspected(info) or None
        trusted = engine.own_socket(client) is not None
        try:
            return read_image(
                chunks, platform=platform, trusted=trusted, known=store.get, progress=count
            )
        except ArchiveError as error:
            if "is missing" in error.message and engine.image_store(client) == "containerd":
                raise ArchiveError(error.message, hint=_PART_IS_MISSING) from error
            raise


def _from_known_layers(client, name: str, info: dict, store: LayerStore) -> Image | None:
    """The image without an export, where each of its layers was read before; None where not.

    Only where an engine's Id is the digest of the configuration: there its layers are unpacked,
    and what inspect and history say is what the archive would.
    """
    if engine.image_store(client) != "graph":
        return None
    contents = [store.get(diff_id) for diff_id in info.get("RootFS", {}).get("Layers") or ()]
    if any(content is None or content.packed_estimate is None for content in contents):
        return None
    history = _history(engine.image_history(client, name), contents)
    if history is None:
        return None
    config = _as_config(info, history)
    return assemble(name, config, contents, config_digest=info["Id"])


def _as_config(info: dict, history: list[dict]) -> dict:
    """The OCI configuration that an inspected image was made from."""
    return {
        "created": info.get("Created"),
        "os": info.get("Os"),
        "architecture": info.get("Architecture"),
        "variant": info.get("Variant"),
        "config": info.get("Config"),
        "history": history,
    }


def _history(newest_first: list[dict], contents: list[LayerContent]) -> list[dict] | None:
    """The engine's history as an OCI one, or None where it leaves open which step made which layer.

    The engine does not say which steps are empty; the keyword does, and bytes must agree.
    """
    history, made = [], 0
    for told in reversed(newest_first):
        step = {"created_by": told.get("CreatedBy"), "comment": told.get("Comment")}
        step["empty_layer"] = instruction_of(step).partition(" ")[0] in _NO_LAYER
        history.append(step)
        if not step["empty_layer"] and made == len(contents):
            return None
        holds_files = not step["empty_layer"] and any(e.size for e in contents[made].entries)
        if holds_files != bool(told.get("Size")) and (holds_files or step["empty_layer"]):
            return None
        made += not step["empty_layer"]
    return history if made == len(contents) else None
