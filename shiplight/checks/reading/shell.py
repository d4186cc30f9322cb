"""Split shell scripts in Dockerfiles into simple commands, in order.

Nothing is run, and of variables only plain words are put in that a script sets itself. Text that
cannot be parsed gives fewer commands, never an error: this reads other people's scripts to find
things, not to check their syntax.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import cache, cached_property, lru_cache
from itertools import accumulate, islice, takewhile

from ...dockerfile import Instruction
from .secretwords import is_secret_name

_OPERATOR = re.compile(r"&&|\|\||;;|\|&|[;&|\n(){}]")
_REDIRECT = re.compile(r"&>>?|<<<|<<-?|<>|>>|>&|<&|>\||[<>]")
_PLAIN = re.compile(r"[^\s'\"\\$`;&|(){}<>#]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_KEYWORDS = frozenset(("if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done",
                       "case", "esac", "in", "!", "time"))  # fmt: skip
_WRAPPERS = frozenset(("sudo", "exec", "env", "command", "nice", "nohup", "eatmydata", "xvfb-run",
                       "npx", "bunx", "corepack"))  # fmt: skip
# And in two words: what follows is the command.
_RUNNING = {("pnpm", "exec"), ("pnpm", "dlx"), ("yarn", "exec"), ("yarn", "dlx"), ("npm", "exec"),
            ("bundle", "exec"), ("poetry", "run"), ("pipenv", "run"), ("pdm", "run")}  # fmt: skip
_USUAL = {"mvnw": "mvn", "gradlew": "gradle", "pip3": "pip", "upx-ucl": "upx"}
_MODULES = ("pip", "uv", "pipenv", "pdm", "poetry")  # package managers that python -m runs
_SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh", "ksh", "mksh"))
_TESTS = ("[", "[[", "test")
# A pattern of a `case` up to its parenthesis; nothing where none is, as before `esac`.
_PATTERN = re.compile(
    r"""(?:(?:\s|\#[^\n]*\n)*+(?!esac\b)\(?(?:[^()'"\\\n;&]|\\.|'[^']*'|"[^"]*"){1,2000}\))?""",
    re.DOTALL,
)
_DEEPEST = 8  # scripts within scripts; deeper ones are nobody's
_MOST_COMMANDS = 500  # of one instruction


@dataclass(frozen=True)
class Command:
    """One simple command: its words without quotes, and the variables set before it.

    `piped`: its output goes into another command, and no test looks at what comes out of a `$(…)`
    around both. `own_shell`: a shell other than that of the instruction runs it, as in `bash -c`.
    `branch`: for each `if` that it stands in, which one, and in which of its branches.
    """

    words: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict, hash=False)
    piped: bool = False
    own_shell: bool = False
    branch: tuple[tuple[int, int], ...] = field(default=(), compare=False)

    @cached_property
    def program(self) -> str:
        """The program's usual name, without its folder: `mvnw` is mvn, Debian's upx-ucl is upx."""
        name = self.words[0].rpartition("/")[2]
        return _USUAL.get(name, name)

    def excludes(self, other: "Command") -> bool:
        """Return whether only one of both runs: they are in two branches of one `if`."""
        pairs = zip(self.branch, other.branch, strict=False)
        own, others = next((pair for pair in pairs if pair[0] != pair[1]), ((0, 0), (1, 0)))
        return own[0] == others[0]

    @property
    def options(self) -> tuple[str, ...]:
        return tuple(word for word in self.words[1:] if word.startswith("-"))

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(word for word in self.words[1:] if not word.startswith("-"))

    def matches(self, patterns) -> bool:
        """Return whether one of `patterns` (`npm ci`, `gradle *Jar`) names this command."""
        return any(map(self._matches, patterns))

    def _matches(self, pattern: str) -> bool:
        program, wanted = _parts(pattern)
        if not program(self.program):
            return False
        rest = iter(self.words[1:])
        return all(any(map(want, rest)) for want in wanted)


@cache
def _parts(pattern: str) -> tuple[Callable, tuple[Callable, ...]]:
    """What matches the program that a pattern names, and what matches each of its other words.

    Gradle takes its tasks without their case; an option is none of them.
    """
    program, *wanted = pattern.split()
    task = "(?i)(?!-)" if program == "gradle" else ""
    parts = [("" if word.startswith("-") else task) + translate(word) for word in wanted]
    return re.compile(translate(program)).match, tuple(re.compile(part).match for part in parts)


