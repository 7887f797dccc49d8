"""Overlays of this host, and where the endpoints of other hosts are: what others publish becomes facts, and stays so.

Rules: whoever knows (a cluster's watch) says what is, in any order and as often as he likes, and nobody waits for the
kernel; what was said meanwhile goes together; of two who claim one address the last one has it, and an endpoint of this
host before all others; what the kernel lost or somebody put there, a pass of repair puts right. Until somebody says
otherwise the kernel itself is believed, so that a daemon that starts while nobody can be asked cuts nobody off.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault
from mooring.core.networks import Address, Network
from mooring.core.overlays import Overlay, Remote, fitted, flood, host_member, overlay_facts, remote_facts, vxlan_name
from mooring.core.plumbing import Fact, Member, Neighbour, Op, RemoteMac, Remove, Vxlan, plan
from mooring.ports import Kernel
from mooring.services.networking.recovered_overlays import by_link, overlay_of
from mooring.services.records.endpoint_index import Records
from mooring.services.records.pacing import Pace
from mooring.services.records.record_cache import Record

log = logging.getLogger(__name__)

Key = tuple[str, ...]
# Facts that go to the kernel together.
PART = 500
# Endpoints that are learnt at a stretch.
STRETCH = 32
# Addresses that neighbours are told of at a time. Those beyond find out by themselves, a second later.
TOLD = 200


@dataclass(slots=True)
class _Known:
    """One network's overlay.

    remotes: endpoints of other hosts, by their ids. claims: who says so of each fact, the last one last; "" is the
    network itself. drawn: is to be in the kernel. hosts: how many endpoints each has. strange: remotes out of reach.
    """

    network: Network
    overlay: Overlay
    remotes: dict[str, Remote] = field(default_factory=dict)
    claims: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    drawn: dict[Key, Fact] = field(default_factory=dict)
    hosts: Counter[Address] = field(default_factory=Counter)
    strange: dict[str, Remote] = field(default_factory=dict)
    closed: bool = False

    def said_by(self, ident: str) -> dict[Key, Fact]:
        """What follows from the endpoint; "" is the network itself."""
        remote = self.remotes.get(ident)
        facts: Iterable[Fact] = ()
        if remote is not None:
            facts = remote_facts(self.network, remote)
        elif not ident and not self.closed:
            facts = overlay_facts(self.network, self.overlay)
        return {fact.key: fact for fact in facts}


class Overlays:
    """`run` for as long as the daemon serves. Build it before the cache is loaded, and after the index.

    look_again: has a pass of repair made soon. recovered: whether what the kernel had at the start is known.
    """

    def __init__(self, records: Records, kernel: Kernel, look_again: Callable[[], None] = lambda: None) -> None:
        self._cache, self._index = records.cache, records.endpoint_index
        self._kernel = kernel
        self._look_again = look_again
        self._known: dict[str, _Known] = {}
        # What several networks may want, with how many do.
        self._shared: Counter[Member] = Counter()
        # What has changed since the kernel was told: whose it is ("" for shared), what the kernel has, and what else it
        # may have by now, through repair.
        self._stale: dict[Key, tuple[str, Fact | None, Fact | None]] = {}
        # Networks of which somebody has said whether they are overlays.
        self._decided: set[str] = set()
        self._news: dict[tuple[str, Address], str] = {}
        self._led: dict[Key, Member] = {}
        self._led_told = False
        self.recovered = False
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        records.cache.listen(self._follow, Network, Endpoint)

    def of(self, network_id: str) -> Overlay | None:
        """The network's overlay on this host."""
        known = self._known.get(network_id)
        return known.overlay if known is not None else None

    def open(self, network_id: str, overlay: Overlay) -> None:
        """The network is this overlay from now on, if it is a bridge of this host's."""
        network = self._cache.network(network_id)
        if network is None or not network.bridged:
            return
        self._decided.add(network_id)
        known = self._known.get(network_id)
        if known is None:
            known = self._known[network_id] = _Known(network, overlay, closed=True)
            with self._changing(known, ""):
                known.closed = False
        else:
            self._renew(known, network, overlay)
        self._look_again()  # the bridge's MTU and addresses

    def close(self, network_id: str) -> None:
        """The network is no overlay. One that is none is fine."""
        self._decided.add(network_id)
        known = self._known.get(network_id)
        if known is None:
            return
        with self._changing(known, "", *known.remotes):
            known.remotes, known.closed = {}, True
        for host in list(known.hosts):
            self._count(known, host, -known.hosts[host])
        del self._known[network_id]
        self._look_again()

    def learn(self, network_id: str, changes: Mapping[str, Remote | None]) -> None:
        """Endpoints of other hosts, by their ids, are there now, or gone (None). Of a network that is no overlay here
        nothing is learnt. Hosts of the other address family cannot be reached, nor one that says to be where this one
        is: once either has another address that is otherwise."""
        known = self._known.get(network_id)
        if known is None:
            return
        local = known.overlay.local
        for ident, remote in changes.items():
            known.strange.pop(ident, None)
            if remote is not None and (remote.host.version != local.version or remote.host == local):
                known.strange[ident] = remote
            before = known.remotes.get(ident)
            if remote is None or ident in known.strange:
                if before is not None:
                    with self._changing(known, ident):
                        del known.remotes[ident]
                    self._count(known, before.host, -1)
            elif before != remote:
                with self._changing(known, ident):
                    known.remotes[ident] = remote
                self._count(known, remote.host, 1)
                if before is not None:
                    self._count(known, before.host, -1)
                if not self._stale.keys().isdisjoint(known.said_by(ident)):  # not what was said before by another id
                    self._news.update(((network_id, address), remote.mac) for address in remote.addresses)

    @property
    def led(self) -> list[Member]:
        """By what ports of this host lead to containers of others: what was said last, or else what the kernel had."""
        return list(self._led.values())

    def lead(self, members: Iterable[Member]) -> None:
        """These are all by which ports of this host lead to containers of others (core.firewall.ingress_members)."""
        before, self._led, self._led_told = self._led, {member.key: member for member in members}, True
        for key in before.keys() | self._led.keys():
            if before.get(key) != self._led.get(key):
                self._note("", key, before.get(key))

    async def rescan(self, network_id: str, remotes: Mapping[str, Remote]) -> None:
        """These are all the endpoints of other hosts. The caller may go on to change the mapping, and to `learn`."""
        known = self._known.get(network_id)
        pace = Pace(STRETCH)
        # Those that are gone come last: their places may have been taken.
        for ident in (*remotes, *known.remotes, *known.strange) if known is not None else ():
            await pace.step()
            self.learn(network_id, {ident: remotes.get(ident)})

    async def run(self) -> None:
        """Tell the kernel what was said, for ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self.settle()

    async def settle(self) -> None:
        """The kernel knows what was said before this call. What it refuses is left to repair."""
        async with self._turn:
            while self._stale:
                part = {key: self._stale.pop(key) for key in list(self._stale)[:PART]}
                await self._tell(part)
                await asyncio.sleep(0)
            told, self._news = list(self._news.items())[:TOLD], {}
            pace = Pace(STRETCH)
            for (network_id, address), mac in told:
                await pace.step()
                network = self._cache.network(network_id)
                if network is not None and self._index.at(network_id, address) is None:
                    await self._kernel.announce(network.bridge, address, mac, network.domain)

    async def _tell(self, stale: Mapping[Key, tuple[str, Fact | None, Fact | None]]) -> None:
        wanted = {key: self._desired(key, whose) for key, (whose, _, _) in stale.items()}
        have = [first if wanted[key] is not None else last for key, (_, first, last) in stale.items()]
        ops: list[Op] = plan(filter(None, wanted.values()), filter(None, have))
        devices = [op.fact for op in ops if isinstance(op, Remove) and isinstance(op.fact, Vxlan)]
        try:
            for device in devices:
                await self._kernel.discard([device.name], device.domain)
            await self._kernel.apply([op for op in ops if not (isinstance(op, Remove) and op.fact in devices)])
        except Fault as fault:
            log.warning("where endpoints of other hosts are could not be told to the kernel: %s", fault)
            self._look_again()

    def shape(self, network: Network, facts: Iterable[Fact]) -> set[Fact]:
        """The network's facts, or an endpoint's, as they are when it is an overlay."""
        known = self._known.get(network.id)
        return set(fitted(network, known.overlay, facts) if known is not None else facts)

    def facts(self, network: Network, facts: dict[Key, Fact]) -> dict[Key, Fact]:
        """What the network is in all, given what it is without being an overlay."""
        known = self._known.get(network.id)
        if known is None:
            return facts
        shared = {member.key: member for member in self._shared}
        return (
            {fact.key: fact for fact in fitted(network, known.overlay, facts.values())}
            | known.drawn
            | shared
            | self._led
        )

    async def recover(self, devices: Iterable[Vxlan], observed: Iterable[Fact]) -> None:
        """Of networks that nobody has opened yet, what the kernel has is what is. devices: those of what was observed;
        the rest of that is looked at only when one is new."""
        new = [(device, network.bridge) for device in devices if (network := self._undecided(device)) is not None]
        there, led = await by_link({name for device, bridge in new for name in (device.name, bridge)}, observed)
        if new and not self._led_told:
            self._led = led
        for device, _ in new:
            network = self._undecided(device)  # anew: somebody may have come meanwhile
            if network is None:
                continue
            overlay, remotes = overlay_of(network, device, there)
            self.open(network.id, overlay)
            self.learn(network.id, remotes)
            self._news.clear()
            drawn = {*self._known[network.id].drawn, *(member.key for member in self._shared)}
            self._stale = {key: value for key, value in self._stale.items() if key not in drawn}
        self.recovered = True

    def _undecided(self, device: Vxlan) -> Network | None:
        """The network whose device it is, unless somebody has said whether that is an overlay."""
        network = self._cache.network(device.alias.rpartition(":")[2])
        if network is None or network.id in self._decided or device.name != vxlan_name(network):
            return None
        return network

    async def follow_underlay(self) -> list[str]:
        """The MTU of each overlay is that of its underlay now; what is wrong with one, a line each."""
        findings = list[str]()
        for network_id, known in list(self._known.items()):
            for host in sorted({each.host for each in known.strange.values()}, key=str):
                words = f"cannot be reached from {known.overlay.local}, which is of the other address family"
                if host == known.overlay.local:
                    words = "is this one by its address, and another one says to be there, too"
                findings.append(f"network {network_id[:12]}: host {host} {words}")
            overlay = known.overlay
            try:
                mtu = await self._kernel.underlay_mtu(overlay.local, tuple(known.hosts))
                changed = replace(overlay, underlay_mtu=mtu)
            except Fault as fault:
                findings.append(f"network {network_id[:12]}: {fault}")
                continue
            if changed != overlay and self.of(network_id) is overlay:
                self.open(network_id, changed)
        return findings

    def _renew(self, known: _Known, network: Network, overlay: Overlay) -> None:
        """The network or its overlay is another."""
        if (network, overlay) == (known.network, known.overlay):
            return
        everything, local = known.network.domain != network.domain, known.overlay.local
        for host in known.hosts if known.overlay.port != overlay.port else ():
            self._share(host_member(known.overlay, host), -1)
            self._share(host_member(overlay, host), 1)
        with self._changing(known, "", *(known.remotes if everything else ())):
            known.network, known.overlay = network, overlay
        for host in known.hosts:
            self._flood(known, host, True)
        self.learn(network.id, known.remotes | known.strange if overlay.local != local else {})  # as reached from there

    @contextmanager
    def _changing(self, known: _Known, *idents: str) -> Iterator[None]:
        """What follows from these is another thing after the block, and they are the last who say so."""
        before = {ident: known.said_by(ident) for ident in idents}
        yield
        for ident, had in before.items():
            has = known.said_by(ident)
            for key, fact in (had | has).items():
                if isinstance(fact, Member):
                    self._share(fact, (key in has) - (key in had))
                    continue
                others = tuple(each for each in known.claims.get(key, ()) if each != ident)
                known.claims[key] = (*others, ident) if key in has else others
                self._decide(known, key, has.get(key))

    def _decide(self, known: _Known, key: Key, said: Fact | None = None) -> None:
        """What is drawn is what the last one says (said, if it is known), unless an endpoint of this host has it."""
        claims = known.claims[key]
        if not claims:
            del known.claims[key]
        elif said is None:
            said = known.said_by(claims[-1]).get(key)
        match said:
            case RemoteMac(mac=mac) if self._index.with_mac(known.network.id, mac) is not None:
                said = None
            case Neighbour(address=address) if self._index.at(known.network.id, address) is not None:
                said = None
            case _:
                pass
        before = known.drawn.pop(key, None)
        if said is not None:
            known.drawn[key] = said
        if said != before:
            self._note(known.network.id, key, before)

    def _count(self, known: _Known, host: Address, change: int) -> None:
        """The host has so many more endpoints in the network: one that has any may speak."""
        had = known.hosts[host] > 0
        known.hosts[host] += change
        has = known.hosts[host] > 0
        if not has:
            del known.hosts[host]
        self._share(host_member(known.overlay, host), has - had)
        self._flood(known, host, has)

    def _flood(self, known: _Known, host: Address, has: bool) -> None:
        """The host gets what is for all, where the overlay has that."""
        fact = flood(known.network, host)
        before = known.drawn.pop(fact.key, None)
        if has and known.overlay.multicast:
            known.drawn[fact.key] = fact
        if known.drawn.get(fact.key) != before:
            self._note(known.network.id, fact.key, before)

    def _share(self, member: Member, change: int) -> None:
        had = self._shared[member] > 0
        self._shared[member] += change
        has = self._shared[member] > 0
        if not has:
            del self._shared[member]
        if had != has:
            self._note("", member.key, member if had else None)

    def _note(self, whose: str, key: Key, before: Fact | None) -> None:
        """The kernel is to be told anew."""
        _, first, last = self._stale.get(key, (whose, before, before))
        self._stale[key] = whose, first, before or last
        self._woken.set()

    def _desired(self, key: Key, whose: str) -> Fact | None:
        if whose:
            known = self._known.get(whose)
            return known.drawn.get(key) if known is not None else None
        member = Member(key[1], key[2])
        return member if member in self._shared else self._led.get(key)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        """Endpoints of this host come before others, and go; networks change, and go."""
        if isinstance(before, Network) and before.id in self._known:
            if isinstance(after, Network):
                self._renew(self._known[before.id], after, self._known[before.id].overlay)
            else:
                self.close(before.id)
                self._decided.discard(before.id)
        if isinstance(before, Endpoint) is not isinstance(after, Endpoint):
            endpoint = after if isinstance(after, Endpoint) else before
            if isinstance(endpoint, Endpoint) and endpoint.network in self._known:
                self._yield_to(endpoint)

    def _yield_to(self, endpoint: Endpoint) -> None:
        """The endpoint of this host has its MAC and addresses, whoever else has, or has left them to those."""
        known = self._known[endpoint.network]
        network = known.network
        keys = {RemoteMac(vxlan_name(network), endpoint.mac, None).key}
        keys |= {Neighbour(network.bridge, address, "").key for address in endpoint.addresses}
        for key in keys & known.claims.keys():
            self._decide(known, key)
