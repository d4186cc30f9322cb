"""Words of a Dockerfile as BuildKit's shell lexer reads them: quotes, escapes and variables."""

import re
from collections.abc import Callable, Mapping

# Go's idea of white space, in three sizes. Python's str.strip() takes \x1c to \x1f as well.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


class BadWord(ValueError):
    """Quotes or a substitution that do not close, or that BuildKit does not know."""


class Lexer:
    """BuildKit's shell lexer. `keep(name)` says which unset variables stay as they are written;
    with `quotes` and `escapes`, those stay as well."""

    def __init__(
        self,
        text: str,
        values: Mapping[str, str] | None = None,
        *,
        escape: str = "\\",
        keep: Callable[[str], bool] = lambda name: True,
        quotes: bool = False,
        escapes: bool = False,
    ):
        self.text, self.at, self.values, self.escape = text, 0, values or {}, escape
        self.keep, self.quotes, self.escapes = keep, quotes, escapes

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def pieces(self, stop: str = "", escapes: bool | None = None) -> list[tuple[str, bool]]:
        """The text up to `stop`, in pieces, each with whether white space in it parts words."""
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
        words = [""]
        for text, parts in self.pieces():
            first, *more = re.split(f"[{SPACE}]", text) if parts else [text]
            words[-1] += first
            words += more
        return [word for word in words if word]

    def single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise BadWord("nothing closes it: ' is missing")
        quoted, self.at = self.text[self.at : end + 1], end + 1
        return quoted if self.quotes else quoted[1:-1]

    def double(self) -> str:
        self.next()
        found = quote = '"' if self.quotes else ""
        while (char := self.peek()) != '"':
            if not char:
                raise BadWord('nothing closes it: " is missing')
            if char == "$":
                found += self.dollar()
            elif self.next() != self.escape:
                found += char
            else:
                special = self.peek() in ('"', "$", self.escape)
                found += (char if self.escapes else "") + (self.next() if special else char)
        self.next()
        return found + quote

    def arrow(self) -> str:
        if not self.text.startswith("<<", self.at):
            return self.next()
        start, self.at = self.at, re.compile(r"<<[\t\r ]*").match(self.text, self.at).end()
        return self.text[start : self.at]

    def dollar(self) -> str:
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
        """What will give the value of `${name…}`, read from after the name to the brace."""
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
        missing = value is None or (colon and not value)
        return lambda: _substitution(name, how, value or "", word, missing)

    def replaced(self, value: str) -> Callable[[], str]:
        every = self.peek() == "/" and self.next()
        pattern, new = self.string("/", escapes=True), self.string("}", escapes=True)
        return lambda: re.sub(_glob(pattern), lambda _: new, value, count=0 if every else 1)


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
    if how not in "#%":
        raise BadWord(f"unsupported modifier (:{how}) in substitution")
    greedy = word.startswith(how)
    pattern = re.compile(_glob(word[greedy:]), re.DOTALL)
    cuts = range(len(value) + 1)
    for cut in cuts if greedy == (how == "%") else reversed(cuts):
        if pattern.fullmatch(value[cut:] if how == "%" else value[:cut]):
            return value[:cut] if how == "%" else value[cut:]
    return value


def _glob(pattern: str) -> str:
    """A shell pattern as a regular expression."""
    wild = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "".join(wild.get(part) or re.escape(part[-1]) for part in parts)


def split_words(value: str, escape: str = "\\") -> tuple[str, ...]:
    """The words of an ENV, LABEL or ARG value, split at white space, quotes and all."""
    e = re.escape(escape)
    double = rf'"(?:{e}.|[^"{e}])*(?:"|(?={e}?\Z))'
    word = rf"""(?:{e}.|'[^']*(?:'|\Z)|{double}|[^{SPACE}'"{e}])+"""
    return tuple(re.findall(word, value, re.DOTALL))
