"""What came after the end of its network goes, and nothing else does."""

from __future__ import annotations

from ipaddress import ip_network

from msgspec import structs

from mooring.core.blocks import Block
from mooring.core.cluster_networks import ClusterNetwork, NetworkMember, VniHolder
from mooring.services.cluster.late_writes import EXPECTED, LOOK, LateWrites
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster, Step, let_others_run
from mooring.testing.memory_store import When
from tests.core.test_cluster_hosts import MINE
from tests.services.test_shared_networks import cluster

STRAY = ("block/default/0a1e0000p24/1", "want/red/0a1e0000p24/0a1e0005", "addr/default/0a1e0000p24/0a1e0005",
         "key/default/0a1e0000p24/k")  # fmt: skip


async def written(servers: MemoryCluster, *keys: str) -> None:
    """Somebody has written there."""
    for key in keys:
        entry = await servers.client("x").get(key)
        await servers.client("x").put(key, b"{}", entry.revision if entry is not None else 0)


def host(servers: MemoryCluster) -> tuple[SharedValues, LateWrites]:
    """One that sweeps."""
    values = SharedValues(servers.client("A"))
    return values, LateWrites(values, servers.clock, 30.0)


async def test_what_is_of_no_network_for_a_while_goes() -> None:
    """Whatever it says. What is of a network stays, of each of its subnets, and what nobody can read."""
    servers = MemoryCluster(ManualClock())
    values, late = host(servers)
    network = ClusterNetwork(id="n", space="default", subnets=(ip_network("10.31.0.0/24"), ip_network("fd31::/64")))
    await values.put(network, 0)
    for ident, number in (("n", 5000), ("gone", 5001)):
        subnet = network.subnet if ident == "n" else ip_network("10.30.0.0/24")
        await values.put(VniHolder(vni=number, network=ident, space="default", subnet=subnet), 0)
        await values.put(NetworkMember(space="default", subnet=subnet, host="A", network=ident), 0)
    kept = ("block/default/0a1f0000p24/1", f"addr/default/fd31{'0' * 28}p64/fd31", "block/of a newer Mooring",
            "vni/00001388", "net/default/0a1f0000p24/A")  # fmt: skip
    await written(servers, *STRAY, *kept[:3])
    await late.sweep()
    servers.clock.advance(29.0)
    await late.sweep()
    assert servers.records.keys() >= {*STRAY, *kept}
    servers.clock.advance(1.0)
    await late.sweep()
    assert servers.records.keys() == {"net/default/0a1f0000p24", *kept}


async def test_what_is_written_between_two_sightings_or_gets_a_network_stays() -> None:
    """Also where the network comes while it is looked."""
    servers = MemoryCluster(ManualClock())
    _, late = host(servers)
    await written(servers, *STRAY)
    await late.sweep()
    servers.clock.advance(30.0)
    await written(servers, STRAY[0])

    async def makes(step: Step) -> None:
        if (step.method, step.key, step.when) == ("scan", "key/", When.AFTER):
            servers.pause = let_others_run
            network = ClusterNetwork(id="n", space="red", subnets=(ip_network("10.30.0.0/24"),))
            await SharedValues(servers.client("B")).put(network, 0)

    servers.pause = makes
    await late.sweep()
    assert servers.records.keys() == {*STRAY[:2], "net/red/0a1e0000p24"}


async def test_nothing_goes_while_a_host_is_not_heard() -> None:
    """It may have the network whose record somebody has deleted. When it is heard again, it has as long as anybody to
    write that; what it does not claim goes then, without waiting for the next look."""
    servers = MemoryCluster(ManualClock())
    values, late = host(servers)
    revision = await values.hosts.put_host(MINE, 0)
    await written(servers, *STRAY)
    for _ in range(4):
        await late.sweep()
        assert late.silent == (MINE.id,)
        servers.clock.advance(LOOK)
    await values.hosts.put_session(MINE.id, "b", 0, LOOK)
    await late.sweep()
    assert late.silent == ()
    servers.clock.advance(29.0)
    await late.sweep()
    assert servers.records.keys() >= {*STRAY}
    await values.hosts.end_session(MINE.id, "b")
    servers.clock.advance(30.0)
    await late.sweep()
    assert servers.records.keys() >= {*STRAY}
    await values.hosts.delete_host(MINE.id, revision)  # it was forgotten
    for _ in range(2):
        await late.sweep()
        servers.clock.advance(30.0)
    assert servers.records.keys() == set()


async def test_it_is_looked_for_now_and_then_and_often_after_an_end() -> None:
    """Each look reads what all hosts keep."""
    servers = MemoryCluster(ManualClock())
    _, late = host(servers)
    scans: list[str] = []

    async def count(step: Step) -> None:
        if step.key == "block/" and step.when is When.BEFORE:
            scans.append(step.key)

    servers.pause = count
    for _ in range(2):
        await late.sweep()
        servers.clock.advance(LOOK - 1.0)
    assert len(scans) == 1
    late.expect()
    for _ in range(3):
        await late.sweep()
        servers.clock.advance(20.0)
    assert len(scans) == 4
    servers.clock.advance(EXPECTED)
    await late.sweep()
    assert len(scans) == 4


async def test_a_host_that_is_said_late_to_take_part_is_told_after_a_while_unless_it_has_something_there() -> None:
    """By its records it does not; one whose store was lost has blocks yet."""
    servers, (one, two) = cluster()
    network = await one.join()
    await two.join()
    here = {(network.space, network.subnet)}
    for late in (False, True):
        assert await one.networks.strays(here) == await one.networks.strays(()) == []
        servers.clock.advance(30.0)
        assert await one.networks.strays(() if late else here) == ([network] if late else [])
    block = Block(space="default", subnet=network.subnet, index=1, host="A", generation=1)
    revision = await one.values.put(block, 0)
    assert await one.networks.strays(()) == []
    await one.values.put(structs.replace(block, host="B"), revision)
    assert await one.networks.strays(()) == [network]
