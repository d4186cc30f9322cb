"""Judge a dev container by what it is for: to develop in it, not to ship."""

import json
import os
import re

from ..reading.folder import part_of, text_of
from ..reading.subject import Subject
from .outcomes import FAILED, Outcome, passed, unseen

# What these ask of an image that ships, developers want otherwise.
OF_WHAT_SHIPS = (
    *("separate-stages", "dev-dependencies", "smallest-base", "only-needed"),
    "production-last",
)


def for_developers(subject: Subject, outcome: Outcome) -> Outcome:
    """Return what a finding means in a dev container: nothing, where the file says that it is one.

    A base for dev containers alone does not say it: somebody may ship what is built on it.
    """
    if outcome.result != FAILED:
        return outcome
    if _is_of_developers(subject):
        return passed(f"{outcome.evidence} (right in a dev container)")
    if "devcontainers/" in subject.final_base.name:
        why = f"{outcome.evidence}; that is right if this is a dev container"
        return unseen(why, outcome.advice, *outcome.places)
    return outcome


def remote_user(subject: Subject) -> str:
    """Return the user that a devcontainer.json beside the Dockerfile names; "" for root or none."""
    if subject.context is None or not _is_of_developers(subject):
        return ""
    folder = os.path.relpath(subject.path.resolve().parent, subject.context.resolve())
    found = _with_comments(text_of(subject, f"{folder}/devcontainer.json") or "")
    dockerfile = found.get("dockerFile") or part_of(found, "build").get("dockerfile")
    if dockerfile is None and "dockerComposeFile" not in found:
        return ""
    if dockerfile is not None and os.path.normpath(str(dockerfile)) != subject.path.name:
        return ""
    who = str(found.get("remoteUser", ""))
    named = re.fullmatch(r"[A-Za-z_][\w.-]*|\d+", who) and not re.fullmatch(r"root|0+", who)
    return who if named else ""


def _is_of_developers(subject: Subject) -> bool:
    return ".devcontainer" in subject.path.absolute().parts


_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
_LONGEST = 20_000


def _with_comments(text: str) -> dict:
    """A JSON object that may have comments and last commas, as editors read it; {} if none is."""
    if len(text) > _LONGEST:
        return {}
    for pattern in (_COMMENT, _LAST_COMMA):
        text = pattern.sub(lambda match: match[1] or "", text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
