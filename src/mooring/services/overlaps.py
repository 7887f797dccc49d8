"""Subnets that the host is in already, by its interfaces, its routes or another network of Docker's.

Rules: a bridge over such a subnet takes it from whoever is in it, so a new network is refused there, unless an option
says otherwise, and one that exists is told of; a route that is wider than the subnet is no obstacle: a part of what a
router serves may be here. For networks of our own see services.networks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from mooring.core.engines import EngineView
from mooring.core.faults import Conflict
from mooring.core.networks import HostOverlap, Interface, Network, Origin, Subnet, overlap
from mooring.core.pools import Pool
from mooring.ports import Kernel
from mooring.services.mirror import Mirror

log = logging.getLogger(__name__)

HINT = "choose another --subnet, or none and let Mooring carve one; with -o host_overlap=warn it is made all the same"


class Overlaps:
    """default: for networks that do not say themselves. view: what the engine said last."""

    def __init__(
        self, mirror: Mirror, kernel: Kernel, default: HostOverlap, view: Callable[[], EngineView | None]
    ) -> None:
        self._mirror = mirror
        self._kernel = kernel
        self._default = default
        self._view = view

    async def check(self, network: Network) -> None:
        """Of a network that is to be made. Raises Conflict, Unavailable."""
        if not network.bridged or network.origin is not Origin.ENGINE:
            return
        own, occupied = await self._kernel.host_addresses(), await self._kernel.occupied()
        ours = {segment.subnet for each in self._mirror.every(Network) for segment in each.segments}
        ours |= {pool.subnet for pool in self._mirror.every(Pool)}
        for segment in network.segments:
            for what, holder in self._met(segment.subnet, own, [route for route in occupied if route not in ours]):
                text = f"subnet {segment.subnet} overlaps {what}"
                if (network.options.host_overlap or self._default) is HostOverlap.REFUSE:
                    raise Conflict(text, holder=holder, hint=HINT)
                log.warning("network %s: %s (%s)", network.name or network.id[:12], text, holder)

    def _met(self, subnet: Subnet, own: Mapping[Interface, str], routes: list[Subnet]) -> Iterator[tuple[object, str]]:
        for interface, holder in own.items():
            if overlap(interface.network, subnet):
                yield interface.network, holder
        view = self._view()
        for other, holder in view.elsewhere.items() if view is not None else ():
            if overlap(other, subnet):
                yield other, f"{holder}, unless it was removed a moment ago"
        for route in routes:
            # A full-length one may be to a container of ours: a nameserver, or what a container announces.
            inside = overlap(route, subnet) and route.prefixlen >= subnet.prefixlen
            if inside and route.prefixlen < route.max_prefixlen:
                yield route, "a route of this host (`ip route show table all`)"

    def findings(self, own: Mapping[Interface, str]) -> Iterator[str]:
        """What has come over networks since they were made, a line each. own: the host's addresses."""
        for network in self._mirror.every(Network):
            if not network.bridged or network.options.host_overlap is HostOverlap.WARN:
                continue
            for segment in network.segments:
                for interface, holder in own.items():
                    if overlap(interface.network, segment.subnet):
                        yield (
                            f"network {network.name or network.id[:12]} has subnet {segment.subnet}, and {holder} has "
                            f"{interface}: what is meant for one may go to the other; give one of them another subnet"
                        )
