"""Work that has to grow with its input and no faster: `python growing.py NAME` prints how it does.

Each case makes, for a size, a function to call; the sizes take long enough to be compared.
"""

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shiplight.buildkit.globs import Glob
from shiplight.image.changes import Entry, overlay

MEMORY, SECONDS = 1 << 30, 30
ROUNDS = 3


def one_folder_made_opaque_again_and_again(size):
    files = [Entry(f"d/{number:07}", "file", 1) for number in range(size)]
    return lambda: overlay([files, [Entry("d", "opaque")] * size])


def hard_links_to_a_layer_below(size):
    files = [Entry(f"a/{number:07}", "file", 1) for number in range(size)]
    links = [Entry(f"b/{number:07}", "hardlink", link=files[number].path) for number in range(size)]
    return lambda: overlay([files, [*links, Entry("a", "whiteout")]]).live


def stars_that_compete(size):
    return lambda: Glob("*a" * 200 + "b").matches("a" * size)


def folders_that_compete(size):
    return lambda: Glob("**/a*/" * 100 + "x").matches("a/" * size)


CASES = {
    one_folder_made_opaque_again_and_again: 20_000,
    hard_links_to_a_layer_below: 20_000,
    stars_that_compete: 100_000,
    folders_that_compete: 100_000,
}


def seconds(work) -> float:
    """The least CPU time of a few rounds."""
    took = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return min(took)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    case = globals()[sys.argv[1]]
    once, twice = (seconds(case(times * CASES[case])) for times in (1, 2))
    print(f"{twice / once:.2f} {once:.3f}")
