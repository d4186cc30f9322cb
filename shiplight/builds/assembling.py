"""Assemble offline equivalents of official images from packages, as `bases/` describes them."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from .. import dockerfile, engine, files, progress, setup
from ..dockerfile import read_sources, stages
from ..engine import journal
from ..errors import BaseNotAvailable
from ..image import platform_inspected
from ..references import canonical, split
from ..units import format_bytes
from . import packages, solving
from .bases import EQUIVALENTS, FOLDER, Base, Recipe, made_from, recipes, text_to_send
from .platforms import plain

_CA = "shiplight.ca"  # a label: the digest of the CA bundle that an image has
_RECIPE = "shiplight.recipe"  # a label: the digest of what an equivalent was made from
_OLD_LISTS = b'Acquire::Check-Valid-Until "false";\n'  # a kit's are of the day it was packed
CA_VARIABLES = (*files.CA_VARIABLES, "NODE_EXTRA_CA_CERTS")


def assemble(client, recipe: Recipe, tasks: progress.Tasks, *, renew: bool = False) -> str:
    """Assemble `recipe` and what it needs; return the image's name. Raises BaseNotAvailable.

    What is already there is reused, so an interrupted run continues where it stopped. With `renew`,
    what is outdated is made again; its image stays until the new one has its name.
    """
    old = engine.find_image(client, recipe.equivalent)
    if old is not None and not (renew and _differs(old, recipe)):
        return recipe.equivalent
    _check_machine(client, recipe)
    for needed in recipe.needs:
        assemble(client, recipes()[needed].on(recipe.platform), tasks, renew=renew)
    tasks.begin(recipe.equivalent, "assembling from packages")
    try:
        make = _from_rootfs if recipe.kind == "rootfs" else _from_dockerfile
        make(client, recipe, tasks)
    except BaseException:
        tasks.end(recipe.equivalent, "failed", state="failed")
        raise
    if old is not None:
        _drop_nameless(client, old["Id"])
    tasks.end(recipe.equivalent, "offline equivalent")
    return recipe.equivalent


def _drop_nameless(client, image_id: str) -> None:
    """Remove what was renewed, unless somebody gave it another name or a container has it."""
    found = engine.find_image(client, image_id)
    if found is not None and not found.get("RepoTags"):
        engine.remove_image(client, image_id)


def is_outdated(client, recipe: Recipe) -> bool:
    """Return whether the equivalent that is here was made from another recipe than today's.

    One that does not say what it was made from is taken for today's.
    """
    found = engine.find_image(client, recipe.equivalent)
    return found is not None and _differs(found, recipe)


def _differs(found: dict, recipe: Recipe) -> bool:
    return engine.labels_of(found).get(_RECIPE, today := made_from(recipe)) != today


def ca_bundle(client) -> bytes:
    """Return the CA certificates that steps need, or nothing.

    They are those that this machine's variables name, and that of the kit that builds use.
    """
    path, proxy = files.named_in(*CA_VARIABLES), packages.proxy_on(client)
    return (path.read_bytes() if path else b"") + (proxy.ca.encode() if proxy else b"")


def has_our_ca(client, found: dict) -> bool:
    """Return whether an image, as the engine describes it, has the current CA certificates."""
    return engine.labels_of(found).get(_CA) == _digest(ca_bundle(client))


def _digest(bundle: bytes) -> str:
    return f"sha256:{hashlib.sha256(bundle).hexdigest()}"


def building_name(client, base: Base) -> str | None:
    """Return the name of `base` with CA certificates in it; None if it needs none.

    With a kit, official images need them too, and each lab has its own: other labs on this engine
    may have no kit, or another one.
    """
    recipe = recipes().get(canonical(base.reference))
    if recipe is None or not recipe.builder:
        return None
    if packages.proxy_on(client):
        known = base.used if base.kind == "equivalent" else recipe.equivalent
        _, _, name = known.partition(f"{EQUIVALENTS}/")
        return f"shiplight/{journal.lab_id()}/with-ca/{name}"
    return f"{base.used}-with-ca" if base.kind == "equivalent" and ca_bundle(client) else None


def add_ca(client, base: Base, tasks: progress.Tasks) -> Base:
    """Return `base` with an image for stages that build: one more layer, with the CA bundle."""
    name = building_name(client, base)
    if name is None or base.building:
        return base
    text = (FOLDER / "with-ca" / "Dockerfile").read_text(encoding="utf-8")
    with journal.workplace() as folder:
        content = ca_bundle(client)
        given = {"ca.crt": content}
        if packages.proxy_on(client):
            given["apt.conf"] = _OLD_LISTS
            text += "ENV APT_CONFIG=/usr/local/share/shiplight/apt.conf\n"
        for file, data in given.items():
            (folder / file).write_bytes(data)
            (folder / file).chmod(0o644)  # steps of users other than root have to read it
        solving.solve(
            client,
            read_sources(folder, dockerfile="Dockerfile", dockerfile_text=text),
            dockerfile.parse(text),
            tag=name,
            title=name,
            build_args={"BASE": base.used},
            platform=base.platform,
            labels={_CA: _digest(content)},
            screen=tasks.screen,
        )
    return replace(base, building=name)


def unassembled(client, recipe: Recipe) -> str:
    """Return why this machine cannot assemble the equivalent or one of its bases; "" if it can.

    An equivalent that is here already needs nothing.
    """
    if engine.has_image(client, recipe.equivalent):
        return ""
    if (platform := _platform(client, recipe)) not in recipe.platforms:
        return f"exists for {' and '.join(recipe.platforms)} only, not for {platform}"
    if recipe.kind == "rootfs" and not (
        setup.is_root() and (_has_mmdebstrap() or setup.on_debian())
    ):
        return "needs root on Debian or Ubuntu"
    needed = (recipes()[one].on(recipe.platform) for one in recipe.needs)
    return next(filter(None, (unassembled(client, one) for one in needed)), "")


def _platform(client, recipe: Recipe) -> str:
    """The platform that a recipe's image is for: its own, or else that of the engine."""
    return recipe.platform or engine.described(client).platform


