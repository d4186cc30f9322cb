"""Another platform, emulated: an image for linux/arm64 is built, measured and run.

binfmt_misc is the kernel's, for everybody on this machine: only these tests register an emulator,
and it goes again. Docker's own emulation and an arm64 machine need nothing of this.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
# ELF for this machine type, as the kernel recognises it: bytes, then the bits of them that count.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
NAME = "shiplight-aarch64"


@pytest.fixture(scope="module")
def busybox(tmp_path_factory) -> Iterator[Path]:
    """Debian's busybox for arm64, a static program, where it can be run."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("not for this machine: root on Debian, with mmdebstrap")
    folder = tmp_path_factory.mktemp("arm64")
    packed = folder / "root.tar"
    quiet = {"cwd": folder, "check": True, "stderr": subprocess.DEVNULL}
    kind = ["--variant=extract", "--architectures=arm64", "--include=busybox-static"]
    subprocess.run(["mmdebstrap", *kind, "bookworm", str(packed)], **quiet)
    with tarfile.open(packed) as root:
        (folder / "busybox").write_bytes(root.extractfile("./bin/busybox").read())
    (folder / "busybox").chmod(0o755)
    with emulated(folder):
        yield folder / "busybox"


@contextmanager
def emulated(folder: Path) -> Iterator[None]:
    """Let the kernel run programs for arm64, unless it does so already, for as long as this lasts.

    With the flag F, that opens the emulator here: no container needs to have it.
    """
    try:
        subprocess.run([folder / "busybox", "true"], check=True)
    except OSError:
        pass
    else:
        yield
        return
    quiet = {"cwd": folder, "check": True, "stderr": subprocess.DEVNULL}
    subprocess.run(["apt-get", "download", "qemu-user-static"], **quiet, stdout=subprocess.DEVNULL)
    [package] = folder.glob("qemu-user-static_*.deb")
    subprocess.run(["dpkg-deb", "-x", package.name, "."], **quiet)
    kernel = folder / "binfmt_misc"
    kernel.mkdir()
    subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(kernel)], check=True)
    try:
        emulator = folder / "usr" / "bin" / "qemu-aarch64-static"
        (kernel / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{emulator}:F")
        try:
            yield
        finally:
            (kernel / NAME).write_text("-1")
    finally:
        subprocess.run(["umount", str(kernel)], check=True)


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
