"""Ports of this host that lead to containers of other hosts, in networks with `ingress=any`: from what is advertised to
the kernel.

Rules: nothing waits for it; what an endpoint or a program of this host has is theirs, and is given up before they take
it; a port that leads elsewhere is held, as one that is published here, so that no program begins to listen where it
would hear nothing. Until the cluster has said what there is, the kernel is believed.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address

from mooring.core.advertisements import Advertisement
from mooring.core.cluster_hosts import Membership
from mooring.core.cluster_networks import HostNetwork
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Fault
from mooring.core.firewall import ingress_members
from mooring.core.ingress import Place, Way, chosen, ways
from mooring.core.networks import Address, Network
from mooring.core.plumbing import Member
from mooring.core.port_bindings import Protocol
from mooring.ports import Cluster, PortGuard
from mooring.services.cluster.host_records import HostRecords
from mooring.services.networking.overlay_feed import OverlayFeed
from mooring.services.networking.overlays import Overlays
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.records.endpoint_index import Records
from mooring.services.records.pacing import Pace
from mooring.services.records.record_cache import Record

Held = tuple[Protocol, Address, int]
# Seconds between two looks at which of several hosts are heard.
LOOK = 5.0
STRETCH = 32
_ANY: dict[int, Address] = {4: IPv4Address("0.0.0.0"), 6: IPv6Address("::")}


class IngressPorts:
    """A Part of the cluster's runtime, after HostOverlays; `run` for as long as the daemon serves. Build it before the
    cache is loaded.

    led: by port of this host, where it may lead to, and does lead to first. refused: those that do not, and why.
    """

    def __init__(
        self, records: Records, overlays: Overlays, feed: OverlayFeed, allocator: PortAllocator, guard: PortGuard
    ) -> None:
        self._cache, self._index, self._clock = records.cache, records.endpoint_index, records.clock
        self._overlays, self._feed, self._allocator, self._guard = overlays, feed, allocator, guard
        self.led: dict[Place, list[Way]] = {}
        self.refused: dict[Place, Fault] = {}
        self._told: dict[str, Advertisement] = {}  # by key, those with ports
        self._held: set[Held] = set()
        self._cluster: Cluster | None = None
        self._silent: frozenset[str] = frozenset()
        self._looked = float("-inf")
        self._begun = False
        self._woken, self._turn = asyncio.Event(), asyncio.Lock()
        feed.listen(self._hear)
        allocator.cede = self.cede
        records.cache.listen(self._follow)

    async def entered(self, cluster: Cluster, membership: Membership) -> None:  # noqa: ARG002 - see Part
        """See Part."""
        self._cluster = cluster
        self._woken.set()

    async def left(self) -> None:
        """See Part."""
        self._cluster = None
        self._woken.set()

    async def turn(self) -> list[Fault]:
        """See Part. A port that a program has may be free again, an address may have come."""
        if self._told or self._held or not self._begun:
            self._woken.set()
        now, hosts = self._clock.boot(), {way.host for each in self.led.values() if len(each) > 1 for way in each}
        if hosts and self._cluster is not None and now - self._looked >= LOOK:
            self._looked = now
            self._silent = frozenset(hosts - await HostRecords(self._cluster).heard())
        return list(self.refused.values())

    async def run(self) -> None:
        """Follow, for ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self.settle()

    async def settle(self) -> None:
        """The overlays know what follows from what was told before this call."""
        async with self._turn:
            await self._feed.pause()
            if not self._begun and not (self._feed.scanned and self._overlays.recovered):
                return
            self._begun = True
            wanted, pace = chosen(self._ways(), self._silent), Pace(STRETCH)
            places = {place: _held(place) for place in wanted}
            free = {place: held for place, held in places.items() if not self._allocator.has(*held)}
            # What is held for every address is held for each.
            wide = {held for place, held in free.items() if place[2] is None}
            for held in self._held - set(free.values()) | {each for each in self._held if _covered(each, wide)}:
                await self._give_up(held)
            led, refused = dict[Place, list[Way]](), dict[Place, Fault]()
            for place in sorted(free, key=lambda place: place[2] is not None):
                await pace.step()
                fault = None if _covered(free[place], wide & self._held) else await self._hold(free[place])
                if fault is None:
                    led[place] = wanted[place]
                elif not isinstance(fault, BadRequest):  # a host without the address has nothing to do with it
                    refused[place] = await self._named(place, wanted[place][0], fault)
            self.led, self.refused = led, refused
            self._overlays.lead(self._members())

    async def cede(self, protocol: Protocol, port: int) -> None:
        """An endpoint of this host is about to publish the port: it is not held here any more."""
        for held in [each for each in self._held if (each[0], each[2]) == (protocol, port)]:
            await self._give_up(held)
            self._woken.set()

    def of_network(self, network_id: str) -> list[list[Way]]:
        """As `led`, of the ports that lead into the network, in their order."""
        found = [each for each in self.led.values() if each[0].network.id == network_id]
        return sorted(found, key=lambda each: (each[0].port_binding.host_port, str(each[0].port_binding)))

    def _ways(self) -> list[Way]:
        found = list[Way]()
        here = {part.shared.id: part.network for part in self._cache.every(HostNetwork) if not part.leaving}
        for told in self._told.values():
            network = self._cache.network(here.get(told.network, ""))
            overlay = self._overlays.of(network.id) if network is not None else None
            if network is not None and overlay is not None:
                found += (
                    way for way in ways(network, overlay, told)
                    if self._index.at(network.id, way.port_binding.target) is None
                )  # fmt: skip
        return found

    def _members(self) -> list[Member]:
        return [
            member for each in self.led.values() for member in ingress_members(each[0].network, each[0].port_binding)
        ]

    async def _hold(self, held: Held) -> Fault | None:
        """The port is held; why it cannot be."""
        if self._allocator.has(*held):  # since it was decided
            return BadRequest("an endpoint of this host has it")
        try:
            await self._guard.hold(*held)
        except Fault as fault:
            return fault
        self._held.add(held)
        return None

    async def _give_up(self, held: Held) -> None:
        self._held.discard(held)
        await self._guard.release(*held)

    async def _named(self, place: Place, way: Way, fault: Fault) -> Fault:
        """The fault with who has the port, and whose it would lead to; looked for once."""
        if (known := self.refused.get(place)) is not None:
            return known
        holder = fault.holder or await self._guard.holder(*_held(place))
        what = f"{place[3]}/{place[0].label} of this host does not lead to {way.port_binding.target}"
        network = way.network.name or way.network.id[:12]
        return Conflict(f"port {what} of network {network} (ingress=any)", holder=holder, hint="stop that program")

    def _hear(self, key: str, told: Advertisement | None) -> None:
        before = self._told.pop(key, None)
        if told is not None and told.ports and told.endpoint:
            self._told[key] = told
        if before != self._told.get(key):
            self._woken.set()

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        """What is published here, or is here, comes first; and networks come and go."""
        if not self._told and not self._held:
            return
        if any(isinstance(each, HostNetwork | Network) for each in (before, after)):
            self._woken.set()
        here = [each.published if isinstance(each, Endpoint) else None for each in (before, after)]
        if here[0] != here[1]:
            self._woken.set()


def _held(place: Place) -> Held:
    protocol, version, host, port = place
    return protocol, host or _ANY[version], port


def _covered(held: Held, wide: set[Held]) -> bool:
    """Whether the port is one of an address that is among those of every address."""
    protocol, host, port = held
    return int(host) != 0 and (protocol, _ANY[host.version], port) in wide
