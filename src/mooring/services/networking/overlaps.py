"""Subnets that the host is in already, by its interfaces, its routes or another network of Docker's.

Rules: a bridge over such a subnet takes it from whoever is in it, so a new network is refused there, unless an option
says otherwise, and one that exists is told of; a route that is wider than the subnet is no obstacle: a part of what a
router serves may be here. For networks of our own see networking.networks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from mooring.core.engines import EngineView
from mooring.core.faults import Conflict
from mooring.core.networks import HostOverlap, Network, Origin, Subnet, overlap
from mooring.ports import HostNet, Kernel
from mooring.services.records.network_index import NetworkIndex
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)

HINT = "choose another --subnet, or omit it so that Mooring picks one; `-o host_overlap=warn` creates it anyway"
MIXED = "traffic for one may reach the other"


class Overlaps:
    """default: for networks that do not say themselves. view: what the engine said last. network_index: of all."""

    def __init__(
        self, cache: RecordCache, kernel: Kernel, default: HostOverlap, view: Callable[[], EngineView | None]
    ) -> None:
        self.network_index = NetworkIndex(cache)
        self._kernel = kernel
        self._default = default
        self._view = view

    async def check(self, network: Network) -> None:
        """Of a network that is to be made. Raises Conflict, Unavailable."""
        if not network.bridged or network.origin is not Origin.ENGINE:
            return
        host = await self._kernel.host_net()
        for segment in network.segments:
            for what, holder in self._met(segment.subnet, host):
                text = f"subnet {segment.subnet} overlaps {what}"
                if (network.options.host_overlap or self._default) is HostOverlap.REFUSE:
                    raise Conflict(text, holder=holder, hint=HINT)
                log.warning("network %s: %s (%s)", network.name or network.id[:12], text, holder)

    def _met(self, subnet: Subnet, host: HostNet) -> Iterator[tuple[object, str]]:
        for interface, holder in host.addresses.items():
            if overlap(interface.network, subnet):
                yield interface.network, holder
        view = self._view()
        for other, holder in view.elsewhere.items() if view is not None else ():
            if overlap(other, subnet):
                yield other, f"{holder}; if it was just removed, try again"
        for route in _leading_away(subnet, host):
            yield route, "a route of this host (`ip route show table all`)"

    def findings(self, host: HostNet) -> Iterator[str]:
        """What has come over networks since they were made, a line each. Quick, however many there are of both."""
        for interface, holder in host.addresses.items():
            for what, _ in self._around(interface.network):
                yield f"{what} {holder} uses {interface}: {MIXED}; give one of them another subnet"
        told = {interface.network for interface in host.addresses}
        for route in host.routes:
            for what, subnet in self._around(route) if route not in told else ():
                if _leads_away(route, subnet):
                    yield f"{what} this host has a route to {route} elsewhere: {MIXED}; see `ip route show table all`"

    def _around(self, other: Subnet) -> Iterator[tuple[str, Subnet]]:
        """Subnets over which nothing may come and that overlap it, and how a finding about each begins."""
        for network, segment in self.network_index.overlapping(other):
            if network.options.host_overlap is not HostOverlap.WARN:
                yield f"network {network.name or network.id[:12]} has subnet {segment.subnet}, and", segment.subnet


def _leading_away(subnet: Subnet, host: HostNet) -> Iterator[Subnet]:
    """Those of the routes to the subnet or a part of it that take its traffic away, and that no address told of. A
    full-length one may be to a container of ours: a nameserver, or what a container announces."""
    told = {interface.network for interface in host.addresses}
    for route in host.routes:
        if overlap(route, subnet) and _leads_away(route, subnet) and route not in told:
            yield route


def _leads_away(route: Subnet, subnet: Subnet) -> bool:
    """Of a route that overlaps the subnet."""
    return subnet.prefixlen <= route.prefixlen < route.max_prefixlen
