"""Checks on how the image runs: as whom, with what as the first process, and with which secrets."""

import re
from dataclasses import replace

from ..reading.folder import context_copies, text_of
from ..reading.known import commands
from ..reading.secretwords import VALUE_OF, is_secret, is_secret_name, is_value, shapes
from ..reading.shell import Command, parse
from ..reading.subject import Step, Subject, pairs_of, under
from .image import instructions_of_layers
from .outcomes import Outcome, Place, at, at_target, failed, listed, not_applicable, passed, unseen

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
        name in (script or "") for name in names for script in _entry_scripts(subject)
    )


# --- signals ------------------------------------------------------------------------------------


def signals(subject: Subject) -> Outcome:
    """Check that the program itself is PID 1 and receives the signals that stop it."""
    entry, cmd = subject.ending.entrypoint, subject.ending.cmd
    if (
        entry
        and cmd
        and _position(subject, cmd) < _position(subject, entry)
        and entry.stage is not cmd.stage
    ):
        cmd = None  # an ENTRYPOINT of a later stage takes the CMD of its base away
    present = [
        step for step in (entry, cmd) if step and (step.instruction.value or step.instruction.json)
    ]
    if not present:
        return _nothing_to_start(subject)
    for step in present:
        if step.instruction.json is None and not _starts_with_exec(step):
            if subject.ending.shell:
                return unseen("a shell that SHELL chose starts it", _EXEC, at(step, "shell form"))
            return failed(
                f"{step.keyword} in shell form: a shell is PID 1",
                [at(step, "shell form")],
                _EXEC,
            )
    return _managed(present) or _by_script(subject, present)


_EXEC = (
    'the exec form, CMD ["program", "argument"]; where a shell is needed, let it exec the program'
)


def _position(subject: Subject, step: Step) -> int:
    return subject.final_steps.index(step)


def _starts_with_exec(step: Step) -> bool:
    return bool(re.match(r"(?:.*[;&]\s*)?exec\s", step.instruction.value.strip(), re.DOTALL))


def _nothing_to_start(subject: Subject) -> Outcome:
    return not_applicable(
        f"neither CMD nor ENTRYPOINT: {subject.configured_by.reference} says what starts"
    )


def _managed(present: list[Step]) -> Outcome | None:
    """The verdict on a package manager, or a shell, as the first process."""
    group = False
    for step in present:
        words, sends = _without_init(step.instruction.json or ())
        group = group or sends
        if not words:
            continue
        command = Command(words)
        if not group and command.matches(commands("processes", "start")):
            return failed(
                f"{command.program} is PID 1 and does not forward signals",
                [at(step, f"`{' '.join(command.words[:3])}`")],
                'start what the script in package.json starts, as CMD ["node", "server.js"]',
            )
        bare = not any(re.search(r"\bexec\s", word) for word in words)
        if command.program in ("sh", "bash", "ash") and "-c" in words and bare:
            return unseen("a shell starts it and has to forward signals", _EXEC, at(step, "sh -c"))
        if not _is_script(words[0]):
            break  # what follows are its arguments
    return None


def _without_init(words: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The words after an init, and whether that sends signals to a whole group of processes."""
    group = False
    while words and words[0]:
        if Command(words[:1]).matches(commands("inits", "group")):
            group = True
        elif not Command(words[:1]).matches(commands("inits", "plain")):
            break
        words = words[1:]
        while words and words[0].startswith("-"):
            group, words = group or words[0] == "-g", words[1:]
    return (words if words and words[0] else ()), group


def _is_script(word: str) -> bool:
    return word.endswith((".sh", "entrypoint"))


def _by_script(subject: Subject, present: list[Step]) -> Outcome:
    scripts = [text for text in _entry_scripts(subject) if text is not None]
    unread = any(text is None for text in _entry_scripts(subject))
    entry = present[0]
    for text in scripts:
        runs = list(parse(text))
        lines = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
        if runs and not any(re.search(r"(?:^|[;&|]\s*|\s)exec\s", line) for line in lines):
            return unseen(
                "the script that starts it never calls exec: a shell may stay PID 1",
                'let its last line be exec "$@" or exec PROGRAM',
                at(entry, "a script"),
            )
    if unread:
        return unseen(
            "a script starts it that is not available here",
            "its last line should exec",
            at(entry, "a script"),
        )
    return passed("exec form", *(at(step, "exec form") for step in present[:1]))


def _entry_scripts(subject: Subject) -> list[str | None]:
    """The texts of scripts that ENTRYPOINT or CMD start; None for one that is not here."""
    found = []
    for step in (subject.ending.entrypoint, subject.ending.cmd):
        for word in (step.instruction.json or ())[:1] if step else ():
            if _is_script(word):
                found.append(_script_text(subject, word))
    return found


def _script_text(subject: Subject, path: str) -> str | None:
    """A script's text, out of the context or out of the here-document that wrote it."""
    name = path.rpartition("/")[2]
    for step in context_copies(subject.final_steps):
        for heredoc in step.instruction.heredocs:
            if step.destination.rpartition("/")[2] == name:
                return heredoc.content
        for source in step.sources:
            inside = f"{source.rstrip('/')}/{name}".removeprefix("./").lstrip("/")
            for candidate in (source, inside):
                if candidate.rpartition("/")[2] == name and (text := text_of(subject, candidate)):
                    return text
    return None


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
            if is_secret_name(name) and _is_given(step, name, value):
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
