"""Making and removing networks, over the doubles."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.core.networks import Network
from mooring.core.plumbing import Bridge, Domain, Member, domain_of
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, NetworkRequest, PoolRequest, Role, SegmentRequest
from tests.services.hosts import MemoryHost, separate_network


def bridges(host: MemoryHost) -> set[str]:
    """Names of the bridges in the kernel."""
    return {fact.name for fact in host.facts if isinstance(fact, Bridge)}


@pytest.fixture
async def host() -> MemoryHost:
    """A host that has started."""
    return await MemoryHost().start()


async def test_a_network_is_recorded_with_its_pools_and_its_bridge_is_up(host: MemoryHost) -> None:
    """Both families: the record names the pools, the pools name the network, the kernel has the bridge."""
    ident = await host.network("a", v6=True)
    network = host.services.cache.network(ident)
    assert network is not None
    assert [segment.subnet for segment in network.segments] == [ip_network("10.32.0.0/24"), ip_network("fd00:32::/64")]
    assert {pool.network for pool in host.services.cache.every(Pool)} == {ident}
    assert bridges(host) == {network.bridge}


async def test_an_encrypted_network_is_refused_where_nothing_encrypts(host: MemoryHost) -> None:
    """Before anything else is looked at, and nothing is left."""
    raw = {"mode": "vxlan", "encrypted": "on"}
    with pytest.raises(Unavailable, match="encrypted=on needs WireGuard"):
        await host.services.networks.create(NetworkRequest("e" * 64, raw, False, (), ()))
    assert list(host.services.cache.every(Network)) == []
    assert bridges(host) == set()


async def test_creating_twice_is_creating_once(host: MemoryHost) -> None:
    """A repeated CreateNetwork succeeds and changes nothing."""
    ident = await host.network("a")
    network = host.services.cache.network(ident)
    assert network is not None
    segment = network.segments[0]
    request = NetworkRequest(ident, {}, False, (SegmentRequest("default", segment.subnet, segment.gateway),), ())
    before = host.facts
    await host.services.networks.create(request)
    assert host.facts == before
    assert host.services.cache.network(ident) == network


async def test_creating_twice_with_other_settings_is_refused(host: MemoryHost) -> None:
    """The id is taken, and the fault says so."""
    ident = await host.network("a")
    with pytest.raises(Conflict, match="already exists with other settings"):
        await host.services.networks.create(NetworkRequest(ident, {"icc": "off"}, False, (), ()))


async def test_bad_options_change_nothing(host: MemoryHost) -> None:
    """An unknown option is refused by name, with neither record nor bridge left."""
    with pytest.raises(BadRequest, match="colour"):
        await host.network("a", colour="blue")
    assert host.services.cache.count(Network) == 0
    assert bridges(host) == set()


async def test_networks_of_one_host_never_overlap(host: MemoryHost) -> None:
    """The same subnet in another tenant's address space has no place on the same host."""
    await host.network("a")
    subnet = ip_network("10.32.0.0/25")
    await host.services.ipam.request_pool(PoolRequest("blue", 4, subnet=subnet))
    request = NetworkRequest("b" * 64, {"tenant": "blue"}, False, (SegmentRequest("default", subnet, None),), ())
    with pytest.raises(Conflict, match=r"overlaps 10\.32\.0\.0/24"):
        await host.services.networks.create(request)
    assert host.services.cache.count(Network) == 1


async def test_a_subnet_that_is_taken_is_told_with_the_name_of_its_network(host: MemoryHost) -> None:
    """By the beginning of its id while Docker has not told the name."""
    network = host.services.cache.network(await host.network("a"))
    assert network is not None
    overlapping = PoolRequest("default", 4, subnet=ip_network("10.32.0.0/25"))
    with pytest.raises(Conflict, match=f"of network {network.id[:12]}"):
        await host.services.ipam.request_pool(overlapping)
    await host.services.cache.commit(put=[replace(network, name="shop")])
    with pytest.raises(Conflict, match=r"overlaps 10\.32\.0\.0/24 .* of network shop\)"):
        await host.services.ipam.request_pool(overlapping)


@pytest.fixture
async def apart() -> MemoryHost:
    """A host on which tenants are separate."""
    return await MemoryHost(separate_tenants=True).start()


