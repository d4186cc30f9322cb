"""Files that tend to hold secrets: by their names, and by what those of the context contain."""

import re
from itertools import islice

from .folder import text_of
from .secretwords import has_private_key, is_secret, is_secret_name, shapes
from .subject import Subject

SECRET_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example|sample|template|dist|defaults?|test)[\w.-]+)?|id_(?:rsa|dsa|ecdsa|ed25519)|"
    r"\.netrc|\.git-credentials|\.aws(?:/credentials)?|\.ssh|\.pgpass|kubeconfig|\.kube/config|"
    r"\.docker/config\.json|\.pypirc|credentials\.json|service[-_]account\.json|"
    r"(?:server|tls|private|master|production|staging)\.key|secrets?\.(?:ya?ml|json|toml|env)|"
    r"[\w.-]+\.(?:jks|keystore|p12|pfx|ppk))$"
)
_TEXTS = re.compile(r"\.(?:pem|key|asc)$|(?:^|/)\.npmrc$")  # that may hold one, or something public
_KEY_BY_NAME = re.compile(r"(?:^|/)(?:id_\w+|[\w-]+\.key)$")
_KEY_PEM = re.compile(r"(?:^|/)(?!\S*pub)(?:[\w.-]*[-_.])?(?:privkey|private|key)\d*\.pem$")
_OF_TESTS = re.compile(
    r"(?i)(?:^|/)(?:[\w.-]+[-_.])?(?:tests?|testing|testdata|testutils?|fixtures?|specs?|"
    r"__tests__|examples?|samples?|mocks?|e2e)(?:[-_.][\w.-]+)?/"
)
_BINARY = re.compile(r"\.(?:jks|keystore|p12|pfx)$")
_MOST_FILES = 200


def is_of_tests(name: str) -> bool:
    """Return whether a path is in a folder of tests or examples: its keys open nothing.

    >>> is_of_tests("src/test/server.key"), is_of_tests("conf/attestation/server.key")
    (True, False)
    """
    return bool(_OF_TESTS.search(name))


def secret_files(subject: Subject) -> list[str]:
    """Return the files that the context sends and that hold a secret, by what they contain."""
    likely = (
        name
        for name in subject.sends.files
        if SECRET_FILES.search(name) or _TEXTS.search(name)
        if not (is_of_tests(name) or _BINARY.search(name))
    )
    if "secrets" not in subject.found:
        some = islice(likely, _MOST_FILES)
        subject.found["secrets"] = [name for name in some if holds_secret(subject, name)]
    return subject.found["secrets"]


def holds_secret(subject: Subject, name: str) -> bool:
    """Return whether a file of the context holds a secret; a certificate or a public key is none.

    What a framework encrypts, and names without values, are none either.
    """
    text = text_of(subject, name)
    if not text or has_private_key(text):
        return bool(text)
    if _KEY_BY_NAME.search(name) and SECRET_FILES.search(name):
        return "-----BEGIN" not in text and bool(text.strip())
    return not name.endswith((".pem", ".key", ".asc")) and _has_values(text)


def is_private_key(subject: Subject, source: str) -> bool:
    """Return whether what a COPY names is a private key: by the file, or else by its name."""
    if not source.endswith((".pem", ".key")):
        return False
    text = text_of(subject, source)
    return bool(_KEY_PEM.search(source)) if text is None else has_private_key(text)


def _has_values(text: str) -> bool:
    """Whether the text of a file has a secret with a real value."""
    pairs = (line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    named = any(
        is_secret_name(name.strip()) and is_secret(name.strip(), v.strip()) for name, v in pairs
    )
    return named or any(shapes(text))
