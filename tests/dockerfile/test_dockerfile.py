"""The Dockerfile reader, compared with BuildKit's own parser (the PyPI package `dockerfile`)."""

import re

import dockerfile as buildkit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight import dockerfile as df
from shiplight.dockerfile import split_words, stages
from shiplight.errors import DockerfileError

# --- Dockerfiles as people write them ------------------------------------------------------------

GO = """\
# syntax=docker/dockerfile:1
ARG GO_VERSION=1.22
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod \\
    --mount=type=cache,target=/root/.cache/go-build \\
    CGO_ENABLED=0 go build -ldflags="-s -w" -o /out/app .

FROM scratch
COPY --from=build /out/app /app
USER 65532:65532
ENTRYPOINT ["/app"]
"""
NODE = """\
FROM node:20 AS deps
WORKDIR /app
COPY package*.json ./
RUN npm ci

FROM deps AS Build
COPY . .
RUN npm run build \\
 # why this is here
 && npm prune --omit=dev \\

 && rm -rf .cache
FROM node:20-alpine
ENV NODE_ENV=production PORT="80 80" \\
    NAME='a b'
COPY --from=deps --chown=node:node --link /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
EXPOSE 3000 9229/tcp
HEALTHCHECK --interval=30s --timeout=3s CMD ["node", "health.js"]
CMD [ "node" , "dist/server.js" ]
"""
HEREDOCS = """\
FROM debian:12-slim
RUN <<EOF
set -e
# no comment, this is content \\
apt-get update
EOF
COPY <<one.txt <<-"two.txt" /etc/app/
$EXPANDED
one.txt
\tnot $EXPANDED
\ttwo.txt
RUN --mount=type=bind,from=busybox:1.36,target=/b python3 - <<'PY' && echo done
print("<<EOF")
PY
RUN cat <<EOF > /x && cat <<EOF2 > /y
x
EOF
y
EOF2
"""
WINDOWS = """\
# escape=`
FROM mcr.microsoft.com/windows/servercore:ltsc2022
SHELL ["powershell", "-Command"]
RUN dir C:\\ ; `
    echo hello
WORKDIR C:\\app\\
COPY testfile.txt c:\\
CMD ["C:\\\\app\\\\run.exe"]
"""
LEGACY = """\
from ubuntu
maintainer Somebody <some@body>
env PATH /opt/bin:$PATH
label a b c
label "com.example"="x y" other=z\\ z
run ["a', "b"]
run ['single']
add https://example.com/x.tgz /x
volume /a /b
volume ["/c d"]
stopsignal SIGTERM
user 1000
healthcheck none
onbuild copy . /src
onbuild run ["make", "all"]
"""
OTHERS = [
    "ARG A=1\nARG B=${A} C='x y'\nFROM a:$A\nARG A\nRUN echo $A\n",
    "FROM a\r\nRUN one \\\r\n   two\r\n\r\n# end\r\nCMD x\r\n",
    "\ufeffFROM a\n\tRUN\tx\ty\n  \t COPY\t a\tb  \n",
    "FROM a\nRUN echo \\\\\nRUN echo 'a # b' # c\nRUN echo \\  \n  tail\n",
    "FROM a\nONBUILD COPY --from=x <<A <<B /x\n1\nA\n2\nB\nONBUILD RUN <<E\nx\nE\nCMD x",
    "FROM a\nRUN --mount=type=secret,id=a --mount=type=ssh --network=none x\nCOPY --a='b c' x y",
    'FROM a\nCOPY ["a b", "c"]\nRUN ["echo", "\\u00e9 \\" \\n"]\nENTRYPOINT []\nCMD',
    "# syntax=x\n# escape=`\n# comment\n\nFROM a\nRUN x `\n y\n",
    "# comment\n# escape=`\nFROM a\nRUN x `\nRUN y \\\n z\n",
    'FROM a\nENV A="b \\" c" D=e\\ f G=\'h "i\'\nENV J  k   l\nARG X="y z" W\n',
    "FROM a\nRUN \\\n# first\n\n   x \\\n# last\n\nCMD y",
]
CORPUS = [GO, NODE, HEREDOCS, WINDOWS, LEGACY, *OTHERS]


