"""How large an image is, from an engine or from an archive, and never asked for twice."""

import os
from collections.abc import Callable

from . import engine
from .archive import read_image
from .errors import ImageNotFound
from .image import Image, LayerContent, assemble, instruction_of, platform_of, renamed
from .store import LayerStore

# Instructions that change the configuration only, and make no layer.
_NO_LAYER = {
    "ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME",
}  # fmt: skip

Progress = Callable[[int], None]


def measure(
    client, name_or_path: str | os.PathLike, *,
    store: LayerStore | None = None, progress: Progress | None = None,
) -> Image:  # fmt: skip
    """The image of that name on the engine, or in the archive at that path, with all its bytes.

    A file wins over an image of the same name; for a file, `client` may be None. With a `store`,
    an image measured before costs one question to the engine. `progress` is called with the bytes
    read so far. Raises ImageNotFound, ArchiveError, EngineFailed.
    """
    if os.path.isfile(name_or_path):
        return _measure_archive(name_or_path, store, progress)
    name = os.fspath(name_or_path)
    if client is None or isinstance(name_or_path, os.PathLike):
        raise ImageNotFound(f"there is no archive at {name}.", hint="check the path")
    info = engine.inspect_image(client, name)
    engine_id = info["Id"]
    image = None
    if store:
        image = store.image(engine_id) or _from_known_layers(client, name, info, store)
    if image is None:
        image = _export(client, name, info, store, progress)
    image = renamed(image, name, engine_id)
    if store:
        store.put_image(image)
    return image


def _measure_archive(path, store: LayerStore | None, progress: Progress | None) -> Image:
    with open(path, "rb") as file:
        image = read_image(file, known=store and store.get, progress=progress)
    if store:
        store.put_image(image)
    return renamed(image, image.name or os.path.basename(path), None)


def _export(client, name: str, info: dict, store, progress) -> Image:
    with engine.export_image(client, name) as chunks:
        platform = platform_of(_as_config(info, []))
        known = store and store.get
        return read_image(chunks, platform=platform or None, known=known, progress=progress)


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
