"""The commands before a class: ready and rehearse."""

from dataclasses import asdict

from ..setup import ROOT
from .shared import connect, print_json


def do_ready(given) -> int:
    from .. import kit
    from ..lessons import shelf
    from .report import print_findings

    found = kit.ready(_client_or_none(given), shelf.find(given.lessons))
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

    found = kit.rehearse(_client_or_none(given), shelf.find(given.lessons), ROOT / "out")
    is_ready = all(one.state != kit.PROBLEM for one in found)
    if given.json:
        print_json({"ready": is_ready, "findings": [asdict(one) for one in found]})
    else:
        print_findings(found)
    return 0 if is_ready else 1


def _client_or_none(given):
    from ..errors import EngineNotReachable
    from ..setup import say

    try:
        return connect(given, to_make=True)
    except EngineNotReachable as error:
        say(str(error))
        return None