def commands(instruction: Instruction) -> tuple[Command, ...]:
    """Return the commands of a RUN, CMD or ENTRYPOINT, in shell form, JSON form or a heredoc."""
    if instruction.json is not None:
        return tuple(_unwrapped(list(instruction.json), {}, 0))
    found = _first_commands(instruction.value)
    for heredoc in instruction.heredocs:
        words = found[0].words if found else ("sh",)
        is_input = words[0].rpartition("/")[2] in _SHELLS and "-c" not in words
        if is_input and _is_for_shell(heredoc.content):
            inside = _first_commands(heredoc.content)
            own = bool(found) or heredoc.content.startswith("#!")
            found += tuple(replace(each, own_shell=own or each.own_shell) for each in inside)
    return found


@lru_cache(maxsize=64)  # many instructions may start the same script
def _first_commands(text: str) -> tuple[Command, ...]:
    return tuple(islice(parse(_with_values(text)), _MOST_COMMANDS))


_SETS = re.compile(  # a variable to plain words, as a command of its own
    r"""(?:^|[;&\n{(])[ \t]*(?:export\s+|readonly\s+)?(?P<name>[A-Za-z_]\w*)="""
    r"""(?P<value>"(?:[\w\s./:@=+,~%^*-]|\\\n){1,2000}"|'[\w\s./:@=+,~%^*-]{1,2000}'|"""
    r"""[\w./:@=+,~%^*-]{1,200})[ \t]*(?=$|[;\n]|&&)"""
)
_TARGET = re.compile(r"(?<![\w$])([A-Za-z_]\w*)\+?=|\b(?:for|read|local)\s+(?:-\w+\s+)*(\w+)")
_MOST_VALUES = 50_000  # characters that are put into one script
_USE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_OPENS = re.compile(r"(?:^|[\s;&|(])(?:if|case|for|while|until)\s")
_ENDS = re.compile(r"(?:^|[\s;&|])(?:fi|esac|done)(?=$|[\s;&|)])")


def _with_values(text: str) -> str:
    """Put in variables that a script sets once, to plain words and in no branch.

    >>> _with_values('P="gcc make" && apk add $P')
    'P="gcc make" && apk add gcc make'
    """
    if "=" not in text or "$" not in text:
        return text
    counts = Counter(one or other for one, other in _TARGET.findall(text))
    found, opened, at = {}, 0, 0
    for match in _SETS.finditer(text):
        before, at = text[at : match.start()], match.start()
        opened += len(_OPENS.findall(before)) - len(_ENDS.findall(before))
        name = match["name"]
        if counts[name] == 1 and opened <= 0 and not is_secret_name(name):
            found[name] = match["value"].strip("'\"").replace("\\\n", " "), match.end()

    room = _MOST_VALUES

    def value(use: re.Match) -> str:
        nonlocal room
        said, start = found.get(use[1] or use[2], ("", len(text)))
        if use.start() < start or len(said) > room:
            return use[0]
        room -= len(said)
        return said

    return _USE.sub(value, text) if found else text


def _is_for_shell(content: str) -> bool:
    """Whether a script is for a shell: it is unless its first line names another interpreter."""
    match = re.match(r"\t*#!\s*(?:\S*/env\s+(?:-\S+\s+)*)?(\S+)", content)
    return not match or match[1].rpartition("/")[2] in _SHELLS | {"busybox"}


def script(instruction: Instruction) -> str:
    """Everything that an instruction says: its value and its here-documents."""
    return "\n".join([instruction.value, *(heredoc.content for heredoc in instruction.heredocs)])


def parse(text: str, depth: int = 0) -> Iterator[Command]:
    """Yield the simple commands of a script, those in a `$(…)` after the command around them.

    `depth`: in how many scripts this one stands.
    """
    script, words, branches, held = _Script(text), [], _Branches(), _Held()
    for word in script.words():
        if word is not None:
            words.append(word)
            continue
        branch = branches.after(words)
        found = (replace(each, branch=branch + each.branch) for each in _command(words, depth))
        held.add(_into_pipe(found, script.operator))
        yield from held.after(words, script.operator)
        tested = next((w for w in words if w not in _KEYWORDS), "") in _TESTS
        words = []
        inner, script.inner = script.inner, []
        for part in inner if depth < _DEEPEST else ():
            found = parse(part, depth + 1)
            found = (replace(each, piped=False) for each in found) if tested else found
            held.add(found, own=False)
            yield from held.free()
    yield from held.free(at_end=True)


_OPENING = {"if": "fi", "for": "done", "while": "done", "until": "done", "case": "esac"}
_PIPES = ("|", "|&")


