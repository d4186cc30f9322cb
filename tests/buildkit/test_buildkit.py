"""A BuildKit session on a socket pair; the other side asks as BuildKit does, with grpclib."""

import asyncio
import hashlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from grpclib.client import StreamStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from shiplight.buildkit import (
    BuildKitError,
    SourceChanged,
    Trace,
    content,
    control,
    messages,
    services,
    transport,
    tree,
)
from shiplight.buildkit.control import SocketChannel
from shiplight.buildkit.errors import NotUpgraded
from shiplight.buildkit.filesync import DATA, FIN, REQ, STAT
from shiplight.buildkit.messages import Packet
from shiplight.buildkit.session import Session, shared_key

SYNC = "/moby.filesync.v1.FileSync/DiffCopy"
CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
SEND = "/moby.filesync.v1.FileSend/DiffCopy"
CONTENT = "/containerd.services.content.v1.Content"


@contextmanager
def serving(*offered) -> Iterator[tuple[Session, socket.socket]]:
    """Serve these services on one end of a pair; the other end is BuildKit's."""
    ours, theirs = socket.socketpair()
    session = Session(offered)
    try:
        with session.serving(ours):
            yield session, theirs
    finally:
        theirs.close()


def asked(sock: socket.socket, conversation):
    """The result of `conversation(channel)`, which plays BuildKit."""

    async def talk():
        channel = SocketChannel(sock)
        try:
            return await asyncio.wait_for(conversation(channel), 20)
        finally:
            channel.close()

    return asyncio.run(talk())


def call(sock: socket.socket, method: str, request) -> bytes:
    """The answer to one request."""

    async def talk(channel):
        return await UnaryUnaryMethod(channel, method, bytes, bytes)(request.SerializeToString())

    return asked(sock, talk)


def fetched(sock, name: str = "context", *, want=None, meta=()) -> tuple[list, dict[str, bytes]]:
    """The STATs of a source, and the contents of the paths in `want` (default: of all files)."""
    metadata = [("dir-name", name), *meta]

    async def talk(channel):
        stats, contents = [], {}
        async with StreamStreamMethod(channel, SYNC, bytes, bytes).open(metadata=metadata) as s:
            await s.send_request()
            while (data := await s.recv_message()) is not None:
                packet = Packet.FromString(data)
                if not packet.HasField("stat"):
                    break
                stats.append(packet.stat)
            left = set()
            for number, found in enumerate(stats):
                path = os.fsdecode(found.path)
                if not (found.mode & tree.MODE_TYPE or found.linkname) and (
                    want is None or path in want
                ):
                    left.add(number)
                    contents[path] = b""
                    await s.send_message(Packet(type=REQ, ID=number).SerializeToString())
            while left and (data := await s.recv_message()) is not None:
                packet = Packet.FromString(data)
                assert packet.type == DATA
                contents[os.fsdecode(stats[packet.ID].path)] += packet.data
                left -= set() if packet.data else {packet.ID}
            if data is None:  # the other side ended it, and says why: raised here
                s._end_done = True
                await s.recv_trailing_metadata()
            await s.send_message(Packet(type=FIN).SerializeToString(), end=True)
            assert Packet.FromString(await s.recv_message()).type == FIN
            return stats, contents

    return asked(sock, talk)


def listed(folder: Path, **wanted) -> list[str]:
    """The paths that a folder gives for what is wanted."""
    found = tree.Folder(str(folder)).entries(tree.Wanted(**wanted))
    return [entry.path for entry in found]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@contextmanager
