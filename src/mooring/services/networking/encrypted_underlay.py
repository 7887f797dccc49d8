"""The encrypted underlay of this host: its WireGuard device, which knows every host that has one, and its keys.

Rules: where WireGuard can be had, the host's key is known to the others from the beginning, and the device is there
while a network wants it; what is amiss with it is put right in the next turn; while the cluster is away it stays as it
is, and no key is replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv6Interface, ip_address

from mooring.core.cluster_hosts import ClusterHost, Membership, TunnelEnd
from mooring.core.faults import Fault, NotFound, Unavailable
from mooring.core.networks import Address
from mooring.core.tunnel_places import INNER
from mooring.core.wireguard import (
    ALIAS,
    OVERHEAD,
    PORT,
    KeyChoice,
    KeyRing,
    Peer,
    WireGuardDevice,
    device_name,
    inner_address,
    reachable,
)
from mooring.ports import Clock, Cluster, Kernel, WireGuard
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.membership import ClusterMembership

log = logging.getLogger(__name__)

# Seconds between two looks for WireGuard on a host that has none and needs none: a kernel looks for a module each time.
AGAIN = 60.0
# Seconds that a network may take from its request to its record.
EXPECTED = 30.0


class EncryptedUnderlay:
    """A part of the cluster's runtime. wireguard: None: this daemon has none. wanted: whether an encrypted network is
    on this host. end: what the others are told, None where there is no WireGuard."""

    def __init__(self, wireguard: WireGuard | None, kernel: Kernel, clock: Clock, wanted: Callable[[], bool]) -> None:
        self._has, self._kernel, self._clock = wireguard, kernel, clock
        self._wanted = wanted
        self._tell: Callable[[], None] = lambda: None
        self.end: TunnelEnd | None = None
        self._records: HostRecords | None = None
        self._host = ""
        self._ring: KeyRing | None = None
        self._told: float | None = None  # since when the others can read of all keys, in seconds since boot
        self._choice = KeyChoice()
        self._hosts: Sequence[ClusterHost] | None = None
        self._device: WireGuardDevice | None = None
        self._heard: Mapping[str, int] = {}
        self._looked = False
        self._asked = self._read = self._expected = float("-inf")
        self._lock = asyncio.Lock()

    def told_by(self, membership: ClusterMembership) -> None:
        """That tells the others of `end`."""
        membership.record.tunnel, self._tell = lambda: self.end, membership.tell_soon

    @property
    def _wireguard(self) -> WireGuard:
        if self._has is None:
            raise Unavailable("encrypted=on needs WireGuard, which is not used here")
        return self._has

    async def require(self) -> None:
        """An encrypted network can be on this host, and is about to be: the device is there if that can be. Raises
        Unavailable, with what to do about it."""
        await self._wireguard.check()
        self._expected = self._clock.boot()
        await self.turn()

    def address(self, host: str) -> Address:
        """Where the endpoints of an encrypted network are that the host has: what is published as its underlay."""
        return inner_address(host)

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """This host is in the cluster."""
        self._records, self._host = HostRecords(cluster), membership.host
        self._told, self._hosts, self._choice = None, None, KeyChoice()

    async def left(self) -> None:
        """The device stays: this host may be about to enter anew."""
        self._records = None

    async def turn(self) -> list[Fault]:
        """See the class."""
        async with self._lock:
            return await self._turn()

    async def _turn(self) -> list[Fault]:
        now, wanted = self._clock.boot(), self._wanted()
        if wanted:
            self._expected = float("-inf")
        wanted = wanted or now - self._expected < EXPECTED
        if self._records is None or (self._has is None and not wanted):
            return []
        faults: list[Fault] = []
        try:
            if self._ring is None and not await self._begin(wanted):
                return []
            # Without a network only the host's own key matters.
            if wanted or self._told is None or (self._ring is not None and self._ring.due) or now - self._read >= AGAIN:
                self._hosts, self._read = await self._records.hosts(), now
                await self._replace_keys(self._hosts)
        except Unavailable as fault:
            faults.append(fault)
        if not wanted:
            if self._device is not None or not self._looked:  # perhaps an earlier daemon's
                await self._wireguard.remove(device_name(self._host))
                self._device, self._looked = None, True
            return faults
        try:
            return faults + await self._settle()
        except Fault as fault:
            return [*faults, fault]

    async def _begin(self, wanted: bool) -> bool:
        """This host has keys; False where it has no WireGuard, and needs none."""
        now = self._clock.boot()
        if not wanted and now - self._asked < AGAIN:
            return False
        self._asked = now
        try:
            await self._wireguard.check()
        except Unavailable:
            if wanted:
                raise
            return False
        ring = self._wireguard.kept()
        if ring is None:
            ring = KeyRing(used=await self._wireguard.make_pair(), since=self._clock.now())
            self._wireguard.keep(ring)
        self._have(ring)
        return True

    def _have(self, ring: KeyRing) -> None:
        self._ring, self._told = ring, None
        self.end = TunnelEnd(ring.public, PORT)
        self._tell()

    async def _replace_keys(self, hosts: Sequence[ClusterHost]) -> None:
        """A key that is old is replaced: each step once the others have been able to read of it for long enough."""
        ring = self._ring
        assert ring is not None
        known = next((host.tunnel for host in hosts if host.id == self._host), None)
        if known != self.end:
            if self._told is not None:
                self._tell()
            self._told = None
            return
        now = self._clock.boot()
        self._told = now if self._told is None else self._told
        fresh = await self._wireguard.make_pair() if ring.is_old(self._clock.now()) else None
        turned = ring.turned(self._clock.now(), now - self._told, fresh)
        if turned != ring:
            self._wireguard.keep(turned)
            self._have(turned)
            log.info("the WireGuard key of this host is being replaced, keys known: %d", len(turned.public))

    async def _settle(self) -> list[Fault]:
        """The device is there, and knows the others; who could not be taken into it."""
        ring, hosts = self._ring, self._hosts
        mine = next((host for host in hosts or () if host.id == self._host), None)
        if ring is None or hosts is None or mine is None:
            return []  # as it is: nobody could be asked since the start
        local = ip_address(mine.underlay.address)
        others, wrong = reachable(hosts, self._host, local.version)
        peers = tuple(
            Peer(
                host.tunnel.keys, self._choice.of(host.id, host.tunnel, self._heard),
                ip_address(host.underlay.address), host.tunnel.port, inner_address(host.id),
            )
            for host in others if host.tunnel is not None
        )  # fmt: skip
        mtu = await self._kernel.underlay_mtu(local, [each.endpoint for each in peers])
        name, alias = device_name(self._host), f"{ALIAS}{self._host}"
        device = WireGuardDevice(
            name, alias, IPv6Interface((inner_address(self._host), INNER.prefixlen)), PORT,
            mtu - OVERHEAD[local.version], ring.used.private, peers,
        )  # fmt: skip
        self._heard = await self._wireguard.settle(device)
        before, self._device = self._device, device
        known = set[str]()
        if before is not None and before.private == device.private:
            known = {peer.key for peer in before.peers}
        if not known.issuperset(peer.key for peer in peers):
            await self._wireguard.greet(device)  # who has forgotten this host would not say so
        return [NotFound(line) for line in wrong]
