"""Another platform, emulated: an image for linux/arm64 is built, measured and run."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import emulating
import pytest

from shiplight import builds
from shiplight.inspection import measure

TEXT = """FROM --platform=linux/arm64 scratch AS made
ARG TARGETARCH
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox uname -m > /machine; echo $TARGETARCH >> /machine"]
FROM scratch
COPY --from=made /bin/busybox /bin/busybox
COPY --from=made /machine /machine
CMD ["/bin/busybox", "cat", "/machine"]
"""
SAID = b"aarch64\narm64\n"


@pytest.fixture(scope="module")
def busybox(tmp_path_factory) -> Iterator[Path]:
    """Debian's busybox for arm64, where it can be run."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("not for this machine: root on Debian, with mmdebstrap")
    program = emulating.busybox(tmp_path_factory.mktemp("arm64"))
    with emulating.emulated(program):
        yield program


@pytest.mark.alone  # lesson 11 asks whether this machine emulates, more than once
def test_an_image_for_another_platform_is_built_measured_and_run(client, busybox, tmp_path):
    (tmp_path / "Dockerfile").write_text(TEXT)
    shutil.copy(busybox, tmp_path)
    built = builds.build(client, tmp_path, platform="linux/arm64")
    image = measure(client, built)
    assert image.platform == "linux/arm64"
    assert image.unpacked_bytes == busybox.stat().st_size + len(SAID)
    container = client.containers.create(built.tag, platform="linux/arm64")
    try:
        container.start()
        assert container.wait(timeout=60)["StatusCode"] == 0
        assert container.logs() == SAID
    finally:
        container.remove(force=True)
