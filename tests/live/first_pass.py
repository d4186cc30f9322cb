"""Every variant of the catalogue by `docker build` and by ours, no cache shared, compared by file.

A script, since it compiles everything twice: `python tests/live/first_pass.py [VARIANT…]`, with an
engine that has the bases. Names, kinds, modes, owners, links and extended attributes of every entry
of every layer must be the same, and the configuration. So are contents, unless a RUN step writes
others each time: those are counted. (Times are compared by the small contexts of the tests.)
"""

import re
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import test_docker_build as against

from shiplight import builds, catalogue, engine
from shiplight.builds import recipe, sending
from shiplight.engine import journal

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d_]+Z")  # in the names of npm's logs
CONTENT = 7  # where an entry of `against.contents` has it; what is before it must be the same


def compared(client, name: str, folder: Path) -> str:
    """Build one variant by both; what was found, in a line."""
    seen, sent = {}, sending.sent

    def keep(client, sources, *rest, **parameters):
        seen.update(sources=sources, arguments=parameters["buildargs"])
        return sent(client, sources, *rest, **parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "sent", keep)
        ours = builds.build(client, name, text=recipe(name), name="cmp/first-ours", no_cache=True)
    file = folder / seen["sources"].name
    file.write_bytes(seen["sources"].text)
    told = [f"--build-arg={k}={v}" for k, v in seen["arguments"].items() if k != against.NAME_SPACE]
    where = catalogue.find(name).folder
    theirs, _ = against.docker_build(
        client, where, "cmp/first", "--no-cache", "--file", str(file), *told
    )
    mine, other = (against.contents(client, tag, below=0) for tag in (ours.tag, theirs))
    for image in (mine, other):
        del image["config"]["Labels"][journal.BASES]  # which `against` gives its own value
    assert mine["config"] == other["config"], (mine["config"], other["config"])
    entries = differ = 0
    for first, second in zip(mine["layers"], other["layers"], strict=True):
        alike, others = (
            {TIME.sub("", str(one[:CONTENT])) for one in each} for each in (first, second)
        )
        assert alike == others, sorted(alike ^ others)[:20]
        assert len(first) == len(second)
        entries += len(first)
        differ += sum(a[CONTENT] != b[CONTENT] for a, b in zip(first, second, strict=True))
    return f"{name}: {entries} entries the same, {differ} with other contents"


def main(names: list[str]) -> None:
    client = engine.connect()
    for name in names or [row.name for row in catalogue.rows()]:
        with tempfile.TemporaryDirectory() as folder:
            print(compared(client, name, Path(folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
