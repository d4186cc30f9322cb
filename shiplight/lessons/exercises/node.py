"""The checks of lesson 02, Node.js."""

import json

from ... import catalogue
from ...builds import Build
from ...charts import frames
from ...inspection import measure
from ...units import format_bytes
from .go import refuse_root
from .grading import answering, exercise, own_files, refuse, stands_on


@exercise("02.1")
def _node_not_root(client, made: Build) -> str:
    image = measure(client, made)
    _only_what_runs("02.1", image)
    if image.user.partition(":")[0] in ("", "root"):
        refuse_root("02.1", image)
    user = answering(client, "02.1", made)["user_id"]
    if user == 0:
        refuse_root("02.1", image)
    return f"it runs as user {user}"


@exercise("02.2")
def _bundle_on_alpine(client, made: Build) -> str:
    image = measure(client, made)
    if not stands_on(client, made, image, "node:22-alpine"):
        refuse("02.2", "this is not node:22-alpine.", hint="keep the last FROM of the three stages")
    packages = frames.node_packages(image)
    if len(packages):
        refuse(
            "02.2",
            "packages ship beside the bundle.",
            hint="the bundle already contains what it uses of them: does anything still need them?",
            found=f"{len(packages)} packages, {packages['package'][0]} among them",
        )
    answering(client, "02.2", made)
    own = own_files(client, made, image)
    if len(own) != 1:
        refuse(
            "02.2",
            "the bundle is not the only file of your own.",
            hint="copy the one file, and not the folder that it is in",
            found=", ".join(f"/{path}" for path in [*own][:5]) or "no file of your own",
        )
    [(path, size)] = own.items()
    return f"/{path}, {format_bytes(size)}, answers"


def _only_what_runs(exercise_id: str, image) -> None:
    """CheckFailed where a dev dependency of the Node app is in an image."""
    package = json.loads((catalogue.APPS / "node" / "package.json").read_text(encoding="utf-8"))
    installed = set(frames.node_packages(image)["package"])
    if found := sorted(installed & set(package["devDependencies"])):
        refuse(
            exercise_id,
            "dev dependencies ship.",
            hint="from which stage do the packages of your last stage come?",
            found=", ".join(found),
        )
