"""One MAC, one living endpoint of a network."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict
from mooring.core.requests import AddressRequest, EndpointRequest, JoinRequest, Role
from mooring.services.networking.liveness import STARTED
from tests.services.holder_hosts import HolderHost, ident
from tests.services.hosts import MemoryHost

MAC = "02:00:00:00:00:55"
ONE, TWO = "one".ljust(64, "0"), "two".ljust(64, "0")


async def start(host: MemoryHost, network: str, endpoint: str, mac: str = MAC) -> None:
    """A container starts as dockerd starts it in a subnet that Mooring chose: it asks for any address."""
    segment = host.services.cache.network(network)
    assert segment is not None
    interface = await host.services.ipam.request_address(AddressRequest(segment.ipv4[0].pool, Role.ENDPOINT, mac=mac))
    try:
        await host.services.endpoints.create(EndpointRequest(network, endpoint, interface, None, mac))  # type: ignore[arg-type]
    except Conflict:
        await host.services.endpoints.release(segment.ipv4[0].pool, interface.ip)
        raise
    await host.services.endpoints.attach(network, endpoint, JoinRequest(f"/run/docker/netns/{endpoint[:3]}"))
    host.kernel.lived_in.add(host_end(endpoint))


def living(host: MemoryHost) -> list[str]:
    """Ids of the endpoints on record."""
    return sorted(endpoint.id for endpoint in host.services.cache.every(Endpoint))


async def test_the_second_of_one_mac_is_refused_naming_the_first() -> None:
    """At its start, and nothing of it is left; in another network it is fine."""
    host = await MemoryHost().start()
    network, other = await host.network("a"), await host.network("b")
    await start(host, network, ONE)
    revision = host.services.cache.revision
    with pytest.raises(Conflict, match=rf"MAC {MAC} is already in use.*endpoint one.*10\.32\.0\.2"):
        await host.services.endpoints.create(EndpointRequest(network, TWO, None, None, MAC))
    assert (living(host), host.services.cache.revision) == ([ONE], revision)
    await start(host, other, TWO)
    assert living(host) == [ONE, TWO]


async def test_two_at_once_are_not_both_let_in() -> None:
    """Neither knows of the other when it begins."""
    host = await MemoryHost().start()
    network = await host.network("a")
    requests = [EndpointRequest(network, ident_, None, None, MAC) for ident_ in (ONE, TWO)]
    done = await asyncio.gather(*map(host.services.endpoints.create, requests), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in done) == 1
    assert len(living(host)) == 1


async def test_a_dead_endpoint_with_the_mac_makes_room() -> None:
    """Its interface went with its container, or was left on the host, which nobody told us."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await start(host, network, ONE)
    host.kernel.lived_in.clear()
    with pytest.raises(Conflict):
        await host.services.endpoints.create(EndpointRequest(network, TWO, None, None, MAC))
    host.clock.advance(STARTED + 1)
    await host.services.endpoints.create(EndpointRequest(network, TWO, None, None, MAC))
    assert living(host) == [TWO]


async def test_the_bridges_mac_is_nobodys() -> None:
    """The container would take the gateway's traffic."""
    host = await MemoryHost().start()
    network = await host.network("a")
    known = host.services.cache.network(network)
    assert known is not None
    with pytest.raises(Conflict, match="the network's bridge"):
        await host.services.endpoints.create(EndpointRequest(network, ONE, None, None, known.mac))


async def test_the_second_replica_of_a_key_is_refused_by_the_name_of_the_first() -> None:
    """In a chosen subnet their MAC is all that says who they are."""
    host = HolderHost()
    host.typed = False
    await host.serve("web")
    labels = {"mooring.key": "db"}
    network = host.full("web")
    for name in ("first", "second"):
        await host.docker_create(name, "web", labels=labels)
    (mac,) = {lease.mac for lease in host.services.holders.held_by(ident("first"))[0][1:]}
    await start(host, network, ONE, mac)
    with pytest.raises(Conflict, match="container first"):
        await start(host, network, TWO, mac)
    assert living(host) == [ONE]
