"""Hosts of one cluster with an overlay in common, and all that goes from one's records to another's kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

from msgspec import structs

from mooring.core.cluster_networks import ClusterNetwork
from mooring.core.networks import Address
from mooring.core.plumbing import Neighbour, RemoteMac, Vxlan
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.services.containers.advertiser import Advertiser
from mooring.services.networking.overlay_feed import OverlayFeed
from tests.services.member_hosts import MemberHost

WEB = ClusterNetwork(id="n1", space="default", subnets=(ip_network("10.99.0.0/16"),), vni=4097)


def advertiser(host: MemberHost) -> Advertiser:
    """The host's."""
    assert host.services.keeping is not None
    return host.services.keeping.advertiser


async def take_part(host: MemberHost, name: str, shared: ClusterNetwork = WEB, **raw: str) -> str:
    """The host makes its network of that name, which is the cluster's; the id on this host."""
    ident, plan, mode = name.ljust(64, "0"), host.runtime.plan, "vxlan" if shared.vni else "bridge"
    assert plan is not None
    parts: dict[int, tuple[SegmentRequest, ...]] = {4: (), 6: ()}
    for subnet in shared.subnets:
        grant = await host.services.ipam.request_pool(PoolRequest(shared.space, subnet.version, subnet))
        parts[subnet.version] = (SegmentRequest(shared.space, grant.subnet, grant.gateway),)
    if (await plan.values.network(shared.space, shared.subnet)).value is None:
        gateways = tuple(part.gateway for each in (4, 6) for part in parts[each] if part.gateway is not None)
        await plan.values.put(structs.replace(shared, options={"mode": mode} | _agreed(raw), gateways=gateways), 0)
    request = NetworkRequest(ident, {"mode": mode, "scope": "cluster"} | raw, False, parts[4], parts[6])
    await host.services.networks.create(request)
    return ident


def _agreed(raw: dict[str, str]) -> dict[str, str]:
    return {word: text for word, text in raw.items() if word in ("ingress",)}


def tunnels(host: MemberHost) -> set[int]:
    """The VNIs of the devices that the host's kernel has."""
    return {fact.vni for fact in host.facts if isinstance(fact, Vxlan)}


def remotes(host: MemberHost) -> dict[str, str]:
    """Where the host's kernel has endpoints of other hosts: MAC to underlay address."""
    return {fact.mac: str(fact.host) for fact in host.facts if isinstance(fact, RemoteMac)}


def neighbours(host: MemberHost) -> dict[Address, str]:
    """The MACs that the host's kernel has for addresses of other hosts' endpoints."""
    return {fact.address: fact.mac for fact in host.facts if isinstance(fact, Neighbour)}


@asynccontextmanager
async def following(*hosts: MemberHost) -> AsyncIterator[None]:
    """What runs in a daemon beside the turns, runs."""
    async with asyncio.TaskGroup() as tasks:
        feeds: list[OverlayFeed] = [host.services.overlay_feed for host in hosts]
        running = [tasks.create_task(feed.run()) for feed in feeds]
        running += [tasks.create_task(host.services.ingress_ports.run()) for host in hosts]
        running += [tasks.create_task(advertiser(host).run()) for host in hosts]
        try:
            yield
        finally:
            for each in running:
                each.cancel()


async def turns(*hosts: MemberHost, times: int = 3) -> None:
    """Each has so many, with a second between them, and a pass of repair after each."""
    for _ in range(times):
        for host in hosts:
            await host.turn()
            for _ in range(20):
                await asyncio.sleep(0)
            await host.services.repair.overlays.settle()
            await host.services.repair.once()
        hosts[0].clock.advance(1.0)
