"""Checks on how the image runs: its user, and secrets in it."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace

from ...dockerfile import apply_rules
from ..reading.folder import cleaned, context_copies, copied, ignored, is_all
from ..reading.known import commands
from ..reading.layers import own_layers
from ..reading.roots import root_installs
from ..reading.scripts import script_text
from ..reading.secretfiles import (
    KEY_BY_WORD,
    SECRET_FILES,
    code_with_tokens,
    is_harmless,
    is_private_key,
    secret_files,
    unread_files,
)
from ..reading.secretwords import (
    VALUE_OF,
    has_literal,
    is_secret,
    is_secret_name,
    is_value,
    may_be_secret,
    shapes,
)
from ..reading.shell import last_script, steps_down
from ..reading.sourcing import reads_others
from ..reading.subject import Step, Subject, absolute, pairs_of, under
from ..reading.walk import MOST_NAMES
from .developers import for_developers, remote_user
from .image import at_layer
from .outcomes import PASSED, Outcome, Place, at, at_target, failed, listed, passed, unseen
from .signals import entry_scripts

# --- user ---------------------------------------------------------------------------------------


def user(subject: Subject) -> Outcome:
    """Check that the program does not run as root."""
    outcome = _user_of(subject)
    if outcome.result != PASSED and (who := remote_user(subject)):
        return passed(f"{outcome.evidence} (right in a dev container: developers are {who})")
    return outcome


def _user_of(subject: Subject) -> Outcome:
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
        if outcome := _after_root(subject, place):
            return outcome
        return failed("the program runs as root", [place], _USER)
    if "$" in who:
        if who.strip("${}") == "APP_UID" and subject.final_base.language == "dotnet":
            return passed("USER $APP_UID, which .NET's images set to 1654", place)
        return unseen(f"who {who} is", "pass the argument with --build-arg", place)
    if _is_root_by_number(subject, who):
        what = f"the program runs as root: {who} has root's number"
        return failed(what, [place], _USER)
    if sudo := _without_password(subject):
        what = f"{who} becomes root without a password"
        places = [at(sudo, "NOPASSWD"), place]
        return for_developers(subject, failed(what, places, "leave sudo out, or name one command"))
    if who.isdigit():
        return passed(f"runs as {name}", place)
    note = "a number (USER 10001) lets Kubernetes see that it is not root"
    return passed(f"runs as {name}; {note}", place)


def _is_root_by_number(subject: Subject, who: str) -> bool:
    """Whether that user has the number 0: in the image, or by a step that creates it."""
    if subject.built and who in subject.built.inside.roots:
        return True
    return any(
        command.program in ("useradd", "adduser")
        and who in command.arguments
        and re.search(r"(?:-\w*u|--uid)[= ]?0+(?:\s|$)", " ".join(command.words))
        for step in subject.final_steps
        for command in step.commands
    )


def _without_password(subject: Subject) -> Step | None:
    """The step that lets a user run everything as root, if one does."""
    runs = [step for step in subject.final_steps if step.keyword == "RUN"]
    pattern = re.compile(r"NOPASSWD:\s*ALL")
    return next((step for step in runs if pattern.search(step.script)), None)


_USER = "create a user in the Dockerfile and refer to it by number: USER 10001:10001"


def _user_of_base(subject: Subject) -> Outcome:
    base = subject.configured_by
    if base.user == "nonroot":
        return passed(f"{base.reference} does not run as root")
    if outcome := _after_root(subject):
        return outcome
    if base.user == "root":
        return failed(
            f"no USER, and {base.reference} runs as root", [at_target(subject, "no USER")], _USER
        )
    if step := root_installs(subject):
        places = [at_target(subject, "no USER"), at(step, "only root can install packages")]
        return failed("no USER after a step that only root can run", places, _USER)
    return unseen(f"no USER: {base.reference} decides which user runs", _USER)


def _after_root(subject: Subject, *places: Place) -> Outcome | None:
    """The verdict where what root starts goes on as somebody else, or may do so; None if not."""
    may = unseen("root starts it; its entrypoint may step down", _USER, *places)
    if subject.configured_by.user == "steps down" and subject.ending.entrypoint is None:
        return may
    scripts = entry_scripts(subject)
    starting = subject.ending.starts
    tools = commands("inits", "step_down")
    if _names(tools, starting if scripts else subject.final_steps):
        return may
    found = [script and _steps_down(subject, script) for script in scripts]
    found += [None for script in scripts if script and reads_others(script)]
    if True in found:
        return passed("root starts a script that ends as another user", *places)
    if None in scripts:
        why = "root starts it by a script that is not available here and may step down"
        return unseen(why, _USER, *places)
    return may if None in found else None


_MOST_SCRIPTS = 5  # of which each ends in the next one


def _steps_down(subject: Subject, script: str, more: int = _MOST_SCRIPTS) -> bool | None:
    """Whether a script ends as another user, or the script by which it ends; None if unknown."""
    tools = commands("inits", "step_down")
    known, path = steps_down(script, tools), last_script(script)
    if (
        known is not None
        or not path
        or not more
        or re.search(rf"\b(?:{'|'.join(tools)}|su)\b", script)
    ):
        return known
    text = script_text(subject, subject.final_steps, subject.ending.workdir, path)
    return _steps_down(subject, text, more - 1) if text else None


def _names(tools: list[str], steps: Iterable[Step]) -> bool:
    text = " ".join(step.script + " ".join(step.instruction.json or ()) for step in steps)
    return any(re.search(rf"\b{re.escape(name)}\b", text) for name in tools)


# --- secrets ------------------------------------------------------------------------------------


def secrets(subject: Subject) -> Outcome:
    """Check that no secret is in the Dockerfile, its arguments, its variables or its layers."""
    steps = (*subject.all_steps, *_triggered(subject))
    places = [place for step in steps for place in _secrets_in(subject, step)]
    places += _global_secrets(subject)
    if subject.built:
        places += _secret_files(subject)
    if places:
        what = listed(place.found for place in places)
        # What was found is without its secrets; a second mask would take the word for a name.
        return replace(failed("", places, _SECRET), evidence=f"looks like a secret: {what}")
    copies = [step for step in context_copies(subject.all_steps) if step in subject.shipping]
    if copies and (unread := unread_secrets(subject, copies, unread_files(subject))):
        return unread
    part = copies and not subject.sends.whole
    some = f" among the first {MOST_NAMES:,} names of the context" if part else ""
    return passed(f"no name, value or file that looks like a secret{some}")


def unread_secrets(subject: Subject, copies: Iterable[Step], unread: list[str]) -> Outcome | None:
    """Return that some of these files, which steps copy, may hold a secret; None for no file."""
    found = [(step, names) for step in copies if (names := copied(subject, unread, by=step))]
    if not found:
        return None
    said = listed(name for _, names in found for name in names)
    return unseen(
        f"whether a secret is in {said}: not all of it could be read",
        "add it to .dockerignore if the image does not need it; otherwise look into it yourself",
        *(at(step, f"copies {listed(names)}") for step, names in found),
    )


_SECRET = (
    "RUN --mount=type=secret,id=NAME while building, an environment variable or a mounted file at "
    "run time; then change the secret, because the image history keeps it"
)


def _triggered(subject: Subject) -> list[Step]:
    """What the ONBUILDs of stages say, which an image keeps, whoever builds on it or not."""
    return [
        Step(stage, each.trigger, "/", "", subject.read.escape, room=subject.room)
        for stage in subject.needed
        for each in stage.instructions
        if each.trigger
    ]


_MOST_FILES = 100  # that are named for one instruction
_MOST_LINES = 1000  # of a here-document, that are told apart


def _secrets_in(subject: Subject, step: Step) -> list[Place]:
    found = []
    if step.keyword in ("ENV", "ARG"):
        for name, value in pairs_of(step):
            if may_be_secret(name, value) and _is_given(step, name, value):
                found.append(f"{step.keyword} {name}")
            elif step.keyword == "ENV" and (kept := _kept_argument(subject, step, value or "")):
                found.append(f"ENV {name}, which keeps {kept}")
    elif step.keyword in ("COPY", "ADD") and not step.origin:
        files = [source for source in step.sources if _is_secret_file(subject, step, source)]
        files += _sent_along(subject, step)
        names = list(dict.fromkeys(files))
        code = set(code_with_tokens(subject))
        kinds = ("a token in" if name in code else "the file" for name in names)
        found += [f"{kind} {name}" for kind, name in zip(kinds, names[:_MOST_FILES], strict=False)]
        found += [f"{more} more files"] if (more := len(names) - _MOST_FILES) > 0 else []
    elif step.keyword == "COPY" and step in subject.shipping:
        found += [f"the file {name}" for name in _fetched_secrets(subject, step)]
    elif step.keyword == "RUN":
        written = [*_written(step), *_written_arguments(subject, step)]
        found += [f"what is written to {path}" for path in dict.fromkeys(written)]
    said = shapes(" ".join([*step.instruction.flags, step.script]))
    if step.keyword in ("ENV", "ARG"):
        known = {VALUE_OF + name for name, _ in pairs_of(step)}
        said = [what for what in said if what not in known]
    made_up = _made_up(step) if said and step.keyword == "RUN" else ()
    said = [what for what in said if what not in made_up]
    lines = _lines_of(step) if said else {}
    found += [f"{what} in line {lines[what]}" if what in lines else what for what in said]
    return [at(step, what) for what in dict.fromkeys(found)]


def _made_up(step: Step) -> set[str]:
    """What a RUN gives to one command because that asks for it: SECRET_TOKEN=secret and the like.

    No password: one that is like that may be in use.
    """
    return {
        VALUE_OF + name
        for command in step.commands
        for name, value in command.variables.items()
        if value.lower() in name.lower().split("_") and "PASS" not in name.upper()
    }


def _lines_of(step: Step) -> dict[str, int]:
    """The lines of here-documents that have a secret, by its kind: they may be long."""
    found, end = {}, step.instruction.end_line
    for heredoc in reversed(step.instruction.heredocs):
        lines = heredoc.content.splitlines()
        first = end - len(lines)
        for number, line in enumerate(lines[:_MOST_LINES], first):
            for what in shapes(line):
                found.setdefault(what, number)
        end = first - 1
    return found


def _is_secret_file(subject: Subject, step: Step, source: str) -> bool:
    if is_harmless(subject, source):
        return False
    named = SECRET_FILES.search(source) or _names_secrets(subject, step, source)
    return bool(named) or is_private_key(subject, source)


def _names_secrets(subject: Subject, step: Step, pattern: str) -> bool:
    """Whether a pattern is for files of secrets, such as `.env*`, and one of them may be sent.

    Where files of that name are here, what they contain tells.
    """
    start = re.split(r"[*?\[]", pattern)[0]
    if start == pattern or not SECRET_FILES.search(start.rstrip(".")):
        return False
    subject.compared.take(len(subject.sends.files))
    if any(name.startswith(cleaned(start)) for name in subject.sends.files):
        return False
    return not (ignored(subject, start.rstrip(".")) or apply_rules(step.excluded, start)[0])


def _sent_along(subject: Subject, step: Step) -> list[str]:
    """Files with secrets that a copied folder or pattern of names contains, and that ship."""
    if step.origin or step not in subject.shipping:
        return []
    told = [*secret_files(subject), *code_with_tokens(subject)]
    found = copied(subject, list(dict.fromkeys(told)), by=step)
    paths = [each.path for each in subject.arrivals if each.step is step] if found else []
    if any(under(step.destination, path) for path in paths):
        return found
    subject.compared.take(len(found) * (1 + len(paths)) * (1 + len(step.sources)))
    places = {name: _places(step, name) for name in found}
    return [
        name
        for name in found
        if any(under(at, path) or under(path, at) for at in places[name] for path in paths)
    ]


def _places(step: Step, name: str) -> list[str]:
    """Where a COPY may put a file of the context that it copies."""
    found = []
    for source in map(cleaned, step.sources):
        if source and under(name, source):
            rest = name[len(source) :].lstrip("/")
            found += [absolute(step.destination, rest)] if rest else [step.landing(source)]
            found += [absolute(step.destination, name)] if step.instruction.flags else []
        elif source and set("*?[") & set(source):
            found += [absolute(step.destination, name.rpartition("/")[2]), step.destination]
    return found or [absolute(step.destination, name)]


_KEPT = re.compile(
    r"(?<![\w<])>{1,2}\s*[\"']?((?:~|\$HOME|/root|/home/\w+)?/?(?:\.ssh/id_\w+|\.netrc|\.git-credentials|"
    r"\.pypirc|\.aws/credentials|\.docker/config\.json))"
)


def _written(step: Step) -> list[str]:
    """Files of secrets that a RUN writes into its layer and does not remove again."""
    mounted = [mount.get("target", "") for mount in step.mounts]
    found = [match[1] for match in _KEPT.finditer(step.script)]
    gone = [word for c in step.commands if c.program in ("rm", "shred") for word in c.arguments]
    away = [posixpath.basename(path.rstrip("/*")) for path in gone]
    return [
        path
        for path in dict.fromkeys(found)
        if path not in mounted and not {posixpath.basename(path), ".ssh"} & set(away)
    ]


def _fetched_secrets(subject: Subject, step: Step) -> list[str]:
    """Files of settings that a COPY takes from a stage, which has them from the context.

    A RUN there that names one may have made it. What is here and holds no secret is none.
    """
    found = []
    for fetch in subject.fetches(step):
        own = subject.steps(fetch.stage)
        made = " ".join(each.script for each in own if each.keyword == "RUN")
        whole = [c for c in context_copies(own) if any(map(is_all, c.sources))]
        for path in filter(SECRET_FILES.search, fetch.sources):
            names = [path[len(c.destination) :].lstrip("/") for c in whole
                     if under(path, c.destination)]  # fmt: skip
            sent = [name for name in names if name and not ignored(subject, name)]
            if posixpath.basename(path) in made or subject.context is None:
                continue
            found += [name for name in sent if not is_harmless(subject, name)]
    return list(dict.fromkeys(found))


_ADDRESS = re.compile(  # of a service, with a password in it
    r"(?i)(?:^|_)(?:DATABASE|DB|POSTGRES(?:QL)?|PG|MYSQL|MONGO(?:DB)?|REDIS|AMQP|RABBITMQ|BROKER|"
    r"SMTP|MAILER)_?(?:URL|URI|DSN)$|CONNECTION_?STRING$"
)
_INTO_FILE = re.compile(
    r"""\b(?:echo|printf)\b(?P<text>[^;&|\n>]{0,1000})>{1,2}\s{0,9}["']?(?P<path>[^\s;&|"']+)"""
)


