"""A network is not made over what the host is in already, and one that is come over is told of."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import IPv4Network, ip_interface, ip_network
from itertools import islice

import pytest

from mooring.core.engines import EngineView
from mooring.core.faults import Conflict
from mooring.core.networks import HostOverlap, Network, Segment
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.restored_store import Outcome
from tests.counting import counting
from tests.services.hosts import MemoryHost

DOCKER0 = {ip_interface("10.9.0.1/16"): "interface docker0 of this host"}
NET = "a" * 64


async def create(host: MemoryHost, subnet: str = "10.9.1.0/24", ours: bool = True, **raw: str) -> None:
    """`docker network create --subnet`, with our IPAM driver or Docker's own."""
    net = ip_network(subnet)
    gateway, pool = ip_interface(f"{net[1]}/{net.prefixlen}"), ""
    if ours:
        grant = await host.services.ipam.request_pool(PoolRequest("default", net.version, net))
        assert grant.gateway is not None
        gateway, pool = grant.gateway, grant.pool
    segment = SegmentRequest("default" if ours else "LocalDefault", net, gateway, {}, pool)
    try:
        parts = ((segment,), ()) if net.version == 4 else ((), (segment,))
        await host.services.networks.create(NetworkRequest(NET, raw, False, *parts))
    except Conflict:
        if pool:
            await host.services.ipam.release_pool(pool)
        raise


def made(host: MemoryHost) -> bool:
    """Whether the network is there."""
    return any(isinstance(network, Network) for network in host.services.cache.every(Network))


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("subnet", ["10.9.1.0/24", "10.8.0.0/15", "10.9.0.0/16"])
async def test_a_subnet_that_an_interface_is_in_is_refused_with_its_name(ours: bool, subnet: str) -> None:
    """A part of it, all of it, and more than it; with whichever IPAM driver. Nothing is left."""
    host = await MemoryHost().start()
    host.kernel.own = DOCKER0
    with pytest.raises(Conflict, match=r"overlaps 10\.9\.0\.0/16 \(held by interface docker0 of this host\)"):
        await create(host, subnet, ours)
    assert not made(host)
    assert not any("mr-" in str(fact) for fact in host.facts)


async def test_an_address_that_the_host_has_alone_is_one() -> None:
    """A VIP or an end of a VPN."""
    host = await MemoryHost().start()
    host.kernel.own = {ip_interface("10.9.1.77/32"): "interface lo of this host"}
    with pytest.raises(Conflict, match="interface lo"):
        await create(host)


async def test_a_network_of_docker_without_an_interface_is_one() -> None:
    """As the engine told it last."""
    host = await MemoryHost().start()
    view = EngineView("e", frozenset(), frozenset(), elsewhere={ip_network("10.9.0.0/20"): "macvlan network lan"})
    host.services.garbage_collector.view = view
    with pytest.raises(Conflict, match="macvlan network lan"):
        await create(host)


async def test_what_lies_around_is_in_no_way(caplog: pytest.LogCaptureFixture) -> None:
    """A route that is wider, one to a single host, and another family."""
    host = await MemoryHost().start()
    host.kernel.own = {ip_interface("fd00::1/64"): "interface eth0 of this host"}
    host.kernel.routes = [ip_network("10.0.0.0/8"), ip_network("10.9.1.53/32")]
    with caplog.at_level(logging.WARNING, "mooring.services.networking.overlaps"):
        await create(host)
    assert made(host)
    assert caplog.text == ""


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("route", ["10.9.1.0/24", "10.9.1.128/25"])
async def test_a_route_into_the_subnet_is_in_the_way(route: str, ours: bool) -> None:
    """What is meant for it would not come to the network, or the other way round; also a route to all of it."""
    host = await MemoryHost().start()
    host.kernel.routes = [ip_network(route)]
    with pytest.raises(Conflict, match="a route of this host"):
        await create(host, ours=ours)


