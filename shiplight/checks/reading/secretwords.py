"""Recognize secrets by names, values and the shapes of `secretshapes`, for the check and masking.

Evidence never repeats a secret. Everything that is found is masked; the check reports only real
values. Matching takes linear time.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from .secretshapes import (
    A_KEY,
    AROUND,
    BEFORE,
    BEGIN,
    ECHO,
    NAMES,
    PIPED,
    PROSE,
    TOKENS,
    WORD,
    has_private_key,
)

# --- names ---------------------------------------------------------------------------------------

_WORDS = {
    *("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "CREDENTIAL"),
    *("CREDENTIALS", "AUTHORIZATION", "ACCESSKEY", "SECRETKEY", "PRIVATEKEY", "AUTHKEY"),
    *("STOREPASS", "KEYPASS"),
}
_ENDS = (
    *("PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "APIKEY"),
    *("PGPASS", "DBPASS", "SQLPASS", "SSHPASS", "FTPPASS", "SMTPPASS", "ROOTPASS", "ADMINPASS"),
)
_SHORT = {"PASS", "PWD", "PSW", "PW", "PSK"}  # as the last of several words: PWD alone is a folder
_KEYS = {
    *("ACCOUNT", "API", "ACCESS", "PRIVATE", "SECRET", "ENCRYPTION", "SIGNING", "MASTER"),
    *("DEPLOY", "AUTH", "SSH", "PRV", "RSA"),
}
_HARMLESS_ENDS = {
    *("FILE", "PATH", "DIR", "URL", "URI", "NAME", "HEADER", "LENGTH", "TTL", "EXPIRY", "FIELD"),
    *("EXPIRATION", "EXPIRE", "EXPIRES", "ENABLED", "ENABLE", "DISABLED", "DUMMY", "ID", "IDS"),
    *("LIFETIME", "TYPE", "PREFIX", "SUFFIX", "ISSUER", "AUDIENCE", "ENDPOINT", "COUNT", "LIMIT"),
    *("MIN", "MAX", "ALGORITHM", "ALG", "TIMEOUT", "MINUTES", "SECONDS", "HOURS", "DAYS", "AGE"),
    *("DURATION", "INTERVAL", "RETRIES", "SIZE", "BYTES", "BITS", "LEN", "HOST", "HOSTNAME"),
    *("PORT", "DOMAIN", "REGION", "VERSION", "PROVIDER", "BACKEND", "DRIVER", "MODE", "POLICY"),
    *("STRATEGY", "REQUIRED", "ROUNDS", "COST", "USER", "USERNAME", "EMAIL", "FORMAT", "STDIN"),
    *("SERVICE", "SERVER", "ADDRESS", "ADDR", "SCOPE", "SCOPES", "STORE", "MANAGER", "REGEX"),
    *("PATTERN", "LEEWAY", "COLUMN", "CLASS", "NAMESPACE", "DIGEST", "CHECKSUM", "SHA256"),
    *("STRING", "NOPASSWD", "HASHER", "HASHERS", "HELPER", "HELPERS", "ENCRYPTION"),
}
# What may be a secret, or its name, or a switch: it is one where a program made the value.
_PERHAPS = re.compile(
    r"(?i)(?:^|[-_.])(?:COOKIE|JWT|PAT|PASS|PW|PSK|SALT|sonar\.login|JFrog-Art-Api|"
    r"(?:APP|LICEN[CS]E|SUBSCRIPTION|FUNCTIONS)[-_.]?KEY)$"
)
_BUNDLERS = re.compile(r"BUNDLE_(?!BUILD__|LOCAL__|MIRROR__|GEM__|PLUGINS__)\w+__\w+")  # a host's
_PUBLIC = re.compile(
    r"^(?:NEXT_PUBLIC|NUXT_PUBLIC|EXPO_PUBLIC|PUBLIC|VITE|REACT_APP|GATSBY)_|PUBLIC"
)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether a variable with this name holds a secret, judging by the name.

    >>> is_secret_name("DB_PASSWORD"), is_secret_name("apiKey"), is_secret_name("PUBLIC_KEY")
    (True, True, False)
    >>> is_secret_name("TOKENIZERS_PARALLELISM"), is_secret_name("POSTGRES_PASSWORD_FILE")
    (False, False)
    >>> is_secret_name("PGPASSWORD"), is_secret_name("MYSQL_PWD"), is_secret_name("PWD")
    (True, True, False)
    >>> is_secret_name("X-Api-Key"), is_secret_name("TOKEN_EXPIRE_MINUTES")
    (True, False)
    """
    words = re.split(r"[-_.]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())
    if _PUBLIC.search(name.upper()) or words[-1] in _HARMLESS_ENDS:
        return False
    keys = any(before in _KEYS and word == "KEY" for before, word in pairwise(words))
    ends = words[-1].endswith(_ENDS) or (len(words) > 1 and words[-1] in _SHORT)
    of_a_host = name.lower() == "_auth" or bool(_BUNDLERS.fullmatch(name))
    return keys or ends or bool(_WORDS & set(words)) or of_a_host


_JUDGED = 500  # characters of a value, to tell whether it is a secret

# --- values --------------------------------------------------------------------------------------

_PLACEHOLDERS = re.compile(
    r"(?is)|[$`].*|[!*]+|<.*>|\{\{.*|%\w+%|x+|\.+|…|none|null|nil|true|false|yes|no|on|off|\d{1,2}|"
    r".*(?:dummy|placeholder|change[-_]?(?:me|it)|replace[-_]?me|build[-_]?(?:time[-_]?)?only|"
    r"not[-_]?(?:a|used|needed)|"
    # What `django-admin startproject` makes is a real key, whatever it calls itself.
    r"example|your[-_]|fake|notset|unset|(?<!django-)insecure|insecure(?!-\S{20})).*|"
    r"sha(?:1|256|384|512)[-:].*|"  # a digest of an image, or of what a lock file names
    r"/(?:run|etc|var|opt|usr|home|root|tmp|app|mnt|srv|secrets|config|data)(?:/[\w.-]+)*/?|"
    r"(?:https?|file|unix)://[^@]*|localhost(?::\d+)?|"
    r"[a-z\d-]+(?:\.[a-z\d-]+)*\.(?:com|org|net|io|dev|local|internal|svc|test|invalid)(?::\d+)?|"
    r"\d+(?:\.\d+)?(?:ms|s|m|h|d|min|mins|minutes?|seconds?|hours?|days?)"
)
_DEFAULT = re.compile(r"\$\{\w+:?-(.*)\}", re.DOTALL)
_USUAL = re.compile(r"(?i)pass|password|postgres|root|user|username|secret|mysql|admin|test|db|app")
_NUMBER = re.compile(r"\d{1,6}")


def is_value(text: str | None) -> bool:
    """Return whether a value may be real: not empty, not a variable, not a placeholder.

    >>> is_value("$WORD"), is_value("${WORD:-}"), is_value("${WORD:-hunter2}")
    (False, False, True)
    >>> is_value("/run/secrets/db"), is_value("sha256:0a1b"), is_value("15m")
    (False, False, False)
    """
    plain = (text or "")[:2000].strip("'\"")
    default = _DEFAULT.fullmatch(plain)
    plain = default[1].strip("'\"") if default else plain
    return bool(plain) and not _PLACEHOLDERS.fullmatch(plain)


# What nginx passes requests to, by its directives' names: that is no password.
_UPSTREAM = re.compile(r"(?i)(?:\w+_)?(?:uwsgi|fastcgi|scgi|grpc)_pass|(?:nginx_)?proxy_pass")
_HOST = re.compile(
    r"(?:\w{1,9}://|unix:)?(?P<name>[\w./-]{1,200})(?P<port>:\d{1,5})?(?:/[\w./-]*)?"
)


def _is_upstream(name: str, value: str) -> bool:
    """Whether a variable says where a server passes requests to: a host, a socket or a name."""
    host = _HOST.fullmatch(value) if _UPSTREAM.fullmatch(name) else None
    return bool(host) and (bool(host["port"]) or not _is_random(host["name"]))


def is_secret(name: str, value: str | None) -> bool:
    """Return whether a variable with that name and value is a secret; numbers may be passwords.

    >>> is_secret("UWSGI_PASS", "uwsgi_server"), is_secret("PROXY_PASS", "app:80")
    (False, False)
    >>> is_secret("HTTP_PROXY_PASS", "letmein"), is_secret("PROXY_PASS", "q7Zk21Lp9d")
    (True, True)
    """
    if _is_upstream(name, (value or "")[:_JUDGED].strip("'\"")):
        return False
    number = _NUMBER.fullmatch((value or "").strip("'\""))
    return is_value(value) and not (number and "PASS" not in name.upper())


def _is_random(text: str) -> bool:
    """Whether a word is of the kind that only programs make: letters with digits, or very long."""
    has = [any(map(kind, text)) for kind in (str.isdigit, str.islower, str.isupper)]
    return (len(text) >= 8 and has[0] and (has[1] or has[2])) or (len(text) >= 20 and all(has[1:]))


def _has_random(text: str) -> bool:
    """Whether a long such word stands in a text: in `base64:…`, in `a=b; session=…`."""
    return any(len(word) >= 16 and _is_random(word) for word in re.split(r"[\s;=:,]+", text))


# What Docker replaces in a value of ENV, ARG or LABEL, and what it keeps.
_VARIABLE = r"\$(?:\{[^}]*\}?|\w+|[^\s\w{\"'])?"
_IN_QUOTES = re.compile(rf"\\(?P<kept>.)|{_VARIABLE}", re.DOTALL)
_PARTS = re.compile(
    rf"'(?P<kept>[^']*)'?|\"(?P<quoted>(?:\\.|[^\"\\])*)\"?|\\(?P<escaped>.)|{_VARIABLE}", re.DOTALL
)
_LIKE_A_VARIABLE = re.compile(r"\$\{?(?:[A-Z\d_]+|[a-z_]+)\}?|/.*|.*://.*", re.DOTALL)


def has_literal(value: str) -> bool:
    r"""Return whether a value of an ENV, ARG or LABEL has a secret beside or instead of variables.

    >>> has_literal("'$ecr3tP4ss'"), has_literal(r"\$ecr3tP4ss"), has_literal("p@$$w0rd!x9")
    (True, True, True)
    >>> has_literal("$ecr3tP4ss"), has_literal("'$TOKEN2'"), has_literal("$HOME/secrets2/key")
    (False, False, False)
    """
    plain = _PARTS.sub(_kept, value[:2000])
    words = re.split(r"[-_./:,;\s]+", plain)
    return "$" in value and not _LIKE_A_VARIABLE.fullmatch(plain) and any(map(_is_random, words))


def _kept(part: re.Match) -> str:
    if part["quoted"] is not None:
        return _IN_QUOTES.sub(lambda inner: inner["kept"] or "", part["quoted"])
    return part["kept"] or part["escaped"] or ""


def may_be_secret(name: str, value: str | None) -> bool:
    """Return whether a variable holds a secret, by its name, or its name and the kind of value.

    >>> may_be_secret("DB_PASSWORD", None), may_be_secret("GITHUB_PAT", "q7Zk21Lp9dYw3Xb0")
    (True, True)
    >>> may_be_secret("SESSION_COOKIE", "app_session"), may_be_secret("JWT", "true")
    (False, False)
    """
    return is_secret_name(name) or bool(_PERHAPS.search(name) and _has_random(value or ""))


# --- finding -------------------------------------------------------------------------

_VALUE = re.compile(WORD % (0, 0, 0), re.DOTALL)
_INSIDE = {
    '"': re.compile(r'(?:\\.|[^"\\])*', re.DOTALL),
    "'": re.compile(r"[^']*"),
    '\\"': re.compile(r'(?:(?!\\")[^"])*'),
}
_NAME = re.compile(
    rf"""{BEGIN}(?P<dash>-{{0,2}})(?P<name>[A-Za-z_][\w.-]{{0,99}})"""
    r"""(?P<is>\\?['"]?\s{0,3}=>\s{0,3}(?=\\?['"])|"""
    r"""=|\s{1,3}=\s{1,3}|\\?['"]=|\\?['"]\s*:\s*|:\s+|:(?=\S))"""
)
_FIRST = re.compile(r"""[^\s'"\\,]*""")
_HEADER = re.compile("(?i)-|authorization|^cookie$")
_QUERY = re.compile(  # what stands before a name in an address, a form or the options of a mount
    r"""(?:[?,]|[\w%]&|\s(?:-[dFo]|--data(?:-[a-z]{1,9})?|--form)[\s=]{1,3}\\?['"]?)$"""
)
_BLOCK = re.compile(  # of YAML, and its first word where its lines were joined
    r"[|>][-+\d]{0,2}[^\S\n]*(?:\n(?P<indent>[^\S\n]+)(?P<lines>[^\n]+(?:\n+(?P=indent)[^\n]*)*+)|"
    r"(?<=\s)(?P<word>[^\s'\"]+))"
)
_HEADER_OPTION = re.compile(r"(?:^|\s)(?:-[A-Za-z]{0,9}H|--header)[\s=]{0,3}$")
_SCHEME = re.compile(r"(?i)\s*(?:basic|bearer|token|digest|apikey|negotiate)\s+")
_FETCHES = re.compile(r"\b(?:curl|wget|https?|aria2c|lftp|xh)\b")

_ENCODED = re.compile(
    r"\becho\s+(?:-\w+\s+){0,2}\\?['\"]?(?P<secret>[A-Za-z0-9+/]{16,9000}+)={0,2}\\?['\"]?"
    r"\s*\|\s*base64\s+(?:-[a-z]{0,3}[dD]|--decode)\b"
)
_NEXT = re.compile(r"\s(?:&&|\|\|)\s|;\s+(?!\})")  # begins another command

VALUE_OF = "the value of "  # and a name


@dataclass(frozen=True)
class Secret:
    """The position of a secret in a text, its kind, and whether it `counts`, being a real one."""

    start: int
    end: int
    what: str
    counts: bool


def secrets_in(text: str) -> Iterator[Secret]:
    """Yield everything in a text that looks like a secret, sometimes twice."""
    for what, pattern in TOKENS:
        for found in pattern.finditer(text):
            yield Secret(*found.span(), what, what != A_KEY or has_private_key(found[0]))
    for what, pattern in BEFORE:
        done = 0
        for found in pattern.finditer(text):
            if secret := _after(text, found.start(), found.end(), what, done):
                done = max(done, secret.end)
                yield secret
    for what, pattern in AROUND:
        for found in pattern.finditer(text):
            yield from _in_the_middle(text, found, what)
    yield from _piped(text)
    yield from _encoded(text)
    yield from _named(text)


def _piped(text: str) -> Iterator[Secret]:
    """What is echoed into a program that takes passwords."""
    for taker, secret in PIPED:
        for found in taker.finditer(text):
            begin = max(0, found.start() - 300)
            echoes = [echo.end() for echo in ECHO.finditer(text, begin, found.start())]
            if not echoes or _NEXT.search(text, echoes[-1], found.start()):
                continue
            for said in secret.finditer(text, echoes[-1], found.start()):
                word = said["secret"]
                if word.strip("'\"").startswith("$"):
                    continue
                yield Secret(*said.span("secret"), "a password of a user", is_value(word))


def _encoded(text: str) -> Iterator[Secret]:
    """What is decoded from base64 and has a secret in it."""
    for found in _ENCODED.finditer(text):
        word = found["secret"]
        try:
            said = base64.b64decode(word + "=" * (-len(word) % 4)).decode()
        except ValueError:
            continue
        if any(secret.counts for secret in secrets_in(said)):
            yield Secret(*found.span("secret"), "a secret in base64", True)


def _after(text: str, start: int, at: int, what: str, done: int) -> Secret | None:
    """The word at `at`, which something that began at `start` says is a secret.

    Up to `done`, the text is known to be secret: no more of the word than is judged is read there.
    """
    before = text[max(0, start - 1) : start]
    quoted = before in _INSIDE and text[at - 1 : at] == "="
    pattern = _INSIDE[before] if quoted else _VALUE
    value = pattern.match(text, at, at + _JUDGED)
    word = _bare(value)
    if not word or word.startswith(("-", "$")):
        return None
    if what in NAMES:
        is_one = _has_random(word)
    else:
        is_one = what not in PROSE or _is_random(_FIRST.match(word)[0])
    if not is_one:
        return None
    end = value.end() if at < done else pattern.match(text, at).end()
    return Secret(at, end, what, _is_real(word))


def _is_real(word: str) -> bool:
    """Whether a value, or its first word, may be a real one: more of a command may be quoted."""
    return is_value(word) or is_value(_FIRST.match(word)[0])


def _bare(value: re.Match | None) -> str:
    return value[0].strip("\\'\"") if value else ""


def _in_the_middle(text: str, found: re.Match, what: str) -> Iterator[Secret]:
    user, word = found.groupdict().get("user"), found["secret"]
    counts = is_value(word) and word != user
    if what == "a token in an address":
        if not _is_random(word):
            return
    elif what == "a password in an image's name":
        counts = _is_random(word)
    elif what == "a password in an address":
        counts = counts and not _USUAL.fullmatch(word)
    elif "quote" in found.groupdict():
        if word == user or (user + word).isdigit():
            return  # a group
        command = re.split("[;&|]", text[max(0, found.start() - 300) : found.end()])[-1]
        counts = counts and bool(_is_random(word) or _FETCHES.search(command))
    elif word.startswith("$") or not is_secret_name(found.groupdict().get("name", "PASSWORD")):
        return
    yield Secret(*found.span("secret"), what, counts)


def _named(text: str) -> Iterator[Secret]:
    """The values of names that hold secrets: `NAME=value`, `"name": "value"`, `Name: value`."""
    done = 0
    for found in _NAME.finditer(text):
        name, start = found["name"], found.start("name")
        own = name[1:] if found["dash"] == "-" and name[0] in "DH" else name  # -Dpassword=
        begin = found.end("name") - len(own)
        asked = own in ("pass", "auth") and _stands(_QUERY, text, begin)
        is_name = is_secret_name(name) or is_secret_name(own) or (asked and own == "pass")
        if start < done or not (is_name or asked or _PERHAPS.search(own)):
            continue
        at = found.end()
        # With the quote before the name, as in "NAME=a b", the value ends where it closes.
        before = text[max(0, found.start() - 2) : found.start()]
        quote = before if before in _INSIDE else before[-1:]
        is_header = found["is"].strip() == ":"
        bare = found["is"] == ":" and text[at : at + 1] not in "'\""
        quoted = quote in _INSIDE and _HEADER.search(name)
        if bare and not quoted and not _stands(_HEADER_OPTION, text, begin):
            continue
        if scheme := _SCHEME.match(text, at) if is_header else None:
            at = scheme.end()
        opened = quote in _INSIDE and (found["is"] == "=" or is_header)
        pattern = _INSIDE[quote] if opened else _VALUE
        value = pattern.match(text, at, at + _JUDGED)
        if block := _BLOCK.match(text, at) if is_header and not opened else None:
            at = block.start(block.lastgroup)
        word = (block[block.lastgroup] if block else _bare(value)).strip()
        if word and _is_real(word) and (is_name or _has_random(word)):
            prose = is_header and not scheme and not opened and word.isalpha()  # "the token: it is"
            done = block.end() if block else pattern.match(text, at).end()
            yield Secret(at, done, VALUE_OF + own, is_secret(own, word) and not prose)


def _stands(before: re.Pattern, text: str, at: int) -> bool:
    """Whether that stands before a place in a text."""
    return bool(before.search(text, max(0, at - 30), at))


def shapes(text: str) -> Iterator[str]:
    """Return the kinds of secrets with real values in a text, in words, each once."""
    yield from dict.fromkeys(found.what for found in secrets_in(text) if found.counts)
