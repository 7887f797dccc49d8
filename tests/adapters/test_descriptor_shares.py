"""Shares of descriptors."""

from __future__ import annotations

import resource

import pytest

from mooring.adapters.host.descriptor_shares import Shares, SharesOfLimit


def fill(shares: Shares, count: int) -> list[int]:
    """What so many have who all want everything, one taking after another in turn."""
    have = [0] * count
    while took := [number for number in range(count) if shares.take(have[number])]:
        for number in took:
            have[number] += 1
    return have


@pytest.mark.parametrize(("count", "each"), [(1, 60), (2, 40), (3, 30), (5, 20)])
def test_nobody_has_more_than_is_left(count: int, each: int) -> None:
    """One has half, two a third each; whoever comes then gets something."""
    shares = Shares(120)
    assert all(abs(have - each) <= 1 for have in fill(shares, count))
    assert shares.take(0)


def test_what_is_given_back_can_be_taken() -> None:
    """Of four, one alone has two."""
    shares = Shares(4)
    assert fill(shares, 1) == [2]
    assert not shares.take(2)
    shares.release()
    assert shares.take(1)


@pytest.mark.parametrize(("soft", "part"), [(1024, 256), (2, 1), (resource.RLIM_INFINITY, 1 << 18)])
def test_a_part_of_the_limit_is_one_at_least(monkeypatch: pytest.MonkeyPatch, soft: int, part: int) -> None:
    """Without a limit it is the kernel's; it follows when the program changes its limit."""
    shares = SharesOfLimit(4)
    for now, wanted in ((64, 16), (soft, part)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, now=now: (now, now))
        assert shares.total == wanted
