"""Which networks of this host are overlays, between which addresses, and which addresses of its own the host has there.

Rules: this follows from the records and from where the other hosts reach this one, so it is the same after a start; an
address of the host's own is leased here as a container's is, to the MAC of the network's bridge, so nobody else has it
on any host; while there is none to be had, the overlay does without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address

import msgspec

from mooring.core.addresses import interface
from mooring.core.cluster_hosts import Membership, Underlay
from mooring.core.cluster_networks import HostNetwork
from mooring.core.faults import Fault, StaleRevision
from mooring.core.networks import Address, GatewayMode, Network, Segment
from mooring.core.overlays import PORT, Overlay
from mooring.core.requests import AddressRequest, Role
from mooring.core.wireguard import OVERHEAD, encrypted_port, inner_address
from mooring.ports import Cluster, ClusterSetup
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.overlay_feed import OverlayFeed
from mooring.services.networking.overlays import Overlays
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record

# Seconds between two looks at where this host is reached, and between two tries to get an address.
LOOK = 20.0
AGAIN = 10.0


class HostOverlays:
    """A Part of the cluster's runtime. Build it before the cache is loaded.

    underlay: where the other hosts reach this one; None while that is not known, or it is in no cluster. port: of UDP,
    the same on every host.
    """

    def __init__(
        self,
        records: Records,
        ipam: Ipam,
        overlays: Overlays,
        feed: OverlayFeed,
        setup: ClusterSetup | None,
        port: int = PORT,
    ) -> None:
        self._cache, self._clock = records.cache, records.clock
        self._ipam, self._overlays, self._feed, self._setup = ipam, overlays, feed, setup
        self.port = port
        self.underlay: Underlay | None = None
        self._parts: dict[str, HostNetwork] = {}  # by the network's id here
        self._membership: Membership | None = None
        self._looked = float("-inf")
        self._tried: dict[str, float] = {}
        self._listeners: list[Callable[[], None]] = []
        self._cache.listen(self._follow, HostNetwork, Network)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it whenever this host is reached by another address from now on, or by none."""
        self._listeners.append(listener)

    def local(self, network: Network) -> Address | None:
        """Where the other hosts reach this one's endpoints in the network: within WireGuard where it is encrypted. None
        while that is not known."""
        if self.underlay is None or self._membership is None:
            return None
        if network.options.encrypted:
            return inner_address(self._membership.host)
        return ip_address(self.underlay.address)

    @property
    def leaving_for_good(self) -> bool:
        """Whether this host is in no cluster by what it keeps; else it comes back to the one that it leaves."""
        try:
            return self._setup is None or self._setup.kept() is None
        except Fault:
            return False

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """See Part."""
        self._membership = membership
        self._feed.enter(cluster, membership.host)
        await self._look()

    async def left(self) -> None:
        """See Part."""
        self._feed.leave()
        if self.leaving_for_good:
            self._membership = None
            self._reached_at(None)
            for part in self._parts.values():
                self._feed.close(part.shared.id)
                self._overlays.close(part.network)  # which the kernel may have had, and nobody has opened since
            self._feed.forget()

    async def restored(self) -> None:
        """See Restored."""
        self._feed.look_again()

    async def turn(self) -> list[Fault]:
        """See Part."""
        faults: list[Fault] = []
        if self._clock.boot() - self._looked >= LOOK:
            try:
                await self._look()
            except Fault as fault:
                faults.append(fault)
        for part in list(self._parts.values()):
            try:
                self._open(part)
                await self._settle_own(part)
            except StaleRevision:
                continue  # somebody else wrote it; the next turn sees what is left
            except Fault as fault:
                faults.append(fault)
        return faults

    async def _look(self) -> None:
        """Where this host is reached is known. Raises Unavailable and BadRequest, and it is as it was."""
        membership = self._membership
        if membership is None or self._setup is None:
            return
        self._looked = self._clock.boot()
        underlay = await self._setup.underlay(membership.underlay, membership.access.endpoints)
        if self._membership is membership:
            self._reached_at(underlay)

    def _reached_at(self, underlay: Underlay | None) -> None:
        before, self.underlay = self.underlay, underlay
        if before == underlay:
            return
        for part in list(self._parts.values()):
            with suppress(Fault):  # a turn tells of it
                self._open(part)
        for listener in self._listeners:
            listener()

    def _open(self, part: HostNetwork) -> None:
        """The network is an overlay if it is to be one. Raises BadRequest where the underlay has no room for it."""
        network = self._cache.network(part.network)
        if part.leaving or not part.shared.vni or network is None:
            self._feed.close(part.shared.id)
            return
        options = network.options
        # Before that, what the kernel knows of other hosts would be taken for nothing, and go.
        local = self.local(network)
        if local is None or self.underlay is None or not (self._overlays.recovered or self._feed.scanned):
            return
        now = self._overlays.of(network.id)
        # Of the link, until the next look at the routes to the others.
        room = self.underlay.mtu - (OVERHEAD[ip_address(self.underlay.address).version] if options.encrypted else 0)
        mtu = now.underlay_mtu if now is not None and now.local == local else room
        own = tuple(
            interface(each.version, int(each), segment.subnet.prefixlen)
            for each in part.own
            if (segment := network.segment_of(each)) is not None
        )
        port = encrypted_port(self.port) if options.encrypted else self.port
        overlay = Overlay(part.shared.vni, local, mtu, own, port, options.offload, options.multicast)
        self._feed.open(part.shared.id, network.id, overlay)

    async def _settle_own(self, part: HostNetwork) -> None:
        """The host has an address of each family of its own, as far as there is one. Raises StaleRevision, Exhausted,
        Unavailable."""
        network = self._cache.network(part.network)
        if part.leaving or not part.shared.vni or network is None or self._membership is None:
            return
        if any(segment.pool and self._cache.pool(segment.pool) is None for segment in network.segments):
            return  # Docker gives back the subnets first, and then the network: this is about to go
        own = tuple(each for each in part.own if self._is_own(network, each))
        wanted = [
            segment for segment in _spoken_in(network) if segment.subnet.version not in {each.version for each in own}
        ]
        now = self._clock.boot()
        try:
            if wanted and now - self._tried.get(network.id, float("-inf")) >= AGAIN:
                self._tried[network.id] = now
                for segment in wanted:
                    request = AddressRequest(segment.pool, Role.ENDPOINT, mac=network.mac)
                    own += ((await self._ipam.request_address(request)).ip,)
                del self._tried[network.id]
        finally:
            if own != part.own and self._parts.get(part.network) is part:
                await self._cache.commit(put=[msgspec.structs.replace(part, own=own)])

    def _is_own(self, network: Network, address: Address) -> bool:
        """Whether the address is leased to this host: it may have been lost with its block."""
        segment = network.segment_of(address)
        lease = self._cache.lease(segment.space, address) if segment is not None else None
        return lease is not None and lease.mac == network.mac

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        """What is opened or closed is so before anybody is answered who made or removed it."""
        if isinstance(before, HostNetwork) and not isinstance(after, HostNetwork):
            self._parts.pop(before.network, None)
            self._tried.pop(before.network, None)
            self._feed.close(before.shared.id)
        if isinstance(before, HostNetwork) and isinstance(after, HostNetwork) and before.shared.id != after.shared.id:
            self._feed.close(before.shared.id)
        if isinstance(after, HostNetwork):
            self._parts[after.network] = after
        elif not isinstance(after, Network) and not isinstance(before, Network):
            return
        network = after if after is not None else before
        ident = network.network if isinstance(network, HostNetwork) else network.id  # type: ignore[union-attr]
        part = self._parts.get(ident)
        if part is not None:
            with suppress(Fault):  # a turn tells of it
                self._open(part)


def _spoken_in(network: Network) -> Iterator[Segment]:
    """Subnets of ours in which the host has an address for its containers, and so wants one for other hosts'."""
    for segment in network.segments:
        isolated = network.gateway_mode(segment.subnet.version) is GatewayMode.ISOLATED
        if segment.pool and segment.gateway is not None and network.options.gateway and not isolated:
            yield segment
