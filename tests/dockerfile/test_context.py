"""The context: which files are sent, and that the archive says so byte by byte."""

import io
import os
import re
import socket
import stat
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiplight.buildkit import globs, opening
from shiplight.dockerfile import apply_rules, read_context
from shiplight.dockerfile.context import Entry, ignore_rules
from shiplight.errors import ContextError
from shiplight.setup import ROOT


@pytest.fixture
def app(tmp_path):
    """A small app with a Dockerfile and a folder."""
    write(tmp_path, {"Dockerfile": "FROM scratch\n", "main.go": "package main\n", "web/a.css": "a"})
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def members(context) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.tar()))) as tar:
        return {member.name: member for member in tar}


def names(folder: Path, ignore: str, **more) -> list[str]:
    (folder / ".dockerignore").write_text(ignore)
    return sorted(set(members(read_context(folder, **more))) - {"Dockerfile", ".dockerignore"})


# --- .dockerignore: the documented rules ----------------------------------------------------------


def excluded(rules, path: str) -> bool:
    """The verdict on `path`, folder by folder from the top, as a walk finds it."""
    hits, verdict, parts = (), False, path.split("/")
    for depth in range(1, len(parts) + 1):
        verdict, hits = apply_rules(rules, "/".join(parts[:depth]), hits)
    return verdict


@pytest.mark.parametrize(
    ("ignore", "out", "sent"),
    [
        # the examples of docs.docker.com/build/concepts/context
        ("# comment\n*/temp*", "a/temp.txt a/temporary a/temp/x", "temp a/b/temp.txt comment"),
        ("*/*/temp*", "a/b/temp.txt a/b/temp/c", "a/temp.txt a/b/c/temp.txt"),
        ("temp?", "tempa tempb tempa/x", "temp tempab a/tempa"),
        ("**/*.go", "a.go a/b.go a/b/c.go", "a.goo a/go"),
        ("*.md\n!README.md", "a.md", "README.md a/b.md"),
        ("*.md\n!README*.md\nREADME-secret.md", "a.md README-secret.md", "README.md README-x.md"),
        ("*.md\nREADME-secret.md\n!README*.md", "a.md", "README.md README-secret.md"),
        ("/foo/bar", "foo/bar foo/bar/x", "bar a/foo/bar foo/barx"),
        ("foo/bar/", "foo/bar foo/bar/x", "foo/x"),
        ("foo//bar/../baz/.", "foo/baz", "foo/bar"),
        ("!/keep\nkeep", "keep", "x"),
        ("keep\n!/keep", "", "keep keep/a"),
        (".", "", "a .x"),
        ("/", "", "a"),
        ("", "", "a"),
        # roots and folders
        ("node_modules", "node_modules node_modules/a/b", "a/node_modules node_modules2"),
        ("**/node_modules", "node_modules/a a/node_modules a/b/node_modules/c", "node_modules2"),
        ("a/**", "a/b a/b/c", "a b/a/c"),
        ("a/**/b", "a/b a/x/b a/x/y/b/z", "ab b a/xb"),
        ("**", "a a/b .x", ""),
        ("**/a/**", "a/b x/a/b/c", "a x/a b"),
        ("*", "a .hidden a/b", ""),
        ("*/", "a a/b", ""),
        ("**.pyc", "a.pyc a/b.pyc .pyc", "a.pyco"),
        ("a**", "a ab ab/c a/b", "ba b/a"),
        # classes and escapes
        ("[a-c].txt", "a.txt c.txt", "d.txt ab.txt [a-c].txt"),
        ("[^a-c].txt", "d.txt ^.txt", "a.txt"),
        ("[!a]", "! a", "b"),
        ("[a\\]]", "a ]", "b"),
        ("[a.]x", "ax .x", "bx"),
        ("\\*.txt", "*.txt", "a.txt"),
        ("\\!a", "!a", "a"),
        ("\\#a", "#a", "a"),
        ("a.b+c(d)|{e}$", "a.b+c(d)|{e}$", "axb+c(d)|{e}$"),
        ("a?b", "axb aéb", "a/b ab"),
        # lines
        ("\ufeffa\r\n  b  \r\n", "a b", "c"),
        (" # a", "#~a", "a"),
        ("! a\na\n! a", "", "a"),
        # exceptions in folders
        ("a\n!a/b", "a a/c", "a/b a/b/c"),
        ("*\n!src\nsrc/*.tmp", "a src/x.tmp", "src src/a src/a/x.tmp"),
        ("*\n!**/*.go", "a a/b", "a.go a/b.go a/b/c.go"),
        ("!a\na", "a a/b", ""),
        # What an exception would have kept must be out by then, or it does not count (moby).
        ("a/b\n!a", "a/b", "a a/c"),
    ],
)
def test_ignore_rules_as_documented(ignore, out, sent):
    rules = ignore_rules(ignore)
    assert [path for path in out.split() if not excluded(rules, path.replace("~", " "))] == []
    assert [path for path in sent.split() if excluded(rules, path.replace("~", " "))] == []