async def test_separate_tenants_may_have_one_subnet(apart: MemoryHost) -> None:
    """Each has a routing domain, its networks share it, and it goes with the last of them; who has none has none."""
    red, blue = await separate_network(apart, "a", "red"), await separate_network(apart, "b", "blue")
    more = await separate_network(apart, "c", "red", "10.33.0.0/24")
    await apart.network("d")
    assert (red.domain, blue.domain, more.domain) == (1, 2, 1)
    assert {fact.number for fact in apart.facts if isinstance(fact, Domain)} == {1, 2}
    assert {fact.domain for fact in apart.facts if isinstance(fact, Bridge)} == {0, 1, 2}
    await apart.services.networks.delete(red.id)
    assert {fact.number for fact in apart.facts if isinstance(fact, Domain)} == {1, 2}
    await apart.services.networks.delete(more.id)
    assert {fact.number for fact in apart.facts if isinstance(fact, Domain)} == {2}
    assert Member("bridges", '"mt-1"') not in apart.facts
    assert (await separate_network(apart, "e", "green")).domain == 1


async def test_within_a_separate_tenant_nothing_overlaps(apart: MemoryHost) -> None:
    """It is refused, and names the other network."""
    await separate_network(apart, "a", "red")
    with pytest.raises(Conflict, match=r"overlaps 10\.32\.0\.0/24 in address space red"):
        await separate_network(apart, "b", "red", "10.32.0.0/25")


async def test_what_a_separate_tenant_cannot_have_leaves_nothing(apart: MemoryHost) -> None:
    """No record, no domain."""
    with pytest.raises(BadRequest, match="tenant red has addresses that this host does not route"):
        await separate_network(apart, "a", "red", gateway_mode4="routed")
    assert apart.services.cache.count(Network) == 0
    assert not any(isinstance(fact, Domain) for fact in apart.facts)


async def test_networks_of_before_stay_where_they_are(host: MemoryHost) -> None:
    """A tenant's network that shares the host's routing goes on to, until it is made anew."""
    old = await separate_network(host, "a", "red")
    assert old.domain == 0
    host.policy = replace(host.policy, separate_tenants=True)
    await host.restart()
    report = await host.services.repair.once()
    assert not [*report.repaired, *report.findings]
    assert host.services.cache.network(old.id) == old
    assert (await separate_network(host, "b", "blue")).domain == 1


async def test_what_a_domain_lost_comes_back(apart: MemoryHost) -> None:
    """After a reboot, with the domain before what is in it, and in one pass."""
    await separate_network(apart, "a", "red")
    before = {fact for fact in apart.facts if domain_of(fact) or isinstance(fact, Domain)}
    apart.kernel.reboot()
    await apart.restart()
    assert not (await apart.services.repair.once()).findings
    assert before <= apart.facts
    assert not (await apart.services.repair.once()).repaired


async def test_a_kernel_that_refuses_leaves_no_record(host: MemoryHost) -> None:
    """All or nothing: the record goes, and the subnet is free for the next network."""
    host.refusals.append(Unavailable("the kernel says no"))
    with pytest.raises(Unavailable):
        await host.network("a")
    assert host.services.cache.count(Network) == 0
    assert host.services.cache.count(Pool) == 0


async def test_deleting_removes_record_endpoints_and_links(host: MemoryHost) -> None:
    """Nothing of the network stays, its pools included: Docker's own release may have been lost."""
    ident = await host.network("a")
    await host.endpoint(ident, "e1")
    await host.services.networks.delete(ident)
    assert host.services.cache.count(Network) == 0
    assert host.services.endpoint_index.of_network(ident) == []
    assert bridges(host) == set()
    assert host.services.cache.count(Pool) == 0


async def test_deleting_what_is_not_known_is_success(host: MemoryHost) -> None:
    """dockerd repeats deletes, and sends them for things never heard of."""
    await host.services.networks.delete("f" * 64)


async def test_null_ipam_gets_a_subnet_and_addresses_from_the_driver(host: MemoryHost) -> None:
    """Docker's null IPAM driver says 0.0.0.0/0: the network has a subnet of ours, and gives it back at its end."""
    request = NetworkRequest("a" * 64, {}, False, (SegmentRequest("default", ip_network("0.0.0.0/0"), None),), ())
    await host.services.networks.create(request)
    network = host.services.cache.network("a" * 64)
    assert network is not None
    assert network.ipv4[0].subnet == ip_network("10.32.0.0/24")
    await host.services.networks.delete("a" * 64)
    assert host.services.cache.count(Pool) == 0


