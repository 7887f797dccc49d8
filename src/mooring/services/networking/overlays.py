"""Overlays of this host, and where the endpoints of other hosts are: what others publish becomes facts, and stays so.

Rules: whoever knows (a cluster's watch) says what is, in any order and as often as he likes, and nobody waits for the
kernel; what was said meanwhile goes together; of two who claim one address the last one has it, and an endpoint of this
host before all others; what the kernel lost or somebody put there, a pass of repair puts right. Until somebody says
otherwise the kernel itself is believed, so that a daemon that starts while nobody can be asked cuts nobody off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault
from mooring.core.networks import Address, Network
from mooring.core.overlays import OVERHEAD, Overlay, Remote, fitted, overlay_facts, remote_facts, vxlan_name
from mooring.core.plumbing import Fact, LinkAddress, Neighbour, Op, RemoteMac, Remove, Vxlan, plan
from mooring.ports import Kernel
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record

log = logging.getLogger(__name__)

Key = tuple[str, ...]
# Facts that go to the kernel together.
PART = 500
# Addresses that neighbours are told of at a time. Those beyond find out by themselves, a second later.
TOLD = 500


@dataclass(slots=True)
class _Known:
    """One network's overlay. strange: hosts of endpoints that no packet of this host's underlay gets to. drawn: its
    facts, None when they have changed."""

    network: Network
    overlay: Overlay
    remotes: dict[str, Remote] = field(default_factory=dict)
    strange: dict[str, Address] = field(default_factory=dict)
    drawn: dict[Key, Fact] | None = None
    closed: bool = False

    def said_by(self, ident: str) -> frozenset[Fact]:
        """What follows from the endpoint; "" is the network itself."""
        if not ident:
            return overlay_facts(self.network, self.overlay) if not self.closed else frozenset()
        remote = self.remotes.get(ident)
        return remote_facts(self.network, self.overlay, remote) if remote is not None else frozenset()


class Overlays:
    """`run` for as long as the daemon serves. Build it before the cache is loaded, and after the index.

    look_again: has a pass of repair made soon.
    """

    def __init__(self, records: Records, kernel: Kernel, look_again: Callable[[], None] = lambda: None) -> None:
        self._cache, self._index = records.cache, records.endpoint_index
        self._kernel = kernel
        self._look_again = look_again
        self._known: dict[str, _Known] = {}
        # Who says so of each fact, (network, id of the endpoint), the last one last.
        self._claims: dict[Key, dict[tuple[str, str], None]] = {}
        # What has changed since the kernel was told: what it has, and what else it may have by now, through repair.
        self._stale: dict[Key, tuple[Fact | None, Fact | None]] = {}
        # Networks of which somebody has said whether they are overlays.
        self._decided: set[str] = set()
        self._news: dict[tuple[str, Address], str] = {}
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        records.cache.listen(self._follow)

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
        del self._known[network_id]
        self._look_again()

    def learn(self, network_id: str, changes: Mapping[str, Remote | None]) -> None:
        """Endpoints of other hosts, by their ids, are there now, or gone (None). Of a network that is no overlay here
        nothing is learnt, nor of an endpoint of this host. Hosts of the other address family cannot be reached."""
        known = self._known.get(network_id)
        if known is None:
            return
        local = known.overlay.local
        for ident, remote in changes.items():
            known.strange.pop(ident, None)
            if remote is not None and remote.host.version != local.version:
                known.strange[ident] = remote.host
            if remote is None or remote.host == local or ident in known.strange:
                if ident in known.remotes:
                    with self._changing(known, ident):
                        del known.remotes[ident]
            elif known.remotes.get(ident) != remote:
                with self._changing(known, ident):
                    known.remotes[ident] = remote
                self._news.update(((network_id, address), remote.mac) for address in remote.addresses)

    def rescan(self, network_id: str, remotes: Mapping[str, Remote]) -> None:
        """These are all the endpoints of other hosts."""
        known = self._known.get(network_id)
        if known is not None:
            gone = (known.remotes.keys() | known.strange.keys()) - remotes.keys()
            self.learn(network_id, {**remotes, **dict.fromkeys(gone)})

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
            for (network_id, address), mac in told:
                network = self._cache.network(network_id)
                if network is not None and self._index.at(network_id, address) is None:
                    await self._kernel.announce(network.bridge, address, mac, network.domain)

    async def _tell(self, stale: Mapping[Key, tuple[Fact | None, Fact | None]]) -> None:
        wanted = {key: self._winner(key) for key in stale}
        have = [first if wanted[key] is not None else last for key, (first, last) in stale.items()]
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
        if known.drawn is None:
            keys = {fact.key for ident in ("", *known.remotes) for fact in known.said_by(ident)}
            known.drawn = {key: fact for key in keys if (fact := self._winner(key)) is not None}
        return {fact.key: fact for fact in fitted(network, known.overlay, facts.values())} | known.drawn

    def recover(self, observed: Iterable[Fact]) -> None:
        """Of networks that nobody has opened yet, what the kernel has is what is."""
        devices = [fact for fact in observed if isinstance(fact, Vxlan)]
        for device in devices:
            network = self._cache.network(device.alias.rpartition(":")[2])
            if network is None or network.id in self._decided or device.name != vxlan_name(network):
                continue
            gateways = {segment.gateway.ip for segment in network.segments if segment.gateway is not None}
            there = [
                fact.interface for fact in observed if isinstance(fact, LinkAddress) and fact.link == network.bridge
            ]
            own = tuple(each for each in there if each.ip not in gateways and network.segment_of(each.ip) is not None)
            # Where the network's own MTU is less than there is room for, the next look at the underlay tells.
            mtu = device.mtu + OVERHEAD[device.local.version]
            addresses: dict[str, list[Address]] = {}
            for fact in observed:
                if isinstance(fact, Neighbour) and fact.link == network.bridge:
                    addresses.setdefault(fact.mac, []).append(fact.address)
            remotes = {
                f"kernel/{fact.mac}": Remote(fact.mac, tuple(addresses.get(fact.mac, ())), fact.host)
                for fact in observed
                if isinstance(fact, RemoteMac) and fact.link == device.name and fact.host is not None
            }
            self.open(network.id, Overlay(device.vni, device.local, mtu, own, device.port, device.offload))
            self.learn(network.id, remotes)
            self._news.clear()
            known = self._known[network.id]
            for ident in ("", *remotes):
                for saying in known.said_by(ident):
                    self._stale.pop(saying.key, None)

    async def follow_underlay(self) -> list[str]:
        """The MTU of each overlay is that of its underlay now; what is wrong with one, a line each."""
        findings = list[str]()
        for network_id, known in list(self._known.items()):
            for host in sorted(set(known.strange.values()), key=str):
                words = f"cannot be reached from {known.overlay.local}, which is of the other address family"
                findings.append(f"network {network_id[:12]}: host {host} {words}")
            overlay, hosts = known.overlay, {remote.host for remote in known.remotes.values()}
            try:
                mtu = await self._kernel.underlay_mtu(overlay.local, hosts)
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
        everything = known.overlay.port != overlay.port or known.network.domain != network.domain
        with self._changing(known, "", *(known.remotes if everything else ())):
            known.network, known.overlay = network, overlay

    @contextmanager
    def _changing(self, known: _Known, *idents: str) -> Iterator[None]:
        """What follows from these is another thing after the block, and they are the last who say so."""
        before = {ident: known.said_by(ident) for ident in idents}
        for facts in before.values():
            self._touch(facts)
        yield
        for ident, facts in before.items():
            self._touch(known.said_by(ident))
            self._claim((known.network.id, ident), facts, known.said_by(ident))
        known.drawn = None

    def _claim(self, whose: tuple[str, str], before: Iterable[Fact], after: Iterable[Fact]) -> None:
        for fact in before:
            claims = self._claims.get(fact.key, {})
            claims.pop(whose, None)
            if not claims:
                self._claims.pop(fact.key, None)
        for fact in after:
            self._claims.setdefault(fact.key, {})[whose] = None

    def _touch(self, facts: Iterable[Fact]) -> None:
        """The kernel is to be told of these anew. Before it is said what they are."""
        for fact in facts:
            self._note(fact.key, self._winner(fact.key))
        self._woken.set()

    def _note(self, key: Key, fact: Fact | None) -> None:
        first, last = self._stale.get(key, (fact, fact))
        self._stale[key] = first, fact or last

    def _winner(self, key: Key) -> Fact | None:
        """What is to be, None for nothing."""
        claims = self._claims.get(key)
        if not claims:
            return None
        network_id, ident = next(reversed(claims))
        fact = next(each for each in self._known[network_id].said_by(ident) if each.key == key)
        match fact:
            case RemoteMac(mac=mac) if self._index.with_mac(network_id, mac) is not None:
                return None
            case Neighbour(address=address) if self._index.at(network_id, address) is not None:
                return None
            case _:
                return fact

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        """Endpoints of this host come before others, and go; networks change, and go."""
        if isinstance(before, Network) and before.id in self._known:
            if isinstance(after, Network):
                self._renew(self._known[before.id], after, self._known[before.id].overlay)
            else:
                self.close(before.id)
                self._decided.discard(before.id)
        if isinstance(before, Endpoint) is not isinstance(after, Endpoint):
            endpoint, here = (after, True) if isinstance(after, Endpoint) else (before, False)
            if isinstance(endpoint, Endpoint) and endpoint.network in self._known:
                self._yield_to(endpoint, here)

    def _yield_to(self, endpoint: Endpoint, here: bool) -> None:
        """The endpoint of this host has its MAC and addresses, whoever else has, or (not here) leaves them to those."""
        known = self._known[endpoint.network]
        network = known.network
        keys = {RemoteMac(vxlan_name(network), endpoint.mac, None).key}
        keys |= {Neighbour(network.bridge, address, "").key for address in endpoint.addresses}
        for key in keys & self._claims.keys():
            # The index knows already: what the kernel has follows from what has happened.
            said = next(fact for fact in known.said_by(next(reversed(self._claims[key]))[1]) if fact.key == key)
            self._note(key, said if here else None)
            known.drawn = None
            self._woken.set()
