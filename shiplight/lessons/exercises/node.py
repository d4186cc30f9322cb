"""The checks of lesson 02, Node.js."""

import json

from ... import catalogue
from ...builds import Build
from ...charts import frames
from ...inspection import measure
from ...units import format_bytes
from .grading import answering, exercise, refuse


@exercise("02.1", "the three-stage image, run by a user who is not root")
def _node_not_root(client, made: Build) -> str:
    image = measure(client, made)
    _only_what_runs("02.1", image)
    if image.user.partition(":")[0] in ("", "0", "root"):
        refuse(
            "02.1",
            "the service still runs as root.",
            hint="a USER counts for the stage that it stands in: which one becomes the image?",
            found=f"USER {image.user or '(none)'}",
        )
    return f"it answers as user {answering(client, '02.1', made)['user_id']}"


@exercise("02.2", "the bundle on node:22-alpine: one file of your own, and no node_modules")
def _bundle_on_alpine(client, made: Build) -> str:
    image = measure(client, made)
    if not image.find("usr/local/bin/npm"):
        refuse("02.2", "this is not node:22-alpine.", hint="keep the last FROM of the three stages")
    packages = frames.node_packages(image)
    if len(packages):
        refuse(
            "02.2",
            "the image contains packages in addition to the bundle.",
            hint="the bundle has what it uses of them inside: does anything need them still?",
            found=f"{len(packages)} packages, {packages['package'][0]} among them",
        )
    answering(client, "02.2", made)
    files = [path for path, (entry, _) in image.tree().items() if entry.kind == "file"]
    own = [path for path in files if path.startswith("app/")]
    if len(own) != 1:
        refuse(
            "02.2",
            "the image contains more than the bundle.",
            hint="copy the one file, and not the folder that it is in",
            found=", ".join(f"/{path}" for path in own[:5]),
        )
    size = image.tree()[own[0]][0].size
    return f"/{own[0]}, {format_bytes(size)}, answers"


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