async def test_a_network_whose_pools_docker_released_makes_room_for_its_successor(host: MemoryHost) -> None:
    """dockerd crashed between releasing the pool and deleting the network: the subnet is in new hands."""
    ident = await host.network("a")
    network = host.services.cache.network(ident)
    assert network is not None
    await host.services.ipam.release_pool(network.ipv4[0].pool)
    subnet = network.ipv4[0].subnet
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=subnet))
    parts = (SegmentRequest("default", subnet, grant.gateway),)
    await host.services.networks.create(NetworkRequest("b" * 64, {}, False, parts, ()))
    assert [known.id for known in host.services.cache.every(Network)] == ["b" * 64]
    assert len(bridges(host)) == 1


async def test_a_pool_of_another_space_is_never_bound(host: MemoryHost) -> None:
    """Another driver's network lives on our pool of the same subnet: a tenant's network takes its own, and only that
    one goes with it."""
    subnet = ip_network("192.168.1.0/24")
    lan = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=subnet))
    await host.services.ipam.request_address(AddressRequest(lan.pool, Role.ENDPOINT, mac="02:00:00:00:00:01"))
    blue = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=subnet, options={"tenant": "blue"}))
    await host.services.networks.create(
        NetworkRequest("b" * 64, {}, False, (SegmentRequest("default", subnet, blue.gateway),), ())
    )
    network = host.services.cache.network("b" * 64)
    assert network is not None
    assert network.ipv4[0].pool == blue.pool
    await host.services.networks.delete(network.id)
    assert [pool.id for pool in host.services.cache.every(Pool)] == [lan.pool]


async def test_the_subnet_of_dockers_own_ipam_driver_binds_no_pool_of_ours(host: MemoryHost) -> None:
    """Address space LocalDefault: the network has no pool, and its removal releases none."""
    subnet = ip_network("192.168.1.0/24")
    await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=subnet))
    request = NetworkRequest("b" * 64, {}, False, (SegmentRequest("LocalDefault", subnet, None),), ())
    await host.services.networks.create(request)
    await host.services.networks.delete("b" * 64)
    assert host.services.cache.count(Pool) == 1


async def test_of_two_networks_made_at_once_on_one_subnet_one_is_refused_and_harms_nothing(host: MemoryHost) -> None:
    """Same bridge name and subnet, with Docker's own IPAM: the loser leaves the winner's bridge alone."""
    parts = (SegmentRequest("LocalDefault", ip_network("192.168.1.0/24"), None),)
    requests = [NetworkRequest(letter * 64, {"bridge": "web0"}, False, parts, ()) for letter in "ab"]
    results = await asyncio.gather(*map(host.services.networks.create, requests), return_exceptions=True)
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]
    assert host.services.cache.count(Network) == 1
    assert bridges(host) == {"web0"}


async def test_a_tenant_without_that_subnet_is_refused(host: MemoryHost) -> None:
    """The option is understood or refused, never ignored. A compose file can say it through the proxy alone."""
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4))
    parts = (SegmentRequest("default", grant.subnet, grant.gateway),)
    with pytest.raises(
        BadRequest, match=r"tenant blue has no free subnet .*the proxy's socket, .*--ipam-opt tenant=blue"
    ):
        await host.services.networks.create(NetworkRequest("a" * 64, {"tenant": "blue"}, False, parts, ()))


async def test_a_route_that_no_container_could_take_is_refused(host: MemoryHost) -> None:
    """Its next hop must be in a subnet of the network, or every container's start would fail."""
    with pytest.raises(BadRequest, match="is in no subnet of the network"):
        await host.network("a", routes="10.0.0.0/8 via 192.0.2.1")


async def test_a_pool_without_a_gateway_makes_a_segment_without_one(host: MemoryHost) -> None:
    """--ipam-opt gateway=none alone is enough, although engines before 28 ask for a gateway's address all the same."""
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, options={"gateway": "none"}))
    asked = await host.services.ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY))
    parts = (SegmentRequest("default", grant.subnet, asked),)
    await host.services.networks.create(NetworkRequest("a" * 64, {}, False, parts, ()))
    network = host.services.cache.network("a" * 64)
    assert network is not None
    assert network.ipv4[0].gateway is None


async def test_a_network_of_the_engines_without_any_addresses_is_refused(host: MemoryHost) -> None:
    """`--ipv4=false` without `--ipv6`: its containers would have nothing but loopback. Nothing is left of it."""
    with pytest.raises(BadRequest, match="needs IPv4 or IPv6"):
        await host.services.networks.create(NetworkRequest("e" * 64, {}, False, (), ()))
    assert host.services.cache.network("e" * 64) is None
    await host.services.networks.create(NetworkRequest("f" * 64, {"mode": "null"}, False, (), ()))
