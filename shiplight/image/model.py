"""The model of an image: its layers (base first), its configuration, and its bytes.

An Image is an immutable view, independent of its source. `assemble` makes one from an OCI
configuration and the contents of its layers; `to_dict` and `from_dict` convert it to and from JSON.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import cached_property

from ..errors import UsageError
from ..setting import Setting
from ..units import UNKNOWN, format_bytes, in_one_line
from .changes import Buried, Entry, Overlay, buried, count_files, overlay, unpacked_bytes

NO_HISTORY = "(no history)"
_NEVER = "0001-01-01T00:00:00Z"  # how Go says that a time is unknown

# What of a configuration belongs to the image; engines add fields of their own around it.
_CONFIG_KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "StopTimeout", "Healthcheck", "OnBuild", "Shell",
)  # fmt: skip

_SHELL = r"(?:/usr)?/bin/\w*sh (?:-o \w+ |-\w+ )*?-\w*c "
_NOP = re.compile(rf"^(?:\|\d+ .*?)?{_SHELL}#\(nop\) *", re.S)
_RUN = re.compile(rf"^(?:RUN )?(?:\|\d+ .*?)?{_SHELL}", re.S)
# What a Dockerfile's builders write: its instructions, or the command that made a root file system.
_OF_A_DOCKERFILE = re.compile(
    r"#|/|(?:ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN"
    r"|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)\b"
)
_OF_A_BUILDER = re.compile(r"buildkit\.|FROM ")
_RUN_WITH_ARGS = re.compile(r"^RUN \|\d+ (?:\w+=\S* )*")


@dataclass(frozen=True)
class LayerContent:
    """The contents of one layer, wherever it was read: its entries, and its packed size.

    `packed_estimate` is the estimated size after gzip, in bytes; None if it was not needed,
    because the layer was read compressed.
    """

    diff_id: str
    entries: tuple[Entry, ...] = field(repr=False)
    packed_estimate: int | None = None


@dataclass(frozen=True)
class Layer:
    """One layer. `digest` is that of the packed blob; None if it is unknown.

    `reclaimable_bytes` are bytes that this layer adds and later layers hide.
    """

    index: int
    diff_id: str
    digest: str | None
    instruction: str
    unpacked_bytes: int | None
    packed_bytes: int | None
    packed_is_estimate: bool
    reclaimable_bytes: int | None
    files: int | None

    @in_one_line
    def __repr__(self):
        files = UNKNOWN if self.files is None else self.files
        sizes = f"{format_bytes(self.unpacked_bytes)} unpacked, {files} files"
        return f"Layer {self.index}  {sizes}  {self.instruction}"


@dataclass(frozen=True)
class Image:
    """An image as measured. `layers[0]` is the base's first; bytes are whole numbers.

    `engine_id` is what the engine calls Id, None for an archive; `contents` holds one tuple of
    entries a layer, and is empty where the file lists were not kept; `setting` says where and when
    it was measured.
    """

    name: str
    engine_id: str | None
    config_digest: str
    platform: str
    created: str
    config: dict = field(repr=False)
    layers: tuple[Layer, ...]
    history: tuple[tuple[str, int | None], ...] = field(repr=False)
    buried: tuple[Buried, ...] = field(repr=False)
    contents: tuple[tuple[Entry, ...], ...] = field(default=(), repr=False, compare=False)
    setting: Setting | None = field(default=None, repr=False, compare=False)

    @property
    def unpacked_bytes(self) -> int | None:
        """Bytes of all regular files in all layers, as on disk; None if one layer is unknown."""
        return _sum(layer.unpacked_bytes for layer in self.layers)

    @property
    def packed_bytes(self) -> int | None:
        """Compressed bytes of all layers, as pulled; None if one of them is unknown."""
        return _sum(layer.packed_bytes for layer in self.layers)

    @property
    def packed_is_estimate(self) -> bool:
        """Whether the packed bytes of any layer are estimated rather than read."""
        return any(layer.packed_is_estimate for layer in self.layers)

    @property
    def reclaimable_bytes(self) -> int | None:
        """Bytes that ship in one layer and are hidden by a later one; None if unknown."""
        return _sum(layer.reclaimable_bytes for layer in self.layers)

    @property
    def user(self) -> str:
        """The user that the program runs as; "" is root."""
        return self.config.get("User", "")

    @property
    def entrypoint(self) -> tuple[str, ...]:
        return tuple(self.config.get("Entrypoint", ()))

    @property
    def cmd(self) -> tuple[str, ...]:
        return tuple(self.config.get("Cmd", ()))

    @property
    def env(self) -> dict[str, str]:
        return dict(item.partition("=")[::2] for item in self.config.get("Env", ()))

    @property
    def workdir(self) -> str:
        return self.config.get("WorkingDir") or "/"

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.config.get("Labels", {}))

    def whole(self) -> "Image":
        """Return this image; raise UsageError if its layers were not read, as from a registry.

        Call it before drawing or adding up unpacked bytes.
        """
        if self.unpacked_bytes is None:
            raise UsageError(
                f"the layers of {self.name} were not read, so what it unpacks to is not known.",
                hint="measure it with deep=True",
            )
        return self

    def tree(self) -> dict[str, tuple[Entry, int]]:
        """Return what a container sees: {path: (entry, index of its layer)}, with directories."""
        return self._overlay.live

    def find(self, pattern: str) -> dict[str, tuple[Entry, int]]:
        """Return the part of `tree()` whose paths match, as in a shell; `*` crosses slashes too."""
        matches = re.compile(translate(pattern.lstrip("/"))).match
        return {path: found for path, found in self.tree().items() if matches(path)}

    def duplicates(self) -> list[tuple[int, tuple[str, ...]]]:
        """Find live files with the same content: (bytes of one copy, paths), largest saving first.

        This is only a hint: two paths may each need a copy, so these bytes are not reclaimable.
        """
        copies: dict[tuple[int, str], list[str]] = {}
        for path, (entry, _) in sorted(self.tree().items()):
            if entry.kind == "file" and entry.size:
                copies.setdefault((entry.size, entry.content), []).append(path)
        several = [(size, tuple(paths)) for (size, _), paths in copies.items() if len(paths) > 1]
        return sorted(several, key=lambda item: (-item[0] * (len(item[1]) - 1), item[1]))

    @cached_property
    def _overlay(self) -> Overlay:
        if len(self.whole().contents) != len(self.layers):
            raise UsageError(
                f"the file lists of {self.name} were not kept with this result.",
                hint="measure the image again, or save it with to_dict(files=True)",
            )
        return overlay(self.contents)

    def to_dict(self, *, files: bool = False) -> dict:
        """Return the image as JSON, with the files of each layer only if asked for."""
        result = {
            "name": self.name,
            "engine_id": self.engine_id,
            "config_digest": self.config_digest,
            "platform": self.platform,
            "created": self.created,
            "unpacked_bytes": self.unpacked_bytes,
            "packed_bytes": self.packed_bytes,
            "packed_is_estimate": self.packed_is_estimate,
            "reclaimable_bytes": self.reclaimable_bytes,
            "config": self.config,
            "layers": [dict(vars(layer)) for layer in self.layers],
            "history": [list(step) for step in self.history],
            "buried": [list(item) for item in self.buried],
            "setting": self.setting and self.setting.to_dict(),
        }
        if files:
            result["contents"] = [[list(entry) for entry in part] for part in self.contents]
        return result

    @classmethod
    def from_dict(cls, saved: dict) -> "Image":
        """Return the image that `to_dict` wrote."""
        return cls(
            name=saved["name"],
            engine_id=saved["engine_id"],
            config_digest=saved["config_digest"],
            platform=saved["platform"],
            created=saved["created"],
            config=saved["config"],
            layers=tuple(Layer(**layer) for layer in saved["layers"]),
            history=tuple((instruction, index) for instruction, index in saved["history"]),
            buried=tuple(Buried(*item) for item in saved["buried"]),
            contents=tuple(
                tuple(Entry(*entry) for entry in part) for part in saved.get("contents", ())
            ),
            setting=Setting.from_dict(saved["setting"]) if saved.get("setting") else None,
        )

    @in_one_line
    def __repr__(self):
        estimate = " (estimate)" if self.packed_is_estimate else ""
        layers = f"{len(self.layers)} layer{'' if len(self.layers) == 1 else 's'}"
        return (
            f"Image {self.name}  {format_bytes(self.unpacked_bytes)} unpacked, "
            f"{format_bytes(self.packed_bytes)} packed{estimate}, {layers}, "
            f"{format_bytes(self.reclaimable_bytes)} reclaimable"
        )


def _sum(counts: Iterable[int | None]) -> int | None:
    counts = list(counts)
    return None if None in counts else sum(counts)


def assemble(
    name: str, config: dict, contents: Sequence[LayerContent], *,
    config_digest: str, packed: Sequence[tuple[str, int] | None] = (), engine_id: str | None = None,
) -> Image:  # fmt: skip
    """Assemble an image from its OCI configuration (the whole JSON) and layers, base first.

    `packed` gives (digest, bytes) for each layer that is stored packed, None for the others.
    """
    gone = buried(content.entries for content in contents)
    reclaimable = [0] * len(contents)
    for item in gone:
        reclaimable[item.added_by] += item.bytes
    history = align(config.get("history") or [], len(contents))
    instructions = {index: instruction for instruction, index in history}
    layers = tuple(
        Layer(
            index=index,
            diff_id=content.diff_id,
            digest=blob[0] if blob else None,
            instruction=instructions[index],
            unpacked_bytes=unpacked_bytes(content.entries),
            packed_bytes=blob[1] if blob else content.packed_estimate,
            packed_is_estimate=blob is None,
            reclaimable_bytes=reclaimable[index],
            files=count_files(content.entries),
        )
        for index, (content, blob) in enumerate(
            zip(contents, packed or [None] * len(contents), strict=True)
        )
    )
    return Image(
        name=name,
        engine_id=engine_id,
        config_digest=config_digest,
        platform=platform_of(config),
        created=created_of(config),
        config=plain_config(config.get("config") or {}),
        layers=layers,
        history=history,
        buried=gone,
        contents=tuple(content.entries for content in contents),
    )


def renamed(image: Image, name: str, engine_id: str | None) -> Image:
    """Return the same image with the requested name and id."""
    return replace(image, name=name, engine_id=engine_id)


def platform_of(described: dict) -> str:
    """Return the platform, such as `linux/amd64`, of an OCI configuration; "" if unknown."""
    parts = [described.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part)


def platform_inspected(info: dict) -> str:
    """Return the platform from an engine's description of an image."""
    return platform_of({key.lower(): value for key, value in info.items()})