def arguments(instruction: df.Instruction, escape: str) -> tuple[str, ...]:
    """Our `value`, taken apart the way BuildKit's parse tree holds it."""
    instruction = instruction.trigger or instruction
    keyword, value = instruction.keyword, instruction.value
    if keyword == "HEALTHCHECK" and instruction.json is not None:
        return (value.split()[0], *instruction.json)
    if keyword == "HEALTHCHECK":
        return tuple(value.split(None, 1))
    if instruction.json is not None:
        return instruction.json
    if keyword in ("FROM", "EXPOSE", "COPY", "ADD", "VOLUME"):
        return tuple(re.split(r"[\t\v\f\r ]+", value)) if value else ()
    if keyword == "ARG":
        return split_words(value, escape)
    if keyword in ("ENV", "LABEL"):
        words = split_words(value, escape)
        if "=" not in words[0]:
            return tuple(re.split(r"[\t\v\f\r ]+", value, maxsplit=1))
        return tuple(part for word in words for part in word.split("=", 1))
    return (value,) if value else ()


def ours(text: str) -> list[tuple]:
    read = df.parse(text)
    found = list(read.global_args)
    for stage in read.stages:
        found += [stage.from_instruction, *stage.instructions]
    return [
        (
            each.keyword,
            (each.trigger.keyword if each.trigger else None),
            each.flags,
            arguments(each, read.escape),
            each.json is not None,
            (each.line, each.end_line),
            [(doc.name, doc.content) for doc in each.heredocs if not each.trigger],
        )
        for each in found
    ]


def theirs(text: str) -> list[tuple]:
    return [
        (
            each.cmd.upper(),
            each.sub_cmd and each.sub_cmd.upper(),
            each.flags,
            each.value,
            # The package tells of JSON where ONBUILD's own instruction has it; we ask the trigger.
            each.json and not each.sub_cmd,
            (each.start_line, each.end_line),
            [(doc.name, doc.content) for doc in each.heredocs if not each.sub_cmd],
        )
        for each in buildkit.parse_string(text)
    ]


@pytest.mark.parametrize("text", CORPUS)
def test_reads_the_corpus_as_buildkit_does(text):
    assert ours(text) == theirs(text)


PLAIN = ["a", "b.c", "/x/y", "x=y", "&&", "x#", "<file", "2>&1", "a<b", "[", "]", "-", "é"]
WORDS = st.sampled_from([*PLAIN, "$A", "${A:-b}", "'q q'", '"d d"', '\\"'])
SHELL = (
    st.lists(WORDS, min_size=1, max_size=5)
    .map(" ".join)
    .filter(lambda text: not re.match(r'\[ ("d d" )?\]', text))  # text after JSON: see below
)
GLUE = st.sampled_from([" ", "  ", " \\\n  ", " \\\n# note\n  ", " \\ \n\n\t", "\t"])
EXEC = st.lists(st.sampled_from(["a", "b c", "é", '\\"'])).map(
    lambda parts: "[" + ", ".join(f'"{part}"' for part in parts) + "]"
)
HEREDOC = st.tuples(
    st.sampled_from(["<<{}", "<<-{}", "<<'{}'", '<<"{}"']),
    st.lists(st.sampled_from(["text", "# text", "\ttab", "tail \\", "", "FROM x"]), max_size=3),
)


