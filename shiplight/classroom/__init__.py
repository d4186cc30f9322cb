"""A class: the progress that learners export, and a teacher's view of it. No server, no names.

`record` defines the file that a learner exports and is the only module that reads it; `handing`
writes it. `seeing` reads a folder of these files and finds out who is stuck on which mistake;
`measured` finds the measured values that are shown beside guesses; `page` renders the class as a
page. To prepare a class there are `slides`, the `answer_key`, and `catching_up` for latecomers.
May import lessons, but no command.
"""

from .answer_key import answer_key
from .catching_up import CaughtUp, Missed, catch_up, missed_before
from .handing import hand_over, keep_handing_over
from .page import write_page
from .record import Record
from .seeing import Class, said_of, see
from .slides import Deck, write_slides

__all__ = [
    "CaughtUp",
    "Class",
    "Deck",
    "Missed",
    "Record",
    "answer_key",
    "catch_up",
    "hand_over",
    "keep_handing_over",
    "missed_before",
    "said_of",
    "see",
    "write_page",
    "write_slides",
]
