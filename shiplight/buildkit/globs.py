"""Match one pattern in Go's `filepath.Match` syntax, with `**`, in linear time.

A pattern may be untrusted, and Python's `re` can take exponential time for one. So `re` gets only
patterns in which no two wildcards compete for the same characters, which is nearly all of them; the
others are matched state by state, like Go's own regular expressions.
"""

import re
from functools import cached_property
from itertools import pairwise

_ANY, _ALL, _DEEP = "[^/]*", ".*", "(?:.*/)?"  # `*`, a last `**`, any other `**`
_CLASS = re.compile(r"\[(\^?)((?:(?:\\.|[^\]\\-])(?:-(?:\\.|[^\]\\-]))?)+)\]", re.DOTALL)
_RANGE = re.compile(r"\\?(.)(?:-\\?(.))?", re.DOTALL)
_MOST_STATES = 2000  # that are kept of one pattern; more are worked out again


class Glob:
    """A pattern. Raises ValueError if it is not valid.

    `**` stands for any number of folders; first in a pattern without other wildcards it is any
    text, so `**.pyc` matches `a.pyc`. As in moby, `[^a]` matches a `/` too.
    """

    def __init__(self, glob: str):
        self._tokens = _tokens(glob)

    @cached_property
    def matches(self):
        """The function that returns whether a whole text matches."""
        if _is_simple(self._tokens):
            return re.compile("".join(self._tokens), re.DOTALL).fullmatch
        return _Automaton(self._tokens).fullmatch


def _tokens(glob: str) -> tuple[str, ...]:
    """The regular expressions of the characters and wildcards of a pattern."""
    plain_tail = glob.startswith("**") and not re.search(r"[*?\[\]\\]", glob[2:])
    found, at = [], 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if glob.startswith("**", at - 1):
            at += 1
            slash = glob.startswith("/", at)
            at += slash
            last = at == len(glob) or (plain_tail and not slash)
            found.append(_ALL if last else _DEEP)
        elif char in "*?":
            found.append(_ANY if char == "*" else "[^/]")
        elif char == "[":
            match = _CLASS.match(glob, at - 1)
            if not match:
                raise ValueError("a [ that no ] closes, or an empty or odd range")
            ranges = [f"{re.escape(a)}-{re.escape(b or a)}" for a, b in _RANGE.findall(match[2])]
            found.append(f"[{match[1]}{''.join(ranges)}]")
            _one_of(found[-1])
            at = match.end()
        elif char == "\\":
            if at == len(glob):
                raise ValueError("a \\ with nothing after it")
            found.append(re.escape(glob[at]))
            at += 1
        else:
            found.append(re.escape(char))
    doubled = [token == before in (_ANY, _DEEP) for before, token in pairwise(["", *found])]
    return tuple(token for token, again in zip(found, doubled, strict=True) if not again)


def _one_of(token: str) -> re.Pattern:
    try:
        return re.compile(token, re.DOTALL)
    except re.error as problem:
        raise ValueError(str(problem)) from None


def _is_simple(tokens: tuple[str, ...]) -> bool:
    """Whether no two wildcards of these can take the same characters: `**/` first, then one `*`
    between slashes, and a `**` last."""
    inner = tokens[tokens[:1] in ((_DEEP,), (_ALL,)) : len(tokens) - (tokens[-1:] == (_ALL,))]
    stars = 0
    for token in inner:
        stars = 0 if token == "/" else stars + (token == _ANY)
        crosses = token in (_DEEP, _ALL) or (token.startswith("[^") and token[:4] != "[^/]")
        if stars > 1 or crosses:
            return False
    return True


class _Automaton:
    """Follows all ways through a pattern at once: a state is a number whose bits are places in it.

    A place is a token; `**/` takes two, one to skip it and one inside of it.
    """

    def __init__(self, tokens: tuple[str, ...]):
        self._takes: list[re.Pattern] = []  # what a place takes, and goes on behind
        self._stays = {_ANY: 0, _ALL: 0}  # places that take any number of characters, and stay
        self._skips_one = self._skips_two = 0  # places that may take nothing
        for token in tokens:
            bit = 1 << len(self._takes)
            if token == _DEEP:
                self._skips_one, self._skips_two = self._skips_one | bit, self._skips_two | bit
                self._stays[_ALL] |= bit << 1
                self._takes += [re.compile("(?!)"), re.compile("/")]
            elif token in self._stays:
                self._skips_one |= bit
                self._stays[token] |= bit
                self._takes.append(re.compile("(?!)"))
            else:
                self._takes.append(_one_of(token))
        self._end = 1 << len(self._takes)
        self._nodes: dict[int, _Node] = {}
        self._by_char: dict[str, int] = {}

    def fullmatch(self, text: str) -> bool:
        """Return whether the whole text matches."""
        node = self._node(self._skipped(1))
        for char in text:
            node = node[char]
        return bool(node.state & self._end)

    def after(self, state: int, char: str) -> "_Node":
        """Return the state after one more character."""
        stays = self._stays[_ALL] | (self._stays[_ANY] if char != "/" else 0)
        return self._node(self._skipped((state & self._taking(char)) << 1 | state & stays))

    def _taking(self, char: str) -> int:
        """The places that match this character."""
        if char not in self._by_char:
            if len(self._by_char) > _MOST_STATES:
                self._by_char.clear()
            places = enumerate(self._takes)
            self._by_char[char] = sum(1 << n for n, takes in places if takes.fullmatch(char))
        return self._by_char[char]

    def _skipped(self, state: int) -> int:
        """A state with every state that can be reached without consuming a character."""
        before = -1
        while before != state:
            before = state
            state |= (state & self._skips_one) << 1 | (state & self._skips_two) << 2
        return state

    def _node(self, state: int) -> "_Node":
        if len(self._nodes) > _MOST_STATES:
            for node in self._nodes.values():
                node.clear()
            self._nodes.clear()
        return self._nodes.setdefault(state, _Node(self, state))


class _Node(dict):
    """One state, with the next states by character, as far as they were needed."""

    def __init__(self, automaton: _Automaton, state: int):
        super().__init__()
        self.automaton, self.state = automaton, state

    def __missing__(self, char: str) -> "_Node":
        self[char] = node = self.automaton.after(self.state, char)
        return node