@st.composite
def instructions(draw):
    kind = draw(st.sampled_from(["shell", "exec", "copy", "heredoc", "pairs", "other"]))
    glue = draw(GLUE)
    if kind == "shell":
        keyword = draw(st.sampled_from(["RUN", "CMD", "ENTRYPOINT", "run", "ONBUILD RUN"]))
        flag = draw(st.sampled_from(["", "--mount=type=cache,target=/c", "--network='none'"]))
        return f"{keyword}{glue}{flag and flag + glue}{draw(SHELL)}\n"
    if kind == "exec":
        keyword = draw(st.sampled_from(["RUN", "CMD", "SHELL", "VOLUME", "HEALTHCHECK CMD"]))
        parts = draw(EXEC.filter(lambda text: text != "[]"))
        return f"{keyword}{glue}{parts}\n"
    if kind == "copy":
        flags = draw(st.lists(st.sampled_from(["--from=b", "--link", "--chown=1:1"]), max_size=3))
        return glue.join(["COPY", *flags, "a", "b/", "/c/"]) + "\n"
    if kind == "heredoc":
        docs = draw(st.lists(HEREDOC, min_size=1, max_size=2))
        heads = [form.format(f"E{n}") for n, (form, _) in enumerate(docs)]
        bodies = ["".join(f"{x}\n" for x in body) + f"E{n}\n" for n, (_, body) in enumerate(docs)]
        return f"RUN cat{glue}{' '.join(heads)}\n" + "".join(bodies)
    if kind == "pairs":
        return f"{draw(st.sampled_from(['ENV', 'LABEL']))}{glue}A=b{glue}C='d e' F=\"g\"\n"
    return draw(
        st.sampled_from(
            ["WORKDIR /a b\n", "\n", "# note\n", "USER a\n", "EXPOSE 1 2\n", "FROM b AS c\n"]
        )
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(instructions(), max_size=6).map("".join), st.sampled_from(["\n", "\r\n"]))
def test_reads_generated_dockerfiles_as_buildkit_does(body, end):
    text = f"ARG G=1\nFROM a AS b\n{body}".replace("\n", end)
    assert ours(text) == theirs(text)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(instructions() | st.text(max_size=8)).map("".join))
def test_text_of_any_kind_is_read_or_refused(text):
    try:
        read = df.parse(text)
        stages.image_uses(read)
        assert stages.map_images(read, {}) == text
        stages.blank_syntax(read)
    except DockerfileError as refused:
        assert "Dockerfile" in str(refused)


def test_nesting_beyond_reason_is_refused_and_not_a_crash():
    with pytest.raises(DockerfileError):
        stages.image_uses(df.parse("FROM " + "${A:-" * 5000 + "}" * 5000))
    assert df.parse("FROM a\nRUN " + "[" * 100000).stages[0].instructions[0].json is None


# Where the package, BuildKit's parser of 2023 (0.12), and ours, that of 2025 (0.25), part ways.


def test_text_after_json_makes_the_shell_form():
    text = 'FROM a\nRUN ["a"] b\n'  # 0.12 read the array and dropped the rest without a word
    assert df.parse(text).stages[0].instructions[0].json is None
    assert buildkit.parse_string(text)[1].json


def test_check_is_a_directive_and_does_not_end_the_others():
    read = df.parse(
        "# check=skip=all\n# escape=`\nFROM a\nRUN x `\n y\n"
    )  # since 1.8 (BuildKit 0.14)
    assert read.escape == "`"


def test_a_flag_may_hold_any_letter():
    # BuildKit walks flags byte by byte and so garbles é; we keep what was written.
    assert df.parse("FROM a\nCOPY --from=é a b\n").stages[0].instructions[0].flags == ("--from=é",)


# --- what is read ---------------------------------------------------------------------------------


def test_stages_know_name_base_platform_and_line():
    read = df.parse(GO)
    build, final = read.stages
    assert (build.name, build.base) == ("build", "golang:${GO_VERSION}-alpine")
    assert (build.platform, build.line) == ("$BUILDPLATFORM", 3)
    assert (final.index, final.name, final.label) == (1, None, "stage-1")
    assert (read.syntax, read.syntax_line) == ("docker/dockerfile:1", 1)
    assert [arg.value for arg in read.global_args] == ["GO_VERSION=1.22"]
    assert df.parse(NODE).stages[1].name == "build"


def test_several_mounts_are_several_flags():
    run = df.parse(GO).stages[0].instructions[4]
    assert run.flags == (
        "--mount=type=cache,target=/go/pkg/mod",
        "--mount=type=cache,target=/root/.cache/go-build",
    )
    assert run.original.count("\n") == 2
    assert (run.line, run.end_line) == (8, 10)


def test_heredocs_know_whether_they_expand_and_chomp():
    read = df.parse(HEREDOCS).stages[0].instructions
    assert [(h.name, h.expand, h.chomp) for h in read[1].heredocs] == [
        ("one.txt", True, False),
        ("two.txt", False, True),
    ]
    assert read[1].heredocs[1].content == "\tnot $EXPANDED\n"
    assert read[2].heredocs[0].expand is False


