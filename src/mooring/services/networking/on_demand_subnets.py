"""Subnets that a network gets when an endpoint needs one, and gives up when none does.

Rules: a subnet is granted, recorded with the network and told to its driver before an address of it is given; one that
was made for an endpoint which then failed goes again, unless somebody has an address in it by now; a subnet comes into
the network's record and leaves it in one commit with its pool, or before that, so that it never looks as if an engine
had released the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mooring.core.faults import StaleRevision
from mooring.core.networks import Network, Segment, Subnet, Subnets
from mooring.core.requests import PoolRequest
from mooring.services.drivers.registry import Drivers
from mooring.services.ipam.allocator import Ipam
from mooring.services.ipam.pools import BATCH
from mooring.services.networking.networks import ROOM
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.own_subnets import OWNED, owned_options
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record


@dataclass(frozen=True, slots=True)
class Lack:
    """What an endpoint lacks in its network: a subnet of the family (4 or 6).

    seen: those that were there, and did not do. subnet: the very one, None for any. ours: False when another IPAM
    driver has given the endpoint's address in it.
    """

    version: int
    seen: tuple[Segment, ...]
    subnet: Subnet | None = None
    ours: bool = True


class LacksSubnet(Exception):
    """Raised in the making of an endpoint: the network has to get a subnet first."""

    def __init__(self, lack: Lack) -> None:
        super().__init__(f"no IPv{lack.version} subnet has an address")
        self.lack = lack


class OnDemandSubnets:
    """`add`, `withdraw` and `release_idle`, of networks that get subnets on demand."""

    def __init__(self, records: Records, drivers: Drivers, ipam: Ipam, overlaps: Overlaps) -> None:
        self._cache, self._endpoint_index, self._locks = records.cache, records.endpoint_index, records.locks
        self._drivers = drivers
        self._ipam = ipam
        self._overlaps = overlaps

    async def add(self, network_id: str, lack: Lack) -> Segment | None:
        """The network has a subnet that it lacked; None when the network is another by now than was seen.

        Raises Exhausted when there is none left, Conflict for one that is in use, Forbidden for the deny list, and what
        the driver raises. On a fault nothing is left.
        """
        async with self._locks.hold(network_id):
            network = self._cache.network(network_id)
            if network is None or network.segments_of(lack.version) != lack.seen:
                return None
            try:
                async with self._locks.hold(ROOM):
                    segment = await self._recorded(network, lack)
                driver = await self._drivers.network_driver(network.driver)
                await driver.change_network(network, network.with_segments((*network.segments, segment)))
            except StaleRevision:  # nothing is written; the engine's name for it came meanwhile, say
                return None
            except BaseException:
                known = self._cache.network(network_id) or network  # also by a commit whose answer was lost
                await self._remove(network_id, [each for each in known.segments if each not in network.segments])
                raise
            return segment

    async def _recorded(self, network: Network, lack: Lack) -> Segment:
        """The network is on record with one subnet more, and that with it, in one commit."""
        if not lack.ours:
            assert lack.subnet is not None
            self._ipam.deny_list.check(lack.subnet)  # our own has looked when it gives a pool
            return await self._commit(network, Segment(lack.subnet, None, "", ""), lack, ())
        space = network.options.tenant or await self._ipam.default_space()
        options = owned_options(network.options, lack.version) if lack.subnet is None else {OWNED: "yes"}
        request = PoolRequest(space, lack.version, lack.subnet, options=options)
        async with self._ipam.drafted_pool(request, network.id) as draft:
            pool, name = draft.pool, "" if lack.subnet is not None else default_name(lack.seen, lack.version)
            segment = Segment(pool.subnet, draft.gateway, space, pool.id, name=name)
            return await self._commit(network, segment, lack, (pool, *draft.leases), draft.yielding)

    async def _commit(
        self, network: Network, segment: Segment, lack: Lack, put: Iterable[Record], delete: Iterable[Record] = ()
    ) -> Segment:
        alone = network.with_segments((segment,))
        self._overlaps.network_index.check_room(alone)
        if lack.subnet is not None:  # what is carved overlaps nothing that the host has
            await self._overlaps.check(alone)
        known = self._cache.network(network.id) or network  # it may have been given its name since it was looked at
        await self._cache.commit(put=[known.with_segments((*network.segments, segment)), *put], delete=delete)
        return segment

    async def withdraw(self, network_id: str, made: Iterable[Segment]) -> None:
        """Subnets that were made for what came to nothing are gone, but for those that somebody uses by now."""
        async with self._locks.hold(network_id):
            await self._remove(network_id, [segment for segment in made if self._is_idle(network_id, segment)])

    async def release_idle(self, network_id: str) -> None:
        """Subnets that no endpoint has an address in are gone, where the network's options say so."""
        network = self._cache.network(network_id)
        if network is None or network.options.subnets is not Subnets.RELEASED or not self.idle(network):
            return
        async with self._locks.hold(network_id):
            network = self._cache.network(network_id)
            if network is not None:
                await self._remove(network_id, self.idle(network))

    def idle(self, network: Network) -> list[Segment]:
        """The subnets of the network in which nobody has an address."""
        return [segment for segment in network.segments if self._is_idle(network.id, segment)]

    def _is_idle(self, network_id: str, segment: Segment) -> bool:
        if segment.pool:
            return not self._ipam.is_in_use(segment.pool)
        endpoints = self._endpoint_index.of_network(network_id)
        return not any(address in segment.subnet for endpoint in endpoints for address in endpoint.addresses)

    async def _remove(self, network_id: str, segments: Iterable[Segment]) -> None:
        """The network is without them, wherever each was on its way into it."""
        segments = tuple(segments)
        network = self._cache.network(network_id)
        if network is not None and any(segment in network.segments for segment in segments):
            rest = network.with_segments(segment for segment in network.segments if segment not in segments)
            pools = [pool for segment in segments if (pool := self._cache.pool(segment.pool)) is not None]
            leases = [lease for pool in pools for lease in self._ipam.index.leases(pool.id)]
            if len(leases) <= BATCH:
                await self._cache.commit(put=[rest], delete=[*pools, *leases])
            else:  # they go below, or with a later pass
                await self._cache.commit(put=[rest, *(msgspec.structs.replace(pool, network="") for pool in pools)])
            driver = await self._drivers.network_driver(network.driver)
            await driver.change_network(network, rest)
        for segment in segments:
            if segment.pool:
                await self._ipam.release_pool(segment.pool)


def default_name(segments: Iterable[Segment], version: int) -> str:
    """`default-v4`, `default-v4-2` and so on: the first that none of the segments has."""
    taken = {segment.name for segment in segments}
    first = f"default-v{version}"
    names = (first if number == 1 else f"{first}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
