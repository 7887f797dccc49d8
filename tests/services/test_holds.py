"""A container asks for its address at its next start: hold and fix."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.leases import Active, State
from mooring.core.networks import Network
from mooring.core.requests import AddressRequest, EndpointRequest, NetworkRequest, PoolRequest, Role, SegmentRequest
from mooring.core.views import Change
from mooring.services.operations.holds import pool_around
from mooring.services.operations.operations import Operations
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, operate, run_container

A, E1 = "a".ljust(64, "0"), "e1".ljust(64, "0")
MAC = "02:42:0a:4d:00:02"


async def typed() -> MemoryHost:
    """Network a has a subnet that was typed by hand, and endpoint e1 has 10.77.0.2 in it."""
    host = await MemoryHost().start()
    services = host.services
    grant = await services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.77.0.0/24")))
    await services.networks.create(
        NetworkRequest(A, {}, False, (SegmentRequest("default", grant.subnet, grant.gateway),), ())
    )
    address = await services.ipam.request_address(
        AddressRequest(grant.pool, Role.ENDPOINT, ip_address("10.77.0.2"), MAC)
    )
    await services.endpoints.create(EndpointRequest(A, E1, address, None, MAC))  # type: ignore[arg-type]
    return host


async def chosen() -> MemoryHost:
    """The same in a subnet that Mooring chose, with 10.32.0.2."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a"), "e1")
    return host


async def hold(operated: Operations, address: str, key: str = "", dry: bool = False) -> list[Change]:
    """`mooring lease hold`."""
    return await operated.holds.hold(None, ip_address(address), key, None, dry)


def wanted(host: MemoryHost, container: str) -> list[str]:
    """What the container's configuration names."""
    return [str(address) for endpoint in host.engine._containers[container].endpoints for address in endpoint.wanted]


async def test_a_held_address_is_named_by_the_configuration_before_it_is_promised() -> None:
    """An engine before 29 does not say who asks: what is not named would be lost at the next start."""
    host = await typed()
    operated = operate(host)
    run_container(host, DB, "db", "e1", "10.77.0.2")
    (change,) = await hold(operated, "10.77.0.2", dry=True)
    assert "would be disconnected from network web for a moment" in change.note
    assert wanted(host, DB) == []
    (change,) = await hold(operated, "10.77.0.2")
    assert change.after == "fixed for container db, held by container db, in use"
    assert change.note == "container db was disconnected from network web for a moment, to configure the address"
    assert wanted(host, DB) == ["10.77.0.2"]
    lease = lease_of(host, "10.77.0.2")
    assert lease is not None
    assert (lease.state, lease.holders) == (State.FIXED, frozenset({DB}))
    assert await hold(operated, "10.77.0.2") == []


async def test_what_cannot_be_promised_is_not_offered() -> None:
    """In a subnet that Mooring chose such an engine takes no address by name; a key helps the next container."""
    host = await chosen()
    operated = operate(host)
    run_container(host, DB, "db", "e1", "10.32.0.2")
    with pytest.raises(Conflict, match=r"db would lose the address at its next start: .* recreate it .*give a --key"):
        await hold(operated, "10.32.0.2")
    assert lease_of(host, "10.32.0.2").state is State.DYNAMIC  # type: ignore[union-attr]
    (change,) = await hold(operated, "10.32.0.2", "shop")
    assert "container db gets another address at its next start" in change.note
    assert wanted(host, DB) == []


async def test_an_engine_that_refuses_leaves_all_as_it_was() -> None:
    """Its words are passed on, and nothing is promised."""
    host = await typed()
    run_container(host, DB, "db", "e1", "10.77.0.2")
    host.engine.refuses = "no"
    with pytest.raises(Conflict, match="Docker refuses: no"):
        await hold(operate(host), "10.77.0.2")
    assert lease_of(host, "10.77.0.2").state is State.DYNAMIC  # type: ignore[union-attr]


async def test_fix_names_what_a_container_holds() -> None:
    """One that was made past the proxy, running or not; done twice it is no change."""
    host = await typed()
    operated = operate(host)
    run_container(host, DB, "db", "e1", "10.77.0.2")
    await fix(host, "10.77.0.2", DB, active=Active(E1, "host", "boot"))
    (change,) = await operated.holds.fix("db", True)
    assert (change.note, wanted(host, DB)) == ("it is disconnected from network web for a moment", [])
    assert change.after == "in the configuration of container db"
    assert await operated.holds.fix(DB[:12], False) == [change]
    assert wanted(host, DB) == ["10.77.0.2"]
    assert await operated.holds.fix("db", False) == []


async def test_fix_has_nothing_to_do_where_the_engine_tells_who_asks_or_a_mac_proves_it() -> None:
    """No container is taken out of its network for nothing."""
    host = await typed()
    operated = operate(host)
    host.engine.networks.add(A)
    host.engine.create(DB, "db", ContainerEndpoint(A, "web", wanted_mac=MAC))
    await fix(host, "10.77.0.2", DB, mac=MAC)
    assert await operated.holds.fix("db", False) == []
    host.engine.version = (1, 52)
    host.engine.create(WEB, "web", ContainerEndpoint(A, "web"))
    await fix(host, "10.77.0.3", WEB)
    assert await operated.holds.fix("web", False) == []


async def test_what_cannot_be_fixed_says_why_and_what_to_do() -> None:
    """Unknown, in no network of ours, nothing held, a chosen subnet, an engine that is down."""
    host = await chosen()
    operated = operate(host)
    with pytest.raises(NotFound, match="no container 'nobody'"):
        await operated.holds.fix("nobody", False)
    host.engine.create("c" * 64, "far")
    with pytest.raises(Conflict, match="far is in no network of Mooring's"):
        await operated.holds.fix("far", False)
    run_container(host, DB, "db", "e1", "10.32.0.2")
    with pytest.raises(Conflict, match=r"has no fixed address; `mooring lease hold 10\.32\.0\.2`"):
        await operated.holds.fix("db", False)
    host.engine.create(WEB, "web", ContainerEndpoint(A, "web"), labels={"fixed-ip": ""})
    with pytest.raises(Conflict, match="no fixed address yet; start it first"):
        await operated.holds.fix("web", False)
    await fix(host, "10.32.0.2", DB, active=Active(E1, "host", "boot"))
    with pytest.raises(
        Conflict, match=r"cannot be made to ask for 10\.32\.0\.2: .*whose subnet Mooring chose; recreate it"
    ):
        await operated.holds.fix("db", False)
    host.engine.up = False
    with pytest.raises(Unavailable):
        await operated.holds.fix("db", False)


async def test_the_pool_around_an_address_is_one() -> None:
    """None is not found."""
    host = await chosen()
    cache = host.services.cache
    assert str(pool_around(cache, None, ip_address("10.32.0.9")).subnet) == "10.32.0.0/24"
    with pytest.raises(NotFound, match="no pool in address space x has"):
        pool_around(cache, "x", ip_address("10.32.0.9"))
    assert cache.count(Network) == 1
