"""What looks like a secret in a text, and the text without it: evidence never repeats a secret."""

import re
from collections.abc import Iterator
from itertools import pairwise

_WORDS = {
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
}
_SHORT = {"PASS", "PWD"}  # as the last of several words: PWD alone is a folder
_KEYS = {"API", "ACCESS", "PRIVATE", "SECRET", "ENCRYPTION", "SIGNING", "MASTER", "DEPLOY", "AUTH"}
_HARMLESS_ENDS = {
    *(
        "FILE",
        "PATH",
        "DIR",
        "URL",
        "URI",
        "NAME",
        "HEADER",
        "LENGTH",
        "TTL",
        "EXPIRY",
        "EXPIRATION",
    ),
    *("ENABLED", "DUMMY", "ID", "LIFETIME", "TYPE", "PREFIX", "ISSUER", "AUDIENCE", "ENDPOINT"),
    *("COUNT", "LIMIT", "MIN", "MAX", "ALGORITHM", "TIMEOUT"),
}
_PUBLIC = re.compile(
    r"^(?:NEXT_PUBLIC|NUXT_PUBLIC|EXPO_PUBLIC|PUBLIC|VITE|REACT_APP|GATSBY)_|PUBLIC"
)
_PLACEHOLDERS = re.compile(
    r"(?i)|\$.*|<.*>|x+|\*+|\.+|none|null|nil|true|false|yes|no|on|off|\d{1,2}|"
    r".*(?:dummy|placeholder|change[-_]?me|replace[-_]?me|build[-_]?only|not[-_]?(?:a|used|needed)|"
    r"example|your[-_]|fake|notset|unset|insecure).*|/run/secrets/.*"
)
_DEFAULT = re.compile(r"\$\{\w+:?-(.*)\}", re.DOTALL)
_SHAPES = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "a Slack token": r"\bxox[abeprs]-[\w-]{10,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a Google API key": r"\bAIza[\w-]{35}",
}
_IN_URL = re.compile(r"(?<=://)([^\s:/@'\"$]+):([^\s/@'\"$]+)(?=@)")
_USUAL = re.compile(r"(?i)pass|password|postgres|root|user|username|secret|mysql|admin|test|db|app")
# A word as a shell takes it; a comma after a quote parts the strings of a JSON form.
_WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*(?:"|$)|'[^']*(?:'|$)|[^\s'"\\,]|(?<!['"]),)+""")
_INSIDE = {'"': re.compile(r'(?:\\.|[^"\\])*'), "'": re.compile(r"[^']*")}
_NAME = re.compile(r"""\b([A-Za-z_]\w*)(=|\\?['"]\s*:\s*|:\s+)""")
_FIRST = re.compile(r"""[\\'"]*([^\s'"\\,]+)""")
_BETWEEN = r"""(?:[= ]+|['"],?\s*(?=['"]))"""  # an option and its value, in JSON too
_LONG = r"(?<![\w-])--?(?:(?!no-|disable|without)\w+-)?"
_THEN = r"""['",\s](?:[^;&|]*?['",\s])??(?-i:-p)"""  # later in the same command
_OPTION = re.compile(
    rf"(?i)({_LONG}(?:password|passwd|passphrase|token|secret|api[-_]?key){_BETWEEN}|"
    rf"\bbearer\s+|(?<!-)\blogin{_THEN}{_BETWEEN}|\bsshpass['\",\s]+(?-i:-p){_BETWEEN}?|"
    rf"\b(?:mysql|mariadb)\w*{_THEN}(?=[^\s'\",]))(?!['\"]?\$){_WORD.pattern}"
)
_USER = re.compile(
    rf"(?i)((?<![\w-])(?:-u|--user|--proxy-user)(?=[\s='\"]){_BETWEEN}"
    rf"(?P<quote>['\"])?(?P<user>[^\s:'\",]+):)(?!//|\$)"
    rf"(?P<word>(?(quote)(?:(?!(?P=quote)).)*|{_WORD.pattern}))"
)
_ENV_PAIR = re.compile(r"^(ENV|ARG)\s+([A-Za-z_]\w*)\s+(.+)$", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret, as far as names go.

    >>> is_secret_name("DB_PASSWORD"), is_secret_name("apiKey"), is_secret_name("PUBLIC_KEY")
    (True, True, False)
    >>> is_secret_name("TOKENIZERS_PARALLELISM"), is_secret_name("POSTGRES_PASSWORD_FILE")
    (False, False)
    >>> is_secret_name("PGPASSWORD"), is_secret_name("MYSQL_PWD"), is_secret_name("PWD")
    (True, True, False)
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper().split("_")
    if _PUBLIC.search(name.upper()) or words[-1] in _HARMLESS_ENDS:
        return False
    keys = any(before in _KEYS and word == "KEY" for before, word in pairwise(words))
    ends = words[-1].endswith("PASSWORD") or (len(words) > 1 and words[-1] in _SHORT)
    return keys or ends or bool(_WORDS & set(words))


def is_value(text: str | None) -> bool:
    """Whether a value may be a real one: not empty, no variable, no placeholder.

    >>> is_value("$WORD"), is_value("${WORD:-}"), is_value("${WORD:-hunter2}")
    (False, False, True)
    """
    plain = (text or "").strip("'\"")
    default = _DEFAULT.fullmatch(plain)
    plain = default[1].strip("'\"") if default else plain
    return bool(plain) and not _PLACEHOLDERS.fullmatch(plain)


def shapes(text: str) -> Iterator[str]:
    """What a text holds that has the shape of a secret, in words."""
    for what, pattern in _SHAPES.items():
        if re.search(pattern, text):
            yield what
    for match in _IN_URL.finditer(text):
        user, word = match.groups()
        if is_value(word) and user != word and not _USUAL.fullmatch(word):
            yield "a password in an address"


def mask(text: str) -> str:
    """The text with everything that looks like a secret replaced by `…`.

    >>> mask("ENV DB_PASSWORD=hunter2 A=b"), mask("git clone https://me:s3cr3t@host/x")
    ('ENV DB_PASSWORD=… A=b', 'git clone https://me:…@host/x')
    """
    for pattern in _SHAPES.values():
        text = re.sub(pattern, "…", text)
    text = _IN_URL.sub(lambda match: f"{match[1]}:…", text)
    text = _USER.sub(_without_password, _OPTION.sub(r"\1…", text))
    if (match := _ENV_PAIR.match(text)) and "=" not in match[2] and is_secret_name(match[2]):
        return f"{match[1]} {match[2]} …" if not match[3].startswith("=") else text
    return _without_values(text)


def _without_password(option: re.Match) -> str:
    user, word = option["user"], option["word"]
    is_group = word == user or (user + word).isdigit()
    return option[0] if is_group else f"{option[1]}…"


def _without_values(text: str) -> str:
    """The text without the values of names that hold secrets: `NAME=value`, `"name": "value"`."""
    parts, done = [], 0
    for name in _NAME.finditer(text):
        if name.start() < done or not _holds_a_secret(text, name):
            continue
        # With the quote before the name, as in "NAME=a b", the value ends where it closes.
        quote = text[name.start() - 1 : name.start()] if name[2] == "=" else ""
        value = _INSIDE.get(quote, _WORD).match(text, name.end())
        first = value and _FIRST.match(value[0])
        if first and is_value(first[1]):
            parts += [text[done : name.end()], "…"]
            done = value.end()
    return "".join([*parts, text[done:]])


def _holds_a_secret(text: str, name: re.Match) -> bool:
    """Whether a name does, or that of a property, as in -Dpassword=."""
    is_property = text[: name.start()].endswith("-") and name[1].startswith("D")
    return is_secret_name(name[1]) or (is_property and is_secret_name(name[1][1:]))
