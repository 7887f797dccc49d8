"""A subnet of the cluster that this host has no network in any more: what it has of it goes back.

Rules: that its pool is gone says so, in whatever process; it is the cluster's for this host until nothing of this host
is left there.
"""

from __future__ import annotations

import msgspec

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.blocks import SharedSubnet, taken_from
from mooring.core.networks import Subnet
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.cluster.shared_values import Member, SharedValues
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.record_cache import RecordCache


class SubnetEnds:
    """`end`, over and over until it is done; or `end_now`, by whoever waits for it."""

    def __init__(
        self, cache: RecordCache, index: AddressIndex, blocks: HostBlocks, claims: AddressClaims, values: SharedValues,
        member: Member,
    ) -> None:  # fmt: skip
        self._cache, self._index, self._blocks, self._claims = cache, index, blocks, claims
        self._values, self._member = values, member

    async def end(self, shared: SharedSubnet) -> None:
        """Where the subnet has no pool, its blocks and claims are on their way back, and it is not shared any more when
        the last is gone. Raises Unavailable."""
        space, subnet = shared.space, shared.subnet
        if self._index.pools_of(space, subnet):
            return
        mine = await self._release_claims(space, subnet)
        nothing = await self._blocks.give_up(shared) and not mine
        if nothing and not self._index.pools_of(space, subnet):  # a new network may have it by now
            await self._cache.commit(delete=[shared])

    async def end_now(self, space: str, subnet: Subnet) -> None:
        """The cluster has neither a claim nor a block of this host's there. Raises StaleRevision, Unavailable."""
        for kept in await self._release_claims(space, subnet):
            await self._claims.settle(kept)
        async with self._blocks.turn(space, subnet):
            leaving = [
                msgspec.structs.replace(local, leaving=True) for local in self._index.blocks.blocks(space, subnet)
            ]
            await self._cache.commit(put=leaving)
            for block, at in (await self._values.blocks(space, subnet)).values():
                if block is not None and block.host == self._member.host:
                    for claim in filter(None, block.carved.values()):
                        await self._blocks.write_key(claim)
                    await self._values.put(taken_from(block), at)
            await self._cache.commit(delete=self._index.blocks.blocks(space, subnet))

    async def _release_claims(self, space: str, subnet: Subnet) -> list[HostClaim]:
        """This host's claims there are on their way back; which they were. Raises Unavailable."""
        mine = [
            kept for kept in self._cache.every(HostClaim) if (kept.claim.space, kept.claim.subnet) == (space, subnet)
        ]
        for kept in mine:
            if kept.phase is not Phase.RELEASING:
                await self._claims.release(space, subnet, kept.claim.address)
        return mine
