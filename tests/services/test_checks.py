"""What records and engine tell that should not be, look by look."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.containers import EngineEndpoint, EngineNetwork
from mooring.core.engines import EngineView
from mooring.core.intents import Intent, Purpose
from mooring.core.leases import Active, Lease, State
from mooring.core.requests import PoolRequest
from mooring.services.operations.checks import (
    MAKING,
    astray,
    idle_pools,
    old_intents,
    overdue,
    stale_endpoints,
    unlike,
    unreached,
)
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, run_container

A = "a".ljust(64, "0")
E1 = "e1".ljust(64, "0")


@pytest.fixture
async def host() -> MemoryHost:
    """A network with a container's endpoint in it."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a"), "e1")
    return host


async def test_an_intent_is_found_when_it_is_old(host: MemoryHost) -> None:
    """One of the engine here is settled by itself; one of another engine never is."""
    cache, now = host.services.cache, host.clock.now()
    for ident, engine in (("i1", "engine-1"), ("i2", "engine-2")):
        await cache.commit(put=[Intent(id=ident, purpose=Purpose.CREATE, engine=engine, created=now, name="db")])
    assert list(old_intents(cache, now + MAKING - 1, "engine-1")) == []
    ours, theirs = old_intents(cache, now + MAKING, "engine-1")
    assert (ours.text, ours.since, ours.fixable) == ("the outcome of `create` for db is not recorded yet", now, True)
    assert (theirs.fixable, "of engine engine-2, not the one at the socket" in theirs.proof) == (False, True)
    assert all(finding.fixable for finding in old_intents(cache, now + MAKING, ""))


async def test_a_time_that_is_over_is_found(host: MemoryHost) -> None:
    """Of a reservation and of a key without a container, not of one that has one."""
    now, pool = host.clock.now(), lease_of(host, "10.32.0.2").pool  # type: ignore[union-attr]
    kept = Lease(
        space="default", address=ip_address("10.32.0.8"), pool=pool, state=State.RESERVED, since=now, until=now + 5
    )
    await host.services.cache.commit(put=[kept])
    await fix(host, "10.32.0.9", until=now + 5)
    await fix(host, "10.32.0.10", DB, until=now + 5)
    assert list(overdue(host.services.cache, now + 4)) == []
    found = [finding.text for finding in overdue(host.services.cache, now + 5)]
    assert found == [
        "address 10.32.0.8 is still reserved for no container, although that has expired",
        "address 10.32.0.9 is still kept for key:db, although that has expired",
    ]


async def test_leases_and_endpoints_that_contradict_are_found(host: MemoryHost) -> None:
    """In use without an endpoint, and an endpoint without a lease; those of another host are its own matter."""
    cache, endpoint_index = host.services.cache, host.services.endpoint_index
    await fix(host, "10.32.0.9", active=Active("f" * 64, "host", "boot"))
    await fix(host, "10.32.0.10", active=Active("f" * 64, "other", "boot"))
    (finding,) = unlike(cache, endpoint_index, "host")
    assert finding.text == "address 10.32.0.9 is recorded as in use, but no endpoint has it"
    await cache.commit(delete=[lease_of(host, "10.32.0.2"), lease_of(host, "10.32.0.9")])  # type: ignore[list-item]
    (finding,) = unlike(cache, endpoint_index, "host")
    assert finding.text == "endpoint e10000000000 uses 10.32.0.2, but there is no lease for it"


async def test_a_pool_without_a_network_is_found(host: MemoryHost) -> None:
    """Not a young one, nor one that a network of the engine has; reservations that keep it are named."""
    ipam, cache, now = host.services.ipam, host.services.cache, host.clock.now()
    grants = [await ipam.request_pool(PoolRequest("default", 4, ip_network(f"10.9{n}.0.0/24"))) for n in range(3)]
    pool = grants[2].pool
    kept = Lease(space="default", address=ip_address("10.92.0.9"), pool=pool, state=State.RESERVED, since=now)
    await cache.commit(put=[kept])
    view = EngineView("engine-1", frozenset(), frozenset({ip_network("10.90.0.0/24")}))
    assert list(idle_pools(cache, ipam, view, now + MAKING - 1)) == []
    idle, reserved = idle_pools(cache, ipam, view, now + MAKING)
    assert (idle.text, idle.fixable) == (f"pool {grants[1].pool} (10.91.0.0/24) belongs to no network", True)
    assert reserved.text.endswith("belongs to no network; kept for its reserved addresses (1)")
    assert not reserved.fixable


async def test_an_endpoint_is_stale_without_a_container(host: MemoryHost) -> None:
    """Neither with a container that the engine lists, nor while it is being made."""
    network, now = host.services.cache.network(A), host.clock.now()
    assert network is not None
    first, second = EngineEndpoint("f" * 64, "", "", None, None), EngineEndpoint("b" * 64, DB, "db", None, None)
    seen = EngineNetwork(A, "web", "mooring", endpoints=(first, second, EngineEndpoint(E1, "", "e1")))
    host.engine.create(DB, "db")
    _, containers = await host.engine.containers()
    found = list(stale_endpoints(network, seen, host.services.endpoint_index, containers, now))
    assert [finding.remedy for finding in found] == [f"`docker network disconnect -f web {'f' * 64}`"]
    found = list(stale_endpoints(network, seen, host.services.endpoint_index, (), now + MAKING))
    assert [finding.remedy.split()[-1] for finding in found] == ["f" * 64 + "`", "db`", "e1`"]
    run_container(host, WEB, "web", "e1", "10.32.0.2")
    _, containers = await host.engine.containers()
    found = list(stale_endpoints(network, seen, host.services.endpoint_index, containers, now + MAKING))
    assert [finding.subject for finding in found] == ["stale-endpoint " + "f" * 64]


async def test_a_container_with_another_address_than_its_own_is_found(host: MemoryHost) -> None:
    """While it runs; what it has not at all, or as it should, is no finding."""
    fixed_index, now = host.services.ipam.fixed_index, host.clock.now()
    await fix(host, "10.32.0.9", DB)
    run_container(host, DB, "db", "e1", "10.32.0.2")
    _, containers = await host.engine.containers()
    (finding,) = astray(fixed_index, containers, now)
    assert finding.text == "container db has 10.32.0.2, although 10.32.0.9 is fixed for it"
    assert "`--ip 10.32.0.9`" in finding.remedy
    host.engine.stop(DB)
    assert list(astray(fixed_index, (await host.engine.containers())[1], now)) == []
    host.engine.start(DB, A, E1, "10.32.0.9")
    assert list(astray(fixed_index, (await host.engine.containers())[1], now)) == []


def test_a_cluster_that_is_not_reached_is_told_of_with_what_waits_for_it() -> None:
    """Since when, and how much; nothing where it is reached."""
    (finding,) = unreached("no leader", 5.0, ["2 addresses to release"])
    assert finding.text == "this host is not heard in its cluster; waiting for it: 2 addresses to release"
    assert (finding.since, finding.proof) == (5.0, "no leader")
    assert list(unreached("", 5.0, ["x"])) == []