def no_thread_left():
    """Sessions and builds have ended with the block; a read or a pump ends soon after it."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not {thread.name for thread in left} & {"buildkit-session", "buildkit-solve"}
    for thread in left:
        thread.join(10)
        assert not thread.is_alive()


# --- the session ---------------------------------------------------------------------------------


def test_the_thread_ends_with_the_block_and_closes_the_socket():
    before = threading.active_count()
    with no_thread_left(), serving() as (_, theirs):
        answer = call(theirs, "/grpc.health.v1.Health/Check", messages.Empty())
        assert messages.HealthCheckResponse.FromString(answer).status == 1
        assert threading.active_count() > before


def test_the_thread_ends_where_buildkit_is_gone():
    ours, theirs = socket.socketpair()
    with no_thread_left(), Session([]).serving(ours):
        theirs.close()
    assert ours.fileno() == -1


def test_an_interrupt_ends_a_session_in_the_middle_of_a_file(tmp_path):
    (tmp_path / "large").write_bytes(bytes(20_000_000))
    with (
        no_thread_left(),
        pytest.raises(KeyboardInterrupt),
        serving(services.FileSync({"context": tree.Folder(str(tmp_path))})) as (_, theirs),
    ):

        async def ask_and_stop_reading(channel):
            method = StreamStreamMethod(channel, SYNC, bytes, bytes)
            async with method.open(metadata=[("dir-name", "context")]) as stream:
                await stream.send_request()
                await stream.send_message(Packet(type=REQ, ID=0).SerializeToString())
                await stream.recv_message()
                raise EOFError

        with suppress(EOFError):
            asked(theirs, ask_and_stop_reading)
        raise KeyboardInterrupt


def test_the_headers_name_every_method_and_the_shared_key():
    session = Session([services.Secrets({})], shared_key=shared_key("a", "b"))
    headers = session.headers()
    methods = [value for key, value in headers if key.endswith("-Grpc-Method")]
    assert "/moby.buildkit.secrets.v1.Secrets/GetSecret" in methods
    assert ("X-Docker-Expose-Session-Sharedkey", shared_key("a", "b")) in headers
    assert shared_key("a", "b") != shared_key("ab", "")


def test_what_is_not_offered_is_unknown():
    with serving() as (session, theirs), pytest.raises(GRPCError) as refused:
        call(theirs, CREDENTIALS, messages.Empty())
    assert refused.value.status is Status.UNIMPLEMENTED
    assert session.failure is None


# --- files to BuildKit ---------------------------------------------------------------------------


def test_a_folder_is_listed_and_sent_as_it_is(tmp_path):
    write(tmp_path, {"b.txt": "b", "a/x": "in a", "a-b": "after a's content", "empty": ""})
    os.symlink("b.txt", tmp_path / "link")
    os.link(tmp_path / "b.txt", tmp_path / "hard")
    os.chmod(tmp_path / "a/x", 0o4755)
    os.utime(tmp_path / "a/x", ns=(5, 1_234_567_890_123_456_789))
    with serving(services.FileSync({"context": tree.Folder(str(tmp_path))})) as (_, theirs):
        stats, contents = fetched(theirs)
    names = [os.fsdecode(found.path) for found in stats]
    assert names == ["a", "a/x", "a-b", "b.txt", "empty", "hard", "link"]
    by_name = dict(zip(names, stats, strict=True))
    assert by_name["a"].mode & tree.MODE_DIR and by_name["a"].size == 0
    assert by_name["a/x"].mode == 1 << 23 | 0o755
    assert by_name["a/x"].modTime == 1_234_567_890_123_456_789
    assert by_name["link"].linkname == b"b.txt" and by_name["link"].mode & tree.MODE_SYMLINK
    assert by_name["hard"].linkname == b"b.txt" and by_name["hard"].size == 0
    assert all((found.uid, found.gid) == (0, 0) for found in stats)
    assert contents["a/x"] == b"in a" and contents["empty"] == b""


def test_only_what_is_asked_for_is_sent(tmp_path):
    write(tmp_path, {"a": "1", "b": "22"})
    sync = services.FileSync({"context": tree.Folder(str(tmp_path))})
    with serving(sync) as (_, theirs):
        _, contents = fetched(theirs, want={"b"})
    assert contents == {"b": b"22"} and sync.sent_bytes == 2


def test_names_and_links_need_not_be_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_text("x")
    os.symlink(name, tmp_path / "é")
    with serving(services.FileSync({"context": tree.Folder(str(tmp_path))})) as (_, theirs):
        stats, _ = fetched(theirs)
    assert {found.path for found in stats} == {b"caf\xe9", "é".encode()}
    assert {found.linkname for found in stats} == {b"caf\xe9", b""}


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes on this platform")
def test_extended_attributes_go_with_their_file(tmp_path):
    write(tmp_path, {"a": "1"})
    try:
        os.setxattr(tmp_path / "a", "user.colour", b"\xff\0blue")
    except OSError:
        pytest.skip("not for this machine: its file system has no extended attributes")
    with serving(services.FileSync({"context": tree.Folder(str(tmp_path))})) as (_, theirs):
        [found], _ = fetched(theirs)
    assert dict(found.xattrs) == {"user.colour": b"\xff\0blue"}


def test_a_large_file_arrives_whole(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "large").write_bytes(content)
    with serving(services.FileSync({"context": tree.Folder(str(tmp_path))})) as (_, theirs):
        _, contents = fetched(theirs)
    assert contents["large"] == content


def test_files_from_memory_have_the_bytes_that_were_given():
    files = tree.Files({"Dockerfile": b"FROM x\r\nRUN a\rb \xff\n", "other": b"no"}, 7)
    with serving(services.FileSync({"dockerfile": files})) as (_, theirs):
        meta = [("followpaths", "Dockerfile"), ("followpaths", "Dockerfile.dockerignore")]
        stats, contents = fetched(theirs, "dockerfile", meta=meta)
    assert contents == {"Dockerfile": b"FROM x\r\nRUN a\rb \xff\n"} and stats[0].modTime == 7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.write_text("sho"), "x shrank"),
        (lambda path: path.write_text("much longer"), "x changed"),
        (lambda path: os.utime(path, ns=(1, 1)), "x changed"),
        (lambda path: path.unlink(), "x cannot be read"),
        (lambda path: (path.unlink(), os.symlink("/etc/passwd", path)), "x cannot be read"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "x "),
    ],
    ids=["shrinks", "grows", "touched", "vanishes", "becomes a link", "becomes a pipe"],
)
def test_a_file_that_changes_while_it_is_sent_is_named(tmp_path, change, says):
    write(tmp_path, {"x": "short"})
    folder = tree.Folder(str(tmp_path))
    [entry] = folder.entries(tree.Wanted())
    change(tmp_path / "x")
    with pytest.raises(SourceChanged) as changed:
        list(folder.chunks(entry))
    assert changed.value.message.startswith(says) and changed.value.hint


def test_buildkit_hears_of_a_file_that_vanished_and_so_does_the_session(tmp_path):
    write(tmp_path, {"x": "1"})

    class Vanishing(tree.Folder):
        def chunks(self, entry):
            (tmp_path / "x").unlink()
            return super().chunks(entry)

    with serving(services.FileSync({"context": Vanishing(str(tmp_path))})) as (session, theirs):
        with pytest.raises(GRPCError, match="x cannot be read"):
            fetched(theirs)
        assert isinstance(session.failure, SourceChanged)


def test_an_unknown_source_is_refused():
    with serving(services.FileSync({})) as (_, theirs), pytest.raises(GRPCError) as refused:
        fetched(theirs, "secrets")
    assert refused.value.status is Status.NOT_FOUND


def test_a_file_that_was_not_listed_cannot_be_asked_for(tmp_path):
    write(tmp_path, {"x": "1", ".dockerignore": "x"})

    async def ask(channel):
        method = StreamStreamMethod(channel, SYNC, bytes, bytes)
        meta = [("dir-name", "context"), ("exclude-patterns", "x")]
        async with method.open(metadata=meta) as stream:
            await stream.send_message(Packet(type=REQ, ID=7).SerializeToString(), end=True)
            while await stream.recv_message():
                pass

    sync = services.FileSync({"context": tree.Folder(str(tmp_path))})
    with serving(sync) as (session, theirs):
        with pytest.raises(GRPCError, match="file 7, which was not listed"):
            asked(theirs, ask)
        assert session.failure


def test_bytes_that_are_no_message_end_the_request_and_nothing_else(tmp_path):
    async def garbage(channel):
        method = StreamStreamMethod(channel, SYNC, bytes, bytes)
        async with method.open(metadata=[("dir-name", "context")]) as stream:
            await stream.send_message(b"\xff\xff\xff\xff", end=True)
            while await stream.recv_message():
                pass

    with serving(services.FileSync({"context": tree.Folder(str(tmp_path))})) as (session, theirs):
        with pytest.raises(GRPCError):
            asked(theirs, garbage)
        assert session.failure


# --- which files ---------------------------------------------------------------------------------

APP = {
    "Dockerfile": "",
    "README.md": "",
    "docs/a.md": "",
    "docs/deep/b.md": "",
    "docs/c.txt": "",
    "src/main.go": "",
    "src/test/x": "",
    "node_modules/a/b": "",
}


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        (["node_modules"], {"node_modules", "node_modules/a", "node_modules/a/b"}),
        (["**/*.md", "!docs/a.md"], {"README.md", "docs/deep/b.md"}),
        (["docs", "!docs/deep"], {"docs/a.md", "docs/c.txt"}),
        (["src/*"], {"src/main.go", "src/test", "src/test/x"}),
    ],
)
def test_excluded_paths_are_not_listed_but_folders_of_exceptions_are(tmp_path, exclude, gone):
    write(tmp_path, APP)
    everything = set(listed(tmp_path))
    assert everything - set(listed(tmp_path, exclude=tuple(exclude))) == gone


@pytest.mark.parametrize(
    ("follow", "found"),
    [
        (["src/main.go"], ["src", "src/main.go"]),
        (["docs/*.md"], ["docs", "docs/a.md"]),
        (["."], None),
        (["src", "src/main.go"], ["src", "src/main.go", "src/test", "src/test/x"]),
        (["nothing"], []),
        (["../../etc"], []),
    ],
)
def test_followed_paths_are_listed_with_their_folders(tmp_path, follow, found):
    write(tmp_path, APP)
    assert listed(tmp_path, follow=tuple(follow)) == (found or listed(tmp_path) * (found is None))


def test_followed_links_bring_what_they_lead_to(tmp_path):
    write(tmp_path, {"real/file": "1", "other/x": "2", "beside": "3"})
    os.symlink("real", tmp_path / "alias")
    os.symlink("/other/x", tmp_path / "absolute")
    os.symlink("loop", tmp_path / "loop")
    assert listed(tmp_path, follow=("alias/file",)) == ["alias", "real", "real/file"]
    assert listed(tmp_path, follow=("abs*",)) == ["absolute", "other", "other/x"]
    assert listed(tmp_path, follow=("loop",)) == ["loop"]


def test_names_in_requests_may_be_coded_or_raw_utf8(tmp_path):
    write(tmp_path, {"é": "1", "a b+c": "2", "rest": "3"})
    coded = [("exclude-patterns", "%C3%A9"), ("exclude-patterns", "a+b%2Bc")]
    sync = services.FileSync({"context": tree.Folder(str(tmp_path))})
    with serving(sync) as (_, theirs):
        _, contents = fetched(theirs, meta=[*coded, ("exclude-patterns-encoded", "1")])
    assert set(contents) == {"rest"}


def test_a_bad_pattern_is_an_error_that_shows_it(tmp_path):
    sync = services.FileSync({"context": tree.Folder(str(tmp_path))})
    with serving(sync) as (_, theirs), pytest.raises(GRPCError, match=r"bad pattern '\['"):
        fetched(theirs, meta=[("exclude-patterns", "[")])


def test_deep_folders_are_walked(tmp_path):
    made = [tmp_path]
    for _ in range(1200):
        made.append(made[-1] / "d")
        made[-1].mkdir()
    try:
        assert len(listed(tmp_path)) == 1200
    finally:  # pytest's own way to remove them is not made for so many
        for each in made[:0:-1]:
            each.rmdir()


# --- secrets, credentials, ssh -------------------------------------------------------------------


def test_a_secret_is_given_by_its_id_and_an_unknown_one_is_not_found():
    method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
    offered = services.Secrets({"token": b"s3cret\0"})
    assert "s3cret" not in repr(offered)
    with serving(offered) as (session, theirs):
        answer = call(theirs, method, messages.GetSecretRequest(ID="token"))
        assert messages.GetSecretResponse.FromString(answer).data == b"s3cret\0"
    with serving(offered) as (session, theirs):
        with pytest.raises(GRPCError) as refused:
            call(theirs, method, messages.GetSecretRequest(ID="other"))
        assert refused.value.status is Status.NOT_FOUND
        assert session.failure is None


@pytest.mark.parametrize(
    ("host", "answer"), [("a.example", ("user", "word")), ("b.example", ("", "")), ("", ("", ""))]
)
def test_credentials_are_given_for_the_host_that_is_named(host, answer):
    find = {"a.example": ("user", "word")}.get
    with serving(services.Auth(find)) as (_, theirs):
        request = messages.CredentialsRequest(Host=host)
        said = call(theirs, CREDENTIALS, request)
    said = messages.CredentialsResponse.FromString(said)
    assert (said.Username, said.Secret) == answer


def test_credentials_that_cannot_be_found_fail_without_their_words():
    def find(host):
        raise RuntimeError(f"no helper for {host}")

    with serving(services.Auth(find)) as (session, theirs):
        with pytest.raises(GRPCError, match="no helper"):
            call(theirs, CREDENTIALS, messages.CredentialsRequest(Host="x"))
        assert session.failure


@contextmanager
def agent(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A socket of an ssh agent, which answers every request with its own words."""
    path, heard = str(folder / "agent.sock"), []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def answer():
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        while data := connection.recv(1000):
                            heard.append(data)
                            connection.sendall(data[::-1])

        threading.Thread(target=answer, daemon=True).start()
        yield path, heard


