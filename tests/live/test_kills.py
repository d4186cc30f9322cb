"""Commands that are killed at random moments leave nothing half-written, and the next one works."""

import random
import time

import kills
import pytest
from own_engine import with_busybox


def test_commands_that_are_killed_leave_nothing_that_clean_does_not_find(client, monkeypatch):
    """One of each; fifty are killed by `python tests/live/kills.py 50`."""
    seed = random.randrange(10**6)
    with with_busybox(client) as own:
        monkeypatch.setenv("LAB_ID", f"kills{time.time_ns() % 10**10}")
        monkeypatch.setenv("DOCKER_HOST", own.url)
        try:
            kills.rounds(own, len(kills.COMMANDS), seed)
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
