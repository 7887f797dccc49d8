"""Ports of this host that lead to containers of other hosts, in networks with `ingress=any`: from what is advertised to
the kernel.

Rules: nothing waits for it; what an endpoint or a program of this host has is theirs, and is given up before they take
it; a port that leads elsewhere is held, as one that is published here, so that no program begins to listen where it
would hear nothing; one that a program had is left to it for as long as a restart takes. What has not changed is not
looked at again. Until the cluster has said what there is, the kernel is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from mooring.core.advertisements import Advertisement
from mooring.core.cluster_hosts import Membership
from mooring.core.cluster_networks import HostNetwork
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Fault, Unavailable
from mooring.core.firewall import ingress_binding_of, ingress_members
from mooring.core.ingress import Place, Way, chosen, place_of, ways
from mooring.core.networks import Address, Network
from mooring.core.overlays import Overlay
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
# Seconds for which a program that had a port may be away without losing it.
AWAY = 30.0
# Endpoints with ports, from which on a look at all of them is followed by as long a rest.
MANY = 1000
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
        self._at: dict[tuple[Protocol, int], set[Held]] = {}  # the same, by port
        self._cluster: Cluster | None = None
        self._silent: frozenset[str] = frozenset()
        self._looked = float("-inf")
        self._begun = self._believed = False
        self._stale = True  # what was decided may be another thing by now
        self._unsure = False  # as long as a container is being given ports that it may not get
        self._seen: dict[str, Overlay | None] = {}
        self._wanted: dict[Place, list[Way]] = {}
        self._free: list[Place] = []
        self._waiting: list[Place] = []  # those of them that could not be held
        self._theirs: dict[Held, float] = {}  # when a program that has the port was seen last
        self._woken, self._turn = asyncio.Event(), asyncio.Lock()
        feed.listen(self._hear)
        allocator.leads, allocator.cede = self.leads, self.cede
        records.cache.listen(self._follow, HostNetwork, Network, Endpoint)

    async def entered(self, cluster: Cluster, membership: Membership) -> None:  # noqa: ARG002 - see Part
        """See Part."""
        self._cluster = cluster
        self._changed()

    async def left(self) -> None:
        """See Part."""
        self._cluster = None
        self._changed()

    async def turn(self) -> list[Fault]:
        """See Part. A port that a program has may be free again, an address or an overlay may have come."""
        if self._unsure or (self._begun and self._shape() != self._seen):
            self._changed()
        if self._waiting or not self._begun:
            self._woken.set()
        now, hosts = self._clock.boot(), {way.host for each in self.led.values() if len(each) > 1 for way in each}
        if hosts and self._cluster is not None and now - self._looked >= LOOK:
            self._looked = now
            with suppress(Unavailable):  # all are as they were heard last
                silent = frozenset(hosts - await HostRecords(self._cluster).heard())
                if silent != self._silent:
                    self._silent = silent
                    self._changed()
        return list(self.refused.values())

    async def run(self) -> None:
        """Follow, for ever; where there is much to look at, for half of the time at most."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            began = asyncio.get_running_loop().time()
            await self.settle()
            if len(self._told) > MANY:
                await asyncio.sleep(asyncio.get_running_loop().time() - began)

    async def settle(self) -> None:
        """The overlays know what follows from what was told before this call."""
        async with self._turn:
            await self._feed.pause()
            if not self._begun and not (self._feed.scanned and self._overlays.recovered):
                if self._overlays.recovered:
                    await self._believe()
                return
            self._begun = True
            if self._stale:
                self._stale = False
                await self._decide()
                await self._take(self._free, {})
            elif self._waiting:
                await self._take(self._waiting, dict(self.led))

    async def _believe(self) -> None:
        """What led elsewhere before this start is held again, though nobody has said yet what is to lead; but a program
        that has taken the port meanwhile hears what is for it. Without an overlay nothing leads on."""
        pace = Pace(STRETCH)
        for held in [] if any(self._shape().values()) else list(self._held):
            await pace.step()
            await self._give_up(held)
        if self._believed:
            return
        self._believed, lost = True, set[Member]()
        for member in self._overlays.led:
            await pace.step()
            port_binding = ingress_binding_of(member)
            if port_binding is not None and isinstance(await self._hold(_held(place_of(port_binding))), Conflict):
                lost.add(member)
        if lost:
            self._overlays.lead(member for member in self._overlays.led if member not in lost)

    async def _decide(self) -> None:
        """What is to be led to is known, and ports that are not to be any more are given up."""
        self._unsure, self._seen, pace = self._allocator.choosing, self._shape(), Pace(STRETCH)
        self._wanted = chosen(await self._ways(pace), self._silent)
        free = list[Place]()
        for place in self._wanted:
            await pace.step()
            if not self._allocator.has(*_held(place)):
                free.append(place)
        # What is held for every address is held for each, so those come first.
        self._free = sorted(free, key=lambda place: place[2] is not None)
        wide = {_held(place) for place in free if place[2] is None}
        kept = {held for held in map(_held, free) if _wide(held) == held or _wide(held) not in wide}
        for held in self._held - kept:
            await pace.step()
            await self._give_up(held)
        self._theirs = {held: seen for held, seen in self._theirs.items() if held in kept}

    async def _take(self, places: Iterable[Place], led: dict[Place, list[Way]]) -> None:
        """These lead elsewhere as well as those that do, as far as they can be held."""
        had, waiting, refused, pace = len(led), list[Place](), dict[Place, Fault](), Pace(STRETCH)
        for place in places:
            await pace.step()
            fault = await self._hold(_held(place))
            if fault is None:
                led[place] = self._wanted[place]
                continue
            waiting.append(place)
            if not isinstance(fault, BadRequest):  # a host without the address has nothing to do with it
                refused[place] = await self._named(place, self._wanted[place][0], fault)
        self.led, self.refused, self._waiting = led, refused, waiting
        if not had or len(led) != had:
            members = list[Member]()
            for each in led.values():
                await pace.step()
                members += ingress_members(each[0].network, each[0].port_binding)
            self._overlays.lead(members)

    def leads(self, protocol: Protocol, port: int) -> bool:
        """Whether the port is held here, at any address."""
        return (protocol, port) in self._at

    async def cede(self, protocol: Protocol, port: int) -> None:
        """An endpoint of this host is about to publish the port, or has done so: it is not held here any more."""
        for held in list(self._at.get((protocol, port), ())):
            await self._give_up(held)
            self._changed()

    def of_network(self, network_id: str) -> list[list[Way]]:
        """As `led`, of the ports that lead into the network, in their order."""
        found = [each for each in self.led.values() if each[0].network.id == network_id]
        return sorted(found, key=lambda each: (each[0].port_binding.host_port, str(each[0].port_binding)))

    def _changed(self) -> None:
        self._stale = True
        self._woken.set()

    def _shape(self) -> dict[str, Overlay | None]:
        """The networks of the cluster as they are on this host."""
        return {part.network: self._overlays.of(part.network) for part in self._cache.every(HostNetwork)}

    async def _ways(self, pace: Pace) -> list[Way]:
        found = list[Way]()
        here = {part.shared.id: part.network for part in self._cache.every(HostNetwork) if not part.leaving}
        for told in list(self._told.values()):
            await pace.step()
            network = self._cache.network(here.get(told.network, ""))
            overlay = self._overlays.of(network.id) if network is not None else None
            if network is not None and overlay is not None:
                found += (
                    way for way in ways(network, overlay, told)
                    if self._index.at(network.id, way.port_binding.target) is None
                )  # fmt: skip
        return found

    async def _hold(self, held: Held) -> Fault | None:
        """The port is held; why it cannot be."""
        if held in self._held or _wide(held) in self._held:
            return None
        if self._allocator.has(*held):  # since it was decided
            return BadRequest("an endpoint of this host has it")
        now = self._clock.boot()
        try:
            await self._guard.hold(*held)
        except Conflict as fault:
            self._theirs[held] = now if held in self._theirs else float("-inf")  # one look may be a moment's
            return fault
        except Fault as fault:
            return fault
        if now - self._theirs.get(held, -AWAY) < AWAY:
            await self._guard.release(*held)
            return Conflict("a program had it a moment ago", holder="a program that had it a moment ago")
        self._theirs.pop(held, None)
        self._held.add(held)
        self._at.setdefault((held[0], held[2]), set()).add(held)
        return None

    async def _give_up(self, held: Held) -> None:
        self._held.discard(held)
        if (there := self._at.get((held[0], held[2]))) is not None:
            there.discard(held)
            if not there:
                del self._at[held[0], held[2]]
        await self._guard.release(*held)

    async def _named(self, place: Place, way: Way, fault: Fault) -> Fault:
        """The fault with who has the port, and whose it would lead to; looked for once."""
        what = f"{place[3]}/{place[0].label} of this host does not lead to {way.port_binding.target}"
        what = f"port {what} of network {way.network.name or way.network.id[:12]} (ingress=any)"
        if not isinstance(fault, Conflict):
            return type(fault)(f"{what}: {fault.what}", hint=fault.hint)
        known = self.refused.get(place)
        if known is not None and known.what == what:
            return known
        holder = fault.holder or await self._guard.holder(*_held(place))
        return Conflict(what, holder=holder, hint="stop that program")

    def _hear(self, key: str, told: Advertisement | None) -> None:
        before = self._told.pop(key, None)
        if told is not None and told.ports and told.endpoint:
            self._told[key] = told
        if before != self._told.get(key):
            self._changed()

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        """What is published here, or is here, comes first; and networks come and go."""
        if not self._told and not self._held:
            return
        if any(isinstance(each, HostNetwork | Network) for each in (before, after)):
            self._changed()
        here = [each.published if isinstance(each, Endpoint) else None for each in (before, after)]
        if here[0] != here[1]:
            self._changed()


def _held(place: Place) -> Held:
    protocol, version, host, port = place
    return protocol, host or _ANY[version], port


def _wide(held: Held) -> Held:
    """The port of every address of that family."""
    return held[0], _ANY[held[1].version], held[2]
