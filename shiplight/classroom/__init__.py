"""A class: what learners hand to a teacher, and what the teacher sees of it. No server, no names.

`record` is the file that a learner hands over, and the only reader of it; `handing` writes it;
`seeing` reads a folder of such files and says who is stuck on what; `measured` has what lessons
measured, to be shown beside guesses; `page` draws all of it. Knows lessons, and no command.
"""

from .handing import hand_over, keep_handing_over
from .page import write_page
from .record import Record
from .seeing import Class, said_of, see

__all__ = ["Class", "Record", "hand_over", "keep_handing_over", "said_of", "see", "write_page"]
