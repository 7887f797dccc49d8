"""Taking back what Docker forgot: two sightings, a minimum age, and never from the living."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint, State
from mooring.core.engines import KnownEngine
from mooring.core.findings import Finding
from mooring.core.networks import Network
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.services.networking.garbage_collector import MINIMUM_AGE, TOLD_AGE
from tests.services.hosts import MemoryHost

A = "a".ljust(64, "0")


@pytest.fixture
async def host() -> MemoryHost:
    """A host with a network that the engine lists, and a container in it."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a", v6=True), "e1")
    host.engine.networks = {A}
    return host


async def passes(host: MemoryHost, count: int = 2) -> None:
    """So many repair passes, each after the minimum age."""
    for _ in range(count):
        host.clock.advance(MINIMUM_AGE + 1)
        await host.services.repair.once()


async def test_a_lease_that_no_endpoint_took_is_given_back_after_two_sightings_and_a_minimum_age(
    host: MemoryHost,
) -> None:
    """dockerd forgets the v4 address when the v6 one fails; once missing is not enough."""
    network = host.services.cache.network("a".ljust(64, "0"))
    assert network is not None
    got = await host.services.ipam.request_address(AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, mac="02::1"))
    host.clock.advance(MINIMUM_AGE + 1)
    await host.services.repair.once()
    assert host.services.cache.lease("default", got.ip) is not None
    host.clock.advance(MINIMUM_AGE + 1)
    await host.services.repair.once()
    lease = host.services.cache.lease("default", got.ip)
    assert lease is None or lease.state.value == "cooling"


async def test_a_live_lease_is_never_given_back(host: MemoryHost) -> None:
    """The address of an endpoint stays, however old."""
    for _ in range(3):
        host.clock.advance(MINIMUM_AGE * 10)
        await host.services.repair.once()
    for endpoint in host.services.cache.every(Endpoint):
        for address in endpoint.addresses:
            lease = host.services.cache.lease("default", address)
            assert lease is not None
            assert lease.state.value == "dynamic"


async def test_a_network_whose_pools_are_released_goes_after_two_sightings(host: MemoryHost) -> None:
    """dockerd released the pools and never sent DeleteNetwork."""
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    network = host.services.cache.network("a".ljust(64, "0"))
    assert network is not None
    await host.services.ipam.release_pool(network.ipv4[0].pool)
    await host.services.repair.once()
    assert host.services.cache.count(Network) == 1
    host.clock.advance(MINIMUM_AGE + 1)
    await host.services.repair.once()
    assert host.services.cache.count(Network) == 0


async def test_a_network_that_the_engine_no_longer_lists_goes_with_its_subnets(host: MemoryHost) -> None:
    """`docker network rm` while Mooring was away: Docker says success, and nobody tells us but its list."""
    await passes(host, 1)
    assert [known.id for known in host.services.cache.every(KnownEngine)] == ["engine-1"]
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    host.engine.networks = set()
    await host.restart()
    await passes(host, 1)
    assert host.services.cache.count(Network) == 1
    await passes(host, 1)
    assert host.services.cache.count(Network) == 0
    assert host.services.cache.count(Pool) == 0


async def test_an_engine_that_never_had_a_network_of_ours_proves_nothing(host: MemoryHost) -> None:
    """Another engine at the same socket: what it lacks is not taken."""
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    host.engine.networks = {"f" * 64}
    await passes(host, 4)
    assert host.services.cache.count(Network) == 1


async def test_a_network_that_went_during_an_upgrade_goes_here_too(host: MemoryHost) -> None:
    """The engine has another id then; that it is the same is told by the network that it still has."""
    b = await host.network("b")
    host.engine.networks = {A, b}
    await host.services.repair.once()
    host.engine.id, host.engine.networks = "engine-2", {A}
    await passes(host)
    assert {network.id for network in host.services.cache.every(Network)} == {A}
    assert [known.id for known in host.services.cache.every(KnownEngine)] == ["engine-2"]


async def test_an_engine_that_is_down_proves_nothing_and_interrupts_nothing(host: MemoryHost) -> None:
    """Missing, then no answer, then missing: that is two sightings, and not one before."""
    await passes(host, 1)
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    host.engine.networks = set()
    await passes(host, 1)
    host.engine.up = False
    await passes(host, 5)
    assert host.services.cache.count(Network) == 1
    host.engine.up = True
    await passes(host, 1)
    assert host.services.cache.count(Network) == 0


async def test_a_network_with_a_living_interface_is_never_taken(host: MemoryHost) -> None:
    """Whatever the engine says: it is told as a finding."""
    await passes(host, 1)
    host.engine.networks = set()
    await passes(host, 3)
    assert host.services.cache.count(Network) == 1
    report = host.services.repair.report
    assert report is not None
    assert any("stays because a container is in it" in finding for finding in report.findings)


async def test_a_network_that_is_listed_again_starts_anew(host: MemoryHost) -> None:
    """One sighting is forgotten when the next pass sees the network."""
    await passes(host, 1)
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    for listed in (set(), {A}, set()):
        host.engine.networks = listed
        await passes(host, 1)
    assert host.services.cache.count(Network) == 1