def _has_mmdebstrap() -> bool:
    return shutil.which("mmdebstrap") is not None


def _check_machine(client, recipe: Recipe) -> None:
    """Raise BaseNotAvailable, with advice, if this machine cannot assemble equivalents."""
    its = f"the offline equivalent of {recipe.reference}"
    hint = "connect to a registry, or set SHIPLIGHT_MIRROR to one that can be reached"
    if why := unassembled(client, recipe):
        raise BaseNotAvailable(f"{its} {why}.", hint=hint)
    if recipe.kind == "rootfs" and not _has_mmdebstrap():
        packages = ["mmdebstrap", "debian-archive-keyring"]
        try:
            setup.install_packages(packages, f"{its} needs mmdebstrap")
        except setup.SetupFailed as error:
            raise BaseNotAvailable(str(error), hint=hint) from error


def _from_rootfs(client, recipe: Recipe, tasks: progress.Tasks) -> None:
    """A Debian root file system, made by mmdebstrap and streamed into the engine."""
    folder, architecture = str(FOLDER / recipe.recipe), _platform(client, recipe).partition("/")[2]
    command = [
        part.replace("{recipe}", folder).replace("{architecture}", architecture)
        for part in recipe.rootfs["arguments"]
    ]
    if recipe.platform:  # mmdebstrap would copy an emulator in; the kernel has one, or none helps
        command.insert(0, "--skip=check/qemu")
    journal.ready()
    imported = recipe.equivalent
    if engine.has_image(client, imported):  # which stays until the new one is whole
        imported += "-unfinished"
        engine.remove_image(client, imported)  # of a run that was killed
    name, tag = split(imported)
    changes = [*recipe.rootfs["changes"]]
    labels = journal.labels(recipe.equivalent) | _labels(recipe) | {journal.BASES: "equivalent"}
    changes += [f"LABEL {key}={value}" for key, value in labels.items()]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            ended_with_us(["mmdebstrap", *command]),
            env=os.environ | recipe.rootfs["environment"],
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # on failure mmdebstrap signals its whole process group
        )
        try:
            engine.import_rootfs(
                client,
                _counted(process, recipe, tasks),
                name,
                tag,
                changes=changes,
                message=f"{recipe.reference}, assembled from packages",
                platform=recipe.platform,
            )
        except BaseException:
            _end(process)
            engine.remove_image(client, imported)
            raise
        if process.wait() != 0:
            engine.remove_image(client, imported)
            errors.seek(0)
            raise _mmdebstrap_failed(recipe, errors.read())
    _refuse_mislabelled(client, recipe, imported)
    if imported != recipe.equivalent:
        engine.tag_image(client, imported, recipe.equivalent)
        engine.remove_image(client, imported)  # the name: the image has another one
    engine.remember_image(client, recipe.equivalent)


def _labels(recipe: Recipe) -> dict[str, str]:
    return {_RECIPE: made_from(recipe)}


def _refuse_mislabelled(client, recipe: Recipe, imported: str) -> None:
    """Remove an image that the engine imported for its own platform, which it is not for."""
    found = plain(platform_inspected(engine.inspect_image(client, imported)))
    if recipe.platform not in (None, found):
        engine.remove_image(client, imported)
        raise BaseNotAvailable(
            f"this engine imports root file systems for {found} only, so it cannot have"
            f" {recipe.equivalent}.",
            hint="use a newer engine: Docker 20.10 does this, 28 does not",
        )


