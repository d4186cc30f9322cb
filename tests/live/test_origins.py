"""On a real engine: where the bytes of small multi-stage images were born."""

import json
import uuid

import pytest

from shiplight import builds
from shiplight.checks import mask
from shiplight.cli import commands
from shiplight.inspection import Origins, origins

FOUR_STAGES = """FROM busybox AS common
RUN head -c 1000 /bin/busybox > /shared # {once}

FROM common AS made
COPY words /in/
RUN cat /in/words /shared > /out && head -c 7000 /bin/busybox > /tools

FROM scratch
COPY --from=made /out /out
COPY --from=busybox /bin/true /true

FROM common
COPY --from=2 /out /first
COPY --from=made /out /second
COPY words /in/
RUN --mount=from=made,source=/tools,target=/tools head -c 50 /tools > /drawn && rm /first
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Dockerfile").write_text(FOUR_STAGES.replace("{once}", uuid.uuid4().hex))
    (tmp_path / "words").write_text("born in the context\n")
    (tmp_path / "unused").write_text("never copied")
    return str(tmp_path)


def test_the_bytes_of_four_stages_add_up_and_have_their_origins(
    client, folder, capsys, not_on_podman
):
    found = origins(client, folder)
    assert found.stages == ("common", "made", "stage-2", "stage-3") and found.ran
    table = {(row.stage, row.line): row for row in found.rows}
    base = table["common", 1]
    assert base.kind == "base" and base.left_behind_bytes == 0
    assert (table["common", 2].born_bytes, table["common", 2].left_behind_bytes) == (1000, 0)
    assert (table[None, None].born_bytes, table[None, None].shipped_bytes) == (20, 20)
    made = table["made", 6]
    assert (made.born_bytes, made.shipped_bytes) == (8020, 1020)
    assert table["stage-3", 14].shipped_bytes == 1020  # the second copy
    assert table["stage-3", 16].shipped_bytes == 50
    assert table["stage-3", 16].mounted == ("made",)
    total = sum(row.shipped_bytes for row in found.rows)
    assert total == found.unpacked_bytes == base.born_bytes + 1000 + 20 + 2 * 1020 + 50

    not_on_podman("does not take a COPY from a stage out of its cache again")
    capsys.readouterr()
    assert commands.main(["origins", folder, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["ran"] == [] and Origins.from_dict(again).rows == found.rows


def test_an_edit_names_the_file_and_the_first_step_that_runs_again(client, folder, tmp_path):
    builds.build(client, folder)
    assert builds.why(folder, mask=mask).first
    (tmp_path / "words").write_text("edited\n")
    (tmp_path / "unused").write_text("edited, too")
    builds.build(client, folder)
    found = builds.why(folder, mask=mask)
    assert (5, "words changed") in [(one.line, one.why) for one in found.reasons]
