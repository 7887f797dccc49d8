"""What the cluster says late that this host has of a subnet that it has left: a write that it gave up has happened.

Rules: only what is on record as left is looked at, since a host whose store was lost has blocks and claims yet; where
the record may be of before the host took part anew, only while the cluster does not say that it does. What was seen
twice and not written between goes, by a write that expects it, so that nothing goes of a network that this host takes
part in anew.
"""

from __future__ import annotations

from contextlib import suppress

from mooring.core.address_claims import AddressClaim, without
from mooring.core.blocks import Block, LeftSubnet, SharedSubnet, taken_from
from mooring.core.cluster_networks import ClusterNetwork, HostNetwork
from mooring.core.faults import StaleRevision
from mooring.core.networks import Subnet
from mooring.ports import Clock
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.cluster.late_writes import EXPECTED
from mooring.services.cluster.restored_cluster import RestoredCluster
from mooring.services.cluster.shared_values import Member, SharedValues
from mooring.services.records.record_cache import RecordCache

Place = tuple[str, Subnet]
Sighted = tuple[Place, object, int]


class LeftSubnets:
    """`noted` when a network was left, `sweep` from time to time."""

    def __init__(
        self, cache: RecordCache, blocks: HostBlocks, claims: AddressClaims, values: SharedValues, clock: Clock,
        member: Member, sightings: float, restored: RestoredCluster,
    ) -> None:  # fmt: skip
        """sightings: seconds between two sightings, at least."""
        self._cache, self._blocks, self._claims, self._values = cache, blocks, claims, values
        self._clock, self._member, self._sightings = clock, member, sightings
        self._restored = restored
        self._since: dict[Place, float] = {}  # when this process has left it, or has first found that one has
        self._own: set[Place] = set()  # what this process has left
        self._seen: dict[Sighted, float] = {}  # of a place what, in which revision, and since when

    def noted(self, shared: ClusterNetwork) -> list[LeftSubnet]:
        """Nothing there is this host's any more, and what it had given up may come now: what is to be written of it."""
        for subnet in shared.subnets:
            self._since[shared.space, subnet] = self._clock.boot()
            self._own.add((shared.space, subnet))
        since = self._clock.now()
        return [LeftSubnet(space=shared.space, subnet=subnet, since=since) for subnet in shared.subnets]

    async def sweep(self) -> None:
        """No block and no claim of a subnet that was left has been this host's for a while. Raises Unavailable."""
        now = self._clock.boot()
        before, self._seen = self._seen, {}
        for left in tuple(self._cache.every(LeftSubnet)):
            place = left.space, left.subnet
            since = self._since.setdefault(place, now)
            has = self._has(*place)
            sure = place in self._own or self._restored.behind is False
            if not has and (sure or not await self._is_said_to_have(*place)):
                await self._look(place, before, now)
            if has or (now - since >= EXPECTED and not any(seen[0] == place for seen in self._seen)):
                await self._forget(left)

    async def _forget(self, left: LeftSubnet) -> None:
        """Nothing can come any more, or it has its place; unless it was left anew meanwhile."""
        with suppress(StaleRevision):
            if self._cache.left_subnet(left.space, left.subnet) is left:
                await self._cache.commit(delete=[left])
                self._since.pop((left.space, left.subnet), None)
                self._own.discard((left.space, left.subnet))

    async def _look(self, place: Place, before: dict[Sighted, float], now: float) -> None:
        """What was there already is not this host's any more."""
        for block, at in (await self._values.blocks(*place)).values():
            mine = block is not None and block.host == self._member.host
            if block is not None and mine and self._is_old(before, (place, block.index, at), now):
                await self._free(block, at)
        for claim, at in await self._values.claims(*place):
            mine = claim.host == self._member.host or without(claim, self._member.host) != claim
            if mine and self._is_old(before, (place, claim.address, at), now):
                await self._let_go(claim)

    async def _is_said_to_have(self, space: str, subnet: Subnet) -> bool:
        """Whether the cluster says that this host takes part in the network of the subnet."""
        seen = await self._values.networks(space)
        parts = (each.value for each in seen.members)
        mine = [part.subnet for part in parts if part is not None and part.host == self._member.host]
        networks = (seen.at(space, first).value for first in mine)
        return subnet in mine or any(network is not None and subnet in network.subnets for network in networks)

    def _has(self, space: str, subnet: Subnet) -> bool:
        """Whether this host has the subnet again, or is about to."""
        shared = ((each.space, each.subnet) for each in self._cache.every(SharedSubnet))
        parts = (part.shared for part in self._cache.every(HostNetwork))
        return (space, subnet) in shared or any(part.space == space and subnet in part.subnets for part in parts)

    def _is_old(self, before: dict[Sighted, float], sighted: Sighted, now: float) -> bool:
        self._seen[sighted] = before.get(sighted, now)
        return now - self._seen[sighted] >= self._sightings

    async def _free(self, block: Block, revision: int) -> None:
        """The block is nobody's, if it was not written meanwhile; who had a claim of it keeps that."""
        with suppress(StaleRevision):
            for claim in filter(None, block.carved.values()):
                await self._blocks.write_key(claim)
            await self._values.put(taken_from(block), revision)

    async def _let_go(self, claim: AddressClaim) -> None:
        """This host is not in the claim, unless it has come to have it meanwhile."""
        async with self._claims.turn_of(claim):
            if self._cache.host_claim(claim.space, claim.subnet, claim.address) is None:
                await self._claims.let_go(claim)
