"""The checklist on whole Dockerfiles: in the styles of real projects, damaged, and random.

The styles are those of well-known public Dockerfiles, the texts are our own. Each has exactly the
failures that somebody who knows the trade would name, and why.
"""

import tempfile
import time
from pathlib import Path

import checking
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.checks import checklist, print_checklist, to_sarif
from shiplight.errors import DockerfileError, ShipLightError, UsageError
from shiplight.setup import ROOT
from shiplight.units import as_json

STYLES = ROOT / "tests" / "fixtures" / "dockerfiles"
IGNORE = {".dockerignore": ".git\n.env*\nnode_modules\n"}
CARGO = {"Cargo.toml": '[package]\nname = "app"\n', **IGNORE}

# name, files beside it, what has to fail, why that and nothing else
EXPECTED = [
    (
        "go-operator",
        {"go.mod": ""},
        {"stripped", "cache-mounts"},
        "static, the base's user, pinned; only -ldflags and cache mounts are missing",
    ),
    (
        "node-next",
        {"package.json": '{"devDependencies": {"a": "1"}}'},
        {"cache-mounts", "dockerignore"},
        "dev dependencies stay behind, for the server's own are traced; COPY . . has no guard",
    ),
    (
        "python-poetry",
        {"pyproject.toml": "[tool.poetry.group.dev.dependencies]\npytest = '*'\n", "app/a.py": ""},
        {
            *("dev-dependencies", "smallest-base", "only-needed", "cache-mounts", "reclaimable"),
            *("dockerignore", "user", "signals"),
        },
        "the full image with gcc, poetry's dev group, pip's cache, root, and a shell in front",
    ),
    ("python-uv", {"pyproject.toml": "", **IGNORE}, set(), "nothing to say against it"),
    (
        "rust-chef",
        CARGO,
        {"user", "stripped", "cache-mounts"},
        "chef is a cache, but apt has none; the symbol table stays without strip = true",
    ),
    (
        "java-gradle",
        {"build.gradle": ""},
        {
            *("smallest-base", "only-needed", "supported-bases", "user"),
            *("cache-mounts", "dockerignore"),
        },
        "a JDK to run a jar, on an image that was given up",
    ),
    ("java-maven", {"pom.xml": "", "src/A.java": ""}, set(), "a JRE, a numeric user, a cache"),
    (
        "php-composer",
        {"composer.json": "{}", "package.json": "{}", **IGNORE},
        {"cache-mounts", "separate-stages"},
        "--no-dev, assets from their own stage; PHP's extensions compile where they ship",
    ),
    (
        "nginx-static",
        {"package.json": '{"devDependencies": {"vite": "1"}}', "nginx.conf": ""},
        {"cache-mounts", "dockerignore", "user", "pinned-bases", "supported-bases"},
        "node 20 is over, nginx:alpine moves, and runs as root; the bundle is all that ships",
    ),
    (
        "dotnet",
        {"aspnetapp/aspnetapp.csproj": ""},
        {"cache-mounts"},
        "the run time's own user, alpine on both sides, nothing whole is copied",
    ),
    (
        "rails",
        {"Gemfile": "group :test do\nend\n", "bin/docker-entrypoint": 'exec "${@}"\n', **IGNORE},
        {"cache-mounts", "dev-dependencies"},
        "BUNDLE_WITHOUT but not test, build packages in their own stage, a dummy secret, 1000:1000",
    ),
    (
        "cpp-cmake",
        {"CMakeLists.txt": "", "src/a.cpp": ""},
        {
            *("one-suite", "reclaimable", "user", "signals", "cache-mounts", "apt-update"),
            "recommends",
        },
        "trixie's glibc on bookworm, apt lists that stay and no cache for it, a shell in front, "
        "and a builder that installs what packages recommend",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "files", "expected", "why"), EXPECTED, ids=[e[0] for e in EXPECTED]
)
def test_a_dockerfile_in_the_style_of_a_real_one_fails_where_it_should(
    tmp_path, name, files, expected, why
):
    text = (STYLES / f"{name}.Dockerfile").read_text()
    found = checking.check(tmp_path, text, files)
    assert checking.failed(found) == expected, why
    assert not found.remarks


def test_every_style_is_tried():
    assert {path.stem for path in STYLES.glob("*.Dockerfile")} == {e[0] for e in EXPECTED}


# --- damaged ones -------------------------------------------------------------------------------

