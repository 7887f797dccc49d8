"""Somebody deletes a network's record by hand, and a network is made there anew, while a host is cut off."""

from __future__ import annotations

from ipaddress import ip_network

from mooring.core.blocks import HostBlock
from mooring.core.cluster_networks import ClusterNetwork, HostNetwork
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict
from mooring.services.cluster.shared_values import SharedValues
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import following, take_part, turns
from tests.services.test_cluster_networks import SUBNET, make, remove, shared
from tests.services.test_returning_hosts import wrong

APP = "app".ljust(64, "0")


def values_of(host: MemberHost) -> SharedValues:
    """What an operator sees."""
    return SharedValues(host.servers.client("operator"))


async def delete_record(host: MemberHost, subnet: str = SUBNET) -> ClusterNetwork:
    """`etcdctl del net/…`; what it was."""
    values = values_of(host)
    seen = await values.network("default", ip_network(subnet))
    assert seen.value is not None
    await values.delete(seen.value, seen.revision)
    return seen.value


async def living(size: int = 3, **raw: str) -> list[MemberHost]:
    """Hosts with a network and a container each; the last is cut off."""
    hosts = await members(size)
    for host in hosts:
        await make(host, **raw)
        await host.turn()
    for host in hosts:
        await host.endpoint(APP, "db", attach=False)
        await host.turn(1.0)
    hosts[-1].servers.cut(hosts[-1].setup.address)
    return hosts


def used(host: MemberHost) -> set[str]:
    """Addresses of containers that the host has on record."""
    endpoints = host.services.cache.every(Endpoint)
    return {str(address) for endpoint in endpoints for address in endpoint.addresses}


async def test_the_record_is_there_again_as_it_was_and_nobody_notices() -> None:
    """Whose part in it is still there brings it back: with its id and VNI, who does not hear of it is reached."""
    hosts = await members(3)
    one, _, three = hosts
    async with following(*hosts):
        for host in hosts:
            await take_part(host, f"n{host.name[-1]}")
        await turns(*hosts)
        for host in hosts:
            await host.endpoint(next(host.services.cache.every(HostNetwork)).network, f"e{host.name[-1]}")
        await turns(*hosts)
        assert wrong(hosts) == []
        one.servers.cut(three.setup.address)
        part = next(one.services.cache.every(HostNetwork))
        was = await delete_record(one, str(part.shared.subnet))
        for _ in range(25):
            await turns(*hosts, times=1)
            assert wrong(hosts) == []
        assert (await values_of(one).network("default", was.subnet)).value == was
        one.servers.mend()
        for _ in range(25):
            await turns(*hosts, times=1)
            assert wrong(hosts) == []


async def test_who_comes_back_is_in_the_network_that_is_there_instead_with_what_it_has() -> None:
    """The others had removed theirs, and made it anew: they give nothing that lives, and nothing is taken."""
    one, two, three = await living()
    had, blocks = used(three), set(three.services.cache.every(HostBlock))
    for host in (one, two):
        await remove(host, APP)
        await host.turn(1.0)
    was = await delete_record(one)
    for host in (one, two):
        await make(host)
        await host.turn(1.0)
    for number in range(40):
        await one.endpoint(APP, f"c{number:02}x", attach=False)
        await one.turn(3.0)
    assert not used(one) & had
    one.servers.mend()
    for _ in range(6):
        for host in (one, two, three):
            await host.turn(10.0)
    now = (await values_of(one).network("default", ip_network(SUBNET))).value
    assert now is not None
    assert now.id != was.id
    parts = [next(host.services.cache.every(HostNetwork)) for host in (one, two, three)]
    assert [part.shared for part in parts] == [now] * 3
    assert used(three) == had
    assert {(b.index, b.generation) for b in three.services.cache.every(HostBlock)} == {
        (b.index, b.generation) for b in blocks
    }
    assert three.runtime.faults == ()
    await three.endpoint(APP, "new", attach=False)
    assert not used(one) & used(three)


async def test_a_network_does_not_end_under_who_took_part_in_the_one_before() -> None:
    """A host that does not hear of the new one is in it all the same: what it has would go with that."""
    one, two, three = await living()
    had = used(three)
    for host in (one, two):
        await remove(host, APP)
        await host.turn(1.0)
    await delete_record(one)
    await make(one)
    await one.turn(1.0)
    await remove(one, APP)
    for _ in range(6):
        for host in (one, two):
            await host.turn(20.0)
    assert [key for key in shared(one) if key.startswith("block/")]
    for _ in range(4):  # it is heard again
        await one.turn(4.0)
    await make(one)
    await one.turn(3.0)
    for number in range(40):
        await one.endpoint(APP, f"c{number:02}x", attach=False)
        await one.turn(3.0)
    one.servers.mend()
    for _ in range(6):
        for host in (one, two, three):
            await host.turn(10.0)
    assert used(three) == had
    assert not used(one) & had
    assert three.runtime.faults == ()
    for host in (one, three):
        await remove(host, APP)
    for _ in range(6):
        for host in (one, two, three):
            await host.turn(20.0)
    assert shared(one) == {}


async def test_where_the_one_that_is_there_instead_is_another_the_host_says_so_and_goes_on() -> None:
    """In one line: what is not alike, who has it, and what to do."""
    one, two, three = await living(mode="vxlan")
    had = used(three)
    for host in (one, two):
        await remove(host, APP)
        await host.turn(1.0)
    await delete_record(one)
    await make(one)
    one.servers.mend()
    for _ in range(6):
        for host in (one, two, three):
            await host.turn(10.0)
    (fault,) = three.runtime.faults
    assert isinstance(fault, Conflict)
    assert "network 10.30.0.0/24 of the cluster has mode bridge, not vxlan" in fault.what
    assert fault.holder == "host web1"
    assert "make it with the same mode on each host" in fault.hint
    assert used(three) == had