def _written_arguments(subject: Subject, step: Step) -> list[str]:
    """Files that ship and into which a RUN writes a build argument that is a service's address."""
    given = {
        name
        for other in subject.own_steps(step.stage)
        if other.keyword == "ARG"
        for name, value in pairs_of(other)
        if value is None and _ADDRESS.search(name)
    }
    if not given or step not in subject.filling_steps:
        return []
    return [
        match["path"]
        for match in _INTO_FILE.finditer(step.script)
        if given & set(re.findall(r"\$\{?(\w+)", match["text"]))
        and not match["path"].startswith("/dev/")
    ]


def _is_given(step: Step, name: str, value: str | None) -> bool:
    """Whether a variable gets a value: an ARG without default gets one from outside."""
    if value is None or has_literal(value):
        return True
    if step.keyword == "ENV" and "$" in value:
        given = re.fullmatch(r"\"?\$\{?(\w+)(?::?-.*?)?\}?\"?", value)
        return bool(given) and (is_secret_name(given[1]) or is_value(value))
    return is_secret(name, value)


def _kept_argument(subject: Subject, step: Step, value: str) -> str:
    """The secret build argument of this stage that an ENV keeps in the image, "" for none."""
    declared = {
        name
        for other in subject.own_steps(step.stage)
        if other.keyword == "ARG"
        for name, _ in pairs_of(other)
    }
    used = re.findall(r"\$\{?(\w+)", value)
    return next((name for name in used if name in declared and is_secret_name(name)), "")


def _global_secrets(subject: Subject) -> list[Place]:
    found = []
    for instruction in subject.read.global_args:
        step = Step(subject.read.stages[0], instruction, "/", "")
        found += [place for place in _secrets_in(subject, step) if place.line]
    return found


def _secret_files(subject: Subject) -> list[Place]:
    """Files of the built image that are secrets by name or content, those of the base aside.

    Those that a later layer hides are still in the image, for whoever unpacks it.
    """
    own, image = own_layers(subject), subject.built.image
    files = [(path, layer, entry.size) for path, (entry, layer) in image.tree().items()
             if entry.kind == "file"]  # fmt: skip
    hidden = [(item.path, item.added_by, item.bytes) for item in image.buried]
    keys = subject.built.inside.keys
    found = []
    for path, layer, size in [*files, *hidden]:
        if layer not in own:
            continue
        more = {"path": f"/{path}", "bytes": size}
        if path in keys:
            found.append(at_layer(subject, layer, f"the private key /{path}", **more))
        elif KEY_BY_WORD.search(path):
            continue  # may be another thing: what it contains has told
        elif SECRET_FILES.search(path) and not under(f"/{path}", "/etc"):
            found.append(at_layer(subject, layer, f"the file /{path}", **more))
    return found
