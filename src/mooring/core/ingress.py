"""Published ports of networks with `ingress=any`: every host of the network leads to them.

Rules: which container a port leads to follows from what the hosts advertise, and is the same on each of them; what a
host publishes itself, or one of its programs has, comes first there and is never taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from mooring.core.advertisements import Advertisement
from mooring.core.endpoints import Endpoint
from mooring.core.networks import Address, GatewayMode, Ingress, Network
from mooring.core.overlays import Overlay
from mooring.core.port_bindings import PortBinding, Protocol

MOST = 1000
"""Ports of one endpoint that other hosts are told of: an advertisement is one value of the cluster's store."""

Place = tuple[Protocol, int, Address | None, int]
"""Protocol, family, address of the host or None for each one, port."""


@dataclass(frozen=True, slots=True)
class Way:
    """A port of this host may lead there: to the endpoint of another host, in the network here."""

    network: Network
    host: str
    endpoint: str
    healthy: bool
    port_binding: PortBinding

    @property
    def place(self) -> Place:
        """What it takes of this host."""
        return place_of(self.port_binding)


def place_of(port_binding: PortBinding) -> Place:
    """What the port binding takes of a host."""
    return port_binding.protocol, port_binding.target.version, port_binding.host, port_binding.host_port


def told_ports(network: Network, endpoint: Endpoint) -> tuple[PortBinding, ...]:
    """What the endpoint publishes on every host of its network. Loopback and link-local addresses mean another thing on
    each host."""
    if network.options.ingress is not Ingress.ANY or network.internal:
        return ()
    found = (
        each
        for each in endpoint.published
        if each.host_port and each.target in endpoint.addresses and _is_for_all(each)
    )
    return tuple(sorted(found, key=lambda each: (each.host_port, each.protocol, str(each)))[:MOST])


def ways(network: Network, overlay: Overlay, advertisement: Advertisement) -> Iterator[Way]:
    """Where ports of this host may lead by what another host says of an endpoint in the network: only in a family in
    which this host has an address of its own there, or no answer would come back; and never to what is this host
    itself, or another."""
    if network.options.ingress is not Ingress.ANY or network.internal:
        return
    spoken = {each.version for each in overlay.own}
    hosts = {each.ip for each in overlay.own}
    hosts |= {segment.gateway.ip for segment in network.segments if segment.gateway is not None}
    if advertisement.underlay.version != overlay.local.version:
        return
    for each in advertisement.ports:
        version = each.target.version
        isolated = network.gateway_mode(version) is GatewayMode.ISOLATED
        if (
            version in spoken
            and not isolated
            and _is_for_all(each)
            and each.target in advertisement.addresses
            and each.target not in hosts
            and network.segment_of(each.target)
        ):
            yield Way(network, advertisement.host, advertisement.endpoint, advertisement.healthy, each)


def _is_for_all(port_binding: PortBinding) -> bool:
    """Whether it means the same on each host."""
    host = port_binding.host
    return host is None or not (host.is_loopback or host.is_link_local)


def chosen(ways: Iterable[Way], silent: Collection[str] = ()) -> dict[Place, list[Way]]:
    """Of each port, those that it may lead to, the one that it does lead to first: the healthy before others, in the
    order of hosts and endpoints, so that each host chooses alike. silent: hosts that are not heard come last."""
    found: dict[Place, list[Way]] = {}
    for way in sorted(ways, key=lambda way: (way.host in silent, not way.healthy, way.host, way.endpoint)):
        found.setdefault(way.place, []).append(way)
    return found
