"""A small service is scored on an engine: a good image, and one with every fault that is quick."""

import uuid

import pytest

from shiplight.scoring import Limits, score

GOOD = """FROM busybox AS builder
COPY lock /
RUN : pip install -r /lock && mkdir -p /www && echo '{"ok": true}' > /www/healthz
COPY main.py /

FROM busybox
COPY --from=builder /www /www
COPY main.py /www/
USER 65532
EXPOSE 8080
STOPSIGNAL SIGKILL
ENTRYPOINT ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
BAD = """FROM busybox
ARG TOKEN
COPY . /src
RUN : pip install -r /src/lock && mkdir -p /www && echo '{"ok": true}' > /www/healthz
RUN echo "$TOKEN" > /token
RUN rm /token
EXPOSE 8080
STOPSIGNAL SIGKILL
CMD httpd -f -p 8080 -h /www
"""
LIMITS = Limits(at_most=50_000_000, port=8080, edit="main.py")


@pytest.fixture
def folder(tmp_path):
    """A folder whose contents no build has had before."""
    (tmp_path / "lock").write_text(uuid.uuid4().hex)
    (tmp_path / "main.py").write_text("print()\n")
    return tmp_path


def test_a_good_image_meets_what_is_asked_and_a_bad_one_fails_each_for_its_reason(
    client, folder, not_on_podman
):
    not_on_podman("gives a build no secret")
    token = f"made-up-{uuid.uuid4().hex}"
    good = score(client, folder, text=GOOD, name="scored/good", limits=LIMITS, token=token)
    met = {row.id for row in good.rows if row.passed}
    assert met >= {"builds", "answers", "bytes", "edit", "user", "secret"}, good
    assert good.digest and good.unpacked_bytes < 50_000_000

    bad = score(client, folder, text=BAD, name="scored/bad", limits=LIMITS, token=token)
    failed = {row.id for row in bad.rows if not row.passed}
    assert failed == {"edit", "findings", "user", "secret"}, bad
    assert "installed again: RUN : pip install" in bad["edit"].measured
    assert "hidden file: /token" in bad["secret"].measured
    assert bad.points < good.points and token not in f"{bad!r}{bad.to_dict()}"


def test_a_dockerfile_that_does_not_build_is_scored_too(client, folder):
    text = "FROM busybox\nRUN exit 3\n"
    found = score(client, folder, text=text, name="scored/broken", limits=LIMITS)
    assert found.points == 0 and "exited with 3" in found["builds"].measured