def test_an_ssh_agent_is_asked_to_list_and_sign_and_nothing_else(tmp_path):
    list_keys, add_key = b"\0\0\0\1\x0b", b"\0\0\0\2\x11\x00"
    message = messages.BytesMessage

    async def talk(channel):
        method = StreamStreamMethod(channel, "/moby.sshforward.v1.SSH/ForwardAgent", bytes, bytes)
        async with method.open(metadata=[("buildkit.ssh.id", "default")]) as stream:
            await stream.send_message(message(data=list_keys[:3]).SerializeToString())
            await stream.send_message(message(data=list_keys[3:]).SerializeToString())
            first = message.FromString(await stream.recv_message()).data
            await stream.send_message(message(data=add_key).SerializeToString())
            second = message.FromString(await stream.recv_message()).data
            await stream.end()
            return first, second

    with agent(tmp_path) as (path, heard), serving(services.SSH({"default": path})) as (_, s):
        assert asked(s, talk) == (list_keys[::-1], b"\0\0\0\1\5")
        assert heard == [list_keys]


def test_an_agent_that_was_not_offered_is_not_found(tmp_path):
    with serving(services.SSH({"default": "x"})) as (_, theirs), pytest.raises(GRPCError) as error:
        request = messages.CheckAgentRequest(ID="other")
        call(theirs, "/moby.sshforward.v1.SSH/CheckAgent", request)
    assert error.value.status is Status.NOT_FOUND


