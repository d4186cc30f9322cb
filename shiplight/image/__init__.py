"""What an image is, wherever it comes from.

Layers, entries, what each layer adds and hides; reading saved archives as a stream; comparing two
images; what a compiled program says about itself. Knows no engine and writes no file but the store
of known layers.
"""

from .archive import MAX_FILES, MAX_JSON, read_image
from .comparing import CHANGED, FIRST, SAME, SECOND, WHERE, Comparison, compare
from .elf import Program, read_program
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
    "Comparison",
    "Image",
    "Layer",
    "LayerContent",
    "LayerStore",
    "Program",
    "align",
    "assemble",
    "compare",
    "instruction_of",
    "packing",
    "platform_inspected",
    "platform_of",
    "read_image",
    "read_program",
    "renamed",
]