REFUSED = {
    "empty": b"",
    "comments only": b"# nothing\n\n# here\n",
    "binary": b"\x7fELF\x02\x01\x01" + bytes(200),
    "no FROM": b"RUN true\n",
    "an ARG and no FROM": b"ARG A=1\n",
    "an unknown instruction": b"FROM alpine\nRUNN true\n",
    "a FROM without an image": b"FROM\n",
    "a FROM with too many words": b"FROM alpine AS a b\n",
    "an argument that nobody declared": b"FROM node:$VERSION\n",
    "a base that is blank": b"FROM ${BASE}\n",
    "a here-document without end": b"FROM alpine\nRUN <<EOF\ntrue\n",
    "a stage index that does not exist": b"FROM alpine\nCOPY --from=7 a /\n",
    "a stage that comes later": b"FROM alpine AS a\nCOPY --from=b /x /\nFROM alpine AS b\nFROM a\n",
    "stages in a circle": b"FROM alpine AS a\nCOPY --from=a /x /\n",
    "a variable in COPY --from": b"ARG S=a\nFROM alpine AS a\nFROM alpine\nCOPY --from=$S /x /\n",
    "UTF-16": "FROM alpine\n".encode("utf-16"),
    "an escape that is none": b"# escape=x\nFROM alpine\n",
    "a COPY with one word": b"FROM alpine\nCOPY a\n",
    "an ENV without a value": b"FROM alpine\nENV A\n",
    "an ONBUILD of an ONBUILD": b"FROM alpine\nONBUILD ONBUILD RUN true\n",
    "larger than a Dockerfile is": b"FROM alpine\n" + b"# " + b"x" * 400_000,
    "more instructions than a Dockerfile has": b"FROM alpine\n" + b"LABEL a=b\n" * 1200,
    "a web page": b"<!DOCTYPE html>\n<html></html>\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_in_words(tmp_path, data):
    (tmp_path / "Dockerfile").write_bytes(data)
    with pytest.raises((DockerfileError, UsageError)) as refused:
        checklist.run(checklist.read_subject(tmp_path))
    assert len(refused.value.message) > 10 and "Traceback" not in str(refused.value)


ODD = {
    "CRLF": b"FROM alpine:3.22\r\nRUN apk update && \\\r\n  apk add git\r\nUSER root\r\n",
    "a byte order mark": b"\xef\xbb\xbfFROM alpine:3.22\nUSER root\n",
    "no line end": b"FROM alpine:3.22\nUSER root",
    "another escape": b"# escape=`\nFROM alpine:3.22\nRUN a `\n  b\nUSER root\n",
    "lower case": b"from alpine:3.22\nuser root\n",
    "a platform by variable": b"FROM --platform=$BUILDPLATFORM alpine:3.22\nUSER root\n",
    "stages by number": b"FROM alpine:3.22\nFROM alpine:3.22\nCOPY --from=0 /x /x\nUSER root\n",
    "a stage by architecture": b"FROM alpine:3.22 AS b-amd64\nFROM b-${TARGETARCH}\nUSER root\n",
    "an argument in the middle of a name": b"ARG R=a.example.com\nFROM $R/b:1\nUSER root\n",
    "an unclosed quote": b"FROM alpine:3.22\nRUN echo 'a && apk update\nUSER root\n",
    "a shell's puzzles": b"FROM alpine:3.22\nRUN $( ((`a; } { | && || ; >\nUSER root\n",
    "JSON that is none": b'FROM alpine:3.22\nCMD ["a", b]\nUSER root\n',
    "an empty JSON form": b"FROM alpine:3.22\nCMD []\nENTRYPOINT []\nUSER root\n",
    "a continuation at the end": b"FROM alpine:3.22\nUSER root\nRUN a \\\n",
    "ONBUILD": b"FROM alpine:3.22\nONBUILD COPY . /x\nUSER root\n",
    "unknown flags": b"FROM alpine:3.22\nCOPY --frm=x a /\nRUN --mount=nonsense,,= a\nUSER root\n",
    "here-documents in a row": b"FROM alpine:3.22\nCOPY <<A <<B /x/\na\nA\nb\nB\nUSER root\n",
    "a substitution that does not close": b"FROM alpine:3.22\nWORKDIR ${A\nUSER root\n",
    "a path above the root": b"FROM alpine:3.22\nCOPY ../../x /../../y\nUSER root\n",
    "names with odd characters": 'FROM alpine:3.22\nCOPY ["a b/é*", "/ü"]\nUSER root\n'.encode(),
    "a name too long for a file": b"FROM alpine:3.22\nCOPY " + b"a" * 5000 + b" /\nUSER root\n",
    "parentheses without end": b"FROM alpine:3.22\nRUN " + b"$(" * 3000 + b"\nUSER root\n",
    "a chain of stages": b"FROM alpine:3.22 AS s0\n"
    + b"".join(b"FROM s%d AS s%d\n" % (i, i + 1) for i in range(900))
    + b"USER root\n",
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_odd_is_read_all_the_same(tmp_path, data):
    (tmp_path / "Dockerfile").write_bytes(data)
    found = checklist.run(checklist.read_subject(tmp_path, today=checking.TODAY))
    assert "user" in checking.failed(found)


@pytest.mark.parametrize(
    "text",
    [
        "FROM haskell:9.8\nCOPY . .\nRUN ghc -O2 Main\n",
        "FROM haskell:9.8\nCOPY . .\nRUN cabal new-install --lib lens\n",
        "FROM nginx:1.29-alpine\nRUN apk add --no-cache hugo\nCOPY . .\nRUN hugo\n",
        "FROM elixir:1.19-slim\nCOPY . .\nRUN mix deps.get\nCMD mix phx.server\n",
    ],
)
def test_other_languages_compile_where_they_ship_too(tmp_path, text):
    assert "separate-stages" in checking.failed(checking.check(tmp_path, text, {}))


def test_a_script_that_many_instructions_start_is_parsed_once(tmp_path):
    begun = time.process_time()
    text = "FROM golang:1.26\nWORKDIR /a\nCOPY . .\n" + "RUN ./s.sh\n" * 200
    script = "go build -o /x ./cmd && FOO=1 make x\n" * 25_000
    found = checking.check(tmp_path, text, {"s.sh": script, ".dockerignore": ".git\n"})
    assert "separate-stages" in checking.failed(found)
    assert time.process_time() - begun < 10


def test_a_makefile_that_many_instructions_start_takes_no_time(tmp_path):
    begun = time.process_time()
    text = "FROM golang:1.26\nWORKDIR /a\nCOPY . .\n" + "RUN make x\n" * 900
    makefile = "a:\n" + "\tnpm ci && go mod download\n" * 30_000
    found = checking.check(tmp_path, text, {"Makefile": makefile})
    assert checking.result(found, "cache-mounts").outcome.result == "could not be seen"
    assert time.process_time() - begun < 10


def test_recipes_that_many_instructions_compile_by_take_no_time(tmp_path):
    begun = time.process_time()
    text = "FROM golang:1.26\nWORKDIR /a\nCOPY . .\n" + "RUN make && ./s.sh\n" * 900
    files = {"Makefile": "a:\n" + "\tgo build -o x .\n" * 50_000, "s.sh": "go build .\n" * 50_000}
    found = checking.check(tmp_path, text, files)
    assert {"stripped", "separate-stages"} <= checking.failed(found)
    assert time.process_time() - begun < 10


def test_a_gemfile_that_many_instructions_install_takes_no_time(tmp_path):
    begun = time.process_time()
    text = "FROM ruby:3.4\nCOPY . .\n" + "RUN bundle install && bundle install\n" * 900
    found = checking.check(tmp_path, text, {"Gemfile": "group :test do # " * 50_000})
    assert "dev-dependencies" in checking.failed(found)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        ("COPY . /x\n" * 950, "failed"),
        (
            "".join(
                f"COPY {' '.join('*a' * 20 + f'{k}' for k in range(100))} /x/\n" for _ in range(40)
            ),
            "could not be seen",
        ),
    ],
    ids=["the whole context", "patterns"],
)
def test_many_files_that_many_instructions_copy_take_no_time(tmp_path, copies, expected):
    files = {f"{'a' * 40}{i}/.env": "API_TOKEN=q7Zk21Lp9dYw3Xb0\n" for i in range(2500)}
    begun = time.process_time()
    found = checking.check(tmp_path, f"FROM alpine:3.22\n{copies}", files)
    assert time.process_time() - begun < 10
    outcome = checking.result(found, "secrets").outcome
    assert outcome.result == expected, outcome.evidence


