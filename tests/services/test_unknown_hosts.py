"""Hosts of which the cluster has no record: they are told after a while, and nobody who is only just joining is."""

from __future__ import annotations

from dataclasses import replace

from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.unknown_hosts import UnknownHosts
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from tests.core.test_cluster_hosts import MINE


async def test_who_has_no_record_for_a_while_is_told_for_each_place() -> None:
    """Not this host, not nobody, and not whoever has a record."""
    servers = MemoryCluster(ManualClock())
    records = HostRecords(servers.client("A"))
    unknown = UnknownHosts(records, MINE.id, servers.clock, 30.0)
    for host in (MINE, replace(MINE, id="known")):
        await records.put_host(host, 0)
    hosts = {MINE.id, "", "known", "gone"}
    assert await unknown.among("here", hosts) == []
    servers.clock.advance(29.0)
    assert await unknown.among("here", hosts) == []
    servers.clock.advance(1.0)
    assert await unknown.among("elsewhere", hosts) == []
    assert await unknown.among("here", hosts) == ["gone"]


async def test_who_comes_to_have_a_record_or_has_nothing_there_any_more_begins_anew() -> None:
    """Two sightings count that nothing was between."""
    servers = MemoryCluster(ManualClock())
    records = HostRecords(servers.client("A"))
    unknown = UnknownHosts(records, MINE.id, servers.clock, 30.0)
    await records.put_host(MINE, 0)
    assert await unknown.among("here", {"came", "left"}) == []
    servers.clock.advance(20.0)
    await records.put_host(replace(MINE, id="came"), 0)
    assert await unknown.among("here", {"came"}) == []
    servers.clock.advance(20.0)
    assert await unknown.among("here", {"came", "left"}) == []
    servers.clock.advance(30.0)
    assert await unknown.among("here", {"came", "left"}) == ["left"]


async def test_who_has_no_record_himself_judges_nobody() -> None:
    """He was forgotten, or has only begun to join."""
    servers = MemoryCluster(ManualClock())
    unknown = UnknownHosts(HostRecords(servers.client("A")), MINE.id, servers.clock, 30.0)
    for _ in range(2):
        assert await unknown.among("here", {"gone"}) == []
        servers.clock.advance(30.0)
