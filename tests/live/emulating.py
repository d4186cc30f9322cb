"""An emulator for arm64, which the kernel uses for as long as a `with` lasts.

binfmt_misc is the kernel's, for everybody on this machine: nothing else registers an emulator, and
it goes again. Docker's own emulation and an arm64 machine need nothing of this. Root, on Debian.
"""

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# ELF for this machine type, as the kernel recognises it: bytes, then the bits of them that count.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
NAME = "shiplight-aarch64"


def busybox(folder: Path) -> Path:
    """Fetch Debian's busybox for arm64, a static program."""
    packed, program = folder / "root.tar", folder / "busybox"
    kind = ["--variant=extract", "--architectures=arm64", "--include=busybox-static"]
    _quietly("mmdebstrap", *kind, "bookworm", str(packed), folder=folder)
    with tarfile.open(packed) as root:
        program.write_bytes(root.extractfile("./bin/busybox").read())
    program.chmod(0o755)
    return program


@contextmanager
def emulated(program: Path) -> Iterator[str]:
    """Let the kernel run programs for arm64; yield by what.

    Where it runs `program`, which is one, already, nothing is registered. With the flag P, a
    program knows by what name it was called: BusyBox needs that. With F, the emulator is opened
    here: no container needs to have it.
    """
    folder = program.parent
    try:
        subprocess.run([program, "true"], check=True)
    except OSError:
        pass
    else:
        yield "what this machine has"
        return
    _quietly("apt-get", "download", "qemu-user-static", folder=folder)
    [package] = folder.glob("qemu-user-static_*.deb")
    _quietly("dpkg-deb", "-x", package.name, ".", folder=folder)
    emulator, kernel = folder / "usr" / "bin" / "qemu-aarch64-static", folder / "binfmt_misc"
    said = subprocess.run([emulator, "--version"], check=True, capture_output=True, text=True)
    kernel.mkdir()
    subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(kernel)], check=True)
    try:
        (kernel / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{emulator}:PF")
        try:
            yield f"QEMU {said.stdout.split('version ')[1].split()[0]}"
        finally:
            (kernel / NAME).write_text("-1")
    finally:
        subprocess.run(["umount", str(kernel)], check=True)


def _quietly(*command: str, folder: Path) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, cwd=folder, check=True, **quiet)