def test_onbuild_holds_its_instruction():
    trigger = (
        df.parse("FROM a\nONBUILD COPY --from=b <<E /\nx\nE\n").stages[0].instructions[0].trigger
    )
    assert (trigger.keyword, trigger.flags) == ("COPY", ("--from=b",))
    assert (trigger.heredocs[0].content, trigger.line, trigger.end_line) == ("x\n", 2, 4)


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("", None, "file with no instructions", "FROM"),
        ("# only\n\n#comments", None, "file with no instructions", "FROM"),
        ("RUN x\nFROM a", 1, "RUN is before the first FROM", "no build stage"),
        ("ARG A\n", None, "no FROM", ""),
        ("FROM a\nCOPPY a b", 2, "unknown instruction: COPPY", "did you mean COPY?"),
        ("FROM a\n\\\n", 2, "unknown instruction", ""),
        ("FROM a b", 1, "FROM requires either one or three arguments", ""),
        ("FROM", 1, "FROM requires either one or three arguments", ""),
        ("FROM a AS 1b", 1, 'invalid name for build stage: "1b"', ""),
        ("FROM a\nCOPY a", 2, "COPY requires at least two arguments", ""),
        ("FROM a\nENV a", 2, "ENV must have two arguments", ""),
        ("FROM a\nENV a=b c", 2, 'can\'t find = in "c"', ""),
        ("FROM a\nENV =b", 2, "ENV names can not be blank", ""),
        ("FROM a\nWORKDIR", 2, "WORKDIR requires exactly one argument", ""),
        ("FROM a\nEXPOSE", 2, "EXPOSE requires at least one argument", ""),
        ("FROM a\nSHELL sh", 2, "SHELL requires the arguments to be in JSON form", ""),
        ('FROM a\n\nRUN ["a", 1]', 3, "arrays must be comprised of strings only", ""),
        ("FROM a\nRUN <<E\nx", 2, "unterminated heredoc", ""),
        ("FROM a\nONBUILD ONBUILD RUN x", 2, "chaining ONBUILD", ""),
        ("FROM a\nONBUILD FROM b", 2, "FROM isn't allowed as an ONBUILD trigger", ""),
        ("# escape=x\nFROM a", 1, "invalid escape token 'x'", ""),
        ("# syntax=a\n#SYNTAX = b\nFROM a", 2, "only one syntax parser directive", ""),
    ],
)
def test_a_refusal_says_where_and_why(text, line, words, hint):
    with pytest.raises(DockerfileError) as refused:
        df.parse(text)
    assert refused.value.line == line
    assert words in refused.value.message
    assert hint in refused.value.hint


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("a:$A", "a:1"),
        ("a:${A}", "a:1"),
        ("${U:-d}${U-e}", "de"),
        ("${E:-d}${E-e}", "d"),
        ("${A:+x}${U:+y}${E+z}", "xz"),
        ("${B}", "1-b"),
        ("$U", ""),
        ("'$A' \"$A\" \\$A", "$A 1 $A"),
        ("${V%-*} ${V%%-*} ${V#*.} ${V##*.}", "3.12-slim 3 12-slim-x 12-slim-x"),
        ("${V/slim/full}", "3.12-full-x"),
        ("$TARGETARCH/${TARGETOS:-linux}", "$TARGETARCH/${TARGETOS:-linux}"),
        ("$BUILDPLATFORM", "linux/arm64"),
        ("$HOME", ""),
    ],
)
def test_arguments_are_put_in_as_from_does(text, resolved):
    read = df.parse("ARG A=0\nARG B=${A}-b E= U V=3.12-slim-x\nFROM a")
    given = {"A": "1", "HOME": "/", "BUILDPLATFORM": "linux/arm64"}
    if "##*." in text:
        resolved = "3.12-slim 3.12 12-slim-x 12-slim-x"
    assert stages.resolve(read, text, build_args=given) == resolved


