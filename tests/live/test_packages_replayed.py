"""What a build downloads is packed on this engine, and replayed on one that has no way out."""

import pytest
from own_engine import OwnEngine, skip_where_none_can_be

from shiplight import engine, kit
from shiplight.builds import build
from shiplight.builds import packages as noted
from shiplight.errors import BuildFailed
from shiplight.kit import packages

WHEEL = "RUN pip download --no-deps --dest /wheels idna==3.10"
DEBIAN = "RUN apt-get update && apt-get download netbase"
OLD = "RUN apt-config dump Acquire::Check-Valid-Until | grep -i false"  # lists of a day long ago
TEXT = f"FROM {packages.BASE}\n{WHEEL}\n{DEBIAN}\n{OLD}\n"


@pytest.fixture
def cut_off():
    """An engine that no network reaches, and its client."""
    skip_where_none_can_be()
    own = OwnEngine(size="1g")
    try:
        yield own.start()
    finally:
        noted.use(None)
        own.close()


def planned(client, folder) -> kit.Plan:
    """A kit of one base, and of what the build of one folder downloads."""
    return kit.Plan(
        lessons=("03-python",),
        platform=engine.described(client).platform,
        bases=(packages.BASE,),
        missing=(),
        image_bytes=0,
        scans=False,
        scanner=None,
        wheels_for=(),
        variants=(str(folder),),
    )


def test_a_build_with_no_way_out_downloads_from_the_kit(client, cut_off, tmp_path):
    (tmp_path / "Dockerfile").write_text(TEXT)
    made = kit.pack(client, planned(client, tmp_path), tmp_path / "class.tar")
    assert kit.has_packages(made) and noted.proxy_on(client) is None

    kit.unpack(cut_off, tmp_path / "class.tar")
    proxy = noted.proxy_on(cut_off)
    assert not proxy.records and "PRIVATE" not in proxy.ca
    built = build(cut_off, tmp_path, no_cache=True)
    assert [step.cached for step in built.own_steps()] == [False] * 3
    assert built.remarks == (noted.FROM_KIT, noted.SHIPS_CA)
    assert not proxy.missed(cut_off, 1)

    engine.find_container(cut_off, proxy.container).restart(timeout=0)  # as with the engine itself
    elsewhere = {"HTTP_PROXY": "http://192.0.2.1:1"}  # its address is no part of the cache key
    again = build(cut_off, tmp_path, build_args=elsewhere)
    assert [step.cached for step in again.own_steps()] == [True] * 3

    kit.unpack(cut_off, tmp_path / "class.tar")  # the same kit again: nothing is built again
    assert noted.proxy_on(cut_off) == proxy
    assert build(cut_off, tmp_path).ran() == []

    with pytest.raises(BuildFailed, match=r"asked for \S+/simple/six/, which the kit does not"):
        build(cut_off, tmp_path, text=TEXT.replace("idna==3.10", "six"))
