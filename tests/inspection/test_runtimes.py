"""Runtime bases: what their files offer, and which one to choose."""

from dataclasses import replace

import pytest
from factories import directory, file, symlink
from results import SETTING, image

from shiplight.charts import frames
from shiplight.errors import UsageError
from shiplight.image import Program
from shiplight.inspection import Probe, measuring, runtimes

GLIBC_PROGRAM = Program("server", "/lib64/ld-linux-x86-64.so.2", ("libc.so.6",), 0, 0)
NEEDS_GCC = replace(GLIBC_PROGRAM, needed=("libgcc_s.so.1", "libc.so.6"))
STATIC = Program("server", "", (), 0, 0)

EMPTY = runtimes.Runtime("scratch", 0, 0)
SMALL = runtimes.Runtime("small", 2, 1, certificates=True, time_zones=True, tmp=True)
LIBC = replace(SMALL, reference="libc", unpacked_bytes=20, libc="glibc", libraries=("libc.so.6",))
GCC = replace(LIBC, reference="gcc", unpacked_bytes=23, libraries=("libc.so.6", "libgcc_s.so.1"))
MUSL = runtimes.Runtime("musl", 8, 4, "musl", ("libc.musl-x86_64.so.1",), True, "apk", True)
WHOLE = replace(GCC, reference="whole", unpacked_bytes=75, shell=True, package_manager="apt")
ALL = (WHOLE, MUSL, GCC, LIBC, SMALL, EMPTY)


@pytest.mark.parametrize(
    ("program", "needs", "chosen"),
    [
        (STATIC, {}, "scratch"),
        (STATIC, {"certificates": True}, "small"),
        (STATIC, {"shell": True}, "musl"),
        (STATIC, {"shell": True, "time_zones": True}, "whole"),
        (GLIBC_PROGRAM, {}, "libc"),
        (NEEDS_GCC, {}, "gcc"),
        (NEEDS_GCC, {"package_manager": True}, "whole"),
        (None, {"libc": "musl"}, "musl"),
        (None, {"libc": "glibc", "shell": True}, "whole"),
    ],
)
def test_the_smallest_base_that_has_all_that_is_needed_is_chosen(program, needs, chosen):
    assert runtimes.choose(ALL, program, **needs).reference == chosen


def test_where_no_base_has_it_all_the_needs_are_named():
    with pytest.raises(UsageError, match=r"none .* has musl, time_zones"):
        runtimes.choose(ALL, libc="musl", time_zones=True)
    with pytest.raises(UsageError, match=r"libcurl\.so\.4"):
        runtimes.choose(ALL, replace(GLIBC_PROGRAM, needed=("libcurl.so.4",)))


def test_a_base_offers_what_its_files_are():
    debian = image(
        [
            *(directory("tmp"), file("bin/sh", 5), file("usr/bin/apt-get", 5)),
            file("usr/lib/x86_64-linux-gnu/libc.so.6", 100),
            file("usr/lib/x86_64-linux-gnu/gconv/UTF-7.so", 3),
            symlink("lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
            file("usr/share/zoneinfo/Europe/Berlin", 9),
        ]
    )
    found = runtimes.offered("debian:x", debian)
    assert found.libraries == ("ld-linux-x86-64.so.2", "libc.so.6"), "and no plug-in"
    assert (found.libc, found.package_manager, found.unpacked_bytes) == ("glibc", "apt", 122)
    assert found.shell and found.time_zones and found.tmp and not found.certificates
    bare = runtimes.offered("bare", image([file("etc/ssl/certs/ca-certificates.crt", 1)]))
    assert bare.certificates and not bare.libraries
    assert not (bare.libc or bare.shell or bare.tmp or bare.package_manager)


def test_what_was_looked_at_and_tried_comes_back_from_json():
    seen = replace(WHOLE, users=("root", "nobody"), setting=SETTING)
    assert runtimes.Runtime.from_dict(seen.to_dict()) == seen
    assert Program.from_dict(NEEDS_GCC.to_dict()) == NEEDS_GCC
    probe = Probe("tag", False, None, None, "", None, 1, None, ("exec: no such file",))
    tried = runtimes.Try("go-dynamic", "gcr.io/distroless/static-debian12", "tag", probe, SETTING)
    assert runtimes.Try.from_dict(tried.to_dict()) == tried
    assert not tried.runs and tried.failure == "exec: no such file"
    table = frames.rows(tried)
    assert table["base"][0] == "distroless/static" and frames.setting_of(table) == SETTING


def test_an_unknown_program_is_named_before_anything_is_asked_for():
    with pytest.raises(UsageError, match="no program 'perl'"):
        runtimes.try_on(None, "perl", "scratch")


def test_a_program_says_whose_loader_it_asks_for():
    assert (STATIC.libc, GLIBC_PROGRAM.libc) == ("", "glibc")
    assert replace(STATIC, interpreter="/lib/ld-musl-x86_64.so.1").libc == "musl"


def test_a_layer_that_images_share_is_stored_once():
    base = [file("usr/lib/base", 1000)]
    one, two = image(base, [file("a", 10)]), image(base, [file("b", 20)])
    assert measuring.stored_bytes(one, two) == 1030
    assert measuring.stored_bytes(one) == one.unpacked_bytes and measuring.stored_bytes() == 0


def test_a_try_that_is_replayed_says_so_of_its_probe():
    probe = Probe("tag", True, 0.1, {}, "", True, 0, 0.2, (), True, SETTING)
    tried = runtimes.Try("go-static", "scratch", "tag", probe, SETTING)
    replayed = replace(tried, setting=replace(SETTING, mode="recorded"))
    assert (tried.probe.setting.mode, replayed.probe.setting.mode) == ("measured", "recorded")