@pytest.mark.parametrize("text", ["${A", "${}", "${A:=b}", "'a", '"a', "${U:?say which}"])
def test_a_bad_substitution_is_refused(text):
    with pytest.raises(DockerfileError, match="failed to process"):
        stages.resolve(df.parse("ARG A=1\nFROM a"), text)


def test_a_base_that_resolves_to_nothing_is_refused_with_its_line():
    with pytest.raises(DockerfileError, match="should not be blank") as refused:
        stages.image_uses(df.parse("ARG BASE\n\nFROM $BASE"))
    assert refused.value.line == 3


# --- what a target needs --------------------------------------------------------------------------

GRAPH = """\
FROM golang:1 AS tools
FROM node:20 AS web
RUN --mount=type=bind,from=tools,target=/t --mount=type=cache,from=alpine:3,target=/c x
FROM tools AS build
COPY --from=1 /dist /dist
COPY --from=nginx:1.25 /etc/nginx /n
FROM scratch
COPY --from=Build /app /
FROM web AS unused
"""


def indexes(stages):
    return [stage.index for stage in stages]


def test_the_graph_follows_from_copy_and_mount():
    assert stages.stage_graph(df.parse(GRAPH)) == {0: (), 1: (0,), 2: (0, 1), 3: (2,), 4: (1,)}


def test_a_target_needs_only_what_it_reaches():
    read = df.parse(GRAPH)
    assert indexes(stages.needed_stages(read)) == [0, 1, 4]
    assert indexes(stages.needed_stages(read, "BUILD")) == [0, 1, 2]
    assert indexes(stages.needed_stages(read, 3)) == [0, 1, 2, 3]
    assert indexes(stages.needed_stages(read, "0")) == [0]


def test_image_uses_are_external_and_of_needed_stages():
    uses = stages.image_uses(df.parse(GRAPH), "3")
    assert [(use.reference, use.kind, use.stage, use.line) for use in uses] == [
        ("golang:1", "FROM", 0, 1),
        ("node:20", "FROM", 1, 2),
        ("alpine:3", "MOUNT", 1, 3),
        ("nginx:1.25", "COPY", 2, 6),
    ]


def test_image_uses_resolve_arguments_and_platform():
    (use,) = stages.image_uses(df.parse(GO), build_args={"GO_VERSION": "1.23"})
    assert (use.reference, use.platform) == ("golang:1.23-alpine", "$BUILDPLATFORM")
    (use,) = stages.image_uses(df.parse(GO), None, {"BUILDPLATFORM": "linux/amd64"})
    assert use.platform == "linux/amd64"


def test_a_from_sees_earlier_stages_only():
    read = df.parse("FROM b AS a\nFROM a AS b\n")
    assert stages.stage_graph(read) == {0: (), 1: (0,)}
    assert [use.reference for use in stages.image_uses(read)] == ["b"]


def test_a_mount_knows_no_stage_by_number():
    # BuildKit looks a mount's `from` up by name only: a number is taken for an image.
    read = df.parse("FROM a\nFROM b\nRUN --mount=from=0,target=/x y")
    assert [use.reference for use in stages.image_uses(read)] == ["b", "0"]


def test_onbuild_of_a_base_stage_runs_in_the_stage_that_begins_from_it():
    read = df.parse("FROM a AS t\nFROM b AS x\nONBUILD COPY --from=t / /\nFROM x\n")
    assert stages.stage_graph(read) == {0: (), 1: (), 2: (0, 1)}
    assert indexes(stages.needed_stages(read, "x")) == [1]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("FROM a AS b\nCOPY --from=b x y", 2, "circular dependency detected on stage: b"),
        ("FROM a\nCOPY --from=0 x y", 2, "circular dependency detected on stage: stage-0"),
        ("FROM a AS b\nRUN --mount=from=c x\nFROM a AS c\nCOPY --from=b x y", 2, "circular"),
        ("FROM a\nCOPY --from=c x y\nFROM a AS c\nFROM 0", None, None),
        ("FROM a AS b\nCOPY --from=c x y\nFROM a AS c\nFROM b", 2, "cannot copy from stage"),
        ("FROM a AS b\nRUN --mount=from=c x\nFROM a AS c\nFROM b", 2, "cannot mount from stage"),
        ("FROM a\nCOPY --from=7 x y", 2, "invalid stage index 7"),
        ("FROM a\nCOPY --from=$X x y", 2, "variables are not expanded"),
        ("FROM a\nRUN --mount=type=bind,from=$X x", 2, "variables are not expanded"),
    ],
)
def test_references_that_buildkit_refuses_are_refused_with_their_line(text, line, words):
    read = df.parse(text)
    if words is None:
        assert stages.needed_stages(read)  # a stage that is not built may say what it likes
        return
    with pytest.raises(DockerfileError, match=words) as refused:
        stages.needed_stages(read)
    assert refused.value.line == line


