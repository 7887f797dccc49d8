"""What people read instead of hosts' ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.cluster_hosts import ClusterHost, Underlay
from mooring.core.faults import Conflict, Unavailable
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.known_hosts import LOOK, KnownHosts
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster

ID = "0a1b2c3d4e5f"
ELSEWHERE = Underlay("10.0.0.1", "eth0", 1500)


async def test_faults_name_hosts_as_people_do() -> None:
    """What, who holds it and what to do; words that look like it, and hosts that nobody knows, stay."""
    servers = MemoryCluster(ManualClock())
    records = HostRecords(servers.client("A"))
    known = KnownHosts(records, servers.clock)
    host = ClusterHost(id=ID, name="web1", machine="m", boot="b", underlay=ELSEWHERE, version="1", joined=0.0)
    await records.put_host(host, 0)
    await known.look()
    with pytest.raises(Conflict) as caught:
        async with known.named():
            raise Conflict(
                f"it is in use on host {ID}, which is heard, and on no other host",
                holder=f"host {ID}, host ffff, host {ID}",
                hint=f"stop that container on host {ID} first",
            )
    assert str(caught.value) == (
        "it is in use on host web1, which is heard, and on no other host (held by host web1, host ffff, host web1); "
        "stop that container on host web1 first"
    )


async def test_names_are_asked_for_once_a_minute() -> None:
    """Or when somebody is to be told of a host that nobody knows. They stay while the cluster is away."""
    servers = MemoryCluster(ManualClock())
    records = HostRecords(servers.client("A"))
    known = KnownHosts(records, servers.clock)
    await known.look()
    host = ClusterHost(id=ID, name="web1", machine="m", boot="b", underlay=ELSEWHERE, version="1", joined=0.0)
    await records.put_host(host, 0)
    await known.look()
    assert known.ids == ()
    with pytest.raises(Conflict, match="in use on host web1"):
        async with known.named():
            raise Conflict(f"in use on host {ID}")
    _, revision = await records.host(ID)
    await records.put_host(replace(host, name="web9"), revision)
    await known.look()
    assert known.name(ID) == "web1"
    await records.put_host(host, revision + 1)
    servers.clock.advance(LOOK)
    await known.look()
    assert known.name(ID) == "web1"
    servers.clock.advance(LOOK)
    servers.cut("A")
    with pytest.raises(Unavailable):
        await known.look()
    assert known.name(ID) == "web1"
