"""Giving the host an address in a network, and taking it back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.plumbing import LinkAddress
from mooring.core.whom import HOST
from mooring.services.operations.exposing import Exposing
from tests.services.hosts import MemoryHost
from tests.services.operators import lease_of, operate

A = "a".ljust(64, "0")


def exposing(host: MemoryHost) -> Exposing:
    """What does it."""
    return operate(host).exposing


def on_bridge(host: MemoryHost) -> list[str]:
    """The addresses of bridges in the kernel."""
    return sorted(str(fact.interface) for fact in host.facts if isinstance(fact, LinkAddress))


async def expose(host: MemoryHost, *addresses: str) -> tuple[list[str], bool]:
    """`mooring expose a`."""
    view = await exposing(host).expose("a", [*map(ip_address, addresses)])
    return view.addresses, view.changed


async def hide(host: MemoryHost, *addresses: str) -> tuple[list[str], bool]:
    """`mooring hide a`."""
    view = await exposing(host).hide("a", [*map(ip_address, addresses)])
    return view.addresses, view.changed


async def bare() -> MemoryHost:
    """A network without a gateway, 10.32.0.0/24."""
    host = await MemoryHost().start()
    await host.network("a", gateway="none")
    return host


async def test_the_host_is_in_a_network_whose_bridge_has_an_address() -> None:
    """Nothing changes; a further address may be had, and goes again."""
    host = await MemoryHost().start()
    await host.network("a", v6=True)
    gateways = ["10.32.0.1/24", "fd00:32::1/64"]
    assert await expose(host) == (gateways, False)
    assert await expose(host, "10.32.0.1") == (gateways, False)
    assert await expose(host, "10.32.0.9") == ([*gateways, "10.32.0.9/24"], True)
    assert await hide(host) == (gateways, True)
    assert on_bridge(host) == gateways
    with pytest.raises(Conflict, match=r"10\.32\.0\.1 is the gateway of the network"):
        await hide(host, "10.32.0.1")


async def test_a_network_without_a_gateway_gets_the_host() -> None:
    """One address, however often; nobody else is given it; it is taken back once."""
    host = await bare()
    assert on_bridge(host) == []
    (address,), changed = await expose(host)
    assert changed
    assert await expose(host) == ([address], False)
    assert on_bridge(host) == [address]
    lease = lease_of(host, address.partition("/")[0])
    assert lease is not None
    assert lease.whom == HOST
    assert "this host" in str(await operate(host).lookup.explain(str(lease.address)))
    assert await hide(host) == ([], True)
    assert await hide(host) == ([], False)
    assert (on_bridge(host), lease_of(host, str(lease.address))) == ([], None)


async def test_it_comes_back_after_a_flush_and_a_reboot() -> None:
    """Repair knows it; what is no longer on record is a leftover (Weave's smoke tests 135 and 370)."""
    host = await bare()
    await expose(host, "10.32.0.9")
    host.kernel.facts = {key: fact for key, fact in host.kernel.facts.items() if not isinstance(fact, LinkAddress)}
    await host.services.repair.once()
    assert on_bridge(host) == ["10.32.0.9/24"]
    await host.reboot()
    await host.services.repair.once()
    assert on_bridge(host) == ["10.32.0.9/24"]
    assert await hide(host, "10.32.0.9") == ([], True)
    await host.services.repair.once()
    assert on_bridge(host) == []


async def test_what_cannot_be_is_refused() -> None:
    """Somebody's address, one of another network, a network that is not there."""
    host = await bare()
    await host.endpoint(A, "e1")
    endpoint = host.services.endpoint_index.of_network(A)[0]
    taken = str(endpoint.addresses[0])
    with pytest.raises(Conflict, match=rf"{taken} is not free \(held by endpoint e1"):
        await expose(host, taken)
    with pytest.raises(BadRequest, match="is not in the network"):
        await expose(host, "10.99.0.1")
    with pytest.raises(NotFound):
        await exposing(host).expose("nowhere", [])
    assert on_bridge(host) == []


async def test_a_kernel_that_refuses_leaves_nothing() -> None:
    """Neither on record."""
    host = await bare()
    host.refusals.append(Unavailable("the kernel refuses"))
    with pytest.raises(Unavailable):
        await expose(host, "10.32.0.9")
    assert (on_bridge(host), lease_of(host, "10.32.0.9")) == ([], None)