class _Held:
    """The commands of a `(…)`, a `{ …; }` or a loop, until it is known whether it goes into a pipe.

    All of them put their output into that, but those in a `$(…)`.
    """

    def __init__(self):
        self.commands: list[tuple[Command, bool]] = []  # and whether it is not in a `$(…)`
        self.starts: list[int] = []  # of what is open
        self.closed: int | None = None  # where the group began that has just ended
        self.piped: list[tuple[int, int]] = []

    def add(self, found: Iterable[Command], *, own: bool = True) -> None:
        room = _MOST_COMMANDS - len(self.commands)
        self.commands += [(each, own) for each in islice(found, room)]

    def after(self, words: list[str], operator: str) -> Iterator[Command]:
        """Open and close groups by a command's keywords and the operator behind it."""
        if words:
            self.closed = None
        for word in takewhile(_KEYWORDS.__contains__, words):
            if word in _OPENING:
                self.starts.append(len(self.commands))
            elif word in _OPENING.values():
                self._close()
        if operator in _PIPES and self.closed is not None:
            self.piped.append((self.closed, len(self.commands)))
        self.closed = None
        if operator in ("(", "{"):
            self.starts.append(len(self.commands))
        elif operator in (")", "}"):
            self._close()
        return self.free()

    def _close(self) -> None:
        self.closed = self.starts.pop() if self.starts else None

    def free(self, *, at_end: bool = False) -> Iterator[Command]:
        """Yield what is held by nothing that is still open."""
        if not at_end and (self.starts or self.closed is not None):
            return
        change = [0] * (len(self.commands) + 1)  # of how many groups a command goes into a pipe
        for start, end in self.piped:
            change[start] += 1
            change[end] -= 1
        for (command, own), piped in zip(self.commands, accumulate(change), strict=False):
            yield replace(command, piped=True) if piped and own else command
        self.commands, self.piped = [], []


class _Branches:
    """Which branches of which `if` a script is in."""

    def __init__(self):
        self.seen, self.open = 0, []

    def after(self, words: list[str]) -> tuple[tuple[int, int], ...]:
        """Return the branches that hold for a command, by the keywords in front of it."""
        for word in takewhile(_KEYWORDS.__contains__, words):
            if word == "if":
                self.seen += 1
                self.open.append((self.seen, 0))
            elif word in ("elif", "else") and self.open:
                number, branch = self.open.pop()
                self.open.append((number, branch + 1))
            elif word == "fi":
                del self.open[-1:]
        return tuple(self.open)


def _into_pipe(commands: Iterator[Command], operator: str) -> Iterator[Command]:
    """The commands; before a pipe, the last of them puts its output into that."""
    if operator not in _PIPES:
        yield from commands
    elif found := list(islice(commands, _MOST_COMMANDS)):
        yield from found[:-1]
        yield replace(found[-1], piped=True)


def _command(words: list[str], depth: int) -> Iterator[Command]:
    at, variables = 0, {}
    while at < len(words) and words[at] in _KEYWORDS:
        if words[at] in ("case", "for"):
            return
        at += 1
    while at < len(words) and (match := _ASSIGNMENT.fullmatch(words[at])):
        variables[match[1]] = match[2]
        at += 1
    yield from _unwrapped(words[at:], variables, depth)


def _unwrapped(words: list[str], variables: dict[str, str], depth: int) -> Iterator[Command]:
    """The command behind `sudo`, `env A=b` and the like, and the script behind `sh -c`."""
    at, variables = 0, dict(variables)
    while at < len(words) and (count := _wraps(words[at : at + 2])):
        at += count
        while at < len(words):
            match = _ASSIGNMENT.fullmatch(words[at])
            if not (match or words[at].startswith("-")):
                break
            if match:
                variables[match[1]] = match[2]
            at += 1
    words = words[at:]
    if not words or not words[0]:
        return
    name = words[0].rpartition("/")[2]
    flag = next((i for i, word in enumerate(words) if re.fullmatch(r"-\w*c", word)), None)
    if name in _SHELLS and flag is not None and flag + 1 < len(words) and depth < _DEEPEST:
        inside = parse(words[flag + 1], depth + 1)
        yield from (replace(each, own_shell=True) for each in inside)
    elif re.fullmatch(r"python[\d.]*", name) and words[1:2] == ["-m"] and words[2:3]:
        module = words[2:] if words[2] in _MODULES else words
        yield Command(tuple(module), variables)
    else:
        yield Command(tuple(words), variables)


def _wraps(words: list[str]) -> int:
    """How many words run what follows them, as `env` and `bundle exec` do."""
    if words[0].rpartition("/")[2] in _WRAPPERS:
        return 1
    return 2 if tuple(words[:2]) in _RUNNING else 0


