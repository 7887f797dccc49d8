"""Sessions: who is heard, and since when nobody has been."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.sessions import SessionRule, Standing
from mooring.services.cluster.sessions import Sessions
from mooring.services.cluster.shared_values import Member, SharedValues
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_store import When

RULE = SessionRule(ttl=15.0, margin=5.0, grace=5.0, refresh=4.0)


def sessions(servers: MemoryCluster, host: str) -> Sessions:
    return Sessions(SharedValues(servers.client(host)), servers.clock, Member(host, "b1"), RULE)


async def test_a_host_is_heard_while_it_refreshes_and_silent_from_when_that_was_seen() -> None:
    """The silence is counted on the asker's own clock."""
    clock = ManualClock()
    servers = MemoryCluster(clock)
    one, two = sessions(servers, "A"), sessions(servers, "B")
    await one.refresh()
    for _ in range(3):
        clock.advance(10.0)
        await one.refresh()
        assert await two.standing("A") == Standing(heard=True)
    clock.advance(16.0)
    assert await two.standing("A") == Standing(heard=False, silent=0.0)
    clock.advance(7.0)
    assert await two.standing("A") == Standing(heard=False, silent=7.0)
    await one.refresh()
    assert await two.standing("A") == Standing(heard=True)


async def test_who_is_in_a_cluster_leaves_the_refreshes_to_the_membership() -> None:
    """There is one writer of a session."""
    servers = MemoryCluster()
    values = SharedValues(servers.client("A"))
    one = Sessions(values, servers.clock, Member("A", "b1"), RULE, heard=lambda: 7.0)
    await one.refresh()
    assert one.confirmed == 7.0
    assert servers.records == {}


async def test_only_a_refresh_that_was_confirmed_counts() -> None:
    """From when it was asked for."""
    clock = ManualClock()
    servers = MemoryCluster(clock)
    one = sessions(servers, "A")
    assert one.confirmed is None
    await one.refresh()
    first = one.confirmed
    clock.advance(3.0)
    servers.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await one.refresh()
    assert one.confirmed == first == clock.boot() - 3.0


async def test_a_silence_begins_anew_after_a_time_in_which_nobody_looked() -> None:
    """The host may have been heard for hours in between; its grace is not over at the first look."""
    clock = ManualClock()
    servers = MemoryCluster(clock)
    one, two = sessions(servers, "A"), sessions(servers, "B")
    assert await two.standing("A") == Standing(heard=False, silent=0.0)
    clock.advance(5.0)
    await one.refresh()
    clock.advance(3600.0)
    assert await two.standing("A") == Standing(heard=False, silent=0.0)


async def test_who_was_silent_is_looked_for_again_until_he_is_heard() -> None:
    """So that whoever tries again in a minute has not to begin anew; a turn of the plan does it."""
    clock = ManualClock()
    servers = MemoryCluster(clock)
    one, two = sessions(servers, "A"), sessions(servers, "B")
    await two.standing("A")
    for _ in range(10):
        clock.advance(4.0)
        await two.watch()
    clock.advance(4.0)
    assert await two.standing("A") == Standing(heard=False, silent=44.0)
    await one.refresh()
    await two.watch()
    clock.advance(16.0)
    assert await two.standing("A") == Standing(heard=False, silent=0.0)
