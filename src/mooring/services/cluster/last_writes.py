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
from mooring.core.blocks import Block, HostBlock, SharedSubnet, division, settled
from mooring.core.faults import StaleRevision
from mooring.core.keys import outlives
from mooring.core.networks import Address
from mooring.services.cluster.free_blocks import opened
from mooring.services.cluster.shared_values import ATTEMPTS, Member, Seen, SharedValues, contended
from mooring.services.records.record_cache import RecordCache

Claims = Mapping[Address, tuple[AddressClaim, int]]


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
            if (seen := theirs.get(local.index)) is not None:
                await self._put_carved_of(local, carved, seen)

    async def _put_carved_of(self, local: HostBlock, carved: frozenset[Address], seen: Seen[Block]) -> None:
        """The same of one block. seen: how it was there."""
        for _ in range(ATTEMPTS):
            block = seen.value
            now = next((each for each in self._cache.every(HostBlock) if _whole(each) == local), None)
            if block is None or now is None or block.host != self._member.host or block.generation != local.generation:
                return
            if not (lacks := (carved & now.carved) - block.carved.keys()):
                return
            with suppress(StaleRevision):
                after = msgspec.structs.replace(block, carved={**dict.fromkeys(lacks), **block.carved})
                await self._values.put(after, seen.revision)
                return
            seen = await self._values.block(local.space, local.subnet, local.index)
        raise contended(f"block {local.index} of {local.subnet}")

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
            there, at = theirs.get(kept.claim.address, (None, 0))
            await self._put_claim(kept, Seen(there, at), leads.get(kept.claim.key, Seen(None, 0)), theirs)

    async def _put_claim(
        self, kept: HostClaim, there: Seen[AddressClaim], led: Seen[Identity], theirs: Claims
    ) -> None:  # fmt: skip
        """The claim is there, with what leads to it, as far as nobody else has it, or its key, since. there, led,
        theirs: as they were seen; where one of them is written meanwhile it is looked at again. Raises Unavailable."""
        claim, put = kept.claim, 0  # put: the revision in which it has been written here
        for _ in range(ATTEMPTS):
            with suppress(StaleRevision):
                other = await self.led_to(led.value, theirs) if outlives(claim.key) else None
                if there.revision == put and not claim.boot and _is_anothers(other, claim):
                    # Who forgot this host did not come to its end, and the key has been claimed since.
                    if there.value is not None:
                        await self._values.delete(there.value, put)
                    return
                if (after := self._missing(kept, there.value)) is not None:
                    await opened(self._values, claim.space, claim.subnet, claim.address)
                    put = await self._values.put(after, there.revision)
                    there = Seen(after, put)
                if put:
                    await settle_older(self._values, claim)
                is_there = there.value is not None and there.value.sequence == claim.sequence
                if not outlives(claim.key) or not is_there or (other is not None and is_later(other, claim)):
                    return
                # Also where it leads there already: who saw it lead to nothing is about to write it.
                if put or led.value != claim.identity():
                    await self._values.put(claim.identity(), led.revision)
                return
            there = await self._values.claim(claim.space, claim.subnet, claim.address)
            led = await self._values.identity(claim.space, claim.subnet, claim.key)
            theirs = {there.value.address: (there.value, there.revision)} if there.value is not None else {}
        raise contended(f"address {claim.address}")

    async def led_to(self, identity: Identity | None, theirs: Claims) -> AddressClaim | None:
        """The claim that the identity leads to, which may have no key yet. theirs: some of those that have."""
        if identity is None:
            return None
        space, subnet, address = identity.space, identity.subnet, identity.address
        claim = theirs[address][0] if address in theirs else (await self._values.claim(space, subnet, address)).value
        if claim is None and (divided := division(subnet)) is not None:
            block = (await self._values.block(space, subnet, divided.index_of(address))).value
            claim = block.carved.get(address) if block is not None else None
            if claim is None:  # it may have gone from its block to its key between the two looks
                claim = (await self._values.claim(space, subnet, address)).value
        return claim if claim is not None and claim.sequence == identity.sequence else None

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
