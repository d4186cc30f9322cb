"""What an image is, wherever it comes from.

Layers, entries, what each layer adds and hides; reading saved archives as a stream; asking a
registry; comparing two images; what a compiled program says about itself. Knows no engine and
writes no file but the store of known layers.
"""

from .archive import MAX_FILES, MAX_JSON, read_image
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
from .layouts import host_platform
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
from .store import LayerStore
from .tarstream import packing

__all__ = [
    "CHANGED",
    "FIRST",
    "MAX_FILES",
    "MAX_JSON",
    "SAME",
    "SECOND",
    "WHERE",
    "Attestation",
    "Comparison",
    "Image",
    "Layer",
    "LayerComparison",
    "LayerContent",
    "LayerStore",
    "Program",
    "Published",
    "align",
    "as_archive",
    "asking",
    "assemble",
    "compare",
    "compare_layers",
    "host_platform",
    "instruction_of",
    "packing",
    "platform_inspected",
    "platform_of",
    "read_image",
    "read_program",
    "read_published",
    "renamed",
]
