"""Files that tend to hold secrets: by their names, and by what those of the context contain."""

import re

from .folder import bytes_of, cleaned, is_folder, start_of
from .secretshapes import TOKENS, has_private_key
from .secretwords import is_secret, is_secret_name, shapes
from .subject import Subject

SECRET_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!(?:[\w-]{1,50}\.){0,4}(?:example|sample|template|dist|defaults?|test))[\w.-]+)?|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)|(?:[\w.-]{0,50}[-_.])?private[-_]?key|"
    r"ssh_host_(?:rsa|dsa|ecdsa|ed25519)_key|hs_ed25519_secret_key|deploy[-_]key|privkey|"
    r"\.netrc|\.git-credentials|\.aws(?:/credentials)?|\.ssh|\.pgpass|kubeconfig|\.kube/config|"
    r"\.docker/config\.json|\.pypirc|credentials\.json|service[-_]account\.json|"
    r"(?:server|tls|private|master|production|staging)\.key|secrets?\.(?:ya?ml|json|toml|env)|"
    r"[\w.-]+\.(?:jks|keystore|p12|pfx|ppk))$"
)
_SETTINGS = re.compile(r"(?:^|/)(?:\.env(?:\.[\w.-]+)?|secrets?\.env)$")  # NAME=value, line by line
_RAILS = re.compile(r"(?:^|/)secrets\.ya?ml$")
_OF_DEVELOPERS = re.compile(r"(?m)^(?:development|test):[^\n]*\n(?:(?:[ \t#][^\n]*)?(?:\n|\Z))*")
_PRODUCTION = re.compile(r"(?m)^production:")
_BY_VARIABLE = re.compile(  # and by nothing else: a default may be a secret
    r"""<%=\s{0,9}ENV(?:\[|\.fetch[\s(]{1,3})["'][\w.-]{1,100}["'][\])]?\s{0,9}-?%>"""
)
_TEXTS = re.compile(r"\.(?:pem|key|asc)$|(?:^|/)\.npmrc$")  # that may hold one, or something public
_KEY_BY_NAME = re.compile(r"(?:^|/)(?:id_\w+|[\w-]+\.key)$")
KEY_BY_WORD = re.compile(r"(?:[-_]|private)key$|(?:^|/)privkey$")  # may be another thing, too
_KEY_PEM = re.compile(r"(?:^|/)(?!\S*pub)(?:[\w.-]*[-_.])?(?:privkey|private|key)\d*\.pem$")
_OF_TESTS = re.compile(
    r"(?i)(?:^|/)(?:[\w.-]+[-_.])?(?:tests?|testing|testdata|testutils?|fixtures?|specs?|"
    r"__tests__|examples?|samples?|mocks?|e2e)(?:[-_.][\w.-]+)?/"
)
_BINARY = re.compile(r"\.(?:jks|keystore|p12|pfx)$")
MOST_BYTES = 2_000_000  # of all files that are searched for secrets: 2 s for a megabyte


def is_of_tests(name: str) -> bool:
    """Return whether a path is in a folder of tests or examples: its keys open nothing.

    >>> is_of_tests("src/test/server.key"), is_of_tests("conf/attestation/server.key")
    (True, False)
    """
    return bool(_OF_TESTS.search(name))


def secret_files(subject: Subject) -> list[str]:
    """Return the files that the context sends and that hold a secret, by what they contain."""
    _search(subject)
    return subject.found["secrets"]


def unread_files(subject: Subject) -> list[str]:
    """Return the files that the context sends and that may hold a secret: not all was read."""
    _search(subject)
    return subject.found["unread"]


def _search(subject: Subject) -> None:
    if "secrets" in subject.found:
        return
    found, unread, left = [], [], MOST_BYTES
    for name in subject.sends.files:
        likely = SECRET_FILES.search(name) or _TEXTS.search(name)
        if not likely or is_of_tests(name) or _BINARY.search(name):
            continue
        text, whole = start_of(subject, name)
        if text is None or len(text) > left:
            unread.append(name)
            continue
        left -= len(text)
        if _holds_secret(name, text):
            found.append(name)
        elif not whole:
            unread.append(name)
    subject.found.update(secrets=found, unread=unread)


