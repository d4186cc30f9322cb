"""The commands of a teacher: class, solutions, catch-up and slides."""

import time
from datetime import datetime

from ..setup import PROGRAM, ROOT
from .shared import connect, print_json

LOOK_SECONDS = 2  # between two looks at the folders


def do_class(given) -> int:
    from ..classroom import see, write_page
    from .report import print_class

    page = given.page or ROOT / "out" / "class.html"
    shown = None
    while True:
        seen = see(*given.folders, with_names=given.names)
        write_page(seen, page, now=datetime.now())
        if (state := _state(seen)) != shown:
            if given.json:
                print_json(seen.to_dict())
            else:
                print_class(seen)
                print(f"page: {page}", flush=True)
            shown = state
        if not given.follow:
            return 0
        time.sleep(LOOK_SECONDS)


def _state(seen) -> tuple:
    """What has to change before a class is printed again; the page has every minute that passes."""
    return tuple(one.record for one in seen.learners), seen.refused


def do_solutions(given) -> int:
    from ..classroom import answer_key
    from ..errors import UsageError

    if given.all == bool(given.exercises):
        raise UsageError(
            "solutions takes exercises, or --all.",
            hint=f"`{PROGRAM} solutions --all`, or `{PROGRAM} solutions 01.1`",
        )
    print(answer_key(given.exercises), end="")
    return 0


def do_catch_up(given) -> int:
    from ..classroom import catch_up, missed_before
    from ..lessons import shelf
    from .report import print_caught_up, print_missed

    [lesson] = shelf.find([given.lesson])
    print_missed(missed_before(lesson))
    if not given.tell_only:
        print_caught_up(catch_up(connect(given, to_make=True), lesson))
    return 0


def do_slides(given) -> int:
    from ..classroom import write_slides
    from ..lessons import shelf

    for lesson in shelf.find(given.lessons):
        deck = write_slides(lesson, ROOT / "out" / "slides", reveal=given.reveal)
        print(f"{deck.path}: {deck.slides} slides; exercises: {deck.exercises}")
    return 0
