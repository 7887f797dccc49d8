"""What lives without a record: adopted, or left alone and kept out of the pool; never taken off the net."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest

from mooring.core.endpoints import State
from mooring.core.faults import Conflict
from mooring.core.firewall import port_binding_of, port_members
from mooring.core.leases import State as LeaseState
from mooring.core.networks import GatewayMode, Network, NetworkOptions, Segment
from mooring.core.overlays import Overlay, Remote
from mooring.core.plumbing import Bridge, Fact, Inside, LinkAddress, Neighbour, RemoteMac, Veth, Vxlan
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import MemoryHost
from tests.services.lost_stores import ENDPOINT, LINK, MAC, NETWORK, bare_host, restored_host


@pytest.fixture
async def host() -> MemoryHost:
    """A host whose store is a backup from before its second container, which runs and publishes a port."""
    return await restored_host()


async def test_a_living_link_without_a_record_is_adopted_and_nothing_of_it_is_touched(host: MemoryHost) -> None:
    """A restored backup does not know the container: it stays on the net, with what it publishes."""
    before, made = host.facts, dict(host.kernel.made)
    report = await host.services.repair.once()
    assert any("missing from the records: restored" in line for line in report.repaired)
    assert host.facts == before
    assert host.kernel.made == made
    known = host.services.cache.endpoint(NETWORK, ENDPOINT)
    assert known is not None
    assert (known.state, known.mac) == (State.ATTACHED, MAC)
    assert (str(known.ipv4), str(known.ipv6)) == ("10.32.0.3/24", "fd00:32::3/64")
    assert {port_binding.host_port for port_binding in known.published} == {8080}
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8080) == "10.32.0.3 . 80"
    assert host.guard.held
    for address in known.addresses:
        lease = host.services.cache.lease("default", address)
        assert lease is not None
        assert (lease.state, lease.mac) == (LeaseState.DYNAMIC, MAC)
    assert (await host.services.repair.once()).repaired == ()


async def test_its_address_is_given_to_nobody_from_the_first_call_on(host: MemoryHost) -> None:
    """The daemon looks before it answers its first call."""
    assert host.services.restored_store is not None
    await host.services.restored_store.at_start()
    network = host.services.cache.network(NETWORK)
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
    network = host.services.cache.network(NETWORK)
    assert network is not None
    await host.services.endpoints.detach(NETWORK, ENDPOINT)
    await host.services.endpoints.delete(NETWORK, ENDPOINT)
    for segment, address in zip(network.segments, ("10.32.0.3", "fd00:32::3"), strict=True):
        await host.services.endpoints.release(segment.pool, ip_address(address))
        lease = host.services.cache.lease("default", ip_address(address))
        assert lease is not None
        assert lease.state is LeaseState.COOLING
    assert not any(isinstance(fact, Veth) and fact.name == LINK for fact in host.facts)
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8080) == ""


async def test_a_dead_endpoint_on_record_gives_way_to_the_living_one_at_its_address(host: MemoryHost) -> None:
    """The backup's container is gone, and another one has its address since."""
    host.kernel.lose("mv-e10000000000")
    host.kernel.inside[LINK] = Inside(MAC, (ip_interface("10.32.0.2/24"),))
    await host.services.repair.once()
    assert host.services.cache.endpoint(NETWORK, "e1".ljust(64, "0")) is None
    lease = host.services.cache.lease("default", ip_address("10.32.0.2"))
    assert lease is not None
    assert lease.mac == MAC


async def test_what_cannot_be_adopted_is_left_told_and_kept_out(host: MemoryHost) -> None:
    """A living link of a network that is not on record: bridge, address and rules stay."""
    host.store = MemoryStore()
    await host.restart()
    before = {fact for fact in host.facts if isinstance(fact, Bridge | LinkAddress) or LINK in str(fact)}
    for _ in range(2):
        report = await host.services.repair.once()
        assert any("10.32.0.3" in line and "left untouched" in line for line in report.findings)
    assert before <= host.facts
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8080) == "10.32.0.3 . 80"
    with pytest.raises(Conflict, match="missing from the records"):
        await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network("10.32.0.0/24")))
    host.kernel.lose(LINK)
    assert (await host.services.repair.once()).findings == ()
    assert not any(isinstance(fact, Bridge) for fact in host.facts)
    await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network("10.32.0.0/24")))


async def test_what_this_process_ended_is_a_leftover(host: MemoryHost) -> None:
    """A record that was deleted a moment ago makes nobody a stranger."""
    await host.services.repair.once()
    endpoint = host.services.cache.endpoint(NETWORK, ENDPOINT)
    assert endpoint is not None
    await host.services.cache.commit(delete=[endpoint])
    await host.services.repair.once()
    assert host.services.cache.endpoint(NETWORK, ENDPOINT) is None
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
    wanted = PortBinding(Protocol.UDP, host, 0 if mode == "routed" else 53, target, 53)
    assert [port_binding_of(member) for member in port_members(network, wanted)] == [wanted]


async def test_an_overlay_outlives_its_store() -> None:
    """While the engine cannot be asked, and when its networks are known again: other hosts are reached all the time,
    and the gateway is the gateway."""
    host = await bare_host()
    network = await an_overlay(host)
    before = overlay_facts_of(host)
    host.engine.up, host.store = False, MemoryStore()
    await host.restart()
    await host.services.repair.once()
    assert overlay_facts_of(host) == before
    host.engine.up = True
    for _ in range(2):
        await host.services.repair.once()
    assert overlay_facts_of(host) == before
    known = host.services.cache.network(network)
    assert known is not None
    assert [str(segment.gateway) for segment in known.segments] == ["10.32.0.1/24", "fd00:32::1/64"]
    overlay = host.services.repair.overlays.of(network)
    assert overlay is not None
    assert (overlay.vni, overlay.local) == (7, ip_address("192.0.2.1"))


async def an_overlay(host: MemoryHost) -> str:
    """The host's network is one, and a host knows of an endpoint elsewhere."""
    for _ in range(2):
        await host.services.repair.once()
    overlays = host.services.repair.overlays
    own = (ip_interface("10.32.0.201/24"), ip_interface("fd00:32::c9/64"))
    overlays.open(NETWORK, Overlay(7, ip_address("192.0.2.1"), 1500, own))
    elsewhere = Remote("02:00:00:00:00:0c", (ip_address("10.32.0.12"),), ip_address("192.0.2.2"))
    overlays.learn(NETWORK, {"db": elsewhere})
    await host.services.repair.once()
    return NETWORK


def overlay_facts_of(host: MemoryHost) -> set[Fact]:
    """What makes it one."""
    kinds = (Bridge, Vxlan, RemoteMac, Neighbour, LinkAddress)
    return {fact for fact in host.facts if isinstance(fact, kinds) or fact.key[:2] == ("member", "tunnels4")}
