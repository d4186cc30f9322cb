"""Names of a package that load their module when they are first asked for.

Standard library only: `./lab --help` runs before anything is installed. A package is lazy where its
modules are heavy and few of its callers need them all; the others import what they offer.
"""

from collections.abc import Callable
from importlib import import_module


def offered(package: str, homes: dict[str, str]) -> tuple[Callable, Callable, list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package: each name with its home below it.

    A name that is the last part of its home is that module itself.

    >>> get, _, names = offered("shiplight", {"format_bytes": "units", "units": "units"})
    >>> get("format_bytes")(1_000), get("units").__name__, names
    ('1.00 kB', 'shiplight.units', ['format_bytes', 'units'])
    """
    names = sorted(homes)

    def load(name: str):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(f".{homes[name]}", package)
        return home if homes[name].rpartition(".")[2] == name else getattr(home, name)

    return load, lambda: names, names
