"""Until when images get security fixes: the data, its day, and how it is made."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from checking import check, result

from shiplight.checks import checklist
from shiplight.checks.reading import known, support
from shiplight.checks.reading.data import refresh
from shiplight.checks.reading.known import describe

PAGE = """---
title: Thing
identifiers:
  - purl: pkg:docker/library/thing
  - purl: pkg:docker/of/thing
  - purl: pkg:oci/thing?repository_url=quay.io/of
  - cpe: cpe:/a:thing
releases:
  - releaseCycle: "2"
    eol: false
  - releaseCycle: "1.10"
    eol: 2025-02-03
  - releaseCycle: "0.9"
    eol: true
  - releaseCycle: "0.1"
---
Thing is --- a thing.
"""


def test_every_suite_with_a_number_has_the_version_of_its_c_library():
    for row in known.data("suites")["suite"]:
        assert row["names"].keys() == row["glibc"].keys()


def test_a_product_is_read_out_of_its_page():
    assert refresh.product_of(PAGE) == {
        "images": ["thing", "of/thing", "quay.io/of/thing"],
        "ends": {"2": False, "1.10": "2025-02-03", "0.9": True},
    }


def test_the_day_of_the_data_is_shown_and_old_data_is_warned_of(tmp_path):
    for days, warned in ((183, False), (184, True)):
        today = support.as_of() + timedelta(days=days)
        assert ("older than half a year" in support.dated(today)) == warned
    late = support.as_of() + timedelta(days=184)
    for base in ("node:24-slim", "node:16", "registry.example.com/base:1"):
        subject = replace(check(tmp_path, f"FROM {base}").subject, today=late)
        evidence = result(checklist.run(subject), "supported-bases").outcome.evidence
        assert "older than half a year" in evidence, base
    evidence = result(check(tmp_path, "FROM node:24-slim"), "supported-bases").outcome.evidence
    assert f"dates of {support.as_of()}" in evidence


@pytest.mark.parametrize(
    ("reference", "last"),
    [
        ("postgres:12.3", date(2024, 11, 21)),
        ("tomcat:9", date(2027, 3, 31)),  # of 9.0
        ("python:2", date(2020, 1, 1)),  # of 2.7, its newest
        ("nginx:1.30", date.max),
        ("alpine:2.0", date(2012, 11, 1)),  # older than the first that is listed
        ("alpine:9.1", None),
        ("debian:bookworm-slim", date(2028, 6, 30)),  # with LTS
    ],
)
def test_a_tag_has_the_last_day_of_the_release_that_it_means(reference, last):
    assert [part.last for part in support.parts_of(describe(reference))] == [last]