def is_shell(word: str) -> bool:
    """Return whether a word names a shell."""
    return word.rpartition("/")[2] in _SHELLS


def is_shell_script(text: str) -> bool:
    """Return whether a file's first line says that a shell runs it."""
    return text.startswith("#!") and _is_for_shell(text)


def ends_in_exec(text: str) -> bool | None:
    """Return whether a script ends with an exec, so that the program replaces it.

    None if that depends on branches, functions, or traps that an exec does not always drop.
    """
    run = _until_exit(text)
    traps = [words for words in run if words[0] == "trap"]
    if not run or (traps and not _drops(traps, run, text)):
        return None
    execs = [words[0] == "exec" and len(words) > 1 for words in run]
    return True if execs[-1] else None if any(execs) else False


_LAST_EXEC = re.compile(r"exec[ \t](?:[^;&|\n]|\d?>&\d)+")


def _drops(traps: list[list[str]], run: list[list[str]], text: str) -> bool:
    """Whether a last line that is an exec, in no branch, drops all traps.

    A signal that a trap ignores, by '', stays ignored; and a wait may come before that line.
    """
    lines = [line.strip() for line in text.replace("\\\n", " ").split("\n")]
    *before, last = [line for line in lines if line and not line.startswith("#")] or [""]
    kept = any("" in words for words in traps) or ["wait"] in [words[:1] for words in run]
    whole = bool(_LAST_EXEC.fullmatch(last)) and run[-1][0] == "exec"
    return whole and not kept and not "".join(before[-1:]).endswith(("&&", "|"))


_USER = re.compile(r"[A-Za-z_][\w.-]*|\d+")
_ROOT = re.compile(r"root|0+")


def steps_down(text: str, tools: Collection[str]) -> bool | None:
    """Return whether a script that root runs ends as another user, by one of `tools`.

    None if that depends on branches, variables or other scripts.
    """
    run = [[word.rpartition("/")[2] or word for word in words] for words in _until_exit(text)]
    tools = {*tools, "su", "runuser", "sudo"}
    used = tools & set(re.findall(r"[\w-]+", re.sub(r"(?m)^[ \t]*#.*", "", text)))
    *before, last = run or [[]]
    execs = last[:1] == ["exec"]
    program = last[1:] if execs else last
    if program and program[0] in tools and not any(words[0] == "exec" for words in before):
        user = next((word for word in program[1:] if word != "-"), "").partition(":")[0]
        if _USER.fullmatch(user) and program[0] != "sudo":
            return not _ROOT.fullmatch(user)
    if not program or program[0].endswith((".sh", "entrypoint")):
        return None
    chosen = any(tools & set(words) for words in run if words[0] in ("exec", "set"))
    by_variable = program[0].startswith("$") and program[0] not in ("$@", "${@}")
    return None if used and (chosen or by_variable or not execs) else False


def _until_exit(text: str) -> list[list[str]]:
    """The simple commands of a script, without an exit at its end."""
    run = [words for words in plain_commands(text) if words]
    while run and run[-1][0] in ("exit", "return"):
        run.pop()
    return run


def last_command(text: str) -> Command | None:
    """Return the command by which a script ends, with exec or without; None for none.

    >>> last_command("migrate; exec ./serve.sh 80").words
    ('./serve.sh', '80')
    """
    words = (_until_exit(text) or [[]])[-1]
    words = words[1:] if words[:1] == ["exec"] else words
    return Command(tuple(words)) if words else None


def last_script(text: str) -> str:
    """Return the script by which another one ends, with exec or without; "" for none.

    >>> last_script("migrate; exec ./serve.sh"), last_script("./prepare.sh; serve")
    ('./serve.sh', '')
    """
    last = last_command(text)
    word = last.words[0] if last else ""
    return word if word.endswith((".sh", ".bash", "entrypoint")) else ""


def passes_on(text: str) -> bool:
    """Return whether a branch of an `if` ends by giving all arguments to a script, without exec."""
    run = [(words, branch) for words, branch in _branched(text) if words]
    if len(run) > _MOST_COMMANDS:
        return False
    plain = [Command(tuple(words), branch=branch) for words, branch in run]
    return any(
        one.branch
        and "/" in one.words[0]
        and one.words[1:] in (("$@",), ("${@}",))
        and all(one.excludes(later) for later in plain[number:])
        for number, one in enumerate(plain, 1)
    )


def plain_commands(text: str) -> Iterator[list[str]]:
    """Yield the simple commands of a script as written, without keywords and variables."""
    return (words for words, _ in _branched(text))