async def test_who_insists_gets_it_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """-o host_overlap=warn; nobody is told again and again."""
    host = await MemoryHost().start()
    host.kernel.own = DOCKER0
    await create(host, host_overlap="warn")
    assert made(host)
    assert "interface docker0" in caplog.text
    assert host.services.restored_store is not None
    assert (await host.services.restored_store.once(await host.kernel.observe())).findings == []


async def test_what_exists_goes_on_and_is_told_of() -> None:
    """The other came second: asked for again the network is there, and a finding names both."""
    host = await MemoryHost().start()
    await create(host, ours=False)
    host.kernel.own = DOCKER0
    await create(host, ours=False)
    assert host.services.restored_store is not None
    outcome: Outcome = await host.services.restored_store.once(await host.kernel.observe())
    (finding,) = outcome.findings
    assert "10.9.1.0/24" in finding
    assert "interface docker0 of this host uses 10.9.0.1/16" in finding


@pytest.mark.parametrize("route", ["10.9.1.0/24", "10.9.1.128/25"])
async def test_a_route_that_comes_later_is_told_of(route: str) -> None:
    """A VPN that pushes it; one that is wider, or to a single address, takes nothing away."""
    host = await MemoryHost().start()
    await create(host)
    host.kernel.routes = [ip_network("10.8.0.0/15"), ip_network("10.9.1.7/32"), ip_network(route)]
    assert host.services.restored_store is not None
    (finding,) = (await host.services.restored_store.once(await host.kernel.observe())).findings
    assert f"this host has a route to {route} elsewhere" in finding


async def test_an_address_and_its_own_route_are_told_of_once() -> None:
    """Whoever gets an address in a subnet gets a route to it."""
    host = await MemoryHost().start()
    await create(host)
    host.kernel.own = {ip_interface("10.9.1.7/24"): "interface wg0 of this host"}
    host.kernel.routes = [ip_network("10.9.1.0/24")]
    assert host.services.restored_store is not None
    (finding,) = (await host.services.restored_store.once(await host.kernel.observe())).findings
    assert "interface wg0" in finding


async def test_what_is_carved_is_never_refused() -> None:
    """It lies beside what a given subnet would be refused over, also where no route is: an interface that is down, a
    network of Docker's without an interface."""
    host = await MemoryHost().start()
    host.kernel.own = {ip_interface("10.32.0.77/23"): "interface eth1 of this host"}
    view = EngineView("e", frozenset(), frozenset(), elsewhere={ip_network("10.32.2.0/24"): "macvlan network lan"})
    host.services.garbage_collector.view = view
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4))
    assert grant.subnet == ip_network("10.32.3.0/24")
    assert grant.gateway is not None
    segment = SegmentRequest("default", grant.subnet, grant.gateway, {}, grant.pool)
    await host.services.networks.create(NetworkRequest(NET, {}, False, (segment,), ()))
    assert made(host)


async def test_looking_for_what_came_over_networks_costs_what_the_host_has_and_not_what_we_have() -> None:
    """In calls of functions: with a thousand networks that nothing came over, no more than with one."""
    host = await MemoryHost().start()
    await create(host, "10.9.0.0/24")
    overlaps = Overlaps(host.services.cache, host.kernel, HostOverlap.REFUSE, lambda: None)
    host.kernel.own = DOCKER0 | {ip_interface("192.0.2.7/24"): "interface eth0 of this host"}
    there = await host.kernel.host_net()

    def cost() -> int:
        with counting() as calls:
            found = list(overlaps.findings(there))
        assert [line.startswith(f"network {NET[:12]} has subnet 10.9.0.0/24, and") for line in found] == [True]
        return calls[0]

    before = cost()
    template = host.services.cache.network(NET)
    assert template is not None
    others = [
        replace(template, id=f"{number:064x}", ipv4=(Segment(subnet, None, "default", ""),))
        for number, subnet in enumerate(islice(IPv4Network("10.64.0.0/10").subnets(new_prefix=24), 1000))
    ]
    await host.services.cache.commit(put=others)
    assert cost() <= before + 10
