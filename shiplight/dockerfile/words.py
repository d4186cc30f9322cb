"""Words of a Dockerfile as BuildKit's shell lexer reads them: quotes, escapes and variables."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

# Go's idea of white space, in three sizes. Python's str.strip() takes \x1c to \x1f as well.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


MOST_CHARS = 131_072  # of one word: Linux gives a program no longer variable (MAX_ARG_STRLEN)
MOST_WORK = 2_000_000  # characters that one Dockerfile may expand to, or have patterns look at


class BadWord(ValueError):
    """Quotes or a substitution that do not close, or that BuildKit does not know."""


class TooLarge(BadWord):
    """Variables whose values become larger than any program can be given."""


class Room:
    """How much may still be expanded. Values made of values grow exponentially with their number.

    >>> Room(10).take(11)
    Traceback (most recent call last):
    shiplight.dockerfile.words.TooLarge: its variables are too large to expand
    """

    def __init__(self, most: int = MOST_WORK):
        self.left = most

    def take(self, count: int) -> None:
        """Use up so many characters. Raises TooLarge where there are not as many."""
        self.left -= count
        if self.left < 0:
            raise TooLarge("its variables are too large to expand")


class Lexer:
    """BuildKit's shell lexer. `keep(name)` says which unset variables stay as they are written;
    with `quotes` and `escapes`, those stay as well. What variables add takes of `room`."""

    def __init__(
        self,
        text: str,
        values: Mapping[str, str] | None = None,
        *,
        escape: str = "\\",
        keep: Callable[[str], bool] = lambda name: True,
        quotes: bool = False,
        escapes: bool = False,
        room: Room | None = None,
    ):
        self.text, self.at, self.values, self.escape = text, 0, values or {}, escape
        self.keep, self.quotes, self.escapes = keep, quotes, escapes
        self.rooms = (Room(MOST_CHARS), room or Room())

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def pieces(self, stop: str = "", escapes: bool | None = None) -> list[tuple[str, bool]]:
        """Return the text up to `stop`, in pieces, each with whether its spaces separate words."""
        before, self.escapes = self.escapes, self.escapes if escapes is None else escapes
        special = {"$": self.dollar, "'": self.single, '"': self.double, "<": self.arrow}
        found = []
        while (char := self.peek()) and char != stop:
            if char in special:
                found.append((special[char](), char == "$"))
            elif self.next() == self.escape:
                found.append(((char if self.escapes else "") + self.next(), False))
            else:
                found.append((char, True))
        if stop and not self.next():
            raise BadWord(f"nothing closes it: {stop} is missing")
        self.escapes = before
        return found

    def string(self, stop: str = "", escapes: bool | None = None) -> str:
        return "".join(text for text, _ in self.pieces(stop, escapes))

    def words(self) -> list[str]:
        words = [[]]
        for text, parts in self.pieces():
            first, *more = re.split(f"[{SPACE}]", text) if parts else [text]
            words[-1].append(first)
            words += [[word] for word in more]
        return [word for word in map("".join, words) if word]

    def single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise BadWord("nothing closes it: ' is missing")
        quoted, self.at = self.text[self.at : end + 1], end + 1
        return quoted if self.quotes else quoted[1:-1]

    def double(self) -> str:
        self.next()
        quote = '"' if self.quotes else ""
        found = [quote]
        while (char := self.peek()) != '"':
            if not char:
                raise BadWord('nothing closes it: " is missing')
            if char == "$":
                found.append(self.dollar())
            elif self.next() != self.escape:
                found.append(char)
            else:
                special = self.peek() in ('"', "$", self.escape)
                found.append(char if self.escapes else "")
                found.append(self.next() if special else char)
        self.next()
        return "".join([*found, quote])

    def arrow(self) -> str:
        if not self.text.startswith("<<", self.at):
            return self.next()
        start, self.at = self.at, re.compile(r"<<[\t\r ]*").match(self.text, self.at).end()
        return self.text[start : self.at]

    def take(self, count: int) -> None:
        """Use up so much of what this word, and its Dockerfile, may expand to."""
        for room in self.rooms:
            room.take(count)

    def dollar(self) -> str:
        """Return the value of `$NAME` or `${…}`."""
        start, found = self.at, self._expanded()
        self.take(max(0, len(found) - (self.at - start)))
        return found

    def _expanded(self) -> str:
        start = self.at
        self.next()
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            unset = name not in self.values and self.keep(name)
            return self.text[start : self.at] if unset else self.values.get(name, "")
        self.next()
        if self.peek() in ("", "{", "}", ":"):
            raise BadWord("bad substitution")
        name = self.name()
        found = self.substituted(name)
        unset = name not in self.values and self.keep(name)
        return self.text[start : self.at] if unset else found()

    def name(self) -> str:
        pattern = re.compile(r"\d+|[@*#?\-$!]|\w*")
        match = pattern.match(self.text, self.at)
        self.at = match.end()
        return match.group()

    def substituted(self, name: str) -> Callable[[], str]:
        """Return what will give the value of `${name…}`, read from after the name to the brace."""
        value, how = self.values.get(name), self.next()
        if how == "}":
            return lambda: value or ""
        if how == "/":
            return self.replaced(value or "")
        colon = how == ":"
        how = self.next() if colon else how
        if not how or (how in "#%" if colon else how not in "+-?#%"):
            raise BadWord(f"unsupported modifier ({':' * colon}{how}) in substitution")
        word = self.string("}", escapes=how in "#%")
        if how in "#%":
            return lambda: self.cut(value or "", how, word)
        missing = value is None or (colon and not value)
        return lambda: _substitution(name, how, value or "", word, missing)

    def cut(self, value: str, how: str, word: str) -> str:
        """Return the value of `${name#word}` and the like: without the matching start or end."""
        longest = word.startswith(how)
        pattern = self._pattern(word[longest:], value, backwards=how == "%")
        value = value if how == "#" else value[::-1]
        end = pattern.end(value, 0, longest=longest)
        left = value if end is None else value[end:]
        return left if how == "#" else left[::-1]

    def replaced(self, value: str) -> Callable[[], str]:
        """Return what `${name/pattern/new}` puts in place of a match."""
        every = self.peek() == "/" and self.next()
        pattern, new = self.string("/", escapes=True), self.string("}", escapes=True)
        return lambda: self._replaced(pattern, new, value, most=len(value) + 1 if every else 1)

    def _replaced(self, pattern: str, new: str, value: str, most: int) -> str:
        found, done = [], 0
        for start, end in islice(self._pattern(pattern, value).matches(value), most):
            self.take(len(new))
            found += [value[done:start], new]
            done = end
        return "".join([*found, value[done:]])

    def _pattern(self, pattern: str, value: str, *, backwards: bool = False) -> "_Pattern":
        self.take(len(value) * (len(pattern) if "?" in pattern else 1) // 16)
        return _Pattern(pattern, backwards=backwards)


def _substitution(name: str, how: str, value: str, word: str, missing: bool) -> str:
    """`${name:-word}` and its relatives."""
    if how == "-":
        return word if missing else value
    if how == "+":
        return "" if missing else word
    if how == "?":
        if missing:
            raise BadWord(f"{name}: {word or 'is not allowed to be unset or empty'}")
        return value
    raise BadWord(f"unsupported modifier (:{how}) in substitution")


class _Pattern:
    """A shell pattern: runs of characters, with a `*` between each two of them.

    Where a run stands first, the next `*` takes what lies before it elsewhere: nothing is tried
    twice, as a regular expression would.
    """

    def __init__(self, pattern: str, *, backwards: bool = False):
        runs = [[]]
        for part in re.findall(r"\\.|.", pattern, re.DOTALL)[:: -1 if backwards else 1]:
            if part == "*":
                runs.append([])
            else:
                runs[-1].append("." if part == "?" else re.escape(part[-1]))
        self.first, *self.middle = (re.compile("".join(run), re.DOTALL) for run in runs)
        self.last = self.middle.pop() if self.middle else None
        self.last_length = len(runs[-1])
        self.last_reversed = re.compile("".join(runs[-1][::-1]), re.DOTALL)

    def end(self, text: str, at: int, *, longest: bool) -> int | None:
        """Where the match that begins at `at` ends: the longest, or else the shortest."""
        found = self.first.match(text, at)
        for run in self.middle:
            found = found and run.search(text, found.end())
        if not found or not self.last:
            return found and found.end()
        if not longest:
            last = self.last.search(text, found.end())
            return last and last.end()
        last = self.last_reversed.search(text[::-1])
        fits = last and len(text) - last.end() >= found.end()
        return len(text) - last.start() if fits else None

    def matches(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of each match from the left, the longest at its place."""
        at, before = 0, -1
        while at <= len(text) and (found := self.first.search(text, at)):
            start, end = found.start(), self.end(text, found.start(), longest=True)
            if end is None:
                return
            if end > before:  # as in Go, nothing at all is no match right behind another one
                yield start, end
            at, before = max(end, start + 1), end


def split_words(value: str, escape: str = "\\") -> tuple[str, ...]:
    """Return the words of an ENV, LABEL or ARG value, split at white space, quotes and all."""
    e = re.escape(escape)
    double = rf'"(?:{e}.|[^"{e}])*(?:"|(?={e}?\Z))'
    word = rf"""(?:{e}.|'[^']*(?:'|\Z)|{double}|[^{SPACE}'"{e}])+"""
    return tuple(re.findall(word, value, re.DOTALL))
