"""What the cluster says of claims: by the key of the address, or by the block that bears them until then."""

from __future__ import annotations

from contextlib import suppress

from mooring.core.address_claims import AddressClaim, Identity, Spec
from mooring.core.blocks import Decides, decides, division
from mooring.core.faults import StaleRevision
from mooring.core.keys import outlives
from mooring.core.networks import Address, Subnet
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.cluster.shared_values import Seen, SharedValues


class KnownClaims:
    """Every method may raise Unavailable."""

    def __init__(self, values: SharedValues, blocks: HostBlocks) -> None:
        self._values, self._blocks = values, blocks

    async def identity(self, spec: Spec) -> Seen[Identity]:
        """Which address belongs to the spec's key, where that outlives its container."""
        if not outlives(spec.key):
            return Seen(None, 0)
        return await self._values.identity(spec.space, spec.subnet, spec.key)

    async def of_identity(self, spec: Spec, seen: Seen[Identity]) -> AddressClaim | None:
        """The claim that the key has by its identity, None where that came to nothing."""
        identity = seen.value
        if identity is None:
            return None
        claim = (await self.decides(spec.space, spec.subnet, identity.address)).claim
        return claim if claim is not None and claim.sequence == identity.sequence else None

    async def decides(self, space: str, subnet: Subnet, address: Address) -> Decides:
        """Who decides over the address."""
        decided = await self._decides(space, subnet, address)
        # The block knows of a key that was not there yet when it was looked for, or was given up, for which each claim
        # gets one: it is gone, or has come in between.
        return await self._decides(space, subnet, address) if decided.settled else decided

    async def _decides(self, space: str, subnet: Subnet, address: Address) -> Decides:
        divided = division(subnet)
        claim = (await self._values.claim(space, subnet, address)).value
        block = (await self._values.block(space, subnet, divided.index_of(address))).value if divided else None
        return decides(block, address, claim)

    async def known(self, claim: AddressClaim) -> AddressClaim | None:
        """What the cluster says of the claim's address."""
        return (await self.decides(claim.space, claim.subnet, claim.address)).claim

    async def counts(self, claim: AddressClaim) -> bool:
        """Whether the key decides over the address: it may have been written again from a block after it was over."""
        divided = division(claim.subnet)
        if divided is None:
            return True
        seen = await self._values.block(claim.space, claim.subnet, divided.index_of(claim.address))
        return decides(seen.value, claim.address, claim).claim == claim

    async def written(self, claim: AddressClaim) -> Seen[AddressClaim]:
        """The key of the address, which is written from the block first when only that bears the claim."""
        seen = await self._values.claim(claim.space, claim.subnet, claim.address)
        if seen.value is not None and seen.value.sequence == claim.sequence:
            return seen
        decided = await self.decides(claim.space, claim.subnet, claim.address)
        if decided.claim is None:
            return seen
        if not decided.written:
            with suppress(StaleRevision):
                await self._blocks.write_key(decided.claim)
        return await self._values.claim(claim.space, claim.subnet, claim.address)
