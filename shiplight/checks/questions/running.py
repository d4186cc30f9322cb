"""Checks on how the image runs: as whom, and with which secrets."""

import re
from dataclasses import replace

from ..reading.folder import text_of
from ..reading.known import commands
from ..reading.secretwords import (
    VALUE_OF,
    is_secret,
    is_secret_name,
    is_value,
    may_be_secret,
    shapes,
)
from ..reading.subject import Step, Subject, pairs_of, under
from .image import instructions_of_layers
from .outcomes import Outcome, Place, at, at_target, failed, listed, passed, unseen
from .signals import entry_scripts

# --- user ---------------------------------------------------------------------------------------


def user(subject: Subject) -> Outcome:
    """Check that the program does not run as root."""
    if subject.built:
        return _user_of_image(subject)
    step = subject.ending.user
    if step is None:
        return _user_of_base(subject)
    name = step.expand(step.instruction.value)
    return _user_named(subject, name, at(step, f"USER {name}"))


def _user_of_image(subject: Subject) -> Outcome:
    name, step = subject.built.image.user, subject.ending.user
    place = at(step, f"USER {name}") if step else at_target(subject, "no USER")
    return _user_named(subject, name or "root", place)


def _user_named(subject: Subject, name: str, place: Place) -> Outcome:
    who = re.match(r"(?:\$\{[^}]*\}?|[^:])*", name)[0]  # ${UID:-1000}:${GID} has two parts
    if who in ("root", "") or re.fullmatch(r"[+-]?0+", who):  # engines read 00 as a number
        if _steps_down(subject):
            return unseen("root starts it; its entrypoint may step down", _USER, place)
        return failed("the program runs as root", [place], _USER)
    if "$" in who:
        if who.strip("${}") == "APP_UID" and subject.final_base.language == "dotnet":
            return passed("USER $APP_UID, which .NET's images set to 1654", place)
        return unseen(f"who {who} is", "pass the argument with --build-arg", place)
    if who.isdigit():
        return passed(f"runs as {name}", place)
    note = "a number (USER 10001) lets Kubernetes see that it is not root"
    return passed(f"runs as {name}; {note}", place)


_USER = "create a user in the Dockerfile and refer to it by number: USER 10001:10001"


def _user_of_base(subject: Subject) -> Outcome:
    base = subject.configured_by
    if base.user == "nonroot":
        return passed(f"{base.reference} does not run as root")
    if _steps_down(subject):
        return unseen("root starts it; its entrypoint may step down", _USER)
    if base.user == "root":
        return failed(
            f"no USER, and {base.reference} runs as root", [at_target(subject, "no USER")], _USER
        )
    return unseen(f"no USER: {base.reference} decides which user runs", _USER)


def _steps_down(subject: Subject) -> bool:
    """Whether the entrypoint may leave root by itself."""
    if subject.configured_by.user == "steps down" and subject.ending.entrypoint is None:
        return True
    names = commands("inits", "step_down")
    text = " ".join(
        step.script + " ".join(step.instruction.json or ()) for step in subject.final_steps
    )
    return any(re.search(rf"\b{re.escape(name)}\b", text) for name in names) or any(
        name in (script or "") for name in names for script in entry_scripts(subject)
    )


# --- secrets ------------------------------------------------------------------------------------

_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example|sample|template|dist|defaults?|test)[\w.-]+)?|id_(?:rsa|dsa|ecdsa|ed25519)|"
    r"\.netrc|\.git-credentials|\.aws(?:/credentials)?|\.ssh|\.pgpass|kubeconfig|\.kube/config|"
    r"\.docker/config\.json|\.pypirc|credentials\.json|service[-_]account\.json|(?:server|tls|private)\.key)$"
)


def secrets(subject: Subject) -> Outcome:
    """Check that no secret is in the Dockerfile, its arguments, its variables or its layers."""
    places = [place for step in subject.all_steps for place in _secrets_in(subject, step)]
    places += _global_secrets(subject)
    if subject.built:
        places += _secret_files(subject)
    if places:
        what = listed(place.found for place in places)
        # What was found is without its secrets; a second mask would take the word for a name.
        return replace(failed("", places, _SECRET), evidence=f"looks like a secret: {what}")
    return passed("no name, value or file that looks like a secret")


_SECRET = (
    "RUN --mount=type=secret,id=NAME while building, an environment variable or a mounted file at "
    "run time; then change the secret, because the image history keeps it"
)


def _secrets_in(subject: Subject, step: Step) -> list[Place]:
    found = []
    if step.keyword in ("ENV", "ARG"):
        for name, value in pairs_of(step):
            if may_be_secret(name, value) and _is_given(step, name, value):
                found.append(f"{step.keyword} {name}")
    elif step.keyword in ("COPY", "ADD") and not step.origin:
        files = [source for source in step.sources if _FILES.search(source)]
        files += [s for s in step.sources if s.endswith(".npmrc") and _has_token(subject, s)]
        found += [f"the file {name}" for name in files]
    said = shapes(" ".join([*step.instruction.flags, step.script]))
    if step.keyword in ("ENV", "ARG"):
        known = {VALUE_OF + name for name, _ in pairs_of(step)}
        said = [what for what in said if what not in known]
    return [at(step, what) for what in dict.fromkeys([*found, *said])]


def _is_given(step: Step, name: str, value: str | None) -> bool:
    """Whether a variable gets a value: an ARG without default gets one from outside."""
    if value is None:
        return True
    if step.keyword == "ENV" and "$" in value:
        given = re.fullmatch(r"\"?\$\{?(\w+)(?::?-.*?)?\}?\"?", value)
        return bool(given) and (is_secret_name(given[1]) or is_value(value))
    return is_secret(name, value)


def _has_token(subject: Subject, name: str) -> bool:
    text = text_of(subject, name)
    return bool(text) and any(shapes(text))


def _global_secrets(subject: Subject) -> list[Place]:
    found = []
    for instruction in subject.read.global_args:
        step = Step(subject.read.stages[0], instruction, "/", "")
        found += [place for place in _secrets_in(subject, step) if place.line]
    return found


def _secret_files(subject: Subject) -> list[Place]:
    """Files of the built image that look like secrets, the base's own aside."""
    own = instructions_of_layers(subject)
    found = []
    for path, (entry, layer) in subject.built.image.tree().items():
        if (
            layer in own
            and entry.kind == "file"
            and _FILES.search(path)
            and not under(f"/{path}", "/etc")
        ):
            found.append(at(own[layer], f"the file /{path}", path=f"/{path}", bytes=entry.size))
    return found