# --- files from BuildKit -------------------------------------------------------------------------


def exported(sock, stats: list, contents: dict[int, bytes]) -> None:
    """Send files as an exporter does, until the other side has them."""

    async def talk(channel):
        async with StreamStreamMethod(channel, SEND, bytes, bytes).open() as stream:
            for found in stats:
                await stream.send_message(Packet(type=STAT, stat=found).SerializeToString())
            await stream.send_message(b"")
            while (data := await stream.recv_message()) is not None:
                packet = Packet.FromString(data)
                if packet.type == FIN:
                    await stream.send_message(Packet(type=FIN).SerializeToString(), end=True)
                    break
                assert packet.type == REQ
                for piece in (contents[packet.ID], b""):
                    one = Packet(type=DATA, ID=packet.ID, data=piece)
                    await stream.send_message(one.SerializeToString())

    asked(sock, talk)


def test_an_export_becomes_a_folder_with_its_modes_times_and_links(tmp_path):
    make = messages.Stat
    stats = [
        make(path=b"bin", mode=tree.MODE_DIR | 0o755, modTime=10**18),
        make(path=b"bin/app", mode=0o755, size=3, modTime=10**18 + 5),
        make(path=b"bin/app2", mode=0o755, linkname=b"bin/app"),
        make(path=b"link", mode=tree.MODE_SYMLINK | 0o777, linkname=b"/etc/passwd"),
    ]
    out = tmp_path / "out"
    with serving(services.FileSend(str(out))) as (_, theirs):
        exported(theirs, stats, {1: b"elf"})
    assert (out / "bin/app").read_bytes() == b"elf"
    assert stat.S_IMODE((out / "bin/app").stat().st_mode) == 0o755
    assert (out / "bin/app").stat().st_mtime_ns == 10**18 + 5
    assert (out / "bin").stat().st_mtime_ns == 10**18
    assert (out / "bin/app2").stat().st_ino == (out / "bin/app").stat().st_ino
    assert os.readlink(out / "link") == "/etc/passwd"


