"""Work that has to grow with its input and no faster: `python growing.py NAME` prints how it does.

Each case makes, for a size, a function to call; the sizes take long enough to be compared.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shiplight.buildkit.globs import Glob
from shiplight.checks import checklist
from shiplight.dockerfile import Lexer
from shiplight.image.changes import Entry, overlay

MEMORY, SECONDS = 1 << 30, 30
ROUNDS = 3


def _subject(text: str):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(text)
        return checklist.read_subject(folder)


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


def one_long_word(size):
    return lambda: Lexer("<<EOF " + "a" * size + '"' + "a" * size + '"').words()


def a_shell_pattern(size):
    texts = ["${v" + pattern + "}" for pattern in ("##*a*a*b", "%%b*a*", "//?a*b/")] * 100
    return lambda: [Lexer(text, {"v": "a" * size}).string() for text in texts]


def commands_of_one_dockerfile(size):
    run = "RUN " + "go build; gcc a.c;" * 8 + "\n"
    text = "FROM golang\nENV " + " ".join(f"A{n}=b" for n in range(500)) + "\n" + run * size
    return lambda: checklist.run(_subject(text))


def words_before_a_program(size):
    text = "FROM golang\nRUN " + "env A=b sudo " * size + "x\n"
    return lambda: checklist.run(_subject(text))


CASES = {
    one_folder_made_opaque_again_and_again: 20_000,
    hard_links_to_a_layer_below: 20_000,
    stars_that_compete: 2_000_000,
    folders_that_compete: 1_000_000,
    one_long_word: 60_000,
    a_shell_pattern: 20_000,
    words_before_a_program: 9_000,
    commands_of_one_dockerfile: 30,
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
