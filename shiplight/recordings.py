"""Recorded mode: where no engine answers, the same calls return what a real run returned.

A function that asks an engine is marked `@replayed(...)`. With an engine it runs; while a lesson
is being recorded, what it returned or raised is written down as well; and where its client is a
`Recorded`, the stand-in that `connect()` gives without an engine, it is handed out again, in the
order in which it came, with `mode="recorded"` in its setting.

One file a lesson, one folder a kind of bases: `recordings/<kind>/<lesson>.json`. The file lists of
images are kept once a layer, compressed, in `recordings/<kind>/layers/`; long results that nobody
reads as text, such as reports of a scanner, are compressed where they stand.
"""

import base64
import contextlib
import functools
import inspect
import json
import os
import platform
import re
from contextvars import ContextVar
from dataclasses import is_dataclass, replace
from hashlib import sha256
from pathlib import Path

import zstandard

from . import engine, errors, files, progress
from .boxes import kernel_shell
from .buildkit import Step
from .engine import journal
from .errors import BaseNotAvailable, EngineNotReachable, NotRecorded, ShipLightError, UsageError
from .image import Image, LayerContent, LayerStore
from .setting import Setting, together
from .setup import PROGRAM, ROOT
from .units import format_bytes

FOLDER = ROOT / "recordings"
KINDS = ("official", "mirrored", "mixed", "equivalent")  # of bases, the best to look at first
LAB = "lab"  # what stands for the id of a lab in what is recorded
MOST_BYTES = 10_000_000  # of all recordings together
LEVEL = 19  # of zstd: written once, read often
FALLS_BACK = (BaseNotAvailable, errors.ScannerMissing)  # what a machine may lack beside an engine

# What reading may raise where a recording is not what was written down.
_DAMAGED = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError),
    zstandard.ZstdError,
)

_clients: list = []  # the one that a lesson in this process works with, live or recorded
_settings: list[Setting | None] = []  # of what that client gave
_inside: ContextVar[bool] = ContextVar("inside a call that is recorded", default=False)


def mode() -> str:
    """Return `auto`, `live` (nothing may fall back) or `recorded`, as SHIPLIGHT_MODE says."""
    asked = os.environ.get("SHIPLIGHT_MODE", "auto")
    if asked not in ("auto", "live", "recorded"):
        raise UsageError(f"SHIPLIGHT_MODE is {asked!r}.", hint="auto, live or recorded")
    return asked


def connect(lesson: str | None = None):
    """Return the Docker SDK's own client or, without an engine, a stand-in with recorded results.

    `lesson` names the recording to replay; without it, every recorded lesson is searched.
    In a notebook, this also makes the cell magic `%%dockerfile` available.
    Raises EngineNotReachable if there is no engine and no recording.
    """
    _clients.clear()
    _settings.clear()
    if (shell := kernel_shell()) is not None:
        shell.magics_manager.register_lazy("dockerfile", "shiplight.lessons")
    _clients.append(_client(lesson))
    return _clients[0]


def _client(lesson: str | None):
    if mode() == "recorded":
        return Recorded(lesson)
    try:
        client = engine.connect()
    except EngineNotReachable:
        if mode() == "live" or not sets(lesson):
            raise
        return Recorded(lesson)
    client.shiplight_lesson = lesson
    return client


def current():
    """Return the client that a lesson connected last, live or recorded; None without one."""
    return _clients[0] if _clients else None


def connected():
    """Return the live client that a lesson connected last; None if it replays or has none."""
    return None if isinstance(current(), Recorded) else current()


def kind_so_far() -> str:
    """Return the kind of bases of all live results so far: what a lesson's claims rest on."""
    setting = together(*_settings)
    return setting.bases if setting else "none"


def sets(lesson: str | None = None) -> list[Path]:
    """Return the files with recordings of one lesson or of all, each of its best kind of bases."""
    best = {}
    for folder in reversed(folders()):
        best |= {path.name: path for path in folder.glob(f"{lesson or '[0-9][0-9]-*'}.json")}
    return [best[name] for name in sorted(best)]


def folders() -> list[Path]:
    """Return the folders of recordings that there can be, one a kind of bases, the best first.

    SHIPLIGHT_RECORDINGS names another folder of the same form.
    """
    return [Path(os.environ.get("SHIPLIGHT_RECORDINGS", FOLDER)) / kind for kind in KINDS]


