"""Programs on bases, on a real engine: the chosen one is the smallest on which it runs."""

import pytest

from shiplight.inspection import runtimes


@pytest.fixture(scope="module")
def seen(client):
    return [runtimes.look(client, base) for base in runtimes.BASES]


def test_bases_offer_what_they_are_known_for(seen):
    found = {runtimes.short(each.reference): each for each in seen}
    assert {name: each.libc for name, each in found.items()} == {
        "scratch": "", "distroless/static": "", "distroless/base": "glibc",
        "distroless/cc": "glibc", "alpine": "musl", "debian-slim": "glibc", "debian": "glibc",
    }  # fmt: skip
    assert {name for name, each in found.items() if each.shell} == {
        "alpine", "debian-slim", "debian",
    }  # fmt: skip
    assert {name for name, each in found.items() if not each.certificates} == {
        "scratch", "debian-slim", "debian",
    }  # fmt: skip
    assert "nonroot" in found["distroless/static"].users and not found["scratch"].users


@pytest.mark.parametrize("program", runtimes.PROGRAMS)
def test_what_is_chosen_is_the_smallest_base_on_which_it_runs(client, seen, program):
    tries = runtimes.try_on(client, program, *runtimes.BASES)
    bytes_of = {each.reference: each.unpacked_bytes for each in seen}
    running = [tried.base for tried in tries if tried.runs]
    chosen = runtimes.choose(seen, runtimes.linked(client, tries[0]))
    assert chosen.reference == min(running, key=bytes_of.__getitem__)
    assert all(tried.failure for tried in tries if tried.base not in running)