def test_an_unknown_target_names_the_stages_and_the_closest():
    with pytest.raises(DockerfileError) as refused:
        stages.stage_of(df.parse(NODE), "biuld")
    assert "deps, build, 2" in refused.value.message
    assert refused.value.hint == "did you mean build?"


def test_buildkit_is_given_a_target_by_name_and_a_stage_without_one_is_asked_for_it():
    read = df.parse("FROM busybox\nFROM a:1 AS Named\nFROM b AS Named\nFROM scratch\n")
    given = {target: stages.name_of(read, target) for target in (2, "2", "NAMED", 3, "3", None, "")}
    assert given == dict.fromkeys((2, "2", "NAMED"), "named") | dict.fromkeys((3, "3", None, ""))
    for target, base in ((0, "busybox"), ("0", "busybox"), (1, "a:1")):
        with pytest.raises(DockerfileError, match="no name of its own") as refused:
            stages.name_of(read, target)
        assert refused.value.line == int(target) + 1 and f"FROM {base} AS" in refused.value.hint


# --- mapping --------------------------------------------------------------------------------------


def test_every_kind_of_use_is_mapped_and_nothing_else():
    text = """\
# FROM golang:1
ARG V=1
FROM --platform=linux/amd64 golang:$V AS golang
FROM nod\\
e:20@sha256:0123
COPY --link --from=golang /golang:1 /a
COPY \\
  # --from=nginx:1
  --from="nginx:1" /nginx:1 /b
RUN --mount=type=bind,target=/x,from=nginx:1 \\
    --mount=from=golang,target=/g <<EOF
COPY --from=nginx:1
EOF
ONBUILD COPY --from=nginx:1 a b
"""
    mapped = stages.map_images(
        df.parse(text), {"golang:1": "x/go", "node:20@sha256:0123": "x/node", "nginx:1": "x/ngx"}
    )
    assert (
        mapped
        == """\
# FROM golang:1
ARG V=1
FROM --platform=linux/amd64 x/go AS golang
FROM \\
x/node
COPY --link --from=golang /golang:1 /a
COPY \\
  # --from=nginx:1
  --from="x/ngx" /nginx:1 /b
RUN --mount=type=bind,target=/x,from=x/ngx \\
    --mount=from=golang,target=/g <<EOF
COPY --from=nginx:1
EOF
ONBUILD COPY --from=x/ngx a b
"""
    )
    assert df.parse(mapped).stages[1].base == "x/node"


@pytest.mark.parametrize(
    ("text", "target", "building"),
    [
        ("FROM a", None, {0}),
        ("FROM a AS x\nFROM x", None, {0, 1}),
        ("FROM a AS x\nFROM a\nCOPY --from=x / /", None, {0}),
        ("FROM a AS x\nFROM a\nCOPY --from=x / /", "x", {0}),
        ("FROM a AS x\nFROM a AS unused\nFROM a\nRUN --mount=from=x true", None, {0}),
        ("FROM a AS x\nFROM x AS y\nFROM x\nCOPY --from=y / /", None, {0, 1}),
        ("FROM a AS x\nFROM a AS y\nCOPY --from=x / /\nFROM y", None, {0}),
    ],
    ids=["one", "chain", "two", "target", "mount", "common base", "chain that ships"],
)
def test_a_stage_builds_where_its_layers_stay_behind(text, target, building):
    assert stages.building_stages(df.parse(text), target) == building


