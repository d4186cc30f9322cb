"""What is missing since it lay in a cache mount: engines only say that it is not found."""

import pytest

from shiplight import dockerfile
from shiplight.builds.lost import in_a_cache_mount

TEXT = """\
FROM rust AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=target \\
    cargo build --release
RUN cp target/release/app /app
RUN --mount=type=cache,dst=/root/.m2 --mount=type=bind,target=/other mvn package
FROM scratch
COPY --from=build /src/target/release/app /app
RUN --mount=type=cache,target=/$HOME/x true
"""
OLD = "failed to compute cache key: failed to walk /var/lib/docker/x: lstat {}: no such file"
NEW = 'failed to compute cache key: "{}" not found: not found'


def advice(line: int | None, said: str) -> str:
    return in_a_cache_mount(dockerfile.parse(TEXT), line, said)


@pytest.mark.parametrize(
    ("line", "said", "mount"),
    [
        (9, NEW.format("/src/target/release/app"), "/src/target is a cache mount (line 4)"),
        (9, OLD.format("/src/target/release/app"), "/src/target is a cache mount (line 4)"),
        (None, NEW.format("/src/target"), "/src/target is a cache mount (line 4)"),
        (6, "cp: cannot stat 'target/release/app': No such file or directory", "(line 4)"),
        (9, NEW.format("/root/.m2/repository/x.jar"), "/root/.m2 is a cache mount (line 7)"),
    ],
)
def test_what_lay_in_a_cache_mount_is_said_to_be_in_no_layer(line, said, mount):
    found = advice(line, said)
    assert mount in found and "not part of any layer" in found


def test_a_failed_step_with_the_same_mount_misses_nothing_in_it():
    mount = "RUN --mount=type=cache,target=/go/pkg/mod"
    read = dockerfile.parse(f"FROM golang\n{mount} go mod download\n{mount} go build\n")
    said = "/go/pkg/mod/github.com/x/y@v1/z.go:5:2: package foo is not found in std"
    assert in_a_cache_mount(read, 3, said) == ""
    assert "(line 2)" in in_a_cache_mount(read, 9, said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (6, "cat: /etc/nope: No such file or directory\nreading /src/target/x"),
        (9, NEW.format("/src/target2/app")),
        (9, NEW.format("/opt/src/target")),
        (9, NEW.format("/other/app")),
        (9, NEW.format("/src/app")),
        (4, "error: /src/target/x: no such file or directory"),
        (6, "target/release/app: permission denied"),
    ],
)
def test_other_failures_are_not_laid_to_a_cache_mount(line, said):
    assert advice(line, said) == ""
