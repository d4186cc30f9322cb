"""`./lab check --build` promises bytes, and the fix saves them."""

import checking
import pytest
import wasteful

from shiplight.checks import checklist, with_build

pytestmark = pytest.mark.usefixtures("client")


def weighed(client, path):
    """Where the bytes of a Dockerfile's image are."""
    subject = checklist.read_subject(path, today=checking.TODAY)
    return checklist.run(with_build(client, subject)).weight


@pytest.mark.parametrize(
    "context", [wasteful.ARCHIVE, wasteful.SOURCES, wasteful.GO], ids=lambda one: one.name
)
def test_what_is_promised_is_what_the_fix_saves(client, tmp_path, context):
    before = weighed(client, context.write(tmp_path / "before", fixed=False))
    after = weighed(client, context.write(tmp_path / "after", fixed=True))
    assert {row.kind for row in before.rows} == context.kinds and not after.rows
    saved = before.unpacked_bytes - after.unpacked_bytes
    assert abs(saved - before.can_go_bytes) <= saved / 20
    assert before.base_bytes == after.base_bytes
