"""What lives without a record: adopted, or left alone and kept out of the pool; never taken off the net."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest

from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Conflict, NotFound
from mooring.core.firewall import publication_members, publication_of
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import GatewayMode, Network, NetworkOptions, Segment
from mooring.core.plumbing import Bridge, Inside, LinkAddress, Veth
from mooring.core.pools import Pool, described, pool_id
from mooring.core.publications import PortRequest, Protocol, Publication
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.ports import Transaction
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import MemoryHost

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)
NETWORK = "a".ljust(64, "0")
ENDPOINT = "e2".ljust(64, "0")
LINK = f"mv-{ENDPOINT[:12]}"
MAC = "02:00:00:65:32:00"


async def copied(store: MemoryStore) -> MemoryStore:
    """A backup, as a store of its own."""
    entries, _ = await store.scan("")
    copy = MemoryStore()
    await copy.commit(Transaction(put={entry.key: entry.value for entry in entries}))
    return copy


@pytest.fixture
async def host() -> MemoryHost:
    """A host whose store is a backup from before its second container, which runs and publishes a port."""
    host = await MemoryHost().start()
    await host.network("a", v6=True)
    await host.endpoint(NETWORK, "e1")
    backup = await copied(host.store)
    await host.endpoint(NETWORK, "e2")
    await host.services.endpoints.publish(NETWORK, ENDPOINT, WEB)
    host.kernel.inside[LINK] = Inside(MAC, (ip_interface("10.32.0.3/24"), ip_interface("fd00:32::3/64")))
    host.store = backup
    await host.restart()
    return host


async def test_a_living_link_without_a_record_is_adopted_and_nothing_of_it_is_touched(host: MemoryHost) -> None:
    """A restored backup does not know the container: it stays on the net, with what it publishes."""
    before, made = host.facts, dict(host.kernel.made)
    report = await host.services.repair.once()
    assert any("taken in again" in line for line in report.repaired)
    assert host.facts == before
    assert host.kernel.made == made
    known = host.services.mirror.endpoint(NETWORK, ENDPOINT)
    assert known is not None
    assert (known.state, known.mac) == (State.ATTACHED, MAC)
    assert (str(known.ipv4), str(known.ipv6)) == ("10.32.0.3/24", "fd00:32::3/64")
    assert {publication.host_port for publication in known.published} == {8080}
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8080) == "10.32.0.3 . 80"
    assert host.guard.held
    for address in known.addresses:
        lease = host.services.mirror.lease("default", address)
        assert lease is not None
        assert (lease.state, lease.mac) == (LeaseState.DYNAMIC, MAC)
    assert (await host.services.repair.once()).repaired == ()


async def test_its_address_is_given_to_nobody_from_the_first_call_on(host: MemoryHost) -> None:
    """The daemon looks before it answers its first call."""
    assert host.services.recovering is not None
    await host.services.recovering.at_start()
    network = host.services.mirror.network(NETWORK)
    assert network is not None
    given = await host.services.ipam.request_address(AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, mac="02::1"))
    assert given.ip == IPv4Address("10.32.0.4")
    with pytest.raises(Conflict):
        await host.services.ipam.request_address(
            AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, IPv4Address("10.32.0.3"), mac="02:00:00:00:00:09")
        )


async def test_what_is_adopted_ends_as_any_other(host: MemoryHost) -> None:
    """Leave, DeleteEndpoint and ReleaseAddress leave nothing."""
    await host.services.repair.once()
    network = host.services.mirror.network(NETWORK)
    assert network is not None
    await host.services.endpoints.detach(NETWORK, ENDPOINT)
    await host.services.endpoints.delete(NETWORK, ENDPOINT)
    for segment, address in zip(network.segments, ("10.32.0.3", "fd00:32::3"), strict=True):
        await host.services.endpoints.release(segment.pool, ip_address(address))
        lease = host.services.mirror.lease("default", ip_address(address))
        assert lease is not None
        assert lease.state is LeaseState.COOLING
    assert not any(isinstance(fact, Veth) and fact.name == LINK for fact in host.facts)
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8080) == ""


async def test_a_dead_endpoint_on_record_gives_way_to_the_living_one_at_its_address(host: MemoryHost) -> None:
    """The backup's container is gone, and another one has its address since."""
    host.kernel.lose("mv-e10000000000")
    host.kernel.inside[LINK] = Inside(MAC, (ip_interface("10.32.0.2/24"),))
    await host.services.repair.once()
    assert host.services.mirror.endpoint(NETWORK, "e1".ljust(64, "0")) is None
    lease = host.services.mirror.lease("default", ip_address("10.32.0.2"))
    assert lease is not None
    assert lease.mac == MAC


