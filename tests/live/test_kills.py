"""Commands that are killed at random moments leave nothing half-written, and the next one works."""

import random
import time

import kills
import pytest
from own_engine import OwnEngine, hand_over, skip_where_none_can_be

from shiplight.builds import provide


def test_five_commands_that_are_killed_leave_nothing_that_clean_does_not_find(client, monkeypatch):
    """Fifty are killed by `python tests/live/kills.py 50`."""
    skip_where_none_can_be()
    [base] = provide(client, ["busybox"])
    monkeypatch.setenv("LAB_ID", f"kills{time.time_ns() % 10**10}")
    own, seed = OwnEngine(), random.randrange(10**6)
    try:
        hand_over(base.used, client, own.start())
        monkeypatch.setenv("DOCKER_HOST", own.url)
        kills.rounds(own, 5, seed)
    except AssertionError as error:
        pytest.fail(f"seed {seed}: {error}")
    finally:
        own.close()