# --- handing out -----------------------------------------------------------------------------


class Recorded:
    """Stands where no engine answers, and hands out what a real run returned, call by call."""

    def __init__(self, lesson: str | None = None):
        paths = sets(lesson)
        if not paths:
            raise NotRecorded(
                f"there is no recording of {lesson or 'any lesson'}.",
                hint=f"start an engine; `{PROGRAM} doctor` tells you what is missing",
            )
        self.shiplight_lesson = lesson
        self._left: dict[str, list[dict]] = {}
        with _whole(f"the recording of {lesson or 'the lessons'}"):
            read = [json.loads(files.read(path)) for path in paths]
            self.setting = replace(Setting.from_dict(read[0]["setting"]), mode="recorded")
            for entry in (entry for one in read for entry in one["results"]):
                self._left.setdefault(entry["call"], []).append(entry)
        places = dict.fromkeys(path.parent / "layers" for path in paths)
        self._layers = [LayerStore(place, level=LEVEL) for place in places]

    def __repr__(self) -> str:
        return f"Recorded({self.setting})"

    def __getattr__(self, name: str):
        """What the SDK's client has asks an engine, and there is none."""
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotRecorded(
            f"`client.{name}` needs a Docker engine, and none is available.",
            hint=f"start an engine and restart the kernel; `{PROGRAM} doctor` tells you "
            "what is missing",
        )

    def contents(self, diff_id: str) -> LayerContent | None:
        """Return the list of the files in this layer; None if it was not recorded."""
        return next(filter(None, (store.get(diff_id) for store in self._layers)), None)

    def has(self, call: str) -> bool:
        """Return whether this call was recorded."""
        return call in self._left

    def next(self, call: str) -> dict:
        """Return the next entry of this call; the last one again where there are no more."""
        entries = self._left.get(call)
        if not entries:
            raise NotRecorded(
                f"this was not recorded: {call}",
                hint=f"your own changes need an engine; `{PROGRAM} doctor` tells you "
                "what is missing",
            )
        return entries.pop(0) if len(entries) > 1 else entries[0]


