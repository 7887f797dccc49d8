"""Networks that the engine has and no record knows: taken in when it is certain, and never when they are going."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_network

import pytest

from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.plumbing import GuardedPort
from mooring.core.pools import SubnetPool
from mooring.services.operations.subnet_pool_rows import strayed_networks
from tests.services.hosts import POLICY, MemoryHost
from tests.services.lost_stores import ENDPOINT, NETWORK, bare_host, restored_host


@pytest.fixture
async def host() -> MemoryHost:
    """A host whose store is a backup from before its second container, which runs and publishes a port."""
    return await restored_host()


@pytest.fixture
async def bare() -> MemoryHost:
    """The same host, whose store is lost altogether, and an engine that knows its network."""
    return await bare_host()


async def test_a_lost_store_is_rebuilt_from_engine_and_kernel(bare: MemoryHost) -> None:
    """Network, pools, gateways, endpoints, leases and ports are on record, and nothing in the kernel was touched."""
    before, made = bare.facts, dict(bare.kernel.made)
    report = await bare.services.repair.once()
    assert report.findings == ()
    assert bare.facts == before
    assert bare.kernel.made == made
    network = bare.services.cache.network(NETWORK)
    assert network is not None
    assert [str(segment.gateway) for segment in network.segments] == ["10.32.0.1/24", "fd00:32::1/64"]
    pools = [bare.services.cache.pool(segment.pool) for segment in network.segments]
    assert [pool.source for pool in pools if pool is not None] == ["default4", "default6"]
    assert {each.id[:2] for each in bare.services.cache.every(Endpoint)} == {"e1", "e2"}
    states = Counter(lease.state for lease in bare.services.cache.every(Lease))
    assert states == {LeaseState.GATEWAY: 2, LeaseState.DYNAMIC: 4}
    assert (await bare.services.repair.once()).repaired == ()


@pytest.mark.parametrize(
    ("words", "known", "source"),
    [
        ({"pool": "lab"}, "", "lab"),  # it went with the store: the network still says where it is from
        ({"pool": "lab"}, "10.32.0.0/16", "lab"),
        ({"pool": "lab"}, "10.99.0.0/16", ""),  # of another place: the subnet was typed
        ({"pool": "lab", "prefixlen": "24"}, "10.32.0.0/16", "lab"),
        ({"pool": "lab", "prefixlen": "26"}, "10.32.0.0/16", ""),
        ({}, "", "default4"),
    ],
)
async def test_a_rebuilt_network_is_of_the_subnet_pool_that_it_names(
    bare: MemoryHost, words: dict[str, str], known: str, source: str
) -> None:
    """Whether that is still there or not; one that is gone is told by ls and the doctor."""
    bare.engine.described[NETWORK] = replace(bare.engine.described[NETWORK], ipam_options=words)
    if known:
        lab = SubnetPool("lab", "blue", (ip_network(known),), 24, 1, 30, None, declared=False)
        await bare.services.cache.commit(put=[lab])
    await bare.services.repair.once()
    network = bare.services.cache.network(NETWORK)
    assert network is not None
    pool = bare.services.cache.pool(network.ipv4[0].pool)
    assert pool is not None
    assert pool.source == source
    if source == "lab" and not known:
        (note,) = strayed_networks(bare.services.cache, POLICY.declared())
        assert "subnet pool lab is gone, its networks remain" in note.text


async def test_a_network_without_life_is_taken_in_at_the_second_sight(bare: MemoryHost) -> None:
    """It may be only just going."""
    for name in ("e1", ENDPOINT):
        bare.kernel.lose(f"mv-{name.ljust(64, '0')[:12]}")
    await bare.services.repair.once()
    assert bare.services.cache.network(NETWORK) is None
    bare.clock.advance(10)
    await bare.services.repair.once()
    assert bare.services.cache.network(NETWORK) is not None


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
    assert host.services.cache.network(NETWORK) is None


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
    assert host.services.cache.network(NETWORK) is None
    assert host.services.cache.network(other) is not None


async def test_an_engine_that_is_down_keeps_nothing_from_being_safe(bare: MemoryHost) -> None:
    """The first pass cannot ask; what lives is spared, told, and taken in when the engine is back."""
    bare.engine.up = False
    before = bare.facts
    report = await bare.services.repair.once()
    assert before == bare.facts
    assert any("until Docker answers" in line for line in report.findings)
    bare.engine.up = True
    assert (await bare.services.repair.once()).findings == ()
    assert bare.services.cache.count(Endpoint) == 2


@pytest.mark.parametrize(
    ("options", "guarded", "flushed", "secure"),
    [
        ({}, True, False, True),
        ({"port_security": "off"}, True, False, False),
        ({"mooring.port_security": "off"}, False, True, False),
        ({}, False, False, False),
        ({"port_security": "on"}, False, False, True),
        ({}, False, True, True),
    ],
)
async def test_what_containers_may_send_is_as_it_was(
    bare: MemoryHost, options: dict[str, str], guarded: bool, flushed: bool, secure: bool
) -> None:
    """As the engine has it; a network from before the option shows in the kernel, unless somebody flushed that."""
    bare.engine.described[NETWORK] = replace(bare.engine.described[NETWORK], options=options)
    if not guarded:
        bare.kernel.facts = {key: fact for key, fact in bare.kernel.facts.items() if not isinstance(fact, GuardedPort)}
    if flushed:
        bare.kernel.flush_ruleset()
    await bare.services.repair.once()
    network = bare.services.cache.network(NETWORK)
    assert network is not None
    assert network.options.port_security is secure
    await bare.services.repair.once()
    assert any(isinstance(fact, GuardedPort) for fact in bare.facts) is secure
