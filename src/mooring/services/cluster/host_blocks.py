"""The blocks of this host: claimed ahead, carved out of, and given up when they are empty.

Rules: what this host's own store says is carved out is at least what the cluster says, and shrinks only after a write
of the block without it was acknowledged; nothing of a block is given before the claims in it were read after it was
claimed, nor after a boot before the cluster said that it is still ours, nor once a copy of this machine has said so,
too; of one block, one thing is done after another.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial

import msgspec

from mooring.core.address_claims import AddressClaim
from mooring.core.blocks import (
    LOW,
    Block,
    HostBlock,
    SharedSubnet,
    carved_out,
    dispensable,
    division,
    given_up,
    made_whole,
    not_ours,
    noted,
    settled,
    wants_more,
)
from mooring.core.cluster_networks import HostNetwork, is_left
from mooring.core.faults import Conflict, Exhausted, StaleRevision, Unavailable
from mooring.core.leases import Event, Lease, State, ended
from mooring.core.networks import Address, Subnet
from mooring.ports import Clock
from mooring.services.cluster.being_claimed import BeingClaimed, Place
from mooring.services.cluster.free_blocks import FreeBlocks, together
from mooring.services.cluster.restored_cluster import RestoredCluster
from mooring.services.cluster.shared_values import ATTEMPTS, Member, Seen, SharedValues, contended
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.locks import KeyedLocks, OneForAll
from mooring.services.records.record_cache import RecordCache

SIGHTINGS = 30.0  # seconds between two sightings, after which what was seen both times is acted upon


class HostBlocks:
    """Build it with the index of a cache that is not loaded yet. drained: this host takes no further block, and keeps
    none that is empty."""

    def __init__(
        self, cache: RecordCache, index: AddressIndex, values: SharedValues, clock: Clock, member: Member,
        sightings: float = SIGHTINGS, restored: RestoredCluster | None = None,
    ) -> None:  # fmt: skip
        if restored is not None:
            restored.again.append(self.forget_seen)
        self._cache, self._index, self._values = cache, index, values
        self._clock, self._member, self._sightings, self._restored = clock, member, sightings, restored
        self._free_blocks = FreeBlocks(values, member)
        self._turns, self._alone, self._carving = KeyedLocks(), KeyedLocks(), OneForAll(Unavailable)
        self.being_claimed = BeingClaimed(cache, index, member.host)
        self.drained = False
        self._seen: dict[Place, Seen[Block]] = {}
        self._empty: dict[Place, float] = {}

    def of(self, space: str, subnet: Subnet, address: Address) -> HostBlock | None:
        """This host's block that has the address, which is not on its way back."""
        block = self._index.blocks.block_of(space, subnet, address)
        return block if block is not None and not block.leaving else None

    async def verify(self, shared: SharedSubnet, lost: list[Lease]) -> set[str]:
        """This host's blocks of the subnet are those that the cluster says are its own. lost: gets the leases, dynamic
        or fixed, of those that are not any more, which are gone, also where it ends early. The ids of all hosts that
        have a block there. Raises Unavailable."""
        space, subnet = shared.space, shared.subnet
        async with self.turn(space, subnet):
            theirs = await self._values.blocks(space, subnet)
            mine = {index: seen for index, seen in theirs.items() if self._is_mine(seen.value)}
            for local in self._index.blocks.blocks(space, subnet):
                if self._restored is not None:
                    await self._restored.check_time(theirs.get(local.index), local)
                seen = mine.pop(local.index, None)
                if seen is None or seen.value is None or seen.value.generation != local.generation:
                    lost += await self._lose(local)
                    if seen is not None:
                        mine[local.index] = seen
                elif seen.value.boot not in {local.boot, self._member.boot, *local.asked}:
                    await self._part(local)
                elif local.boot == self._member.boot or (seen := await self._confirmed(seen, local)) is not None:
                    await self._keep(local, seen)
            for seen in mine.values():
                if (confirmed := await self._confirmed(seen)) is not None:
                    await self._adopt(confirmed)
        return {block.host for block, _ in theirs.values() if block is not None and block.host}

    async def forget_seen(self) -> None:
        """What was read of the cluster is read again."""
        self._seen.clear()
        self._free_blocks.forget()

    def copied(self, space: str, subnet: Subnet) -> Conflict | None:
        """What to tell where a copy of this machine gives what this host gave, None where there is none."""
        index = self._index.blocks.without_boot(space, subnet)
        if index is None:
            return None
        return Conflict(
            f"block {index} of {subnet} is given from by another machine that is this host as well",
            hint="if one is a copy of the other, let it `mooring cluster leave --force` and join anew",
        )

    async def _part(self, local: HostBlock) -> None:
        """A copy of this machine has written the block, and gives its addresses: this host does so no more."""
        if local.boot:
            await self._cache.commit(put=[msgspec.structs.replace(local, boot="", asked=frozenset())])

    async def _confirmed(self, seen: Seen[Block], local: HostBlock | None = None) -> Seen[Block] | None:
        """The block, which the host had before its boot, written anew: whoever was about to take it from a host that is
        gone finds it changed. None when he was first, or somebody else wrote it just now."""
        assert seen.value is not None
        if local is not None and self._member.boot not in local.asked:
            # Before it is written: in the next boot, too, this host knows it from a copy's.
            asked = local.asked | {self._member.boot}
            await self._cache.commit(put=[msgspec.structs.replace(local, asked=asked)])
        block = msgspec.structs.replace(seen.value, boot=self._member.boot)
        with suppress(StaleRevision):
            return Seen(block, await self._values.put(block, seen.revision))
        return None

    async def _keep(self, local: HostBlock, seen: Seen[Block]) -> None:
        assert seen.value is not None
        self._seen[local.space, local.subnet, local.index] = seen
        carved = local.carved | frozenset(seen.value.carved)
        checked = msgspec.structs.replace(local, carved=carved, boot=self._member.boot, asked=frozenset())
        if checked != local:
            await self._cache.commit(put=[checked])
        self._index.blocks.let_go(local)

    async def more(self, space: str, subnet: Subnet, enough: int | None = None) -> None:
        """This host has one block more of the subnet (None), or as many as it takes for so many addresses to be free
        and those that others wait for. Raises Exhausted when no block is free, Conflict as `copied`, Unavailable."""
        if (copied := self.copied(space, subnet)) is not None:
            raise copied  # or the two would take one block after another from each other
        if enough is None:
            return await self._take(space, subnet)
        take, to_give = partial(self._take, space, subnet), partial(self._index.to_give, space, subnet)
        return await self._free_blocks.for_all((space, subnet), enough, self._clock.boot(), to_give, take)

    async def _take(self, space: str, subnet: Subnet) -> None:
        """This host has one block more."""
        async with self._turns.share((space, subnet)):
            bounds = [self._index.bounds(pool.id) for pool in self._index.pools_of(space, subnet)]
            if division(subnet) is None or not bounds or is_left(self._cache.every(HostNetwork), space, subnet):
                raise Exhausted(f"subnet {subnet} has no blocks")
            await self._adopt(*await self._free_blocks.take(space, subnet, *bounds[0]))

    async def _adopt(self, seen: Seen[Block], first: bool = False) -> None:
        """The block, which the cluster says is this host's, is used. The claims in it are read after that was said:
        whoever claims an address later sees whose the block is. first: there were none, see FreeBlocks."""
        block = seen.value
        assert block is not None
        again, index, divided = block, block.index, division(block.subnet)
        assert divided is not None
        if not first:
            again = noted(block, await self._values.claims_in(block.space, block.subnet, divided, index))
        if again != block:
            seen = Seen(again, await self._values.put(again, seen.revision))
        self._seen[block.space, block.subnet, index] = seen
        local = HostBlock(
            space=block.space, subnet=block.subnet, index=index, generation=block.generation,
            carved=frozenset(again.carved), boot=self._member.boot,
        )  # fmt: skip
        await self._cache.commit(put=[local])
        self._index.blocks.let_go(local)

    async def carve(self, claim: AddressClaim, own: bool = False, leads: bool = False) -> bool:
        """The address, which is in a block of this host, is not its to give, and the block bears the claim. own: this
        host keeps the claim, unless its key is to lead to it first. leads: the key, which led nowhere, is to lead to it
        from then on; whether it does. Raises Conflict when the address is used here or claimed otherwise, or the block
        is not ours any more; Unavailable, after which the block may bear it."""
        local = self.of(claim.space, claim.subnet, claim.address)
        if local is None:
            raise not_ours(claim.subnet, claim.address)
        place = (claim.space, claim.subnet, local.index)
        with self.being_claimed.claiming(place, claim, own, leads):
            while not self._bears(place, claim):
                await self._carving.do(place, partial(self._carve_for_all, place, claim))
            return claim.sequence in self.being_claimed.led

    async def _carve_for_all(self, place: Place, claim: AddressClaim) -> None:
        async with self._part_of(place):
            await sleep(0)  # who comes at the same moment goes along
            if not self._bears(place, claim):
                await self._carve(place, claim, self.being_claimed.at(place))

    async def _carve(self, place: Place, claim: AddressClaim, waiting: Sequence[AddressClaim]) -> None:
        """Whoever has the turn carves for all who wait, in one commit and one write."""
        block = self._seen[place].value if place in self._seen else None
        own = [each for each in waiting if block is None or block.carved.get(each.address, each) is each]
        batch = own if claim in own else [claim]
        local = self._local(place)
        after = msgspec.structs.replace(local, carved=local.carved | {each.address for each in batch})
        if after != local:
            await self._cache.commit(put=[after])
        # Who was given one before it was being claimed has committed by now: the store does one after another.
        batch = [e for e in self.being_claimed.at(place) if e in batch and not self.being_claimed.is_used(e)]
        if claim not in batch:
            raise self.being_claimed.in_use(claim)

        def carve(block: Block) -> Block:
            return carved_out(block, [e for e in batch if e is claim or e.address not in block.carved])

        await self._write(after, carve)
        await self.being_claimed.done([each for each in batch if self._bears(place, each)], self._member.boot)

    def may_bear(self, claim: AddressClaim) -> bool:
        """Whether the cluster may have been asked to carve the address out, or somebody else decides over it."""
        local = self.of(claim.space, claim.subnet, claim.address)
        return local is None or claim.address in local.carved

    def _bears(self, place: Place, claim: AddressClaim) -> bool:
        seen = self._seen.get(place)
        borne = seen.value.carved.get(claim.address) if seen is not None and seen.value is not None else None
        return (borne is not None and borne.sequence == claim.sequence) or claim.sequence in self.being_claimed.borne

    async def settle(self, claim: AddressClaim) -> None:
        """No block bears the claim any more, which has a key of its own. Raises Unavailable."""
        divided = division(claim.subnet)
        if divided is None:
            return
        for _ in range(ATTEMPTS):
            seen = await self._values.block(claim.space, claim.subnet, divided.index_of(claim.address))
            borne = seen.value.carved.get(claim.address) if seen.value is not None else None
            if seen.value is None or borne is None or borne.sequence != claim.sequence:
                return
            with suppress(StaleRevision):
                await self._values.put(settled(seen.value, claim.address), seen.revision)
                return
        raise contended(f"the block of {claim.address}")

    async def tend(self, shared: SharedSubnet) -> None:
        """Claims that blocks of this host bear have keys, addresses whose claims are gone are its own again, and blocks
        that were on their way back are nobody's. Raises Unavailable."""
        for each in self._index.blocks.blocks(shared.space, shared.subnet):
            place = (each.space, each.subnet, each.index)
            async with self._part_of(place):
                local = self._index.blocks.block_of(each.space, each.subnet, each.first())
                if local is not None and local.boot == self._member.boot and (local.leaving or local.carved):
                    await self._tend(place, local)

    async def _tend(self, place: Place, local: HostBlock) -> None:
        """One block; it is left to the next time when another host writes it meanwhile."""
        self._seen.pop(place, None)
        seen = await self._values.block(*place)
        block = seen.value
        if block is None or not self._is_held(block, local):
            return  # verify says what becomes of it
        divided = division(local.subnet)
        assert divided is not None
        there = await self._values.claims_in(local.space, local.subnet, divided, local.index)
        after = made_whole(block, [each for each, c in block.carved.items() if c is None and each not in there])
        with suppress(StaleRevision):
            borne = [claim for claim in block.carved.values() if claim is not None]
            await together([self._write_over(claim, there.get(claim.address)) for claim in borne])
            for claim in borne:
                after = settled(after, claim.address)
            if local.leaving:
                await self._values.put(given_up(msgspec.structs.replace(after, carved={})), seen.revision)
                if self._index.blocks.block_of(local.space, local.subnet, local.first()) == local:
                    await self._cache.commit(delete=[local])  # else this host has taken it anew by now
            elif after != block or local.carved != after.carved.keys():
                # Also where nothing is to be changed: after it, no write that came to nothing may still happen.
                self._seen[place] = Seen(after, await self._values.put(after, seen.revision))
                await self._cache.commit(put=[msgspec.structs.replace(local, carved=frozenset(after.carved))])

    async def write_key(self, claim: AddressClaim) -> None:
        """The claim that a block bears has a key; what that said before counts for nothing. Raises StaleRevision."""
        await self._write_over(claim, await self._values.claim(claim.space, claim.subnet, claim.address))

    async def _write_over(self, claim: AddressClaim, seen: Seen[AddressClaim] | None) -> None:
        """See write_key. seen: the key as it is, None where there is none."""
        if seen is None or seen.value is None or seen.value.sequence != claim.sequence:
            await self._values.put(claim, seen.revision if seen is not None else 0)

    async def balance(self, shared: SharedSubnet) -> None:
        """The next block is claimed when few addresses are free; an empty one is on its way back when it was so for a
        while. Raises Unavailable."""
        space, subnet = shared.space, shared.subnet
        if not self._index.pools_of(space, subnet) or division(subnet) is None:
            return
        free = {block.index: self._index.free_in(block) for block in self._usable(space, subnet)}
        if not self.drained and wants_more(sum(free.values())):
            with suppress(Exhausted):
                await self.more(space, subnet, LOW)
            return
        empty = [block.index for block in self._usable(space, subnet) if not self._users(block)]
        now, known = self._clock.boot(), self._empty
        self._empty = {(space, subnet, index): known.get((space, subnet, index), now) for index in empty} | {
            place: since for place, since in known.items() if place[:2] != (space, subnet)
        }
        old = [index for index in empty if now - self._empty[space, subnet, index] >= self._sightings]
        if (index := max(old, default=None) if self.drained else dispensable(free, old)) is not None:
            async with self.turn(space, subnet):
                await self._leave(self._local((space, subnet, index)))

    async def give_up(self, shared: SharedSubnet) -> bool:
        """All blocks of this host are on their way back: its pool of the subnet is gone. Whether there is none any
        more. Raises Unavailable."""
        async with self.turn(shared.space, shared.subnet):
            local = self._index.blocks.blocks(shared.space, shared.subnet)
            if staying := [msgspec.structs.replace(block, leaving=True) for block in local if not block.leaving]:
                await self._cache.commit(put=staying)
            if local:
                return False
            theirs = await self._values.blocks(shared.space, shared.subnet)
            return not any(self._is_mine(seen.value) for seen in theirs.values())

    async def _leave(self, local: HostBlock) -> None:
        """It is on its way back, unless somebody has been given something of it meanwhile."""
        self._index.blocks.hold_back(local)
        try:
            if not self._users(local):
                await self._cache.commit(put=[msgspec.structs.replace(local, leaving=True)])
        finally:
            self._index.blocks.let_go(local)

    def _usable(self, space: str, subnet: Subnet) -> list[HostBlock]:
        return [b for b in self._index.blocks.blocks(space, subnet) if not b.leaving and b.boot == self._member.boot]

    def _users(self, block: HostBlock) -> int:
        (pool,) = self._index.pools_of(block.space, block.subnet)
        return self._index.users(pool.id, *block.numbers())

    async def _lose(self, local: HostBlock) -> list[Lease]:
        """The block is another's, or nobody's; the leases that went with it and that somebody may use."""
        # What was being given before is in the store after this commit, as that does one after another.
        self._index.blocks.hold_back(local)
        local = msgspec.structs.replace(local, leaving=True)
        await self._cache.commit(put=[local])
        states = (State.DYNAMIC, State.COOLING, State.FIXED, State.RESERVED)
        gone = [
            each
            for pool in self._index.pools_of(local.space, local.subnet)
            for each in self._index.leases(pool.id)
            if each.address in local and each.state in states and not self._has_claim(local, each)
        ]
        for lease in gone:
            ended(lease, Event.DROP)
        self._seen.pop((local.space, local.subnet, local.index), None)
        await self._cache.commit(delete=[local, *gone])
        return [lease for lease in gone if lease.state in (State.DYNAMIC, State.FIXED)]

    def _has_claim(self, local: HostBlock, lease: Lease) -> bool:
        """Whether a claim decides over the fixed lease, and not the block."""
        kept = self._cache.host_claim(local.space, local.subnet, lease.address)
        return lease.state in (State.FIXED, State.RESERVED) and kept is not None and bool(kept.claim.key)

    async def _write(self, local: HostBlock, change: Callable[[Block], Block]) -> None:
        """The block, which is this host's, is changed. Raises Conflict when it is not, and what the change does."""
        place = (local.space, local.subnet, local.index)
        for _ in range(ATTEMPTS):
            # Not known any more until the outcome is: what is read then decides.
            seen = self._seen.pop(place, None) or await self._values.block(*place)
            block = seen.value
            if block is None or not self._is_held(block, local):
                raise not_ours(local.subnet, None)
            after = change(block)
            with suppress(StaleRevision):
                leading = self.being_claimed.leading(after)
                revision, led = await self._values.put_with(after, seen.revision, leading)
                self._seen[place] = Seen(after, revision)
                self.being_claimed.note_led(led)
                return
        raise contended(f"block {local.index} of {local.subnet}")

    def _local(self, place: Place) -> HostBlock:
        block = self._index.blocks.block(*place)
        if block is None or block.leaving:
            raise not_ours(place[1], None)
        return block

    def _is_mine(self, block: Block | None) -> bool:
        return block is not None and block.host == self._member.host

    def _is_held(self, block: Block, local: HostBlock) -> bool:
        """Whether the cluster has it as this host does, and nobody else has said since that it is this host's."""
        return self._is_mine(block) and (block.generation, block.boot) == (local.generation, self._member.boot)

    def turn(self, space: str, subnet: Subnet) -> AbstractAsyncContextManager[None]:
        """Whoever has it is alone with the blocks of the subnet."""
        return self._turns.hold((space, subnet))

    @asynccontextmanager
    async def _part_of(self, place: Place) -> AsyncIterator[None]:
        """Nobody else does anything with the block, nor with all of its subnet."""
        async with self._turns.share(place[:2]), self._alone.hold(place):
            yield