@pytest.mark.parametrize("bad", ["[", "a[", "[]a]", "[-a]", "[a-]", "a\\", "[b-a]", "!", "!/"])
def test_a_bad_pattern_is_refused_with_its_line(bad):
    with pytest.raises(ContextError, match=r"\.dockerignore, line 2: bad pattern"):
        ignore_rules(f"fine\n{bad}\n")


def slow_match(glob: str, path: str) -> bool:
    """The glob, letter by letter: obvious, and slow."""
    if not glob:
        return not path
    if glob == "**":
        return True
    if glob.startswith("**/"):
        ends = [n + 1 for n, char in enumerate(path) if char == "/"]
        return any(slow_match(glob[3:], path[n:]) for n in [0, *ends])
    if glob[0] == "*":
        stop = path.find("/") if "/" in path else len(path)
        return any(slow_match(glob[1:], path[n:]) for n in range(stop + 1))
    if not path:
        return False
    same = path[0] != "/" if glob[0] == "?" else glob[0] == path[0]
    return same and slow_match(glob[1:], path[1:])


def slow_excluded(lines: list[str], path: str) -> bool:
    """A fold over the rules for each folder on the way; a rule that matched a folder stays."""
    parts, matched = path.split("/"), {}
    for depth in range(1, len(parts) + 1):
        verdict = False
        for number, line in enumerate(lines):
            keeps, glob = line.startswith("!"), line.removeprefix("!")
            if matched.get(number) or (
                keeps == verdict and slow_match(glob, "/".join(parts[:depth]))
            ):
                matched[number] = True
                verdict = not keeps
    return verdict


PART = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "*b", "**"])
GLOB = st.lists(PART, min_size=1, max_size=3).map("/".join)
LINE = st.tuples(st.sampled_from(["", "", "!"]), GLOB).map("".join)
PATH = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(LINE, max_size=4), PATH)
def test_the_matcher_agrees_with_a_slow_one(lines, path):
    assert excluded(ignore_rules("\n".join(lines)), path) == slow_excluded(lines, path)


WILD = st.lists(st.sampled_from(["a", "b", "?", "*", "**", "/", "**/"]), min_size=1, max_size=9)