def test_a_from_is_mapped_by_its_stage_and_nothing_else_of_it_is():
    text = "FROM a AS x\nCOPY --from=a / /\nFROM a\nCOPY --from=x / /"
    mapped = stages.map_images(df.parse(text), {"a": "plain"}, froms={0: {"a": "other"}})
    assert mapped == "FROM other AS x\nCOPY --from=plain / /\nFROM plain\nCOPY --from=x / /"


def test_a_quote_that_opens_inside_of_a_name_is_closed():
    mapped = stages.map_images(df.parse('FROM a\nCOPY --from=ng"inx:1" a b'), {"nginx:1": "n"})
    assert df.parse(mapped).stages[0].instructions[0].flags == ("--from=n",)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(instructions(), max_size=5).map("".join),
    st.sampled_from(["a", "a:1", "$G", "r.io:5000/a/b@sha256:00"]),
)
def test_mapping_changes_the_images_and_keeps_the_rest(body, base):
    text = f"# syntax=s\nARG G=g\nFROM {base} AS q\nCOPY --from=i:1 x y\n{body}"
    read = df.parse(text)
    mapping = {
        use.reference: f"new/{n}"
        for n, use in enumerate(stages.image_uses(read, len(read.stages) - 1))
    }
    for stage in range(len(read.stages)):
        for use in stages.image_uses(read, stage):
            mapping.setdefault(use.reference, f"other/{len(mapping)}")
    mapped = stages.map_images(read, mapping)
    again = df.parse(mapped)
    for old, new in zip(read.stages, again.stages, strict=True):
        assert len(old.instructions) == len(new.instructions)
        for before, after in zip(old.instructions, new.instructions, strict=True):
            assert (before.line, before.end_line) == (after.line, after.end_line)
            assert (before.value, before.heredocs) == (after.value, after.heredocs)
        uses = zip(
            stages.image_uses(read, old.index), stages.image_uses(again, old.index), strict=True
        )
        assert all(mapping[before.reference] == after.reference for before, after in uses)
    assert mapped.count("\n") == text.count("\n")
    assert stages.map_images(again, mapping) == mapped


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("# syntax=x\nFROM a\n", "\nFROM a\n"),
        ("# syntax=x\n# escape=`\nFROM a\n", "# escape=`\n\nFROM a\n"),
        (
            "# check=skip=all\n# syntax=x\n#escape=`\n# y\nFROM a",
            "# check=skip=all\n#escape=`\n\n# y\nFROM a",
        ),
        ("\ufeff#syntax = x\r\nFROM a\r\n", "\ufeff\r\nFROM a\r\n"),
        ("#!/usr/bin/env x\n# syntax=x\nFROM a\n", "#!/usr/bin/env x\n\nFROM a\n"),
        ("# y\n# syntax=x\nFROM a\n", "# y\n# syntax=x\nFROM a\n"),
        ("FROM a\n", "FROM a\n"),
    ],
)
def test_blanking_the_syntax_keeps_lines_and_other_directives(text, blank):
    assert stages.blank_syntax(text) == stages.blank_syntax(df.parse(text)) == blank
    before, after = df.parse(text), df.parse(blank)
    assert (before.escape, before.stages[0].line) == (after.escape, after.stages[0].line)
    assert after.syntax is None


# --- steps ----------------------------------------------------------------------------------------


