"""A subnet of the cluster that this host has no network in any more: what it has of it goes back.

Rules: that its pool is gone says so, in whatever process; it is the cluster's for this host until nothing of this host
is left there.
"""

from __future__ import annotations

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.blocks import SharedSubnet
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.record_cache import RecordCache


class SubnetEnds:
    """`end`, over and over until it is done."""

    def __init__(self, cache: RecordCache, index: AddressIndex, blocks: HostBlocks, claims: AddressClaims) -> None:
        self._cache, self._index, self._blocks, self._claims = cache, index, blocks, claims

    async def end(self, shared: SharedSubnet) -> None:
        """Where the subnet has no pool, its blocks and claims are on their way back, and it is not shared any more when
        the last is gone. Raises Unavailable."""
        space, subnet = shared.space, shared.subnet
        if self._index.pools_of(space, subnet):
            return
        mine = [
            kept for kept in self._cache.every(HostClaim) if (kept.claim.space, kept.claim.subnet) == (space, subnet)
        ]
        for kept in mine:
            if kept.phase is not Phase.RELEASING:
                await self._claims.release(space, subnet, kept.claim.address)
        nothing = await self._blocks.give_up(shared) and not mine
        if nothing and not self._index.pools_of(space, subnet):  # a new network may have it by now
            await self._cache.commit(delete=[shared])