@pytest.mark.parametrize("path", [b"../out2", b"/etc/x", b"a/b", b"..", b"", b"link/x", b"a\0b"])
def test_an_export_writes_nothing_outside_its_folder(tmp_path, path):
    make = messages.Stat
    stats = [
        make(path=b"link", mode=tree.MODE_SYMLINK | 0o777, linkname=str(tmp_path).encode()),
        make(path=path, mode=0o644, size=1),
    ]
    out = tmp_path / "out"
    with serving(services.FileSend(str(out))) as (session, theirs):
        with pytest.raises(GRPCError, match="outside the folder"):
            exported(theirs, stats, {1: b"x"})
        assert session.failure
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_what_is_in_the_way_of_an_export_is_replaced_and_no_link_is_followed(tmp_path):
    out = tmp_path / "out"
    write(tmp_path, {"precious": "mine", "out/folder/x": "old"})
    os.symlink(tmp_path / "precious", out / "file")
    stats = [
        messages.Stat(path=b"file", mode=0o644, size=3),
        messages.Stat(path=b"folder", mode=0o600, size=3),
    ]
    with serving(services.FileSend(str(out))) as (_, theirs):
        exported(theirs, stats, {0: b"new", 1: b"too"})
    assert (tmp_path / "precious").read_text() == "mine"
    assert (out / "file").read_text() == "new" and (out / "folder").read_text() == "too"