def _branched(text: str) -> Iterator[tuple[list[str], tuple[tuple[int, int], ...]]]:
    """The simple commands of a script, each with its branch of every `if` that it stands in."""
    words, branches = [], _Branches()
    for word in islice(_Script(text).words(), 20_000):
        if word is not None:
            words.append(word)
            continue
        branch = branches.after(words)
        while words and (words[0] in _KEYWORDS or _ASSIGNMENT.fullmatch(words[0])):
            words = words[1:]
        yield words, branch
        words = []


class _Script:
    """One reading of a script. `inner` collects what stands in `$(…)` and in backquotes."""

    def __init__(self, text: str):
        self.text, self.at, self.inner = text, 0, []
        self.operator = ""  # the last one, behind which a command ended
        self.broken = False  # something never closes: no more looking for its end

    def words(self) -> Iterator[str | None]:
        """Yield the words in order, and None after each command, without redirection targets.

        The patterns of a `case` are no words: a `|` in them is no pipe.
        """
        word, target, first, cases = None, False, True, []  # cases: whether their `in` has come
        while self.at < len(self.text):
            if word is None and self.text[self.at] == "#":
                self.at = self._find("\n", self.at)
                continue
            redirect = _REDIRECT.match(self.text, self.at)
            operator = None if redirect else self._operator(word)
            space = self.text[self.at].isspace()
            if not (redirect or operator or space):
                word = (word or "") + self._piece()
                continue
            if word is not None:
                if not target and not (redirect and word.isdigit()):
                    yield word
                    if first and word == "case":
                        cases.append(False)
                    elif first and word == "esac":
                        del cases[-1:]
                    elif word == "in" and cases and not cases[-1]:
                        cases[-1], self.at = True, _PATTERN.match(self.text, self.at).end()
                        self.operator, word, first = "", None, True
                        yield None
                        continue
                    first = first and word in _KEYWORDS
                word, target = None, False
            if operator:
                target, self.operator, first = False, operator.group(), True
                yield None
            target = target or bool(redirect)
            self.at = redirect.end() if redirect else operator.end() if operator else self.at + 1
            if operator and operator.group() == ";;" and cases:
                self.at = _PATTERN.match(self.text, self.at).end()
        if word is not None and not target:
            yield word
        self.operator = ""
        yield None

    def _find(self, end: str, start: int) -> int:
        found = self.text.find(end, start)
        return len(self.text) if found < 0 else found

    def _operator(self, word: str | None) -> re.Match | None:
        """The operator here, if one is. A brace parts commands only where it stands alone."""
        match = _OPERATOR.match(self.text, self.at)
        if match and match.group() in "{}":
            after = self.text[self.at + 1 : self.at + 2]
            return match if word is None and after in ("", " ", "\n", "\t", ";") else None
        return match

    def _piece(self) -> str:
        """A part of a word without its quotes."""
        char = self.text[self.at]
        if char == "\\":
            self.at += 2
            return self.text[self.at - 1 : self.at].strip("\n")
        if char == "'":
            start, self.at = self.at + 1, self._find("'", self.at + 1) + 1
            return self.text[start : self.at - 1]
        if char == '"':
            return self._double()
        if char in "$`":
            return self._expansion()
        match = _PLAIN.match(self.text, self.at)
        start, self.at = self.at, match.end() if match else self.at + 1
        return self.text[start : self.at]

    def _double(self) -> str:
        found, self.at = [], self.at + 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at] in "$`":
                found.append(self._expansion())
                continue
            self.at += self.text[self.at] == "\\"
            found.append(self.text[self.at : self.at + 1])
            self.at += 1
        self.at += 1
        return "".join(found)

    def _expansion(self) -> str:
        """`$NAME`, `${…}`, `$(…)` or a backquoted command, as written."""
        start, char = self.at, self.text[self.at]
        opening = self.text[start + 1 : start + 2]
        if char == "`":
            self.at = self._find("`", start + 1) + 1
            self.inner.append(self.text[start + 1 : self.at - 1])
        elif opening in ("(", "{") and not self.broken:
            self.at = self._closing(start + 1)
            sum_of = self.text.startswith("((", start + 1) and self.text.endswith("))", 0, self.at)
            if opening == "(" and not sum_of:
                self.inner.append(self.text[start + 2 : self.at - 1])
        else:
            self.at += 1
        return self.text[start : self.at]

    def _closing(self, at: int) -> int:
        """The place after what closes the parenthesis or brace at `at`."""
        opening, level = self.text[at], 0
        closing = ")" if opening == "(" else "}"
        while at < len(self.text):
            level += (self.text[at] == opening) - (self.text[at] == closing)
            at += 1
            if not level:
                return at
        self.broken = True
        return at
