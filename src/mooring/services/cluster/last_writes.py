"""What a host wrote in the last moment before the cluster's servers went away, which they may lack when they are back.

Rules: a backup of before that moment looks as if nothing had been lost (restored_cluster.py), so each host looks for
its own before anybody decides anything by what the store says; what another host has had since stays that one's; a host
of which the cluster has no record was forgotten, and puts nothing there.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim, Identity, Phase
from mooring.core.blocks import HostBlock, SharedSubnet, division, settled
from mooring.core.faults import StaleRevision
from mooring.core.keys import outlives
from mooring.core.networks import Address
from mooring.services.cluster.free_blocks import opened
from mooring.services.cluster.shared_values import Member, Seen, SharedValues
from mooring.services.records.record_cache import RecordCache


class LastWrites:
    """`suspect` when something may be missing, `put_again` before anybody else looks. values: also while the store
    counts as one that is away."""

    def __init__(self, cache: RecordCache, values: SharedValues, member: Member) -> None:
        self._cache, self._values, self._member = cache, values, member
        self.suspected = False
        self._carved: dict[HostBlock, frozenset[Address]] = {}

    def suspect(self) -> None:
        """What is here now may be missing there. What is carved out from now on is not, and is not looked for."""
        self.suspected = True
        self._carved = {
            _whole(block): block.carved for block in self._cache.every(HostBlock) if block.boot and not block.leaving
        }

    async def put_again(self) -> None:
        """Nothing is missing. Raises Unavailable."""
        if (await self._values.hosts.host(self._member.host))[0] is not None:
            for shared in tuple(self._cache.every(SharedSubnet)):
                await self._put_carved(shared)
                await self._put_claims(shared)
        self.suspected = False

    async def _put_carved(self, shared: SharedSubnet) -> None:
        """Blocks of this host do not have what was carved out of them, be it for others."""
        mine = [
            (block, carved)
            for block, carved in self._carved.items()
            if carved and (block.space, block.subnet) == (shared.space, shared.subnet)
        ]
        theirs = await self._values.blocks(shared.space, shared.subnet) if mine else {}
        for local, carved in mine:
            seen = theirs.get(local.index)
            block = seen.value if seen is not None else None
            now = next((each for each in self._cache.every(HostBlock) if _whole(each) == local), None)
            if seen is None or block is None or now is None or block.host != self._member.host:
                continue
            if block.generation == local.generation and (lacks := (carved & now.carved) - block.carved.keys()):
                after = msgspec.structs.replace(block, carved={**dict.fromkeys(lacks), **block.carved})
                with suppress(StaleRevision):
                    await self._values.put(after, seen.revision)

    async def _put_claims(self, shared: SharedSubnet) -> None:
        """The claims of this host are there, as it has them, with what leads to them."""
        space, subnet = shared.space, shared.subnet
        mine = [
            kept
            for kept in self._cache.every(HostClaim)
            if (kept.claim.space, kept.claim.subnet) == (space, subnet) and kept.phase is Phase.HELD
        ]
        if not mine:
            return
        theirs = {claim.address: (claim, at) for claim, at in await self._values.claims(space, subnet)}
        leads = {identity.key: Seen(identity, at) for identity, at in await self._values.identities(space, subnet)}
        for kept in mine:
            claim = kept.claim
            there, at = theirs.get(claim.address, (None, 0))
            seen = leads.get(claim.key, Seen(None, 0))
            other = await self._led_to(seen.value, theirs) if outlives(claim.key) else None
            if there is None and not claim.boot and _is_anothers(other, claim):
                continue  # who forgot this host did not come to its end, and the key has been claimed since
            with suppress(StaleRevision):  # somebody has it since
                if (after := self._missing(kept, there)) is not None:
                    await opened(self._values, space, subnet, claim.address)
                    await self._values.put(after, at)
                    await settle_older(self._values, after)
                    there = after
                is_there = there is not None and there.sequence == claim.sequence
                leads_well = seen.value == claim.identity() or (other is not None and is_later(other, claim))
                if outlives(claim.key) and is_there and not leads_well:
                    await self._values.put(claim.identity(), seen.revision)

    async def _led_to(
        self, identity: Identity | None, theirs: Mapping[Address, tuple[AddressClaim, int]]
    ) -> AddressClaim | None:
        """The claim that the identity leads to, which may have no key yet. theirs: those that have."""
        if identity is None:
            return None
        if identity.address in theirs:
            return theirs[identity.address][0]
        if (divided := division(identity.subnet)) is None:
            return None
        block = await self._values.block(identity.space, identity.subnet, divided.index_of(identity.address))
        return block.value.carved.get(identity.address) if block.value is not None else None

    def _missing(self, kept: HostClaim, there: AddressClaim | None) -> AddressClaim | None:
        """What is to be written for the claim, None for nothing. there: as the store has it."""
        mine, claim = kept.claim, there
        if mine.host != self._member.host:
            return None
        if claim is None:
            return mine
        if claim.sequence != mine.sequence or claim.boot:
            return None
        if claim.generation < mine.generation:  # they only grow
            claim, holders = mine, mine.holders | claim.holders
            return msgspec.structs.replace(claim, holders=holders)
        in_use = mine.boot == self._member.boot and not kept.idle
        if in_use and claim.is_of(mine.host, mine.sequence, mine.generation):
            return msgspec.structs.replace(claim, boot=mine.boot, since=mine.since)
        return None


def _is_anothers(other: AddressClaim | None, mine: AddressClaim) -> bool:
    """Whether the key of the claim has led to another host's. Which is later is not known of one that is idle: that it
    is so has its time, and may be of after the other's."""
    return other is not None and other.key == mine.key and other.host not in ("", mine.host)


def _whole(block: HostBlock) -> HostBlock:
    """Tells blocks, and owners of one, apart."""
    return HostBlock(space=block.space, subnet=block.subnet, index=block.index, generation=block.generation)


def is_later(theirs: AddressClaim, mine: AddressClaim) -> bool:
    """Whether the claim in the store was made, or moved, after the one of this host: of two allocations, the clock
    says so, which hosts of a cluster have alike."""
    if theirs.sequence == mine.sequence:
        return theirs.generation > mine.generation
    return theirs.since > mine.since


async def settle_older(values: SharedValues, claim: AddressClaim) -> None:
    """The block of the claim, which has a key, bears no older one of the address, as it did in a backup: whoever has
    that block would write it over the key. Raises StaleRevision, Unavailable."""
    if (divided := division(claim.subnet)) is not None:
        seen = await values.block(claim.space, claim.subnet, divided.index_of(claim.address))
        borne = seen.value.carved.get(claim.address) if seen.value is not None else None
        other = borne is not None and borne.sequence != claim.sequence and not is_later(borne, claim)
        if seen.value is not None and other:
            await values.put(settled(seen.value, claim.address), seen.revision)
