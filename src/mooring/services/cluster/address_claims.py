"""Claims of this host: addresses that are fixed, or in no block, made, used, moved here and released.

Rules: this host's own store has a claim before anybody is told of it, and until the cluster was told that it is over;
what a claim says is written by compare-and-swap, and after an unknown outcome nothing relies on it until it was written
again; who has an address of no block is settled by reading the block after the key was written, which has one then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import msgspec

from mooring.core.address_claims import (
    AddressClaim,
    HostClaim,
    Identity,
    Phase,
    Spec,
    at_once,
    has_already,
    held,
    may_move,
    moved,
    taken,
    used,
    without,
)
from mooring.core.faults import Conflict, NotFound, StaleRevision, Unavailable
from mooring.core.keys import is_reservations, outlives
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Subnet
from mooring.core.sessions import Standing, check_alone
from mooring.ports import Clock
from mooring.services.cluster.free_blocks import opened
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.cluster.known_claims import KnownClaims
from mooring.services.cluster.sessions import Sessions
from mooring.services.cluster.shared_values import ATTEMPTS, Member, Seen, SharedValues, contended
from mooring.services.cluster.wants import Wants
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import RecordCache


class AddressClaims:
    """`claim`, `use`, `leave`, `release`, and `settle` for what was begun. One address is one thing at a time."""

    def __init__(
        self, cache: RecordCache, blocks: HostBlocks, wants: Wants, sessions: Sessions, values: SharedValues,
        clock: Clock, member: Member,
    ) -> None:  # fmt: skip
        self._cache, self._blocks, self._wants = cache, blocks, wants
        self._sessions, self._values, self._clock, self._member = sessions, values, clock, member
        self._known = KnownClaims(values, blocks)
        self._turns = KeyedLocks()

    async def begin(self) -> None:
        """After a start: what was in use before the boot is idle."""
        for kept in self._cache.every(HostClaim):
            if kept.claim.boot not in ("", self._member.boot):
                await self._put(kept, claim=used(kept.claim, "", self._clock.now()), idle=True)

    async def claim(self, spec: Spec, address: Address, force: bool = False) -> AddressClaim:
        """This host has the address for the spec, or the one that the spec's key has already, idle.

        Raises Conflict when it is somebody else's, or in use elsewhere, naming who; Unavailable, also when whoever
        decides over it does not answer. Nothing is left of it then, as soon as the cluster can be told. force: also
        from a host that is not heard, whatever the key's policy.
        """
        seen = await self._known.identity(spec)
        if (known := await self._known.of_identity(spec, seen)) is not None:
            if spec.new:
                raise has_already(known)
            return await self._take(known, spec, force)
        wanted = spec.claim(address, self._member.host, self._clock.now())
        async with self.turn_of(wanted):
            await self._make_way(wanted)
            try:
                if not await self._write(wanted, leads=seen.value is None and outlives(spec.key)):
                    await self._identify(wanted, spec, seen)
                mine = HostClaim(claim=wanted, known_in=self._member.boot)
                if self._kept(wanted) != mine:
                    await self._keep(mine)
            except BaseException:
                if self._blocks.may_bear(wanted):
                    await self._abandon(wanted)
                raise
        return wanted

    async def _make_way(self, wanted: AddressClaim) -> None:
        """Nothing is kept of another claim of the address. Raises Conflict when this host holds it."""
        if (kept := self._kept(wanted)) is None:
            return
        if kept.phase is Phase.HELD:
            raise taken(kept.claim)
        await self.let_go(kept.claim)

    async def _identify(self, wanted: AddressClaim, spec: Spec, seen: Seen[Identity]) -> None:
        """The key, where it outlives its container, leads to the claim, which the cluster has by now: of two hosts that
        claim for one key at a time, one finds that the other has written this first. Raises Conflict."""
        if not outlives(spec.key):
            return
        # A claim goes from its block to its key: who looks just then may miss it once.
        if await self._known.of_identity(spec, seen) is not None:
            raise at_once(spec.key)
        try:
            await self._values.put(wanted.identity(), seen.revision)
        except StaleRevision:
            # A write of ours that broke off may be it.
            if (await self._known.identity(spec)).value != wanted.identity():
                raise at_once(spec.key) from None

    async def _write(self, wanted: AddressClaim, leads: bool) -> bool:
        """The address is the claim's, whoever decides over it. leads: its key, which led nowhere, may lead to it at
        once; whether it does. Raises Conflict, Unavailable."""
        space, subnet, address = wanted.space, wanted.subnet, wanted.address
        if self._blocks.of(space, subnet, address) is not None:
            try:
                return await self._blocks.carve(wanted, own=True, leads=leads)
            except Conflict as fault:
                # The block does not say whose: that is in the key that the claim has by now.
                if fault.holder or (found := (await self._values.claim(space, subnet, address)).value) is None:
                    raise
                raise taken(found) from None
        decided = await self._known.decides(space, subnet, address)
        if decided.claim is not None:
            raise taken(decided.claim)
        if decided.owner:
            await self._wants.ask(wanted, decided.owner)
            return False
        await opened(self._values, space, subnet, address)
        seen = await self._values.claim(space, subnet, address)
        if seen.value is not None:
            raise taken(seen.value)
        try:
            revision = await self._values.put(wanted, seen.revision)
        except StaleRevision:
            raise Conflict(f"address {address} was claimed by another host just now", hint="try again") from None
        decided = await self._known.decides(space, subnet, address)
        if decided.claim is None or decided.claim.sequence != wanted.sequence:
            # The block was claimed at the same time, by somebody who did not see the key.
            with suppress(StaleRevision):
                await self._values.delete(wanted, revision)
            if decided.claim is not None:
                raise taken(decided.claim)
            await self._wants.ask(wanted, decided.owner)
        return False

    async def _take(self, known: AddressClaim, spec: Spec, force: bool) -> AddressClaim:
        """The claim that the key has is this host's, idle or as it is here, and the holder is among its holders."""
        async with self.turn_of(known):
            mine = self._kept(known)
            if mine is not None and mine.claim.sequence != known.sequence:
                await self._make_way(known)
                mine = None
            held_before = mine is not None and mine.phase is Phase.HELD
            after: AddressClaim | None = None
            try:
                for _ in range(ATTEMPTS):
                    seen = await self._known.written(known)
                    after = await self._taken(seen.value, known, spec, force)
                    with suppress(StaleRevision):
                        await self._values.put(after, seen.revision)
                        await self._keep(HostClaim(claim=after, idle=mine is not None and mine.idle))
                        return after
                raise contended(f"address {known.address}")
            except BaseException:
                if after is not None and not held_before:
                    await self._abandon(after)
                raise

    async def _taken(self, claim: AddressClaim | None, known: AddressClaim, spec: Spec, force: bool) -> AddressClaim:
        """What the claim is to be. Raises Conflict where it may not come here, or is another one by now."""
        identity = (await self._known.identity(spec)).value  # what was ended meanwhile may be written again, late
        if claim is None or claim.sequence != known.sequence or identity is None or identity.sequence != claim.sequence:
            raise at_once(spec.key)
        if claim.host == self._member.host:
            return held(claim, claim.host, spec.holder)
        standing = await self._sessions.standing(claim.host) if claim.host else Standing(heard=False)
        verdict = may_move(claim, self._member.host, standing, self._sessions.rule, force)
        if not verdict.allowed:
            what = f"address {claim.address} cannot come here: {verdict.rule}"
            raise Conflict(what, holder=verdict.holder, hint=verdict.hint)
        return moved(claim, self._member.host, spec.holder, self._clock.now())

    async def use(
        self, space: str, subnet: Subnet, address: Address, key: str,
        change: Callable[[AddressClaim], AddressClaim] = lambda claim: claim,
    ) -> AddressClaim:  # fmt: skip
        """The claim of this host is in use in this boot, and as the change makes it. Without the cluster it may be,
        where that knows it as in use, for so long as no other host can have been given it.

        Raises NotFound when this host has none for the key, Conflict when it has moved, Unavailable.
        """
        async with self._turns.hold((space, subnet, address)):
            for _ in range(ATTEMPTS):
                kept = self._cache.host_claim(space, subnet, address)
                if kept is None or kept.phase is not Phase.HELD or kept.claim.key != key:
                    raise NotFound(f"address {address} is not claimed by this host")
                try:
                    seen = await self._known.written(kept.claim)
                    claim = seen.value
                    mine = (self._member.host, kept.claim.sequence, kept.claim.generation)
                    if claim is None or not claim.is_of(*mine) or not await self._known.counts(claim):
                        raise Conflict(
                            f"address {address} is not this host's any more",
                            holder=claim.held_by() if claim is not None else "",
                            hint="stop the container there, and start this one again",
                        )
                    after = used(change(claim), self._member.boot, self._clock.now())
                    # Written also where it says so already: what was sent before and is under way comes to nothing.
                    await self._values.put(after, seen.revision)
                except StaleRevision:
                    continue
                except Unavailable:
                    if kept.claim.boot != self._member.boot:
                        await self._put(kept, idle=True)  # it may have been written, or yet be
                        raise
                    after = kept.claim
                kept = await self._put(kept, claim=after, idle=False)
                try:
                    # Also when the cluster was reached: whoever is not heard may lose it at any time.
                    self.check_alone(after)
                except Unavailable:
                    await self._put(kept, idle=True)
                    raise
                return after
        raise contended(f"address {address}")

    def check_alone(self, claim: AddressClaim) -> None:
        """Raises Unavailable when this host may not use the address without having heard the cluster."""
        check_alone(f"address {claim.address}", self._clock.boot(), self._sessions.confirmed, self._sessions.rule)

    async def leave(
        self, space: str, subnet: Subnet, address: Address, still: Callable[[], bool] = lambda: True
    ) -> None:  # fmt: skip
        """It is not in use here any more; `settle` tells the cluster. still: asked in its turn. Raises Unavailable."""
        async with self._turns.hold((space, subnet, address)):
            kept = self._cache.host_claim(space, subnet, address)
            if kept is not None and kept.phase is Phase.HELD and still():
                await self._put(kept, idle=True)

    async def rejoin(self, claim: AddressClaim) -> None:
        """What this host keeps is as the cluster has it, which has forgotten the host in it. Raises Unavailable."""
        async with self.turn_of(claim):
            kept = self._kept(claim)
            seen = await self._known.written(claim)
            if kept is None or kept.claim != claim or kept.phase is not Phase.HELD:
                return
            if seen.value is None or seen.value.sequence != claim.sequence or not await self._known.counts(seen.value):
                await self._put(kept, phase=Phase.RELEASING)
            elif without(seen.value, self._member.host) == seen.value:
                mine = claim.holders - without(claim, self._member.host).holders
                after = msgspec.structs.replace(seen.value, holders=seen.value.holders | mine)
                with suppress(StaleRevision):
                    await self._values.put(after, seen.revision)

    async def lose(self, claim: AddressClaim) -> bool:
        """This host does not take the claim for its own any more, which another host has, or nobody; whether it was in
        use here as far as this host knows. A dynamic lease of it is gone. Raises Unavailable."""
        async with self.turn_of(claim):
            kept = self._kept(claim)
            if kept is None or kept.claim != claim or not self.is_used(claim):
                return False
            theirs = await self._known.known(claim)  # it may have been written from its block while that was looked at
            if theirs is not None and theirs.is_of(self._member.host, claim.sequence, claim.generation):
                return False
            if claim.boot:
                await self._put(kept, claim=used(claim, "", self._clock.now()))
                return True
            lease = self._dynamic(claim)
            put = [msgspec.structs.replace(kept, phase=Phase.RELEASING)]
            await self._cache.commit(put=put, delete=[lease] if lease is not None else [])
            return True

    def is_used(self, claim: AddressClaim) -> bool:
        """Whether the claim, which this host keeps, is in use here: that of a lease is, and the cluster is not told."""
        return bool(claim.boot) or self._dynamic(claim) is not None

    def _dynamic(self, claim: AddressClaim) -> Lease | None:
        """The dynamic lease that the claim is for: it has no key, or that of the reservation that it was given by."""
        keyless = not claim.key or is_reservations(claim.key)
        lease = self._cache.lease(claim.space, claim.address) if keyless else None
        return lease if lease is not None and lease.state is State.DYNAMIC else None

    async def abandon(self, claim: AddressClaim) -> None:
        """The claim is released if it is for a lease that is not there. Raises Unavailable."""
        async with self.turn_of(claim):
            kept = self._kept(claim)
            if kept is not None and kept.claim == claim and self.lacks_lease(kept):
                await self._put(kept, phase=Phase.RELEASING)

    def lacks_lease(self, kept: HostClaim) -> bool:
        """Whether the claim is for a lease that is not there: not yet, or not any more."""
        return kept.phase is Phase.HELD and not kept.claim.key and self._dynamic(kept.claim) is None

    async def release(
        self, space: str, subnet: Subnet, address: Address, still: Callable[[], bool] = lambda: True
    ) -> None:  # fmt: skip
        """This host has no use for the address any more, and none of its containers holds it; the cluster is told by
        `settle`. What it does not have is released already. still: asked when it is its turn. Raises Unavailable."""
        async with self._turns.hold((space, subnet, address)):
            if (kept := self._cache.host_claim(space, subnet, address)) is not None and still():
                await self._put(kept, phase=Phase.RELEASING)

    async def settle(self, kept: HostClaim) -> None:
        """The cluster knows that the claim is released, or idle. Raises Unavailable."""
        async with self.turn_of(kept.claim):
            if (known := self._kept(kept.claim)) is None:
                return
            if known.phase is Phase.RELEASING:
                await self.let_go(known.claim)
                await self._cache.commit(delete=[known])
            elif known.idle:
                await self._tell_idle(known)

    async def _tell_idle(self, kept: HostClaim) -> None:
        # From here on it is not used without asking: the word may be on its way.
        kept = await self._put(kept, claim=used(kept.claim, "", self._clock.now()))
        seen = await self._known.written(kept.claim)
        claim = seen.value
        if claim is not None and claim.is_of(self._member.host, kept.claim.sequence, kept.claim.generation):
            try:
                await self._values.put(used(claim, "", self._clock.now()), seen.revision)
            except StaleRevision:
                return
        await self._put(kept, idle=False)

    async def let_go(self, claim: AddressClaim) -> None:
        """Nothing of this host is in the claim, as it was when the host had it; it is gone when nobody else is in it.
        What has moved on since keeps all but the host's holders, what was made anew keeps all. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            seen = await self._known.written(claim)
            now = seen.value
            if now is None or now.sequence != claim.sequence:
                await self._drop_identity(claim)
                return
            mine = now.is_of(self._member.host, claim.sequence, claim.generation)
            after = without(now, self._member.host)
            try:
                if after.holders or not (mine or not now.boot):
                    after = used(after, "", self._clock.now()) if mine else after
                    if after != now:
                        await self._values.put(after, seen.revision)
                    return
                await self.end(now, seen.revision)
                return
            except StaleRevision:
                continue
        raise contended(f"address {claim.address}")

    async def end(self, claim: AddressClaim, revision: int) -> None:
        """The claim, whose key has the revision, is gone. Raises StaleRevision, Unavailable."""
        # In this order: whoever finds the key gone may take it that the block does not bear it any more, and an
        # identity that leads nowhere counts for nothing.
        await self._blocks.settle(claim)
        await self._values.delete(claim, revision)
        await self._drop_identity(claim)

    async def _drop_identity(self, claim: AddressClaim) -> None:
        if outlives(claim.key):
            seen = await self._values.identity(claim.space, claim.subnet, claim.key)
            # The address, too: one allocation may try several.
            it = seen.value
            if it is not None and (it.sequence, it.address) == (claim.sequence, claim.address):
                with suppress(StaleRevision):
                    await self._values.delete(it, seen.revision)

    async def drop_identity(self, identity: Identity, revision: int) -> None:
        """The identity of that revision is gone, unless it leads to a claim. Raises StaleRevision, Unavailable."""
        decided = await self._known.decides(identity.space, identity.subnet, identity.address)
        if decided.claim is None or decided.claim.sequence != identity.sequence:
            await self._values.delete(identity, revision)

    async def _abandon(self, claim: AddressClaim) -> None:
        """It came to nothing here: `settle` tells it, or, after one before of which it is yet to tell, a comparison."""
        over = HostClaim(claim=claim, phase=Phase.RELEASING)
        with suppress(Unavailable):
            while (kept := self._kept(claim)) is None or (kept != over and kept.claim.sequence == claim.sequence):
                with suppress(StaleRevision):  # whoever carved it out for us was about to keep it
                    await asyncio.shield(self._keep(over))

    async def _keep(self, kept: HostClaim) -> HostClaim:
        await self._cache.commit(put=[kept])
        return kept

    async def _put(self, kept: HostClaim, **fields: Any) -> HostClaim:
        return await self._keep(msgspec.structs.replace(kept, **fields))

    def _kept(self, claim: AddressClaim) -> HostClaim | None:
        """What this host keeps of the claim's address."""
        return self._cache.host_claim(claim.space, claim.subnet, claim.address)

    def turn_of(self, claim: AddressClaim) -> AbstractAsyncContextManager[None]:
        """Whoever enters is alone with the claim's address."""
        return self._turns.hold((claim.space, claim.subnet, claim.address))
