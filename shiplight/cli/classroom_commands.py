"""The commands of a teacher: class."""

import time
from datetime import datetime

from ..setup import ROOT
from .shared import print_json

LOOK_SECONDS = 2  # between two looks at the folder


def do_class(given) -> int:
    from ..classroom import see, write_page
    from .report import print_class

    page = given.page or ROOT / "out" / "class.html"
    shown = None
    while True:
        seen = see(given.folder, with_names=given.names)
        write_page(seen, page, now=datetime.now())
        if given.json:
            print_json(seen.to_dict())
        elif (state := _state(seen)) != shown:
            print_class(seen)
            print(f"page: {page}", flush=True)
            shown = state
        if not given.follow:
            return 0
        time.sleep(LOOK_SECONDS)


def _state(seen) -> tuple:
    """What has to change before a class is printed again; the page has every minute that passes."""
    return tuple(one.record for one in seen.learners), seen.refused