async def test_what_cannot_be_adopted_is_left_told_and_kept_out(host: MemoryHost) -> None:
    """A living link of a network that is not on record: bridge, address and rules stay."""
    host.store = MemoryStore()
    await host.restart()
    before = {fact for fact in host.facts if isinstance(fact, Bridge | LinkAddress) or LINK in str(fact)}
    for _ in range(2):
        report = await host.services.repair.once()
        assert any("10.32.0.3" in line and "left alone" in line for line in report.findings)
    assert before <= host.facts
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8080) == "10.32.0.3 . 80"
    with pytest.raises(Conflict, match="without a record"):
        await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network("10.32.0.0/24")))
    host.kernel.lose(LINK)
    assert (await host.services.repair.once()).findings == ()
    assert not any(isinstance(fact, Bridge) for fact in host.facts)
    await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network("10.32.0.0/24")))


async def test_what_this_process_ended_is_a_leftover(host: MemoryHost) -> None:
    """A record that was deleted a moment ago makes nobody a stranger."""
    await host.services.repair.once()
    endpoint = host.services.mirror.endpoint(NETWORK, ENDPOINT)
    assert endpoint is not None
    await host.services.mirror.commit(delete=[endpoint])
    await host.services.repair.once()
    assert host.services.mirror.endpoint(NETWORK, ENDPOINT) is None
    assert not any(isinstance(fact, Veth) and fact.name == LINK for fact in host.facts)


