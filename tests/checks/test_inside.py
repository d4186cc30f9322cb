"""What files inside a built image tell: keys by their content, and who has root's number."""

import time
from dataclasses import replace

import pytest
from checking import built_subject, check, result
from factories import Image, file, legacy, whiteout

from shiplight.checks import checklist
from shiplight.checks.reading.inside import Inside, understood, wanted
from shiplight.checks.reading.secretshapes import has_private_key
from shiplight.checks.reading.subject import Built
from shiplight.image import read_image

LINE = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"


def key(kind, *, body=LINE):
    return b"-----BEGIN " + kind + b"-----\n" + body * 3 + b"-----END " + kind + b"-----\n"


KEYS = {
    "PKCS 8": key(b"PRIVATE KEY"),
    "RSA": key(b"RSA PRIVATE KEY"),
    "encrypted": key(b"RSA PRIVATE KEY", body=b"Proc-Type: 4,ENCRYPTED\n\n" + LINE),
    "OpenSSH": key(b"OPENSSH PRIVATE KEY"),
    "with certificates before it": key(b"CERTIFICATE") + key(b"EC PRIVATE KEY"),
    "OpenPGP": key(b"PGP PRIVATE KEY BLOCK"),
}
NO_KEYS = {
    "a certificate": key(b"CERTIFICATE"),
    "a public key": key(b"PUBLIC KEY"),
    "words about one": b"put it between -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----\n"
    * 3,
    "a template": b"-----BEGIN PRIVATE KEY-----\n${KEY}\n-----END PRIVATE KEY-----\n" + b"#" * 99,
}


def found_in(folder, data, path="srv/deploy_key"):
    """What is said of secrets where a COPY brought this file."""
    found = built_subject(folder, "FROM debian\nCOPY a /\n", [[file(path, data)]])
    image = found.built.image
    files = {path: data} | {"etc/passwd": b""}
    inside = understood(image, [(each, files[each]) for each in wanted(image, {1})])
    subject = replace(found, built=Built(image, inside=inside))
    return result(checklist.run(subject), "secrets").outcome


@pytest.mark.parametrize("kind", KEYS)
def test_a_private_key_is_found_by_its_content_whatever_it_is_called(tmp_path, kind):
    outcome = found_in(tmp_path, KEYS[kind])
    assert outcome.result == "failed"
    assert [(p.line, p.path) for p in outcome.places] == [(2, "/srv/deploy_key")]
    assert "MIIE" not in str(outcome)


@pytest.mark.parametrize("kind", NO_KEYS)
def test_what_is_no_private_key_is_none(tmp_path, kind):
    assert found_in(tmp_path, NO_KEYS[kind]).result == "passed"


@pytest.mark.parametrize("frame", [*KEYS.values(), NO_KEYS["a template"]])
def test_an_image_a_context_and_a_text_agree_on_what_a_private_key_is(tmp_path, frame):
    said = {"failed" if frame in KEYS.values() else "passed"}
    inside = found_in(tmp_path, frame)
    context = check(tmp_path, "FROM debian\nCOPY . /srv\n", {"x.pem": frame.decode()})
    line = frame.decode().replace("\n", "\\n")
    text = check(tmp_path, f"FROM debian\nRUN printf '{line}' > /k\n")
    assert {inside.result, *(result(c, "secrets").outcome.result for c in (context, text))} == said


@pytest.mark.parametrize(
    "piece", ["a: b ", "a: b\n", "a: -----BEGIN PRIVATE KEY-----\n", "\n", "\\n"]
)
def test_a_frame_of_a_key_takes_no_time_whatever_follows(piece):
    begun = time.process_time()
    assert not has_private_key("-----BEGIN PRIVATE KEY-----\n" + piece * 30_000)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "path",
    ["usr/lib/python3/dist-packages/x/tests/a.pem", "app/node_modules/x/test/k", "app/doc.md"],
)
def test_a_key_that_a_package_came_with_for_its_tests_is_none_of_ours(tmp_path, path):
    assert found_in(tmp_path, KEYS["RSA"], path).result == "passed"


def test_a_file_of_secrets_that_a_later_layer_deletes_is_still_in_the_image(tmp_path):
    layers = [[file("app/.env", 300)], [whiteout("app/.env")]]
    found = built_subject(tmp_path, "FROM debian\nCOPY a /app\nRUN rm /app/.env\n", layers)
    outcome = result(checklist.run(found), "secrets").outcome
    assert [(p.line, p.path, p.bytes) for p in outcome.places] == [(2, "/app/.env", 300)]


def test_secrets_are_found_where_a_builder_writes_another_history(tmp_path):
    keys = [file("srv/deploy", KEYS["PKCS 8"]), file("srv/id_rsa", 300)]
    image = Image([[file("bin/sh", 5)], keys], history=[{"created_by": "a"}, {"created_by": "b"}])
    image, subject = read_image([legacy(image)]), check(tmp_path, "FROM debian\nCOPY a /\n").subject
    built = Built(image, inside=Inside(keys=("srv/deploy",)))
    outcome = result(checklist.run(replace(subject, built=built)), "secrets").outcome
    assert {place.path for place in outcome.places} == {"/srv/deploy", "/srv/id_rsa"}


@pytest.mark.parametrize(
    ("passwd", "roots"),
    [
        ("root:x:0:0::/:/bin/sh\napp:x:0:0::/:/bin/sh\nweb:x:10:0::/:/bin/sh\n", ("app",)),
        ("root:x:0:0::/:/bin/sh\ntoor:*:000:0::/:\n", ("toor",)),
        ("root:x:0:0::/:/bin/sh\nbroken\n:\nten:x:10:0::/:/bin/sh\n", ()),
    ],
)
def test_a_user_with_roots_number_is_root_whatever_its_name(tmp_path, passwd, roots):
    text = "FROM debian\nCOPY passwd /etc/passwd\nUSER {}\n"
    layers = [[file("etc/passwd", passwd.encode())]]
    found = built_subject(tmp_path, text.format(*roots or ("ten",)), layers)
    image = found.built.image
    inside = understood(image, [("etc/passwd", passwd.encode())])
    assert inside == Inside(roots=roots) and wanted(image, {1})[0] == "etc/passwd"
    config = {**image.config, "User": (roots or ("ten",))[0]}
    image = replace(image, config=config)
    outcome = result(checklist.run(replace(found, built=Built(image, inside=inside))), "user")
    assert outcome.outcome.result == ("failed" if roots else "passed")


def test_no_more_is_read_than_is_bounded(tmp_path):
    layer = [file(f"srv/k{n}", 1_000) for n in range(400)]
    layer += [file(f"srv/lib{n}.so", 200_000) for n in range(200)]
    found = built_subject(tmp_path, "FROM debian\nCOPY a /\n", [layer])
    chosen = wanted(found.built.image, {1})
    assert len(chosen) == 150 and sum(name.endswith(".so") for name in chosen) == 75