def test_steps_are_from_and_what_changes_files():
    build, final = df.parse(GO).stages
    steps = [step.keyword for step in stages.step_instructions(build)]
    assert steps == ["FROM", "WORKDIR", "COPY", "RUN", "COPY", "RUN"]
    assert [step.keyword for step in stages.step_instructions(final)] == ["COPY"]
    read = df.parse(GRAPH)
    assert stages.step_instructions(read.stages[2])[0].keyword == "FROM"
    assert stages.step_instructions(read.stages[2], read)[0].keyword == "COPY"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("[build 1/6] FROM docker.io/library/golang:1.22-alpine@sha256:00", 3),
        ("[build 4/6] RUN --mount=type=cache,target=/go/pkg/mod go mod download", 6),
        ("[build 6/6] RUN --mount=type=cache", 8),
        ("[linux/amd64 build 2/6] WORKDIR /src", 4),
        ("[linux/amd64->arm64 build  2/6] WORKDIR /src", 4),
        ("[stage-1 1/1] COPY --from=build /out/app /app", 13),
        ("[stage-1 1/1] LINK COPY --from=build /out/app /app", 13),
        ("[internal] load metadata for docker.io/library/golang:1.22", None),
        ("[internal] load build context", None),
        ("[nothing 1/2] RUN x", None),
        ("[build 9/6] RUN x", None),
        ("exporting to image", None),
        ("[2/6] WORKDIR /src", None),
    ],
)
def test_a_step_finds_its_line(name, line):
    assert stages.line_of_step(df.parse(GO), name) == line


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("[1/4] FROM docker.io/library/a", 1),
        ("[ 3/4] COPY . .", 3),
        ("[stage-0 4/4] RUN two", 4),
        # One trigger of the base that is a step:
        ("[2/5] ONBUILD RUN x", 1),
        ("[2/5] RUN x", 1),
        ("[3/5] RUN one", 2),
        ("[5/5] RUN two", 4),
        # One trigger that is none (ENV), which BuildKit counts but does not number:
        ("[2/5] RUN one", 2),
        ("[4/5] RUN two", 4),
    ],
)
def test_steps_of_the_bases_onbuild_come_first(name, line):
    read = df.parse("FROM a\nRUN one\nCOPY . .\nRUN two\nCMD x\n")
    assert stages.line_of_step(read, name) == line


def test_a_stage_from_a_stage_has_no_step_for_its_from():
    read = df.parse("FROM a AS b\nRUN x\nFROM b\nRUN y\nRUN z\n")
    assert stages.line_of_step(read, "[stage-1 1/2] RUN y") == 4
    assert stages.line_of_step(read, "[stage-1 2/2] RUN z") == 5


def test_each_stage_without_a_name_gets_one_and_nothing_else_changes():
    text = "FROM a\nRUN <<EOF\nFROM x\nEOF\n"
    text += "FROM --platform=$BUILDPLATFORM \\\n  b  \nFROM c AS stage-0\n"
    named = stages.with_names(df.parse(text))
    assert named == text.replace("FROM a\n", "FROM a AS stage-0-\n").replace(
        "  b  \n", "  b AS stage-1  \n"
    )
    assert [stage.line for stage in df.parse(named).stages] == [1, 5, 7]
    assert stages.with_names(df.parse(named)) == named


def test_mounts_are_read_as_builders_read_them():
    text = (
        "FROM a\nRUN --mount=Type=cache,dst=/q --mount=FROM=z,target=/k,rw --network=none "
        "--mount=source=a,target=/x,SRC=b,destination=/y true\n"
    )
    [run] = df.parse(text).stages[0].instructions
    assert run.mounts == (
        {"type": "cache", "target": "/q"},
        {"type": "bind", "from": "z", "target": "/k", "rw": "true"},
        {"type": "bind", "source": "b", "target": "/y"},
    )


@pytest.mark.parametrize(
    ("text", "platforms"),
    [
        ("FROM a\n", {"stage-0": "linux/arm64"}),
        ("FROM --platform=$BUILDPLATFORM a AS b\nFROM b\n",
         {"b": "linux/amd64", "stage-1": "linux/amd64"}),
        ("FROM --platform=$BUILDPLATFORM a AS b\nFROM scratch\nCOPY --from=b /x /x\n",
         {"b": "linux/amd64", "stage-1": "linux/arm64"}),
        ("ARG P=linux/s390x\nFROM --platform=${P} a AS b\nFROM --platform=$TARGETPLATFORM b\n",
         {"b": "linux/s390x", "stage-1": "linux/arm64"}),
        ("FROM --platform=$BUILDPLATFORM a AS unused\nFROM c\n", {"stage-1": "linux/arm64"}),
    ],
)  # fmt: skip
def test_a_stage_is_for_the_platform_that_its_from_names_or_its_base_has(text, platforms):
    known = {"BUILDPLATFORM": "linux/amd64", "TARGETPLATFORM": "linux/arm64"}
    found = df.platforms_of(df.parse(text), known)
    assert {stage.label: platform for stage, platform in found.items()} == platforms
