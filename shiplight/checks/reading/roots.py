"""Tell from what a stage installs that root runs it."""

import re

from .shell import Command, plain_commands
from .subject import Step, Subject

_INSTALLING = ("apt-get install", "apt install", "apk add", "dnf install", "yum install",
               "microdnf install")  # fmt: skip
_AS_OTHERS = frozenset(("sudo", "doas", "su", "gosu", "su-exec", "runuser", "setpriv", "chroot",
                        "fakeroot", "unshare"))  # fmt: skip
_MAY_BE_LEFT_OUT = re.compile(
    r"\|\||\(\)\s{0,9}\{|(?:^|[;&|({`\n\\])[ \t]{0,200}(?:if|case|for|while|until|test|"
    r"\[\[?|which|type|hash|command\s+-v|grep\s+-\w*q|alias|sudo|doas)\s"
)
# What needs no root: it only shows or downloads, or fills another folder.
_HARMLESS = re.compile(
    r"-[a-zA-Z]*[dhps]|--(?:help|version|simulate|just-print|dry-run|recon|no-act|print-uris|"
    r"download-?only|downloaddir|root|installroot|usermode|initdb|assumeno)(?:=.*)?|"
    r"(?:-o)?(?:Dir|RootDir|Debug::NoLocking)\b.*"
)


def root_installs(subject: Subject) -> Step | None:
    """Return the RUN of the final stage that only root can run, if one is sure to be.

    It installs packages of the distribution itself, whatever happens: not by another program that
    becomes root, and not where it may be left out or may fail.
    """
    steps = subject.final_steps
    shells = (word for step in steps if step.keyword == "SHELL" for word in step.paths)
    if any(word.strip('[]",').rpartition("/")[2] in _AS_OTHERS for word in shells):
        return None
    return next((step for step in steps if step.keyword == "RUN" and _needs_root(step)), None)


def _needs_root(step: Step) -> bool:
    if _MAY_BE_LEFT_OUT.search(step.script) or not any(map(_installs, step.commands)):
        return False
    written = [*plain_commands(step.script), step.instruction.json or ()]
    names = {word.rpartition("/")[2] for words in written for word in words[:2]}
    return not names & _AS_OTHERS


def _installs(command: Command) -> bool:
    """Whether a command installs by the instruction's own shell, and in no branch."""
    if command.own_shell or command.branch or not command.matches(_INSTALLING):
        return False
    return not any(map(_HARMLESS.fullmatch, command.words[1:]))
