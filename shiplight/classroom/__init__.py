"""A class: what learners hand to a teacher, and what the teacher sees of it. No server, no names.

`record` is the file that a learner hands over, and the only reader of it; `handing` writes it;
`seeing` reads a folder of such files and says who is stuck on what; `measured` has what lessons
measured, to be shown beside guesses; `page` draws all of it. And what a teacher prepares: `slides`,
the `answer_key`, and `catching_up` for who comes late. Knows lessons, and no command.
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