@pytest.mark.parametrize("host_address", [None, "192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("mode", ["nat", "routed"])
def test_a_published_port_is_read_back_from_its_elements(mode: str, host_address: str | None) -> None:
    """publication_of is the inverse of publication_members."""
    version6 = host_address is not None and ":" in host_address
    target = ip_address("fd00:32::3" if version6 else "10.32.0.3")
    options = NetworkOptions(gateway_mode4=GatewayMode(mode), gateway_mode6=GatewayMode(mode))
    segment = Segment(ip_network("10.32.0.0/24"), None, "default", "p")
    network = Network("n", options, False, (segment,), (), 0.0)
    host = ip_address(host_address) if host_address and mode == "nat" else None
    wanted = Publication(Protocol.UDP, host, 0 if mode == "routed" else 53, target, 53)
    assert [publication_of(member) for member in publication_members(network, wanted)] == [wanted]


@pytest.fixture
async def bare(host: MemoryHost) -> MemoryHost:
    """The same host, whose store is lost altogether, and an engine that knows its network."""
    known = host.services.mirror.network(NETWORK)
    assert known is not None
    host.engine.networks.add(NETWORK)
    host.engine.described[NETWORK] = EngineNetwork(
        NETWORK, "web", "mooring", ipv6=True, ipam="mooring",
        subnets=(
            EngineSubnet(ip_network("10.32.0.0/24"), gateway=ip_address("10.32.0.1")),
            EngineSubnet(ip_network("fd00:32::/64")),
        ),
    )  # fmt: skip
    host.kernel.inside["mv-e10000000000"] = Inside(
        "02:00:00:65:31:00", (ip_interface("10.32.0.2/24"), ip_interface("fd00:32::2/64"))
    )
    host.old_pools = [segment.pool for segment in known.segments]  # type: ignore[attr-defined]
    host.store = MemoryStore()
    await host.restart()
    return host


async def test_a_lost_store_is_rebuilt_from_engine_and_kernel(bare: MemoryHost) -> None:
    """Network, pools, gateways, endpoints, leases and ports are on record, and nothing in the kernel was touched."""
    before, made = bare.facts, dict(bare.kernel.made)
    report = await bare.services.repair.once()
    assert report.findings == ()
    assert bare.facts == before
    assert bare.kernel.made == made
    network = bare.services.mirror.network(NETWORK)
    assert network is not None
    assert [str(segment.gateway) for segment in network.segments] == ["10.32.0.1/24", "fd00:32::1/64"]
    pools = [bare.services.mirror.pool(segment.pool) for segment in network.segments]
    assert [pool.source for pool in pools if pool is not None] == ["default4", "default6"]
    assert {each.id[:2] for each in bare.services.mirror.every(Endpoint)} == {"e1", "e2"}
    states = Counter(lease.state for lease in bare.services.mirror.every(Lease))
    assert states == {LeaseState.GATEWAY: 2, LeaseState.DYNAMIC: 4}
    assert (await bare.services.repair.once()).repaired == ()


async def test_the_pool_ids_of_a_lost_store_are_understood(bare: MemoryHost) -> None:
    """They say space and subnet: the engine's next requests find the rebuilt pools."""
    await bare.services.repair.once()
    four, six = bare.old_pools  # type: ignore[attr-defined]
    given = [
        await bare.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:00:00:00:00:09"))
        for pool in (four, six)
    ]
    assert [str(each) for each in given] == ["10.32.0.4/24", "fd00:32::4/64"]
    await bare.services.ipam.release_pool(four)
    assert not [pool for pool in bare.services.mirror.every(Pool) if pool.subnet.version == 4]


async def test_older_pool_ids_are_understood_by_the_addresses_that_come_with_them(bare: MemoryHost) -> None:
    """An id that says nothing is bound by a release, or by an address that is asked for; otherwise it is refused in
    words, and no pool is ever released by a guess."""
    await bare.services.repair.once()
    ask = AddressRequest("0123456789ab", Role.ENDPOINT, mac="02:00:00:00:00:09")
    with pytest.raises(NotFound, match="store was lost"):
        await bare.services.ipam.request_address(ask)
    await bare.services.ipam.release_pool("0123456789ab")
    assert bare.services.mirror.count(Pool) == 2
    await bare.services.endpoints.release("0123456789ab", IPv4Address("10.32.0.2"))
    assert (await bare.services.ipam.request_address(ask)).ip == IPv4Address("10.32.0.4")
    await bare.restart()
    await bare.services.ipam.release_pool("0123456789ab")
    assert bare.services.mirror.count(Pool) == 1


async def test_a_network_without_life_is_taken_in_at_the_second_sight(bare: MemoryHost) -> None:
    """It may be only just going."""
    for name in ("e1", ENDPOINT):
        bare.kernel.lose(f"mv-{name.ljust(64, '0')[:12]}")
    await bare.services.repair.once()
    assert bare.services.mirror.network(NETWORK) is None
    bare.clock.advance(10)
    await bare.services.repair.once()
    assert bare.services.mirror.network(NETWORK) is not None


async def test_a_network_that_this_process_deleted_is_not_taken_in_again(host: MemoryHost) -> None:
    """The engine lists it for a moment longer."""
    host.engine.networks.add(NETWORK)
    host.engine.described[NETWORK] = EngineNetwork(
        NETWORK, "web", "mooring", ipam="mooring", subnets=(EngineSubnet(ip_network("10.32.0.0/24")),)
    )
    await host.services.networks.delete(NETWORK)
    for _ in range(4):
        await host.services.repair.once()
        host.clock.advance(10)
    assert host.services.mirror.network(NETWORK) is None


async def test_a_network_of_the_backup_gives_way_to_the_one_that_the_engine_has_in_its_place(host: MemoryHost) -> None:
    """It was removed since the backup, and another one has its subnet."""
    other = "b".ljust(64, "0")
    host.engine.networks.add(other)
    host.engine.alone = True
    host.engine.described[other] = EngineNetwork(
        other, "web2", "mooring", ipam="mooring", subnets=(EngineSubnet(ip_network("10.32.0.0/24")),)
    )
    for name in ("e1", ENDPOINT):
        host.kernel.lose(f"mv-{name.ljust(64, '0')[:12]}")
    for _ in range(3):
        await host.services.repair.once()
        host.clock.advance(10)
    assert host.services.mirror.network(NETWORK) is None
    assert host.services.mirror.network(other) is not None


async def test_an_engine_that_is_down_keeps_nothing_from_being_safe(bare: MemoryHost) -> None:
    """The first pass cannot ask; what lives is spared, told, and taken in when the engine is back."""
    bare.engine.up = False
    before = bare.facts
    report = await bare.services.repair.once()
    assert before == bare.facts
    assert any("wait for the engine" in line for line in report.findings)
    bare.engine.up = True
    assert (await bare.services.repair.once()).findings == ()
    assert bare.services.mirror.count(Endpoint) == 2


@pytest.mark.parametrize("subnet", ["10.32.0.0/24", "fd00:32::/64", "192.0.2.4/31", "::/1"])
@pytest.mark.parametrize("space", ["default", "a.b-c_d", "p8-x"])
def test_a_pool_id_says_what_it_means(subnet: str, space: str) -> None:
    """And older ones say nothing."""
    assert described(pool_id("0123456789ab", space, ip_network(subnet))) == (space, ip_network(subnet))
    for text in ("0123456789ab", "", "0123456789ab-0a200000p33-default", "0123456789ab-0a200001p24-default"):
        assert described(text) is None