def replayed(kind: type | None = None, *, show=None, packed: bool = False):
    """Mark a function `f(client, …)` whose results, of dataclass `kind` or plain JSON, are kept.

    `show(result)` gives what the live call leaves on the screen, for replays to show as well;
    `packed` results are long, and kept compressed.
    """

    def mark(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(client=None, *arguments, **named):
            bound = _bound(function, signature, client, arguments, named)
            key = _key(function.__name__, bound)
            if isinstance(client, Recorded):
                return _hand_out(client, key, kind, show)
            if _inside.get():
                return function(client, *arguments, **named)
            try:
                return _ask(function, client, arguments, named, key, packed)
            except FALLS_BACK:
                stand_in = _beside(client)
                if stand_in is None or not stand_in.has(key):
                    raise
                return _hand_out(stand_in, key, kind, show)

        return call

    return mark


def _bound(function, signature, client, arguments, named) -> inspect.BoundArguments:
    """The arguments of a call by name. Raises UsageError where they do not fit."""
    name = function.__name__
    if isinstance(client, str | os.PathLike):
        raise UsageError(
            f"the first argument of {name} is the client, not {os.fspath(client)!r}.",
            hint=f"{name}(client, {os.fspath(client)!r})",
        )
    try:
        return signature.bind(client, *arguments, **named)
    except TypeError as error:
        needed = [one.name for one in signature.parameters.values() if one.default is one.empty]
        raise UsageError(f"{name}: {error}.", hint=f"{name}({', '.join(needed)})") from error


def _beside(client) -> Recorded | None:
    """The recordings of the lesson that a live client is in, for what this machine cannot do."""
    lesson = getattr(client, "shiplight_lesson", None)
    if mode() == "live" or not lesson or not sets(lesson):
        return None
    if not hasattr(client, "shiplight_stand_in"):
        client.shiplight_stand_in = Recorded(lesson)
    return client.shiplight_stand_in


def _ask(function, client, arguments, named, key: str, packed: bool):
    """The live result; written down where a lesson is being recorded."""
    token = _inside.set(True)
    try:
        result = function(client, *arguments, **named)
    except ShipLightError as error:
        _write_down(client, key, error)
        raise
    finally:
        _inside.reset(token)
    _write_down(client, key, result, packed=packed)
    if client is current():
        several = result if isinstance(result, tuple) else (result,)
        _settings.extend(getattr(one, "setting", None) for one in several)
    return result


@contextlib.contextmanager
def _whole(what: str):
    """Turn what comes of reading a damaged recording into an error of ours."""
    try:
        yield
    except _DAMAGED as error:
        raise NotRecorded(
            f"{what} is damaged: {type(error).__name__}: {error}.",
            hint="`git checkout recordings` restores it",
        ) from error


def _hand_out(recorded: Recorded, key: str, kind, show):
    with _whole(f"what was recorded of {key}"):
        entry = _unpacked(recorded.next(key))
        error = _error_from_dict(entry["error"]) if "error" in entry else None
        result = _from_json(entry["result"], kind) if error is None else None
    if error is not None:
        _show(show, error)
        raise error
    if isinstance(result, Image):
        known = [recorded.contents(layer.diff_id) for layer in result.layers]
        if None not in known:
            result = replace(result, contents=tuple(content.entries for content in known))
    _show(show, result)
    return result


def _show(show, result) -> None:
    kept = show(result) if show is not None else None
    if kept is not None:
        with progress.Screen(lambda: kept) as screen:
            screen.keep = kept


def _key(name: str, bound: inspect.BoundArguments) -> str:
    """One line that names a call, the same on every machine; long texts by their digest."""
    words = [name]
    for position, (parameter, value) in enumerate(list(bound.arguments.items())[1:]):
        if value in (None, "", {}, (), False):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            word = _word(one)
            words.append(word if position == 0 else f"{parameter}={word}")
    return " ".join(words)


def _word(value) -> str:
    """How one argument is written in a key."""
    text = getattr(value, "tag", None) or getattr(value, "__name__", value)
    if isinstance(text, dict):
        text = json.dumps(text, sort_keys=True, default=os.fspath)
    text = _without_lab(str(text))
    if len(text) > 80 or "\n" in text:
        return "sha256:" + sha256(text.encode()).hexdigest()[:12]
    return text


# --- writing down ----------------------------------------------------------------------------


def _write_down(client, key: str, outcome, *, packed: bool = False) -> None:
    """Append what came of a call to the file of SHIPLIGHT_RECORD, if a lesson is being recorded."""
    path = os.environ.get("SHIPLIGHT_RECORD")
    if not path:
        return
    file = Path(path)
    if file.exists():
        data = json.loads(file.read_text(encoding="utf-8"))
    else:
        data = {"version": 1, "setting": engine.setting(client).to_dict(), "results": []}
    failed = isinstance(outcome, ShipLightError)
    entry = {"error": _error_to_dict(outcome)} if failed else {"result": _to_json(outcome)}
    entry = json.loads(_masked(json.dumps(entry)))
    data["results"].append({"call": key, **(_packed(entry) if packed else entry)})
    _write_json(file, data)
    if isinstance(outcome, Image):
        LayerStore(file.parent / "layers", level=LEVEL).put_image(replace(outcome, engine_id=None))


def _packed(entry: dict) -> dict:
    """The entry in a form that takes a twentieth of its text."""
    text = json.dumps(entry, separators=(",", ":")).encode()
    return {"packed": base64.b64encode(zstandard.compress(text, LEVEL)).decode()}


def _unpacked(entry: dict) -> dict:
    """The entry as it was before `_packed`; any other as it is."""
    if "packed" not in entry:
        return entry
    packed = base64.b64decode(entry["packed"])
    if zstandard.frame_content_size(packed) > files.MOST_BYTES:
        raise ValueError("it is too large")
    return json.loads(zstandard.decompress(packed))


def keep(written: Path) -> Path:
    """Move the recording of a lesson that ran to its end to its place, and its file lists with it.

    Lists of layers that no recording mentions any longer go. Raises UsageError where all together
    would be larger than a clone should carry.
    """
    text = written.read_text(encoding="utf-8")
    data, kind = json.loads(text), _kind_of(text)
    data["setting"]["bases"] = kind
    folder = FOLDER / kind
    (folder / "layers" / "layers").mkdir(parents=True, exist_ok=True)
    for path in (written.parent / "layers" / "layers").glob("*"):
        files.write(folder / "layers" / "layers" / path.name, path.read_bytes())
    _write_json(folder / written.name, data)
    _keep_verdicts(written.parent, folder)
    told = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.json"))
    named = set(re.findall(r'"diff_id": "([^"]+)"', told))
    kept = LayerStore(folder / "layers")
    kept.keep_only(named)
    total = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    if total > MOST_BYTES:
        raise UsageError(f"the recordings take {format_bytes(total)}.", hint="record less")
    return folder / written.name


def _keep_verdicts(new: Path, folder: Path) -> None:
    """Put the verdicts of one lesson beside those of the others."""
    known = {}
    for path in (folder / "verdicts.json", new / "verdicts.json"):
        if path.exists():
            known |= json.loads(path.read_text(encoding="utf-8"))
    _write_json(folder / "verdicts.json", dict(sorted(known.items())))


def _write_json(path: Path, data: dict) -> None:
    files.write(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _kind_of(text: str) -> str:
    """The kind of bases that a recording was made on: `mixed` where its results name several."""
    kinds = set(re.findall(r'"bases": "(\w+)"', text)) & set(KINDS)
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "equivalent"


def _without_lab(text: str) -> str:
    """The text without the names that only this lab has: its own, and its folders'."""
    for lab in (journal.lab_id(), journal.shared_id()):  # the second may begin the first
        for sign in ("shiplight/{}/", "shiplight-{}", f'"{journal.LABEL}": "{{}}"'):
            text = text.replace(sign.format(lab), sign.format(LAB))
    for folder in (str(journal.path()), str(journal.shared()), str(journal.ROOT)):
        text = text.replace(folder, "…")
    return text


def _masked(text: str) -> str:
    """The text without what belongs to this machine: its lab, its name, its mirror, its home."""
    text = re.sub(r"(?<=lib/apt/lists/)[^_/\"]+(?=_)", "mirror", _without_lab(text))
    home, name = str(Path.home()), platform.node()
    if home not in ("/", "/root"):  # in most images those are folders of the image
        text = text.replace(home, "~")
    return re.sub(rf"\b{re.escape(name)}\b", "host", text) if len(name) > 3 else text


# --- to and from JSON ------------------------------------------------------------------------


def _to_json(result):
    if isinstance(result, tuple | list):
        return [_to_json(item) for item in result]
    data = result.to_dict() if is_dataclass(result) else result
    return _without_logs(data) if isinstance(data, dict) else data


def _without_logs(data: dict) -> dict:
    """Without the log of steps that did not fail."""
    for step in data.get("steps", ()):
        if isinstance(step, dict) and not step.get("error"):
            step["log"] = []
    return data


def _from_json(data, kind: type | None):
    if kind is None or data is None:
        return data
    if isinstance(data, list):
        return tuple(_from_json(item, kind) for item in data)
    result = kind.from_dict(data)
    setting = getattr(result, "setting", None)
    return replace(result, setting=replace(setting, mode="recorded")) if setting else result


def _error_to_dict(error: ShipLightError) -> dict:
    data = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
    if getattr(error, "line", None) is not None:
        data["line"] = error.line
    if getattr(error, "steps", None):
        data["steps"] = [step.to_dict() for step in error.steps]
        data = _without_logs(data)
    return data


def _error_from_dict(data: dict) -> ShipLightError:
    kind = getattr(errors, data["type"])
    if not issubclass(kind, ShipLightError):
        raise TypeError("no error of ours")
    if not data["message"] or not isinstance(data["message"], str):
        raise ValueError("an error without words")
    more = {"line": data["line"]} if "line" in data else {}
    if "steps" in data:
        more["steps"] = tuple(Step.from_dict(step) for step in data["steps"])
    return kind(data["message"], hint=data["hint"], **more)


@replayed()
def ask(client, question):
    """Call `question(client)`, and return its result; record it under the function's name.

    This lets a lesson show the SDK itself. The result has to be valid JSON.
    """
    return question(client)