# --- Solve ---------------------------------------------------------------------------------------


class Control:
    """Plays BuildKit: it builds what it is asked for, fails, or never ends."""

    def __init__(self, *, fails: str = "", hangs: bool = False):
        self.fails, self.hangs, self.asked = fails, hangs, None

    def methods(self):
        service = "/moby.buildkit.v1.Control"
        return {f"{service}/Solve": self.solve, f"{service}/Status": self.status}

    async def status(self, stream):
        await stream.recv_message()
        for name in ("[1/2] FROM x", "[2/2] RUN y"):
            news = messages.StatusResponse(vertexes=[{"digest": name, "name": name}])
            await stream.send_message(news.SerializeToString())

    async def solve(self, stream):
        self.asked = messages.SolveRequest.FromString(await stream.recv_message())
        if self.hangs:
            await asyncio.sleep(100)
        if self.fails:
            raise GRPCError(Status.UNKNOWN, self.fails)
        answer = messages.SolveResponse(ExporterResponse={"containerimage.digest": "sha256:1"})
        await stream.send_message(answer.SerializeToString())


WHAT = control.Solve(
    session="s",
    attributes={"filename": "Dockerfile"},
    exports=[("moby", {"name": "x"})],
    cache_exports=[("inline", {})],
)


def test_a_solve_gives_its_news_and_then_what_the_exporters_answered():
    playing = Control()
    with serving(playing) as (_, sock), control.solving(sock, WHAT) as news:
        *statuses, answer = news
    trace = Trace()
    for status in statuses:
        trace.add(status)
    assert [step.name for step in trace.steps()] == ["[1/2] FROM x", "[2/2] RUN y"]
    assert answer == {"containerimage.digest": "sha256:1"}
    request = playing.asked
    assert request.Frontend == "dockerfile.v0" and request.Session == "s"
    assert request.ExporterDeprecated == request.Exporters[0].Type == "moby"
    assert (
        dict(request.ExporterAttrsDeprecated) == dict(request.Exporters[0].Attrs) == {"name": "x"}
    )
    assert request.Cache.Exports[0].Type == "inline"


