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

# What is wrong, as a regular expression; what to say instead; and an example of what is wrong.
NEVER = [
    (r"\bmend(?:s|ed|ing)?\b", "fix", "Mend the two-file image."),
    (r"\b(?:lend|lends|lending|lent)\b", "mount", "It is lent to one step."),
    (
        r"\b(?:brings?|brought|came|comes?|taken?) along\b",
        "contains, includes, is copied",
        "The compiler came along.",
    ),
    (r"(?<!certificate )\bauthorit(?:y|ies)\b", "CA certificates", "148 authorities were found"),
    (r"\bprocess 1\b|\(process\b", "PID 1, PID …", "npm is process 1"),
    (r"\bname spaces?\b", "namespace", "the name\n    spaces of another"),
    (r"\bentry points?\b", "entrypoint", "the entry point of an image"),
    (r"\bempty program\b", "dummy program, dummy main.rs", "cargo compiles an empty program"),
    (
        r"\bh(?:o|e)ld(?:s|ing)?\b[^.:;\n]{0,60}\bagainst\b",
        "check … against",
        "held an image against its contract",
    ),
    (r"\bany more\b", "no longer", "It does not run any more."),
    (
        r"\babove each other\b",
        "next to each other; of times: overlap",
        "two bars lie above each other",
    ),
    (r"\bway of the data\b", "data flow", "the way of the data"),
    (
        r"\bits rooms?\b|\bthe only room\b|\barrows run\b",
        "module, package, dependency direction",
        "the module has its room",
    ),
    (r"\bfor ever\b", "always", "It stays for ever."),
    (r"\banew\b", "again; re-record, re-run, rebuild", "The table is written anew."),
    (
        r"\b(?:to|cannot) be had\b",
        "is (not) available, can(not) be read",
        "The base is not to be had.",
    ),
    (r"\ball the same\b", "still, anyway", "It builds all the same."),
    (r"\bstands? on\b(?! its own)", "is based on", "The service stands on alpine."),
    (r"\bsees? to (?:it|both|all)\b", "takes care of", "`./lab up` sees to both"),
    (r"\bcame back\b", "freed", "0 B came back"),
    (r"\banswers? (?:from )?here\b", "is available, can be reached", "No engine answers here."),
    (
        rf"(?<!there )\bis no (?!such )(?:\w+ )?(?:{THINGS})\b",
        "is not a …",
        "this is no tar archive",
    ),
    (
        r"\b(?:beside|below|above|behind) \w+(?: \w+)? stands?\b",
        "there is …, … is next to it",
        "Beside many cells stands what to type.",
    ),
    (r"\bsay of each of\b", "decide whether each of", "Say of each of these whether it is true."),
    (r"\bin place of `None`", "replace `None` with", "Put your answer in place of `None`:"),
    (r"\bthat there (?:is|are) not\b", "an unknown …", "an exercise that there is not"),
    (r"\bput back\b", "restore", "The original is put back."),
    (
        r"\bWhat (?:answers|stands) \w+\?",
        "a question as a reader would ask it",
        "What answers here?",
    ),
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
    for path in (ROOT / "lab", ROOT / "conftest.py", ROOT / "benchmarks" / "bench.py"):
        for line, text in _strings(path.read_text(encoding="utf-8")):
            yield f"{_name(path)}:{line}", text
    for path in (ROOT / "tests").rglob("*.py"):
        for line, text in _docstrings(path.read_text(encoding="utf-8")):
            yield f"{_name(path)}:{line}", text
    for path in shelf.lessons():
        yield from _cells(path)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _strings(source: str) -> Iterator[tuple[int, str]]:
    """Strings and docstrings, their parts joined where one is formatted; none of a Dockerfile."""
    if source.startswith("%%"):
        return
    nodes = list(ast.walk(ast.parse(source)))
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in formatted for part in node.values}
    for node in formatted:
        said = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        yield node.lineno, "".join(map(str, said))
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    """What a test says of itself; its strings are what it tries."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


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
    found = ((re.search(pattern, plain, re.I), say) for pattern, say, _ in NEVER)
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


@pytest.mark.parametrize(("pattern", "say", "example"), NEVER, ids=[row[2] for row in NEVER])
def test_each_row_of_the_table_finds_its_example(pattern, say, example):
    assert f": say {say}" in "".join(wrong_in(example)), pattern


def test_a_formatted_text_is_read_as_one_and_the_text_of_a_dockerfile_as_no_code():
    source = 'f"the {name} does not run {way} any more"'
    assert [text for _, text in _strings(source)] == ["the … does not run … any more"]
    assert list(_strings('%%dockerfile go/mine\nFROM scratch\nLABEL a="for ever"\n')) == []


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