@settings(max_examples=400, deadline=None)
@given(WILD.map("".join), st.text("ab/", max_size=9))
def test_following_a_pattern_state_by_state_gives_what_its_regular_expression_gives(glob, path):
    tokens = globs._tokens(glob)
    whole = re.compile("".join(tokens), re.DOTALL).fullmatch(path)
    assert globs._Automaton(tokens).fullmatch(path) == bool(whole)
    assert bool(globs.Glob(glob).matches(path)) == bool(whole)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab/*?[]^-!#\\\n\r .") | st.characters()), st.text(max_size=12))
def test_an_ignore_file_of_any_text_is_read_or_refused_with_its_line(text, path):
    try:
        rules = ignore_rules(text)
    except ContextError as refused:
        assert "bad pattern" in refused.message and ", line " in refused.message
        return
    assert excluded(rules, path) in (True, False)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINE, max_size=4), st.sets(PATH, min_size=1, max_size=8))
def test_the_walk_sends_what_the_rules_say(tmp_path_factory, lines, paths):
    folder = tmp_path_factory.mktemp("walk")
    files = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
    write(folder, {"Dockerfile": "", **dict.fromkeys(files, "x")})
    (folder / "x.Dockerfile").write_text("")
    (folder / "x.Dockerfile.dockerignore").write_text("\n".join(lines))
    context = read_context(folder, dockerfile="x.Dockerfile")
    sent = {entry.name for entry in context.entries if entry.type == tarfile.REGTYPE}
    rules = ignore_rules("\n".join(lines))
    assert sent & set(files) == {path for path in files if not excluded(rules, path)}


def test_a_folder_that_can_hold_no_exception_is_not_entered(app, monkeypatch):
    write(app, {"node_modules/a/index.js": "", "docs/a/b.md": "", "docs/c/d.md": "", "z/y": ""})
    entered, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: entered.append(Path(path)) or scandir(path))
    ignore = "!**/index.js\nnode_modules\ndocs\nz\n!docs/a/*.md\n"
    assert names(app, ignore) == ["docs", "docs/a", "docs/a/b.md", "main.go", "web", "web/a.css"]
    assert {path.name for path in entered} == {app.name, "docs", "a", "web"}
    assert app / "node_modules" / "a" not in entered


def test_excluded_counts_a_folder_as_one(app):
    write(app, {"node_modules/a/b": "", "docs/a.md": "", "docs/b/c": "", "docs/b/d": ""})
    assert names(app, "node_modules\ndocs\n!docs/a.md\n*.go")
    assert read_context(app).excluded == 3  # node_modules, docs/b, main.go


def test_an_ignore_file_of_the_dockerfile_takes_precedence(app):
    write(app, {"deploy/Dockerfile": "FROM a", "deploy/Dockerfile.dockerignore": "web\n"})
    found = names(app, "main.go\n", dockerfile="deploy/Dockerfile")
    assert "main.go" in found
    assert "web" not in found


# --- the Dockerfile -------------------------------------------------------------------------------


def first_header(context) -> tarfile.TarInfo:
    """The header in the first 1024 bytes, which is all that BuildKit looks at."""
    start = b"".join(context.tar())[:1024]
    return tarfile.TarInfo.frombuf(start[:512], "utf-8", "surrogateescape")


def test_the_dockerfile_comes_first_even_if_ignored(app):
    (app / ".dockerignore").write_text("*\n")
    context = read_context(app)
    assert list(members(context)) == ["Dockerfile"]
    header = first_header(context)
    assert (header.name, header.type, header.size) == ("Dockerfile", tarfile.REGTYPE, 13)


def test_given_text_is_sent_and_the_disk_stays(app):
    context = read_context(app, dockerfile_text="FROM mapped\n")
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.tar()))) as tar:
        assert tar.extractfile("Dockerfile").read() == b"FROM mapped\n"
        assert tar.getnames().count("Dockerfile") == 1
    assert (app / "Dockerfile").read_text() == "FROM scratch\n"


def test_given_text_needs_no_file(tmp_path):
    context = read_context(tmp_path, dockerfile="inline", dockerfile_text=b"FROM a\n")
    assert (context.dockerfile, context.files, context.unpacked_bytes) == ("inline", 1, 7)


@pytest.mark.parametrize("long", [False, True])
def test_a_dockerfile_from_outside_gets_our_name(app, tmp_path_factory, long):
    outside = tmp_path_factory.mktemp("out") / ("D" * 120 if long else "Dockerfile")
    outside.write_text("FROM outside\n")
    for path in (outside, os.path.relpath(outside, app)):
        context = read_context(app, dockerfile=path)
        assert context.dockerfile == first_header(context).name == ".shiplight.Dockerfile"
        assert "Dockerfile" in members(context)  # the folder's own is an ordinary file then


def test_an_absolute_path_inside_keeps_its_name(app):
    assert read_context(app, dockerfile=app / "Dockerfile").dockerfile == "Dockerfile"


def test_a_name_too_long_for_one_header_gets_ours(app):
    name = "d" * 60 + "/" + "e" * 60
    write(app, {name: "FROM long\n"})
    context = read_context(app, dockerfile=name)
    assert first_header(context).name == ".shiplight.Dockerfile"
    assert name in members(context)


def test_a_dockerfile_behind_a_symlink_gets_our_name(app, tmp_path_factory):
    outside = tmp_path_factory.mktemp("out")
    write(outside, {"Dockerfile": "FROM outside\n"})
    (app / "link").symlink_to(outside)
    context = read_context(app, dockerfile="link/Dockerfile")
    assert context.dockerfile == ".shiplight.Dockerfile"
    assert members(context)["link"].issym()


def test_a_dockerfile_that_is_a_symlink_is_sent_as_a_file(app):
    (app / "Dockerfile.x").symlink_to("Dockerfile")
    header = first_header(read_context(app, dockerfile="Dockerfile.x"))
    assert (header.name, header.type, header.size) == ("Dockerfile.x", tarfile.REGTYPE, 13)


def test_a_missing_dockerfile_names_those_that_are_there(app):
    write(app, {"Dockerfile.multi": "", "Dockerfile.multi.dockerignore": ""})
    with pytest.raises(ContextError) as missing:
        read_context(app, dockerfile="Dockerfile.mutli")
    assert "Dockerfile.mutli" in missing.value.message
    assert missing.value.hint.endswith("there are: Dockerfile, Dockerfile.multi")


def test_a_folder_is_no_dockerfile(app):
    with pytest.raises(ContextError, match=r"web .*not an ordinary file"):
        read_context(app, dockerfile="web")


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "does not exist"), ("main.go", "not a folder")]
)
def test_a_context_has_to_be_a_folder(app, name, words):
    with pytest.raises(ContextError, match=words):
        read_context(app / name)


# --- the archive ----------------------------------------------------------------------------------


def test_the_archive_equals_the_tree(app):
    write(app, {"bin/run.sh": "#!/bin/sh\n", "é/" + "x" * 150: "long", "empty/.keep": ""})
    (app / "bin/run.sh").chmod(0o4755)
    os.utime(app / "main.go", ns=(1_500_000_000_999_999_999,) * 2)
    (app / "loop").symlink_to(".")
    (app / "dangling").symlink_to("/nowhere/" + "y" * 120)
    os.link(app / "main.go", app / "twin.go")
    context = read_context(app)
    found = members(context)
    on_disk = {str(path.relative_to(app)): path for path in walked(app)}
    assert set(found) == set(on_disk)
    for name, path in on_disk.items():
        info, real = found[name], path.lstat()
        assert (info.uid, info.gid, info.uname, info.gname) == (0, 0, "", "")
        assert (info.mode, info.mtime) == (stat.S_IMODE(real.st_mode), real.st_mtime_ns // 10**9)
        assert info.isdir() == stat.S_ISDIR(real.st_mode)
        assert info.linkname == (os.readlink(path) if path.is_symlink() else "")
        assert not info.islnk()
    assert found["main.go"].mtime == 1_500_000_000
    assert found["twin.go"].size == 13
    assert context.files == sum(not path.is_dir() or path.is_symlink() for path in on_disk.values())
    assert context.unpacked_bytes == sum(info.size for info in found.values())
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.tar()))) as tar:
        assert tar.extractfile("é/" + "x" * 150).read() == b"long"


def walked(folder: Path) -> list[Path]:
    """Everything below the folder, links not followed."""
    found = []
    for root, folders, names in os.walk(folder):
        found += [Path(root, name) for name in folders + names]
    return found


def test_a_copy_has_what_is_sent_with_modes_and_times_and_no_dockerfile(tmp_path):
    (tmp_path / "app" / "sub").mkdir(parents=True)
    for name, text in {"Dockerfile": "FROM x\n", "run": "1", "sub/a": "2", "left": "3"}.items():
        (tmp_path / "app" / name).write_text(text)
    (tmp_path / "app" / ".dockerignore").write_text("left\n")
    (tmp_path / "app" / "link").symlink_to("/nowhere")
    (tmp_path / "app" / "run").chmod(0o755)
    os.utime(tmp_path / "app" / "sub" / "a", (1000, 1000))
    sent = read_context(tmp_path / "app")
    sent.copy_to(tmp_path / "copy")
    found = {
        path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")
    }
    assert found == {".dockerignore", "run", "sub", "sub/a", "link"}
    assert os.readlink(tmp_path / "copy" / "link") == "/nowhere"
    assert (tmp_path / "copy" / "run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "copy" / "sub" / "a").stat().st_mtime == 1000
    again = read_context(tmp_path / "copy", dockerfile_text="FROM x\n")
    assert again.digests() == sent.digests()


def test_equal_trees_give_equal_bytes(tmp_path):
    for folder, order in ((tmp_path / "a", 1), (tmp_path / "b", -1)):
        write(folder, {name: name for name in ["Dockerfile", "b/c", "b.txt", "a"][::order]})
        for path in [*walked(folder), folder]:
            os.utime(path, (1, 1))
    one, two = (b"".join(read_context(tmp_path / each).tar()) for each in "ab")
    assert one == two
    assert len(one) % tarfile.RECORDSIZE == 0


def test_reading_twice_gives_the_same_archive(app):
    context = read_context(app)
    assert b"".join(context.tar()) == b"".join(context.tar())


@pytest.mark.skipif(
    sys.platform == "darwin", reason="not for this machine: its file systems want UTF-8 names"
)
def test_names_that_are_not_utf8_are_sent_as_they_are(app):
    (app / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert b"caf\xe9.txt\0" in b"".join(read_context(app).tar())


def test_sockets_and_pipes_are_skipped_and_named(app, monkeypatch):
    os.mkfifo(app / "pipe")
    monkeypatch.chdir(app)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("web/socket")
        context = read_context(app)
    assert context.skipped == ("pipe", "web/socket")
    assert "pipe" not in members(context)


def test_files_beyond_8_gib_fit_the_header():
    entry = Entry("big", Path("big"), tarfile.REGTYPE, 0o644, 0, 9 * 1024**3)
    assert tarfile.TarInfo.frombuf(entry.header(), "utf-8", "strict").size == 9 * 1024**3
    assert entry.header()[:4] == b"big\0"


def test_three_sparse_gigabytes_begin_to_flow_at_once(app):
    with open(app / "big", "wb") as file:
        file.truncate(3_000_000_000)
    context = read_context(app)
    assert context.unpacked_bytes > 3_000_000_000
    chunks = context.tar()
    assert max(len(next(chunks)) for _ in range(20)) <= 1024 * 1024
    chunks.close()


def test_memory_stays_bounded_and_chunks_small(app):
    with open(app / "big", "wb") as file:
        file.truncate(60_000_000)
    context = read_context(app)
    tracemalloc.start()
    try:
        lengths = [len(chunk) for chunk in context.tar()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(lengths) <= 1024 * 1024
    assert sum(lengths) > 60_000_000
    assert peak < 8_000_000


def test_a_large_dockerfile_is_cut_into_chunks_as_well(app):
    context = read_context(app, dockerfile_text=b"#" * 3_000_001)
    assert max(map(len, context.tar())) <= 1024 * 1024
    assert members(context)["Dockerfile"].size == 3_000_001


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "shrank"), ("package main // more\n", "grew"), (None, "no longer be read")],
)
def test_a_file_that_changes_meanwhile_is_named(app, text, words):
    context = read_context(app)
    (app / "main.go").unlink() if text is None else (app / "main.go").write_text(text)
    with pytest.raises(ContextError, match=rf"main\.go .*{words}"):
        list(context.tar())


def test_a_file_that_became_a_symlink_is_not_followed(app):
    context = read_context(app)
    (app / "main.go").unlink()
    (app / "main.go").symlink_to("/etc/passwd")
    with pytest.raises(ContextError, match=r"main\.go"):
        list(context.tar())


# --- rights ---------------------------------------------------------------------------------------

AS_NOBODY = """
import os, sys
from shiplight.dockerfile import read_context
from shiplight.errors import ContextError
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    print(read_context(sys.argv[1]).files)
except ContextError as refused:
    print(refused)
"""


def as_nobody(folder: Path) -> str:
    """What `read_context` says to a user without special rights."""
    for path in [folder, *folder.parents][:-2]:
        path.chmod(path.stat().st_mode | 0o055)
    source = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert source.returncode == 0, source.stderr
    return source.stdout


@pytest.fixture
def locked(app):
    """Six files and a folder that nobody else may read."""
    write(app, {f"secret{n}": "" for n in range(6)} | {"vault/x": "", "vault/y": ""})
    for name in [*(f"secret{n}" for n in range(6)), "vault"]:
        (app / name).chmod(0)
    yield app
    (app / "vault").chmod(0o700)


needs_posix = pytest.mark.skipif(
    not hasattr(os, "setuid"), reason="not for this machine: no POSIX rights"
)


@needs_posix
def test_unreadable_files_are_listed_up_to_five(locked):
    said = as_nobody(locked)
    assert "7 paths of the context" in said
    assert "secret0, secret1, secret2, secret3, secret4, …" in said
    assert "make them readable, or add them to .dockerignore" in said


@needs_posix
def test_unreadable_files_that_are_excluded_do_not_matter(locked):
    (locked / ".dockerignore").write_text("secret*\nvault\n!vault/x\n")
    assert as_nobody(locked) == "4\n"


def test_what_may_not_be_read_is_told_without_root_as_well(app, monkeypatch):
    may_open = os.open

    def refuse(path, flags, **more):
        if path in ("main.go", "a.css"):
            raise PermissionError(13, "Permission denied")
        return may_open(path, flags, **more)

    monkeypatch.setattr(opening, "_BENEATH", True)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ContextError, match=r"2 paths .*: main\.go, web/a\.css\."):
        read_context(app, dockerfile_text="FROM a")


def test_repr_is_one_line(app):
    assert repr(read_context(app)).endswith(": 3 files, 27 B, 0 excluded>")