def test_a_solve_that_fails_raises_buildkits_own_words():
    with (
        serving(Control(fails='unknown cache exporter: "registry"')) as (_, sock),
        pytest.raises(BuildKitError, match="unknown cache exporter"),
        control.solving(sock, WHAT) as news,
    ):
        list(news)


def test_leaving_a_solve_ends_its_thread_and_its_connection():
    with no_thread_left(), serving(Control(hangs=True)) as (_, sock):
        with control.solving(sock, WHAT) as news:
            next(news)
        assert sock.fileno() == -1


def test_a_solve_whose_engine_goes_away_is_an_error():
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(BuildKitError), control.solving(ours, WHAT) as news:
        list(news)


# --- transport -----------------------------------------------------------------------------------


def answering(answer: bytes) -> tuple[socket.socket, socket.socket]:
    """A connection whose other side has said `answer`."""
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    return ours, theirs


def test_an_upgrade_leaves_the_first_bytes_of_what_follows():
    ours, theirs = answering(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\nPRI")
    sock = transport.upgrade(ours, "/session", [("X-A", "1"), ("X-A", "2")])
    asked_for = theirs.recv(1000)
    assert asked_for.startswith(b"POST /session HTTP/1.1\r\n") and asked_for.count(b"X-A: ") == 2
    assert sock.recv(10) == b"PRI"
    sock.close(), theirs.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"HTTP/1.1 404 Not Found\r\n\r\n", 404), (b"", 0), (b"hello\r\n\r\n", 0)],
)
def test_an_engine_that_does_not_switch_is_told_apart(answer, status):
    ours, theirs = answering(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(NotUpgraded) as refused:
        transport.upgrade(ours, "/session")
    assert refused.value.status == status
    assert ours.fileno() == -1
    theirs.close()


class Pipe:
    """What the SDK has for a Windows named pipe: the methods of a socket, and no descriptor."""

    def __init__(self, sock: socket.socket):
        self._sock, self.closed = sock, False

    def sendall(self, data):
        self._sock.sendall(data)

    def recv(self, size):
        return self._sock.recv(size)

    def settimeout(self, seconds):
        pass

    def close(self):
        self.closed = True
        with_both_ways_down(self._sock)


def with_both_ways_down(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def test_a_pipe_is_pumped_through_a_pair_and_ends_with_the_session(tmp_path):
    content = os.urandom(500_000)
    (tmp_path / "large").write_bytes(content)
    pipe_end, theirs = socket.socketpair()
    pipe = Pipe(pipe_end)
    session = Session([services.FileSync({"context": tree.Folder(str(tmp_path))})])
    with no_thread_left(), session.serving(transport.as_socket(pipe)):
        _, contents = fetched(theirs)
        assert contents["large"] == content
    assert pipe.closed
    theirs.close()


# --- a local cache -------------------------------------------------------------------------------

STORE = [("buildkit-attachable-store-id", "local:cache")]
BLOB = os.urandom(3 << 20)
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"


def answers_of(
    cache: content.LocalCache, name: str, requests: list, *, store: str = "local:cache"
) -> list[bytes]:
    """What a content store answers to these requests, each sent when the last was answered."""

    async def talk(channel):
        method = StreamStreamMethod(channel, f"{CONTENT}/{name}", bytes, bytes)
        async with method.open(metadata=STORE) as stream:
            await stream.send_request()
            heard = []
            for request in requests:
                await stream.send_message(request.SerializeToString())
                if name != "Read":
                    heard.append(await stream.recv_message())
                    if heard[-1] is None:
                        break
            await stream.end()
            while (data := await stream.recv_message()) is not None:
                heard.append(data)
            return heard

    with serving(content.Content({store: cache})) as (_, sock):
        return asked(sock, talk)


def writing(digest: str = DIGEST) -> list:
    """As containerd's client writes a blob: its state, the pieces, and that it is whole."""
    at = 2 << 20
    return [
        messages.WriteContentRequest(action=content.STAT, expected=digest, total=len(BLOB)),
        messages.WriteContentRequest(action=content.WRITE, data=BLOB[:at]),
        messages.WriteContentRequest(action=content.WRITE, data=BLOB[at:], offset=at),
        messages.WriteContentRequest(
            action=content.COMMIT, expected=digest, total=len(BLOB), offset=len(BLOB)
        ),
    ]


def test_a_blob_that_is_written_to_a_local_cache_can_be_read_in_parts(tmp_path):
    cache = content.LocalCache(tmp_path / "cache")
    *_, last = answers_of(cache, "Write", writing())
    answer = messages.WriteContentResponse.FromString(last)
    assert (answer.digest, answer.offset) == (DIGEST, len(BLOB))
    for offset, size in ((0, 0), (100, 0), (5, 1 << 20), (len(BLOB), 0)):
        request = messages.ReadContentRequest(digest=DIGEST, offset=offset, size=size)
        pieces = map(messages.ReadContentResponse.FromString, answers_of(cache, "Read", [request]))
        read = b"".join(piece.data for piece in pieces)
        assert read == BLOB[offset : offset + size if size else None]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["blobs"]


@pytest.mark.parametrize(
    ("digest", "status"),
    [
        (f"sha256:{'0' * 64}", Status.FAILED_PRECONDITION),
        ("sha256:../../x", Status.INVALID_ARGUMENT),
        ("md5:0", Status.INVALID_ARGUMENT),
    ],
)
def test_a_blob_that_is_not_what_its_digest_says_stays_out(tmp_path, digest, status):
    cache = content.LocalCache(tmp_path / "cache")
    with pytest.raises(GRPCError) as refused:
        answers_of(cache, "Write", writing(digest))
    assert refused.value.status is status
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_blob_that_is_here_already_is_not_taken_twice(tmp_path):
    cache = content.LocalCache(tmp_path)
    answers_of(cache, "Write", writing())
    with pytest.raises(GRPCError) as refused:
        answers_of(cache, "Write", writing())
    assert refused.value.status is Status.ALREADY_EXISTS


def test_a_blob_or_a_store_that_is_not_here_is_not_found(tmp_path):
    for store in ("local:cache", "local:other"):
        with pytest.raises(GRPCError) as refused:
            asking = [messages.InfoRequest(digest=DIGEST)]
            answers_of(content.LocalCache(tmp_path), "Info", asking, store=store)
        assert refused.value.status is Status.NOT_FOUND


def test_the_index_of_a_local_cache_has_one_manifest_a_tag(tmp_path):
    cache = content.LocalCache(tmp_path)
    assert cache.digest() is None
    for digest, tag in (("sha256:1", "latest"), ("sha256:2", "other"), ("sha256:3", "latest")):
        cache.put({"mediaType": "x", "digest": digest, "size": 1}, tag)
    assert (cache.digest(), cache.digest("other")) == ("sha256:3", "sha256:2")
    for damaged in ("[]", "{", '{"manifests": 3}', '{"manifests": [{}]}', '{"manifests": ["x"]}'):
        (tmp_path / "index.json").write_text(damaged)
        with pytest.raises(BuildKitError, match=r"index\.json"):
            cache.digest()
