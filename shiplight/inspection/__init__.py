"""Asking an image that is there: its bytes, how it runs, which base its program needs.

Knows the engine and how images are made; draws nothing and teaches nothing.
"""

from .born import AMBIGUOUS, BASE, CONTEXT, IMAGE, STEP, Flow, Origin, Origins
from .budget import Budget, keep_to
from .copying import file_in, files_in
from .entrypoint import follow, program_of, programs
from .following import origins
from .measuring import contents, measure, stored_bytes
from .probing import HELPER, Probe, answer_of, beside, probe, run_once
from .remote import PREFIX, in_registries, published
from .runtimes import BASES, PROGRAMS, choose, linked, look, short, try_on
from .searching import (
    CONFIGURATION,
    ENVIRONMENT,
    FILE,
    HIDDEN,
    HISTORY,
    Found,
    Traces,
    search,
    search_cache,
    search_each,
    search_engine,
    search_folder,
)
from .tracing import trace
from .watching import Health, health

__all__ = [
    "AMBIGUOUS",
    "BASE",
    "BASES",
    "CONFIGURATION",
    "CONTEXT",
    "ENVIRONMENT",
    "FILE",
    "HELPER",
    "HIDDEN",
    "HISTORY",
    "IMAGE",
    "PREFIX",
    "PROGRAMS",
    "STEP",
    "Budget",
    "Flow",
    "Found",
    "Health",
    "Origin",
    "Origins",
    "Probe",
    "Traces",
    "answer_of",
    "beside",
    "choose",
    "contents",
    "file_in",
    "files_in",
    "follow",
    "health",
    "in_registries",
    "keep_to",
    "linked",
    "look",
    "measure",
    "origins",
    "probe",
    "program_of",
    "programs",
    "published",
    "run_once",
    "search",
    "search_cache",
    "search_each",
    "search_engine",
    "search_folder",
    "short",
    "stored_bytes",
    "trace",
    "try_on",
]
