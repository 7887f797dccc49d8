"""The encrypted underlay: WireGuard between the hosts of a cluster, in which the VXLAN of encrypted networks goes.

Rules: each host has one device, and in it one address, which follows from its id; an encrypted network is an overlay
whose hosts have these addresses, at a port of its own, so that nothing of it is taken from outside the device, nor goes
out beside it (core/firewall.py). A key is replaced without a pause: both are accepted while it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Interface, ip_address

from mooring.core.cluster_hosts import ClusterHost, TunnelEnd
from mooring.core.datapath import MARK
from mooring.core.networks import Address
from mooring.core.tunnel_places import INNER, LINKS

PORT = 51821
"""Of UDP, at which a host's device listens. 51820 is what everybody else takes."""
ALIAS = f"{MARK}wireguard:"
"""What the aliases of the devices begin with; the host's id follows."""
OVERHEAD = {4: 20 + 8 + 32, 6: 40 + 8 + 32}
"""Bytes around a packet of the device, by the underlay's family: IP header, UDP, WireGuard's header and tag."""
AGE = 30 * 86400.0
"""Seconds that a key is used."""
OVERLAP = 60.0
"""Seconds that a key is known to all before it is used, and still accepted when it is not any more."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Of X25519, in base64."""

    public: str
    private: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """A host's keys. since: seconds since the epoch. coming: will be used, once all hosts know it. gone: was used, and
    some may not know of the new one yet."""

    used: KeyPair
    since: float
    coming: KeyPair | None = None
    gone: KeyPair | None = None

    @property
    def public(self) -> tuple[str, ...]:
        """What the others are told."""
        return tuple(each.public for each in (self.used, self.coming, self.gone) if each is not None)

    @property
    def due(self) -> bool:
        """Whether a replacement is under way."""
        return self.coming is not None or self.gone is not None

    def turned(self, now: float, told: float, fresh: KeyPair | None) -> KeyRing:
        """As it is now. told: seconds for which the others have been able to read `public`. fresh: begins a
        replacement, if none is under way."""
        if self.due:
            if told < OVERLAP:
                return self
            if self.coming is not None:
                return KeyRing(used=self.coming, since=now, gone=self.used)
            return replace(self, gone=None)
        return replace(self, coming=fresh) if fresh is not None else self

    def is_old(self, now: float) -> bool:
        """Whether it is time for another one; also where the clock has gone back."""
        return not self.due and not 0 <= now - self.since < AGE


@dataclass(frozen=True, slots=True)
class Peer:
    """Another host. keys: those that it may have, and `key` of them gets what is for it. inner: its address within."""

    keys: tuple[str, ...]
    key: str
    endpoint: Address
    port: int
    inner: IPv6Address


@dataclass(frozen=True, slots=True)
class WireGuardDevice:
    """What the device is to be. alias: our mark. mtu: bytes."""

    name: str
    alias: str
    address: IPv6Interface
    port: int
    mtu: int
    private: str = field(repr=False)
    peers: tuple[Peer, ...] = ()


def inner_address(host: str) -> IPv6Address:
    """The host's address in its device. host: its id in the cluster."""
    return INNER[int.from_bytes(_digest(host)[:8], "big") | 1]


def encrypted_port(port: int) -> int:
    """The UDP port of VXLAN within the device, where it is that one without."""
    return port + 2 if port < 65534 else port - 2


def device_name(host: str) -> str:
    """The host's device, 15 bytes; different on each host, since programs meet its control socket by it."""
    return f"{LINKS}{_digest(host).hex()[:12]}"


def _digest(host: str) -> bytes:
    return sha256(f"mooring tunnel {host}".encode()).digest()


def reachable(hosts: Iterable[ClusterHost], me: str, version: int) -> tuple[list[ClusterHost], list[str]]:
    """The other hosts for which can be encrypted, by their ids, and what is wrong with others, a line each. version: of
    this host's address in the underlay."""
    found: dict[IPv6Address, ClusterHost] = {}
    wrong, mine = [], inner_address(me)
    for host in sorted(hosts, key=lambda each: (each.joined, each.id)):
        if host.id == me or host.tunnel is None:
            continue
        inner = inner_address(host.id)
        if inner == mine or inner in found:
            other = found[inner].name if inner in found else "this one"
            wrong.append(f"host {host.name} has the inner address {inner} of {other}; let it leave and join anew")
        elif ip_address(host.underlay.address).version != version:
            wrong.append(f"host {host.name} is at {host.underlay.address}, which is of the other address family")
        else:
            found[inner] = host
    return list(found.values()), wrong


class KeyChoice:
    """Which of its keys a host is believed to use: the first that it tells of, until another one is heard later."""

    def __init__(self) -> None:
        self._chosen: dict[str, tuple[str, str, Mapping[str, int]]] = {}

    def of(self, host: str, end: TunnelEnd, heard: Mapping[str, int]) -> str:
        """The key. heard: of each key, the time of the last handshake."""
        first, chosen, at = self._chosen.get(host, ("", "", {}))
        if first != end.keys[0] or chosen not in end.keys:
            first = chosen = end.keys[0]
            at = heard
        later = [key for key in end.keys if heard.get(key, 0) > max(at.get(key, 0), heard.get(chosen, 0))]
        if later:
            chosen, at = later[0], heard
        self._chosen[host] = first, chosen, {key: at.get(key, 0) for key in end.keys}
        return chosen
