"""What a claim belongs to: found by its key, and given another one when what it is for has another one.

Rules: whose a claim is is written before the claim says so, and what led to it before goes last, so that a key never
has two addresses; a key that has another address already keeps that, and the claim its own key until then.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim, Identity, Phase, Spec, used
from mooring.core.blocks import Decides
from mooring.core.faults import StaleRevision
from mooring.core.keys import outlives
from mooring.core.networks import Address, Subnet
from mooring.ports import Clock
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.known_claims import KnownClaims
from mooring.services.cluster.shared_values import Member, SharedValues
from mooring.services.records.record_cache import RecordCache


class ClaimKeys:
    """Every method may raise Unavailable."""

    def __init__(
        self, cache: RecordCache, claims: AddressClaims, known: KnownClaims, values: SharedValues, clock: Clock,
        member: Member,
    ) -> None:  # fmt: skip
        self._cache, self._claims, self._known = cache, claims, known
        self._values, self._clock, self._member = values, clock, member

    async def of_key(self, spec: Spec) -> AddressClaim | None:
        """The claim that the spec's key has in its subnet, wherever that is; None for none, and for a key that ends
        with its container."""
        return await self._known.of_identity(spec, await self._known.identity(spec))

    async def is_here(self, claim: AddressClaim) -> bool:
        """Whether the cluster says that the claim, which this host keeps, is this host's."""
        theirs = await self._known.known(claim)
        return theirs is not None and theirs.is_of(self._member.host, claim.sequence, claim.generation)

    async def confirm(self, kept: HostClaim) -> bool:
        """Whether the claim, which this host keeps, is this host's; that it is so in this boot is on record then."""
        async with self._claims.turn_of(kept.claim):
            if self._cache.host_claim(kept.claim.space, kept.claim.subnet, kept.claim.address) != kept:
                return False
            if not await self.is_here(kept.claim):
                return False
            await self._cache.commit(put=[msgspec.structs.replace(kept, known_in=self._member.boot)])
            return True

    async def at(self, space: str, subnet: Subnet, address: Address) -> AddressClaim | None:
        """The claim of the address, whoever has it; None for none."""
        return (await self.decides(space, subnet, address)).claim

    async def decides(self, space: str, subnet: Subnet, address: Address) -> Decides:
        """Who decides over the address."""
        return await self._known.decides(space, subnet, address)

    async def rekey(self, claim: AddressClaim, key: str, uses: bool = False) -> bool:
        """The claim, which this host keeps, belongs to the key, and nothing leads to it by the key that it had; whether
        it is so. It is not while the key has another address, or the claim is not this host's. uses: it is in use in
        this boot, too."""
        async with self._claims.turn_of(claim):
            kept = self._cache.host_claim(claim.space, claim.subnet, claim.address)
            if kept is None or kept.phase is not Phase.HELD or kept.claim.sequence != claim.sequence:
                return False
            seen = await self._known.written(kept.claim)
            now = seen.value
            if now is None or not now.is_of(self._member.host, kept.claim.sequence, kept.claim.generation):
                return False

            def change(claim: AddressClaim) -> AddressClaim:
                boot = self._member.boot if uses else claim.boot
                return used(msgspec.structs.replace(claim, key=key), boot, self._clock.now())

            spec = Spec(claim.space, claim.subnet, claim.sequence, key=key)
            identity = await self._known.identity(spec)
            led = await self._known.of_identity(spec, identity)
            if led is not None and led.sequence != claim.sequence:
                return False
            try:
                if outlives(key):
                    await self._values.put(_identity(claim, key), identity.revision)
                await self._values.put(change(now), seen.revision)
            except StaleRevision:
                return False  # the next turn looks again
            if outlives(now.key) and now.key != key:
                await self._drop(now)
            await self._cache.commit(put=[msgspec.structs.replace(kept, claim=change(kept.claim))])
            return True

    async def _drop(self, claim: AddressClaim) -> None:
        seen = await self._values.identity(claim.space, claim.subnet, claim.key)
        if seen.value is not None and seen.value.sequence == claim.sequence:
            with suppress(StaleRevision):
                await self._values.delete(seen.value, seen.revision)


def _identity(claim: AddressClaim, key: str) -> Identity:
    return Identity(space=claim.space, subnet=claim.subnet, key=key, address=claim.address, sequence=claim.sequence)
