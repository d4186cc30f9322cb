"""Words that are never right in what people read, and what to say instead."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiplight.lessons import shelf

ROOT = shelf.ROOT

THINGS = (
    "archive|image|layer|tar|digest|number|JSON|checkout|base|pattern|file|Dockerfile|folder|socket"
    "|report|step|place|port|name|registry"
)

# What is wrong, as a regular expression, and what to say instead.
NEVER = [
    (r"\bmend(?:s|ed|ing)?\b", "fix"),
    (r"\b(?:lend|lends|lending|lent)\b", "mount"),
    (r"\b(?:brings?|brought|came|comes?|taken?) along\b", "contains, includes, is copied"),
    (r"(?<!certificate )\bauthorit(?:y|ies)\b", "CA certificates"),
    (r"\bprocess 1\b|\(process\b", "PID 1, PID …"),
    (r"\bname spaces?\b", "namespace"),
    (r"\bentry points?\b", "entrypoint"),
    (r"\bempty program\b", "dummy program, dummy main.rs"),
    (r"\bh(?:o|e)ld(?:s|ing)?\b[^.:;\n]{0,60}\bagainst\b", "check … against"),
    (r"\bany more\b", "no longer"),
    (r"\babove each other\b", "next to each other; of times: overlap"),
    (r"\bway of the data\b", "data flow"),
    (r"\bits rooms?\b|\bthe only room\b|\barrows run\b", "module, package, dependency direction"),
    (r"\bfor ever\b", "always"),
    (r"\banew\b", "again; re-record, re-run, rebuild"),
    (r"\b(?:to|cannot) be had\b", "is (not) available, can(not) be read"),
    (r"\ball the same\b", "still, anyway"),
    (r"\bstands? on\b(?! its own)", "is based on"),
    (r"\bsees? to (?:it|both|all)\b", "takes care of"),
    (r"\bcame back\b", "freed"),
    (r"\banswers? (?:from )?here\b", "is available, can be reached"),
    (rf"(?<!there )\bis no (?!such )(?:\w+ )?(?:{THINGS})\b", "is not a …"),
    (r"\bWhat (?:answers|stands) \w+\?", "a question as a reader would ask it"),
]


def texts() -> Iterator[tuple[str, str]]:
    """Every text that people read, with the place where it is."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("*/*/README.md")]:
        if not {".venv", ".lab", "out", "node_modules"} & set(path.parts):
            yield _name(path), path.read_text(encoding="utf-8")
    for path in [ROOT / "apps" / "catalogue.toml", *(ROOT / "shiplight").rglob("*.toml")]:
        yield _name(path), path.read_text(encoding="utf-8")
    for path in (ROOT / "shiplight").rglob("*.py"):
        for line, text in _strings(path.read_text(encoding="utf-8")):
            yield f"{_name(path)}:{line}", text
    for path in shelf.lessons():
        yield from _cells(path)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _strings(source: str) -> Iterator[tuple[int, str]]:
    """Strings and docstrings, their parts joined where one is formatted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    """Prose, strings and printed outputs of a lesson; what programs printed is theirs."""
    text = shelf.original(path) or path.read_text(encoding="utf-8")
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"{path.name} {cell['id']}", source
        else:
            if not source.startswith("%%"):  # a Dockerfile
                yield from ((f"{path.name} {cell['id']}", said) for _, said in _strings(source))
            for output in cell["outputs"]:
                said = "".join(output.get("data", {}).get("text/plain", ""))
                yield f"{path.name} {cell['id']}, output", said


def wrong_in(text: str) -> list[str]:
    """What is wrong in a text, each with what to say instead."""
    plain = " ".join(text.split())
    found = ((re.search(pattern, plain, re.I), say) for pattern, say in NEVER)
    return [f"“{match[0]}”: say {say}" for match, say in found if match]


def test_what_people_read_has_none_of_the_words_that_are_never_right():
    found = [f"{place}: {wrong}" for place, text in texts() for wrong in wrong_in(text)]
    assert not found, "\n".join(found)


def test_docstrings_of_public_functions_begin_with_what_they_do():
    """PEP 257: in the imperative. What a property is, it may say with a noun."""
    found = [
        f"{_name(path)}:{node.lineno} {node.name}: {said}"
        for path in (ROOT / "shiplight").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if not any("property" in ast.unparse(mark) for mark in node.decorator_list)
        if (said := (ast.get_docstring(node) or "Nothing").partition("\n")[0])
        if re.match(r"(?:The|An?|This|That|What|Whether|How|Every|One|No|Each)\b|\W", said)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "Mend the two-file image.",
        "It is lent to one step.",
        "The compiler came along.",
        "148 authorities were found",
        "npm is process 1",
        "the name\n    spaces of another",
        "held an image against its contract",
        "It does not run any more.",
        "this is no tar archive",
        "The table is written anew.",
    ],
)
def test_a_word_of_the_table_is_found(text):
    assert wrong_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "I recommend it.",
        "a certificate authority",
        "the first process group",
        "It holds. Tests guard against that.",
        "there is no image of that name",
        "not for everyone",
    ],
)
def test_what_is_right_is_not_found(text):
    assert not wrong_in(text)
