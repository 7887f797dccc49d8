"""Endpoints, over the doubles: what is asked is honoured or refused, and every call may come twice."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_network

import pytest

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.plumbing import Member, Veth
from mooring.core.pools import Pool
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import (
    AddressRequest,
    EndpointGrant,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    Role,
    SegmentRequest,
)
from tests.services.hosts import MemoryHost

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)


@pytest.fixture
async def host() -> MemoryHost:
    """A host that has started."""
    return await MemoryHost().start()


def veths(host: MemoryHost) -> list[str]:
    """Names of the veth pairs in the kernel."""
    return [fact.name for fact in host.facts if isinstance(fact, Veth)]


async def test_an_endpoint_has_an_interface_and_the_reply_repeats_nothing(host: MemoryHost) -> None:
    """dockerd refuses a reply that has a value which the request had already."""
    network = await host.network("a", v6=True)
    assert await host.endpoint(network, "e1") == EndpointGrant()
    assert len(veths(host)) == 1


async def test_attaching_tells_interface_gateways_and_prefix(host: MemoryHost) -> None:
    """Join: the interface's name, both gateways, and no gateway service of Docker's."""
    network = await host.network("a", v6=True)
    await host.endpoint(network, "e1", attach=False)
    told = await host.attach(network, "e1")
    assert told.prefix == "eth"
    assert (str(told.gateway4), str(told.gateway6)) == ("10.32.0.1", "fd00:32::1")
    assert not told.gateway_service
    assert await host.attach(network, "e1") == told


async def test_an_internal_network_has_no_next_hop(host: MemoryHost) -> None:
    """Internal: no gateway at Join."""
    network = await host.network("a", internal=True)
    await host.endpoint(network, "e1", attach=False)
    assert (await host.attach(network, "e1")).gateway4 is None


async def test_an_address_outside_the_network_is_refused(host: MemoryHost) -> None:
    """Given addresses are honoured or refused, and a refusal leaves nothing."""
    network = await host.network("a")
    request = EndpointRequest(network, "e" * 64, IPv4Interface("192.0.2.7/24"), None, "")
    with pytest.raises(BadRequest, match="in no subnet"):
        await host.services.endpoints.create(request)
    assert host.services.cache.count(Endpoint) == 0


async def test_creating_twice_is_creating_once_and_other_addresses_are_refused(host: MemoryHost) -> None:
    """The id says what it is; the same request again gets the same answer."""
    network = await host.network("a")
    request = EndpointRequest(network, "e" * 64, IPv4Interface("10.32.0.9/24"), None, "")
    first = await host.services.endpoints.create(request)
    assert await host.services.endpoints.create(request) == first
    other = EndpointRequest(network, "e" * 64, IPv4Interface("10.32.0.10/24"), None, "")
    with pytest.raises(Conflict, match="already exists"):
        await host.services.endpoints.create(other)


async def test_the_same_address_under_a_new_id_means_that_the_old_endpoint_is_dead(host: MemoryHost) -> None:
    """After a crash of dockerd with its own IPAM there is no delete, only a new endpoint."""
    network = await host.network("a")
    for ident in ("e" * 64, "f" * 64):
        request = EndpointRequest(network, ident, IPv4Interface("10.32.0.9/24"), None, "")
        await host.services.endpoints.create(request)
    assert [endpoint.id for endpoint in host.services.endpoint_index.of_network(network)] == ["f" * 64]
    assert len(veths(host)) == 1


async def test_a_kernel_that_refuses_leaves_no_endpoint(host: MemoryHost) -> None:
    """All or nothing, also when the second try after a rebuild fails."""
    network = await host.network("a")
    for _ in range(3):
        host.refusals.append(Unavailable("the kernel says no"))
    with pytest.raises(Unavailable):
        await host.endpoint(network, "e1")
    assert host.services.cache.count(Endpoint) == 0
    assert veths(host) == []


async def test_a_bridge_that_somebody_deleted_is_rebuilt_under_the_next_endpoint(host: MemoryHost) -> None:
    """One failure of the kernel is answered with a repair of the network and a second try."""
    network = await host.network("a")
    host.refusals.append(Unavailable("no such bridge"))
    await host.endpoint(network, "e1")
    assert len(veths(host)) == 1


async def test_leaving_and_deleting_may_come_twice_and_for_the_unknown(host: MemoryHost) -> None:
    """Leave and DeleteEndpoint succeed whatever is there."""
    network = await host.network("a")
    await host.endpoint(network, "e1")
    ident = "e1".ljust(64, "0")
    for _ in range(2):
        await host.services.endpoints.detach(network, ident)
    known = host.services.cache.endpoint(network, ident)
    assert known is not None
    assert known.state is State.CREATED
    for _ in range(2):
        await host.services.endpoints.delete(network, ident)
    await host.services.endpoints.detach("0" * 64, ident)
    await host.services.endpoints.delete("0" * 64, ident)
    assert host.services.cache.count(Endpoint) == 0
    assert veths(host) == []


async def test_an_endpoint_that_is_attached_again_gets_a_new_interface_with_its_mac(host: MemoryHost) -> None:
    """Leave takes the interface, Join brings one: the endpoint outlives both, and so does a restart of ours."""
    network = await host.network("a")
    await host.endpoint(network, "e1")
    before = host.facts
    await host.services.endpoints.detach(network, "e1".ljust(64, "0"))
    assert veths(host) == []
    await host.restart()
    await host.attach(network, "e1")
    assert host.facts == before


async def test_an_endpoint_belongs_to_one_sandbox(host: MemoryHost) -> None:
    """A second sandbox is refused, and told who has it."""
    network = await host.network("a")
    await host.endpoint(network, "e1")
    with pytest.raises(Conflict, match="netns/e1"):
        await host.services.endpoints.attach(network, "e1".ljust(64, "0"), JoinRequest("/run/docker/netns/other"))


async def test_unknown_networks_and_endpoints_are_named(host: MemoryHost) -> None:
    """NotFound with what to do."""
    with pytest.raises(NotFound, match="network 000000000000 is not known"):
        await host.services.endpoints.attach("0" * 64, "e" * 64, JoinRequest("s"))
    network = await host.network("a")
    with pytest.raises(NotFound, match="endpoint eeeeeeeeeeee is not known"):
        await host.services.endpoints.attach(network, "e" * 64, JoinRequest("s"))


async def test_published_ports_come_and_go_with_the_endpoint(host: MemoryHost) -> None:
    """Publish, repeat, unpublish, repeat: rules and held ports follow; Leave withdraws what Revoke never did."""
    network = await host.network("a")
    await host.endpoint(network, "e1")
    ident = "e1".ljust(64, "0")
    before = host.facts
    for _ in range(2):
        await host.services.endpoints.publish(network, ident, WEB)
    assert len(host.guard.held) == 1
    assert any(isinstance(fact, Member) for fact in host.facts - before)
    assert "8080" in (await host.services.endpoints.info(network, ident))["mooring.published"]
    await host.services.endpoints.detach(network, ident)
    assert host.guard.held == set()
    assert host.facts == {fact for fact in before if "mv-e1" not in str(fact)}


async def test_a_port_of_another_container_is_refused_by_name_and_nothing_changes(host: MemoryHost) -> None:
    """The refusal names the endpoint that has the port."""
    network = await host.network("a")
    for name in ("e1", "f2"):
        await host.endpoint(network, name)
    await host.services.endpoints.publish(network, "e1".ljust(64, "0"), WEB)
    before = host.facts
    with pytest.raises(Conflict, match=r"8080/tcp is already published .held by endpoint e10000000000"):
        await host.services.endpoints.publish(network, "f2".ljust(64, "0"), WEB)
    assert host.facts == before


async def test_null_ipam_addresses_are_chosen_and_given_back(host: MemoryHost) -> None:
    """The driver allocates when it is told nothing, and the reply says what it chose."""
    subnets = (SegmentRequest("default", ip_network("0.0.0.0/0"), None),)
    await host.services.networks.create(NetworkRequest("a" * 64, {}, False, subnets, ()))
    grant = await host.services.endpoints.create(EndpointRequest("a" * 64, "e" * 64, None, None, ""))
    assert grant.ipv4 is not None
    assert grant.mac
    await host.services.endpoints.delete("a" * 64, "e" * 64)
    lease = host.services.cache.lease("default", ip_address(str(grant.ipv4.ip)))
    assert lease is None or lease.state.value == "cooling"


async def test_releasing_an_address_removes_the_endpoint_whose_deletion_was_lost(host: MemoryHost) -> None:
    """kill -9 before the reply to CreateEndpoint: dockerd releases the address and never sends DeleteEndpoint."""
    network = await host.network("a")
    for attach in (False, True):
        await host.endpoint(network, "e1", attach=attach)
        pool = next(host.services.cache.every(Pool))
        address = host.services.endpoint_index.of_network(network)[0].addresses[0]
        await host.services.endpoints.release(pool.id, address)
        assert host.services.cache.count(Endpoint) == 0
        assert veths(host) == []
        lease = host.services.cache.lease("default", address)
        assert lease is not None
        assert lease.state.value == "cooling"
        host.clock.advance(3600)
        await host.services.ipam.sweep()


async def test_an_ipv6_address_released_from_a_living_endpoint_stays_until_it_goes(host: MemoryHost) -> None:
    """Engines from 29 on release it after Join; the container still has it."""
    network = await host.network("a", v6=True)
    await host.endpoint(network, "e1")
    pool = next(pool for pool in host.services.cache.every(Pool) if pool.subnet.version == 6)
    address = host.services.endpoint_index.of_network(network)[0].addresses[1]
    await host.services.endpoints.release(pool.id, address)
    assert host.services.cache.count(Endpoint) == 1
    lease = host.services.cache.lease("default", address)
    assert lease is not None
    assert lease.state.value == "dynamic"


async def test_an_endpoint_is_recorded_with_its_lease_in_one_commit(host: MemoryHost) -> None:
    """The lease was taken back between RequestAddress and CreateEndpoint: the endpoint takes it again."""
    network = await host.network("a")
    pool = next(host.services.cache.every(Pool))
    got = await host.services.ipam.request_address(AddressRequest(pool.id, Role.ENDPOINT, mac="02:00:00:00:00:01"))
    await host.services.ipam.release_address(pool.id, got.ip)
    request = EndpointRequest(network, "e" * 64, IPv4Interface(str(got)), None, "02:00:00:00:00:01")
    await host.services.endpoints.create(request)
    lease = host.services.cache.lease("default", got.ip)
    assert lease is not None
    assert (lease.state.value, lease.mac) == ("dynamic", "02:00:00:00:00:01")


async def test_an_address_that_somebody_else_got_meanwhile_is_refused(host: MemoryHost) -> None:
    """The lease has another MAC by now: no two containers ever have one address."""
    network = await host.network("a")
    pool = next(host.services.cache.every(Pool))
    got = await host.services.ipam.request_address(AddressRequest(pool.id, Role.ENDPOINT, mac="02:00:00:00:00:02"))
    request = EndpointRequest(network, "e" * 64, IPv4Interface(str(got)), None, "02:00:00:00:00:01")
    with pytest.raises(Conflict, match="given to another container"):
        await host.services.endpoints.create(request)
    assert host.services.cache.count(Endpoint) == 0
    assert host.kernel.forgotten == []  # the connections are the other one's


async def test_the_port_of_an_endpoint_whose_interface_is_gone_is_free(host: MemoryHost) -> None:
    """dockerd died with its own IPAM driver: its old endpoints are never deleted, and hold nothing."""
    network = await host.network("a")
    for name in ("e1", "f2"):
        await host.endpoint(network, name)
    e1, f2 = (name.ljust(64, "0") for name in ("e1", "f2"))
    await host.services.endpoints.publish(network, e1, WEB)
    host.kernel.lose(host_end(e1))
    await host.services.endpoints.publish(network, f2, WEB)
    assert [endpoint.id for endpoint in host.services.cache.every(Endpoint)] == [f2]


async def test_a_network_without_a_gateway_tells_no_next_hop(host: MemoryHost) -> None:
    """gateway=none: the container gets no default route to nobody, whatever was reserved."""
    network = await host.network("a", gateway="none")
    await host.endpoint(network, "e1", attach=False)
    assert (await host.attach(network, "e1")).gateway4 is None


async def test_the_first_endpoint_after_a_reboot_finds_its_network_built(host: MemoryHost) -> None:
    """Before any repair pass: bridge and rules are made for it, and forwarding is on."""
    network = await host.network("a", v6=True)
    before = host.facts
    await host.reboot()
    await host.endpoint(network, "e1")
    assert {fact for fact in host.facts if "mv-e1" not in str(fact)} == before
