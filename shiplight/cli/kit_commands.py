"""The commands before a class: pack, unpack, ready and rehearse."""

from dataclasses import asdict
from pathlib import Path

from ..setup import ROOT
from .shared import connect, print_json


def do_pack(given) -> int:
    from .. import kit
    from ..lessons import shelf
    from ..setup import PROGRAM, say
    from ..units import format_bytes

    if given.serve:
        return _serve(given)
    client = connect(given, to_make=not given.weigh)
    wheels = tuple(filter(None, given.wheels.split(",")))
    planned = kit.plan(
        client, shelf.find(given.lessons), wheels_for=wheels, with_packages=given.packages
    )
    print(f"The kit will hold {planned.sentence}.", flush=True)
    if given.weigh:
        return 0
    target = given.output or ROOT / "out" / "shiplight-kit.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    made = kit.pack(client, planned, target)
    print(f"wrote {target}: {len(made.members)} files, {format_bytes(made.bytes)}")
    if not planned.has_packages:
        say("it has nothing of what RUN steps download; --packages adds that")
    say(f"`{PROGRAM} unpack` takes it")
    return 0


def _serve(given) -> int:
    from .. import kit
    from ..setup import PROGRAM

    server, digest = kit.serve(given.serve, given.port)
    there = f"http://ADDRESS:{given.port}/kit.tar --sha256 {digest[:16]}"
    print(f"serving {given.serve}, SHA-256 {digest}, until Ctrl-C; on each laptop, with this")
    print(f"machine's address: {PROGRAM} unpack {there}", flush=True)
    with server:
        server.serve_forever()
    return 0


def do_unpack(given) -> int:
    from .. import kit

    client = _client_or_none(given, to_make=True)
    is_far = given.kit.startswith(("http:", "https:"))
    file = kit.fetch(given.kit, given.sha256) if is_far else Path(given.kit)
    found = kit.unpack(client, file)
    if is_far:
        file.unlink()
    loaded = f"base images here: {len(found.bases)}" if client else "no engine: no base images"
    print(f"verified {len(found.members)} files; {loaded}; for {', '.join(found.lessons)}")
    if client and kit.has_packages(found):
        print("builds download from the kit from now on: SHIPLIGHT_PACKAGES=network does without")
    for folder in kit.wheels_of(found):
        print(f"Python packages: {folder}")
    return 0


def do_ready(given) -> int:
    from .. import kit
    from ..lessons import shelf
    from .report import print_findings

    found = kit.ready(_client_or_none(given, to_make=True), shelf.find(given.lessons))
    if given.json:
        print_json(found.to_dict())
    else:
        print_findings(found.found)
        print(f"\nSend this line to your teacher:\n{found.line}")
    return 0 if found.to_dict()["ready"] else 1


def do_rehearse(given) -> int:
    from .. import kit
    from ..lessons import shelf
    from .report import print_findings

    found = kit.rehearse(
        _client_or_none(given), shelf.find(given.lessons), ROOT / "out", kit=given.kit
    )
    is_ready = all(one.state != kit.PROBLEM for one in found)
    if given.json:
        print_json({"ready": is_ready, "findings": [asdict(one) for one in found]})
    else:
        print_findings(found)
    return 0 if is_ready else 1


def _client_or_none(given, *, to_make: bool = False):
    from ..errors import EngineNotReachable
    from ..setup import say

    try:
        return connect(given, to_make=to_make)
    except EngineNotReachable as error:
        say(str(error))
        return None