async def test_a_subnet_whose_network_never_came_is_released(host: MemoryHost) -> None:
    """The reply to RequestPool was lost with the daemon: dockerd asked again, and no network has the first one."""
    await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.99.0.0/24")))
    used = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.98.0.0/24")))
    host.engine.subnets = {ip_network("10.98.0.0/24")}
    await passes(host, 3)
    left = {pool.id for pool in host.services.cache.every(Pool) if not pool.network}
    assert left == {used.pool}


async def test_an_endpoint_whose_interface_went_is_removed_with_its_leases(host: MemoryHost) -> None:
    """Its container died with dockerd, which never tells."""
    host.kernel.lose(host_end("e1".ljust(64, "0")))
    await passes(host, 1)
    assert host.services.cache.count(Endpoint) == 1
    await passes(host, 1)
    assert host.services.cache.count(Endpoint) == 0
    lease = host.services.cache.lease("default", ip_address("10.32.0.2"))
    assert lease is None or lease.state.value == "cooling"


async def test_an_endpoint_that_nobody_attached_is_removed(host: MemoryHost) -> None:
    """The reply to CreateEndpoint was lost, and so was everything that followed."""
    await host.endpoint(A, "f2", attach=False)
    await passes(host, 3)
    assert [endpoint.id for endpoint in host.services.cache.every(Endpoint)] == ["e1".ljust(64, "0")]


async def test_an_endpoint_that_is_attached_at_the_last_moment_keeps_its_addresses(host: MemoryHost) -> None:
    """Docker's Join comes between the look and the removal."""
    await host.endpoint(A, "f2", attach=False)
    await passes(host, 1)
    collector, ident = host.services.repair._garbage_collector, "f2".ljust(64, "0")
    delete = collector._endpoints._delete

    async def join_first(
        network_id: str, endpoint_id: str, force: bool, attached: bool, known: Endpoint | None
    ) -> None:
        await host.attach(network_id, "f2")
        await delete(network_id, endpoint_id, force, attached, known)

    collector._endpoints._delete = join_first  # type: ignore[method-assign]
    host.clock.advance(MINIMUM_AGE + 1)
    taken, _ = await collector.once(frozenset({host_end("e1".ljust(64, "0"))}))
    endpoint = host.services.cache.endpoint(A, ident)
    assert endpoint is not None
    assert endpoint.state is State.ATTACHED
    assert not [line for line in taken if "f2" in line]
    for address in endpoint.addresses:
        assert host.services.cache.lease("default", address) is not None


async def test_a_subnet_in_use_by_another_engine_is_never_released(host: MemoryHost) -> None:
    """A second dockerd found our socket: the first one does not list its network, and proves nothing."""
    await passes(host, 1)
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.99.0.0/24")))
    await host.services.ipam.request_address(AddressRequest(grant.pool, Role.ENDPOINT, mac="02:00:00:00:00:07"))
    other = await host.network("b")
    await passes(host, 4)
    assert host.services.cache.pool(grant.pool) is not None
    assert host.services.cache.network(other) is not None


async def test_the_only_engine_of_the_host_counts_for_what_it_never_listed_too(host: MemoryHost) -> None:
    """A network made and removed between two looks, while Mooring was away for the removal."""
    await passes(host, 1)
    await host.network("b")
    host.engine.alone = True
    await passes(host, 2)
    assert [network.id for network in host.services.cache.every(Network)] == [A]


def missing(host: MemoryHost) -> dict[str, Finding]:
    """What is told to be missing, by its subject."""
    return {finding.subject: finding for finding in host.services.garbage_collector.missing}


async def test_what_is_missing_is_told_with_its_age(host: MemoryHost) -> None:
    """Since the first pass that missed it, not before a start could be over, and no more once it is taken."""
    await passes(host, 1)
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    host.engine.networks = set()
    await host.services.repair.once()
    began = host.clock.now()
    host.clock.advance(TOLD_AGE - 1)
    assert missing(host) == {}
    host.clock.advance(1)
    finding = missing(host)[f"engine's network {A}"]
    assert finding.text == "network a00000000000 is in the records but not in Docker"
    assert (finding.since, finding.fixable) == (began, True)
    await passes(host, 1)
    assert missing(host) == {}


async def test_each_kind_of_thing_that_is_missing_has_its_words(host: MemoryHost) -> None:
    """Endpoint, lease and subnet; what an endpoint has by now is not missed any more."""
    await passes(host, 1)
    network = host.services.cache.network(A)
    assert network is not None
    got = await host.services.ipam.request_address(AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, mac="02::7"))
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.99.0.0/24")))
    host.kernel.lose(host_end("e1".ljust(64, "0")))
    await host.services.repair.once()
    host.clock.advance(TOLD_AGE)
    texts = {finding.text for finding in host.services.garbage_collector.missing}
    assert texts == {
        "endpoint e10000000000 is recorded but has no interface",
        f"lease {got.ip} was given, but no endpoint has it",
        f"pool {grant.pool} has no network",
    }
    await host.services.ipam.release_address(network.ipv4[0].pool, got.ip)
    assert len(host.services.garbage_collector.missing) == 2