# A shell that forwards TERM to its whole process group: a signal to mmdebstrap alone would not
# reach its children. It outlives the signal by which a failing mmdebstrap ends its group, and
# removes what a command left in TMPDIR: mmdebstrap keeps its keys' folder when it is ended early.
_GROUP = """
place=
trap '[ -z "$place" ] || rm -rf --one-file-system "$place"' EXIT
trap 'exit 143' TERM
trap : HUP
place=$(mktemp -d) && chmod 755 "$place" || exit
trap 'trap "" TERM; kill -TERM 0' TERM
TMPDIR=$place "$@" & wait $!
code=$?
[ $code -le 128 ] || { wait $!; code=$?; }
exit $code
"""


def ended_with_us(command: list[str]) -> list[str]:
    """Return the command that ends this one when this process ends, even if it is killed.

    Start it in a session of its own. Without it, mmdebstrap keeps unpacking for a minute. The
    command gets a TMPDIR of its own, which goes when the command has ended, however it did.
    """
    return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", _GROUP, "sh", *command]


def _end(process: subprocess.Popen) -> None:
    """End mmdebstrap so that it cleans up: close its output, then terminate, then kill it."""
    process.stdout.close()  # it would wait for ever to write what nobody reads
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _counted(process, recipe: Recipe, tasks: progress.Tasks):
    """The process's output in chunks; reports how many bytes came."""
    total = 0
    while chunk := process.stdout.read(1 << 18):
        total += len(chunk)
        tasks.tell(recipe.equivalent, f"{format_bytes(total)} from packages")
        yield chunk


def _mmdebstrap_failed(recipe: Recipe, said: bytes) -> BaseNotAvailable:
    lines = said.decode("utf-8", "replace").strip().splitlines()[-6:]
    return BaseNotAvailable(
        f"mmdebstrap could not assemble {recipe.equivalent}.\n  Last lines:\n"
        + "\n".join(f"    {line}" for line in lines),
        hint="check that Debian's packages can be reached: `apt-get update`",
    )


def _from_dockerfile(client, recipe: Recipe, tasks: progress.Tasks) -> None:
    """An ordinary build of a folder in `bases/`, with its downloads and the CA bundle in it."""
    text = (FOLDER / recipe.recipe / "Dockerfile").read_text(encoding="utf-8")
    read = dockerfile.parse(text)
    uses = stages.image_uses(read, recipe.target, recipe.args)
    provided = [_equivalent(use.reference, recipe.platform) for use in uses]
    text, _ = text_to_send(client, read, provided, recipe.args, recipe.target)
    with journal.workplace() as folder:
        context = folder / "context"
        shutil.copytree(FOLDER / recipe.recipe, context)
        for download in _downloads(recipe, _platform(client, recipe)):
            tasks.tell(recipe.equivalent, f"downloading {download['package']}")
            shutil.copyfile(_downloaded(download), context / download["file"])
        tasks.tell(recipe.equivalent, "building")
        solving.solve(
            client,
            read_sources(context, dockerfile="Dockerfile", dockerfile_text=text),
            read,
            tag=recipe.equivalent,
            title=recipe.equivalent,
            target=recipe.target,
            build_args=recipe.args,
            platform=recipe.platform,
            bases="equivalent",
            labels=_labels(recipe),
            screen=tasks.screen,
        )


def _equivalent(reference: str, platform: str | None) -> Base:
    recipe = recipes()[canonical(reference)].on(platform)
    return Base(reference, recipe.equivalent, "equivalent", platform=platform)


_WHEELS = {"linux/amd64": "_x86_64", "linux/arm64": "_aarch64"}  # how their tags end


def _downloads(recipe: Recipe, platform: str) -> list[dict]:
    """The downloads of a recipe that are for this platform."""
    return [one for one in recipe.downloads if one["platform"].endswith(_WHEELS[platform])]


def _downloaded(download: dict) -> Path:
    """One package file from Python's registry: fetched by pip, checked, and kept."""
    kept = journal.cache("downloads") / download["file"]
    if not (kept.exists() and _sha256(kept) == download["sha256"]):
        wheel = f"{download['package']}=={download['version']}"
        with journal.writable(), journal.workplace() as folder:
            said = subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--only-binary=:all:", "--dest", folder),
                    *("--platform", download["platform"]),
                    *("--python-version", "3.11"),
                    wheel,
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            found = list(folder.iterdir())
            if said.returncode or len(found) != 1:
                raise BaseNotAvailable(
                    f"pip could not download {wheel}: {said.stderr.strip()[-500:]}",
                    hint="check that Python's package registry can be reached",
                )
            if _sha256(found[0]) != download["sha256"]:
                raise BaseNotAvailable(
                    f"{wheel} is not the file that its base.toml names (its sha256 differs).",
                    hint="do not use it; tell the authors",
                )
            os.replace(found[0], kept)
    return kept


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