_CODE = re.compile(
    r"\.(?:py|[cm]?[jt]sx?|go|rb|php|java|kt|cs|rs|ex|sh|ya?ml|json|toml|ini|cfg|conf|properties)$"
)
_OTHERS = re.compile(r"(?:^|/)(?:node_modules|vendor|dist|docs?)/|\.min\.js$|[-.]lock\b")
_PLACEHOLDER = re.compile(r"(?i)example|placeholder|your|x{5}|0{8}|1234")
_MOST_OF_CODE = 2_000_000  # bytes that are read for it: a few hundredths of a second
_LARGEST_OF_CODE = 200_000
# Tokens that nobody writes down by chance, and that name no public thing as a map's key does; how
# each begins tells where it is worth looking.
_BEGINNINGS = {
    "an AWS access key": ("AKIA", "ASIA"),
    "a GitHub token": ("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_"),
    "a GitLab token": ("glpat-",),
    "an npm token": ("npm_",),
    "a Slack token": ("xoxb-", "xoxp-", "xoxa-"),
    "an Anthropic key": ("sk-ant-",),
    "an OpenAI key": ("sk-",),
    "a Stripe key": ("sk_live_", "rk_live_"),
    "a SendGrid key": ("SG.",),
}


def code_with_tokens(subject: Subject) -> list[str]:
    """Return the sources and settings that the context sends and that have a token in them.

    Their names do not give them away, so of a large context only a part is read.
    """
    if "code" not in subject.found:
        found, left = [], _MOST_OF_CODE
        for name in subject.sends.files:
            if not _CODE.search(name) or _OTHERS.search(name) or is_of_tests(name):
                continue
            size = bytes_of(subject, name) or 0
            if not 0 < size <= min(left, _LARGEST_OF_CODE):
                continue
            left -= size
            text, _ = start_of(subject, name)
            found += [name] if text and _has_token(text) else []
        subject.found["code"] = found
    return subject.found["code"]


def _has_token(text: str) -> bool:
    """Whether one of those tokens is in a text, and is no placeholder."""
    for what, pattern in TOKENS:
        begins = _BEGINNINGS.get(what, ())
        if any(begin in text for begin in begins):
            said = (match[0] for match in pattern.finditer(text))
            real = (token for token in said if not _PLACEHOLDER.search(token))
            if any(token.startswith(begins) and any(shapes(token)) for token in real):
                return True
    return False


def _holds_secret(name: str, text: str) -> bool:
    """Whether a file holds a secret; a certificate or a public key is none.

    What a framework encrypts, and names without values, are none either.
    """
    if has_private_key(text):
        return True
    if (_KEY_BY_NAME.search(name) or KEY_BY_WORD.search(name)) and SECRET_FILES.search(name):
        return "-----BEGIN" not in text and bool(text.strip())
    production = _PRODUCTION.search(text) if _RAILS.search(name) else None
    if production and _BY_VARIABLE.search(text, production.end()):
        # What Rails makes for developers opens nothing.
        text = _BY_VARIABLE.sub("", _OF_DEVELOPERS.sub("", text))
    return not name.endswith((".pem", ".key", ".asc")) and _has_values(text)


def is_private_key(subject: Subject, source: str) -> bool:
    """Return whether what a COPY names is a private key: by the file, or else by its name."""
    if not source.endswith((".pem", ".key")):
        return False
    text, _ = start_of(subject, source)
    return bool(_KEY_PEM.search(source)) if text is None else has_private_key(text)


def is_harmless(subject: Subject, source: str) -> bool:
    """Return whether what a COPY names is here and holds no secret, by what it contains.

    That is for files of settings, and for names that other things than keys may have, too.
    """
    name = cleaned(source)
    if KEY_BY_WORD.search(name) and is_folder(subject, name):
        return True  # what is in it is looked at by itself
    told = any(kind.search(name) for kind in (_SETTINGS, KEY_BY_WORD, _RAILS))
    text, whole = start_of(subject, name) if told else (None, False)
    return whole and not _holds_secret(name, text)


def _has_values(text: str) -> bool:
    """Whether the text of a file has a secret with a real value."""
    pairs = (line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    named = any(
        is_secret_name(name.strip()) and is_secret(name.strip(), v.strip()) for name, v in pairs
    )
    return named or any(shapes(text))
