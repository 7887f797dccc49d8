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
from mooring.core.networks import HostOverlap, Network, Origin, Segment, Subnet, overlap
from mooring.ports import HostNet, Kernel
from mooring.services.records.network_index import NetworkIndex
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)

HINT = "choose another --subnet, or omit it so that Mooring picks one; `-o host_overlap=warn` creates it anyway"
MIXED = "traffic for one may reach the other"
REMEDY = "see `ip route show table all`, and remove the route or make the network again with another --subnet"


class Overlaps:
    """default: for networks that do not say themselves. view: what the engine said last. network_index: of all. told:
    the findings of the last pass."""

    def __init__(
        self, cache: RecordCache, kernel: Kernel, default: HostOverlap, view: Callable[[], EngineView | None]
    ) -> None:
        self.network_index = NetworkIndex(cache)
        self._kernel = kernel
        self._default = default
        self._view = view
        self.told: frozenset[str] = frozenset()

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

    def findings(self, host: HostNet, dry: bool = False) -> list[str]:
        """What has come over networks since they were made, a line each. Quick, however many there are of both.
        dry: nobody is told of them."""
        found = dict.fromkeys(self._found(host))
        self.told = self.told if dry else frozenset(found)
        return list(found)

    def moved(self, host: HostNet) -> bool:
        """Whether the findings are others than those that were told last."""
        return self.told != frozenset(self._found(host))

    def _found(self, host: HostNet) -> Iterator[str]:
        for interface, holder in host.addresses.items():
            for network, segment in self._around(interface.network):
                yield f"{_begun(network, segment)} {holder} uses {interface}: {MIXED}; give one of them another subnet"
        told = {interface.network for interface in host.addresses}
        for route, network, segment in self._crossings(host):
            if route not in told and _leads_away(route, segment.subnet):
                yield f"{_begun(network, segment)} this host has a route to {route} elsewhere: {MIXED}; {REMEDY}"

    def _crossings(self, host: HostNet) -> Iterator[tuple[Subnet, Network, Segment]]:
        """Routes with the subnets that they overlap; what there is less of is gone through."""
        if len(host.routes) <= len(self.network_index):
            for route in host.routes:
                for network, segment in self._around(route):
                    yield route, network, segment
            return
        for subnet in self.network_index.subnets():
            for route in dict.fromkeys(route for route, _ in host.routes.overlapping(subnet)):
                for network, segment in self._around(route):
                    yield route, network, segment

    def _around(self, other: Subnet) -> Iterator[tuple[Network, Segment]]:
        """Subnets over which nothing may come and that overlap it."""
        for network, segment in self.network_index.overlapping(other):
            if network.options.host_overlap is not HostOverlap.WARN:
                yield network, segment


def _begun(network: Network, segment: Segment) -> str:
    """How a finding about the subnet begins."""
    return f"network {network.name or network.id[:12]} has subnet {segment.subnet}, and"


def _leading_away(subnet: Subnet, host: HostNet) -> Iterator[Subnet]:
    """Those of the routes to the subnet or a part of it that take its traffic away, and that no address told of. A
    full-length one may be to a container of ours: a nameserver, or what a container announces."""
    told = {interface.network for interface in host.addresses}
    for route in dict.fromkeys(route for route, _ in host.routes.overlapping(subnet)):
        if _leads_away(route, subnet) and route not in told:
            yield route


def _leads_away(route: Subnet, subnet: Subnet) -> bool:
    """Of a route that overlaps the subnet."""
    return subnet.prefixlen <= route.prefixlen < route.max_prefixlen
