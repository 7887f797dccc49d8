"""A wall clock that is set: nothing that is young is taken back, and no deadline ends while the clocks disagree."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec
import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.leases import Lease, State
from mooring.core.requests import AddressRequest, Role
from tests.services.hosts import MemoryHost

NETWORK = "a".ljust(64, "0")
DAY = 86400.0


@pytest.fixture
async def host() -> MemoryHost:
    """A host with a network."""
    host = await MemoryHost().start()
    await host.network("a")
    return host


def pool(host: MemoryHost) -> str:
    """The network's pool."""
    network = host.services.cache.network(NETWORK)
    assert network is not None
    return network.ipv4[0].pool


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_lease_that_is_seconds_old_stays_when_the_clock_is_set(host: MemoryHost, jump: float) -> None:
    """It was given, and its endpoint is on its way."""
    given = await host.services.ipam.request_address(AddressRequest(pool(host), Role.ENDPOINT, mac="02:00:00:00:00:09"))
    await host.services.repair.once()
    host.clock.jump(jump)
    host.clock.advance(3)
    await host.services.repair.once()
    assert host.services.cache.lease("default", given.ip) is not None
    for _ in range(2):
        host.clock.advance(121)
        await host.services.repair.once()
    lease = host.services.cache.lease("default", given.ip)
    assert lease is None or lease.state is State.COOLING


async def test_what_is_given_anew_under_the_same_name_is_young_again(host: MemoryHost) -> None:
    """The address was missed, given back and given again between two passes."""
    ask = AddressRequest(pool(host), Role.ENDPOINT, IPv4Address("10.32.0.9"), mac="02:00:00:00:00:09")
    await host.services.ipam.request_address(ask)
    await host.services.repair.once()
    host.clock.advance(119)
    await host.services.ipam.release_address(ask.pool, IPv4Address("10.32.0.9"))
    await host.services.ipam.request_address(ask)
    host.clock.advance(3)
    await host.services.repair.once()
    lease = host.services.cache.lease("default", IPv4Address("10.32.0.9"))
    assert lease is not None
    assert lease.state is State.DYNAMIC


async def test_a_holder_that_is_missed_for_seconds_stays_when_the_clock_is_set(host: MemoryHost) -> None:
    """The engine is being restarted, say, and lists nobody yet."""
    endpoint = ContainerEndpoint(NETWORK, "a", wanted4=IPv4Address("10.32.0.9"))
    host.engine.networks.add(NETWORK)
    host.engine.create("c" * 64, "db", endpoint, labels={"fixed-ip": ""})
    assert host.services.keeping is not None
    await host.services.keeping.container_reconciler.once()
    host.engine.remove("c" * 64)
    await host.services.keeping.container_reconciler.once()
    host.clock.jump(DAY)
    host.clock.advance(3)
    await host.services.keeping.container_reconciler.once()
    assert host.services.cache.holder("c" * 64) is not None
    host.clock.advance(121)
    await host.services.keeping.container_reconciler.once()
    assert host.services.cache.holder("c" * 64) is None


async def test_no_deadline_ends_while_the_clocks_disagree(host: MemoryHost) -> None:
    """It is told meanwhile, and ends when they agree."""
    kept = Lease(
        space="default", address=IPv4Address("10.32.0.9"), pool=pool(host), state=State.RESERVED,
        since=host.clock.now(), until=host.clock.now() + 60, whom="db",
    )  # fmt: skip
    await host.services.cache.commit(put=[msgspec.structs.replace(kept)])
    host.clock.advance(61)
    host.clock.off = 3600.0
    report = await host.services.repair.once()
    assert any("the system clock has jumped by +3600 s" in line for line in report.findings)
    assert host.services.cache.lease("default", kept.address) is not None
    host.clock.off = 0.0
    assert (await host.services.repair.once()).findings == ()
    assert host.services.cache.lease("default", kept.address) is None