HOSTILE = {
    "substitutions that never close": "RUN " + "$(" * 140_000,
    "cases without end": "RUN " + "case x in " * 20_000 + " " * 50_000 + ";; " * 10_000,
    "parentheses": "RUN " + "(" * 280_000,
    "quotes and half addresses": "RUN apk update " + "\"$( ://a:' `" * 20_000,
    "many commands": "RUN " + " && ".join(["go build"] * 20_000),
    "many makes": "RUN " + "\nRUN ".join([" && ".join(["make x"] * 28)] * 990),
    "many names of secrets": "RUN apk update " + "TOKEN=x " * 35_000,
    "many sources": "COPY " + "a " * 140_000 + "/x/",
    "many things removed": "COPY a /a\n" + "RUN rm /a && rm /b\n" * 990,
    "many things fetched and removed": "RUN curl -o /a x && wget -O /b y && rm /c /d\n" * 990,
    "many different things removed": "COPY a b c /a/\n" * 490
    + "".join(f"RUN rm {' '.join(f'/a/{i}-{j}' for j in range(60))}\n" for i in range(490)),
    "many things changed": "RUN npm ci && git clone x\n" * 490 + "RUN chown -R 1 /a /b\n" * 490,
    "many packages removed": "RUN apk add a b c d\n" * 490 + "RUN apk del x* y* z*\n" * 490,
    "variables that never close": "ARG A\nRUN " + "${A#" * 70_000,
    "many variables": "ENV A=" + "".join(f"$A{i}" for i in range(20_000)),
    "many scripts": "".join(
        f"COPY a b{i}.sh /a/\nRUN {' && '.join(f'./s{i * 40 + j}.sh' for j in range(40))}\n"
        for i in range(480)
    ),
    "many files of requirements": "".join(
        f"COPY a b /c/\nRUN pip install {' '.join(f'-r r{i}-{j}.txt' for j in range(30))}\n"
        for i in range(450)
    ),
    "values that grow": "\n".join(f"ENV A{i}=$A{i - 1}x" for i in range(990)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_made_to_take_long_does_not(tmp_path, text):
    begun = time.process_time()
    found = checking.check(tmp_path, f"FROM alpine:3.22\n{text}\n")
    assert len(found.results) == len(checklist.CHECKS)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere", "does not exist"), (".", "no Dockerfile"), ("/dev/null", "not an ordinary file")],
)
def test_where_there_is_no_dockerfile_it_says_so(tmp_path, monkeypatch, path, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile.dev").write_text("FROM alpine")
    with pytest.raises(UsageError) as refused:
        checklist.read_subject(path)
    assert said in refused.value.message
    assert path != "." or "Dockerfile.dev" in refused.value.hint


# --- random ones --------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *(
            "FROM",
            "RUN",
            "COPY",
            "ADD",
            "ENV",
            "ARG",
            "USER",
            "CMD",
            "ENTRYPOINT",
            "ONBUILD",
            "SHELL",
        ),
        *(
            "WORKDIR",
            "AS",
            "alpine",
            "golang:1.23",
            "node:22",
            "debian:12",
            "scratch",
            "a",
            "b",
            ".",
        ),
        *("--from=a", "--from=0", "--mount=type=cache,target=/x", "--mount=type=bind,from=b"),
        *("--chown=1", "--platform=$BUILDPLATFORM", "$A", "${A}", "${A:-b}", "/", "/x", "/x/*"),
        *("&&", "||", ";", "|", ">", "<<", "<<EOF", "EOF", "(", ")", "{", "}", "$(", "`", "'", '"'),
        *(
            "\\",
            "[",
            "]",
            '["a","b"]',
            "go",
            "build",
            "npm",
            "ci",
            "start",
            "apt-get",
            "update",
            "install",
        ),
        *(
            "gcc",
            "rm",
            "-rf",
            "chown",
            "-R",
            "/app",
            "pip",
            "-r",
            ".env",
            "PASSWORD=x",
            "TOKEN",
            "A=b",
        ),
        *("root", "0", "#", "exec", "tini", "--", "é", "\x00", "\t", ""),
    ]
)
LINES = st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=12)
TEXTS = st.one_of(
    LINES.map("\n".join), LINES.map(lambda ls: "\n".join(["FROM alpine AS a", *ls])), st.text()
)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_random_text_gives_results_or_words_and_never_a_traceback(text):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            found = checklist.run(checklist.read_subject(folder))
        except ShipLightError as refused:
            assert refused.message
        else:
            assert len(found.to_list()) == len(checklist.CHECKS)
            assert as_json([found.to_list(), to_sarif(found)]).isascii()
            print_checklist(found)
