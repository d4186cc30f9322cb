"""Describe an image, wherever it comes from.

Layers, entries, and what each layer adds and hides; reading saved archives as a stream; reading an
image in a registry; comparing two images; reading the headers of a compiled program. Imports no
engine; writes the store of known layers, and layouts where it is told to.
"""

from .archive import read_image
from .changes import Entry
from .comparing import (
    CHANGED,
    FIRST,
    SAME,
    SECOND,
    WHERE,
    Comparison,
    LayerComparison,
    compare,
    compare_layers,
)
from .elf import Program, read_program
from .layouts import Manifest, host_platform, manifests
from .model import (
    Image,
    Layer,
    LayerContent,
    align,
    assemble,
    instruction_of,
    platform_inspected,
    platform_of,
    renamed,
)
from .remote import Attestation, Published, as_archive, asking, read_published
from .saved import (
    Files,
    Saved,
    files_of,
    find_saved,
    find_saved_for,
    meant,
    names_loaded,
    not_saved,
    plain_blocks,
    read_saved,
)
from .searching import archived, containing, has
from .store import LayerStore
from .tarstream import packing
from .writing import add_image, write_index

__all__ = [
    "CHANGED",
    "FIRST",
    "SAME",
    "SECOND",
    "WHERE",
    "Attestation",
    "Comparison",
    "Entry",
    "Files",
    "Image",
    "Layer",
    "LayerComparison",
    "LayerContent",
    "LayerStore",
    "Manifest",
    "Program",
    "Published",
    "Saved",
    "add_image",
    "align",
    "archived",
    "as_archive",
    "asking",
    "assemble",
    "compare",
    "compare_layers",
    "containing",
    "files_of",
    "find_saved",
    "find_saved_for",
    "has",
    "host_platform",
    "instruction_of",
    "manifests",
    "meant",
    "names_loaded",
    "not_saved",
    "packing",
    "plain_blocks",
    "platform_inspected",
    "platform_of",
    "read_image",
    "read_program",
    "read_published",
    "read_saved",
    "renamed",
    "write_index",
]
