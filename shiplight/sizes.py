from . import journal, progress
from .image import Image
from .measure import measure as _measure
from .store import LayerStore
from .units import format_bytes


def measure(client, name_or_path, *, store=None):
    store = store or LayerStore(journal.folder("layers"))
    read = 0

    def draw():
        return f"Reading {name_or_path} · {format_bytes(read)}"

    def count(total):
        nonlocal read
        read = total

    with progress.Screen(draw):
        return _measure(client, name_or_path, store=store, progress=count)


_TELLING = {
    "shell": ("bin/sh", "usr/bin/sh"),
    "glibc": ("*/libc.so.6",),
    "musl": ("lib/ld-musl-*",),
    "apt": ("usr/bin/apt-get",),
    "apk": ("sbin/apk",),
    "certificates": ("etc/ssl/certs/ca-certificates.crt",),
    "time zones": ("usr/share/zoneinfo/Europe/Berlin",),
}


def contents(image: Image) -> list[str]:
    """What a program finds in this image, of what programs look for: shell, C library, and so on."""
    return [name for name, paths in _TELLING.items() if any(image.find(path) for path in paths)]
