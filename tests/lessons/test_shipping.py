"""Lesson 13 in every language, from what is recorded; CI runs the notebook in one."""

import pytest

from shiplight.catalogue import APPS
from shiplight.checks import read_subject, run
from shiplight.lessons import results, shipping
from shiplight.scoring import MOST
from shiplight.scoring.points import bytes_points

ASKS_THE_IMAGE = {"stripped"}  # the text alone cannot settle it


@pytest.mark.parametrize("language", shipping.services())
def test_course_image_loses_points_as_the_lesson_claims(language):
    name = shipping.service(language)["ours"]
    [recorded] = [row for row in results.recorded()[0] if row.name == name]
    app, variant = name.split("/")
    checked = run(read_subject(APPS / app / f"Dockerfile.{variant}", context=APPS / app))
    failed = {result.check.id for result in checked.results if result.counts} - ASKS_THE_IMAGE
    points = bytes_points(recorded.unpacked_bytes, shipping.limits_of(language))
    assert failed or points < MOST["bytes"]