def created_of(config: dict) -> str:
    """Return the creation time in an OCI configuration; "" if there is none."""
    return "" if config.get("created") in (None, _NEVER) else config["created"]


def plain_config(config: dict) -> dict:
    """Return a configuration without empty values and engine-specific fields."""
    return {key: config[key] for key in _CONFIG_KEYS if config.get(key)}


def align(history: Sequence[dict], layers: int) -> tuple[tuple[str, int | None], ...]:
    """Return each instruction of an OCI history with the index of the layer it made, or None.

    If the history is missing or has a different number of layers, it explains none of them:
    its instructions come with None, and each layer as `(no history)`.
    """
    steps, made = [], 0
    for step in history:
        empty = bool(step.get("empty_layer"))
        steps.append((instruction_of(step), None if empty else made))
        made += not empty
    if made == layers:
        return tuple(steps)
    unexplained = tuple((NO_HISTORY, index) for index in range(layers))
    return tuple((text, None) for text, _ in steps) + unexplained


def instruction_of(step: dict) -> str:
    """Return the instruction behind one step of a history, or its comment.

    Tools that use no Dockerfile write their own name as the instruction, and describe the layer
    in the comment.

    >>> instruction_of({"created_by": "jib-maven-plugin:3.4.4", "comment": "classes"})
    'classes (jib-maven-plugin:3.4.4)'
    """
    text = clean_instruction(step.get("created_by") or "")
    comment = " ".join((step.get("comment") or "").split())
    if not text:
        return comment or NO_HISTORY
    if not comment or _OF_A_DOCKERFILE.match(text) or _OF_A_BUILDER.match(comment):
        return text
    return f"{comment} ({text})"


def clean_instruction(created_by: str) -> str:
    """Return an instruction as its author wrote it, from the form that builders store.

    >>> clean_instruction('/bin/sh -c #(nop)  CMD ["bash"]')
    'CMD ["bash"]'
    >>> clean_instruction("RUN |1 CGO=0 /bin/sh -c go build . # buildkit")
    'RUN go build .'
    """
    text = " ".join(created_by.split())
    text = text.removesuffix("# buildkit").rstrip()
    text, nop = _NOP.subn("", text)
    if not nop:
        text = _RUN.sub("RUN ", text)
        text = _RUN_WITH_ARGS.sub("RUN ", text)
    return text
