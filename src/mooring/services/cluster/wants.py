"""Addresses in another host's block: asked of that host, who carves them out or says who has them.

Rule: never taken without a word: an owner that does not answer is named in the refusal.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from mooring.core.address_claims import AddressClaim, Want
from mooring.core.blocks import SharedSubnet, decides, division
from mooring.core.faults import Conflict, Fault, StaleRevision, Unavailable
from mooring.ports import Clock
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.cluster.sessions import Sessions
from mooring.services.cluster.shared_values import Seen, SharedValues

# Seconds for which an owner is waited for, between two looks, and after which a request is forgotten by itself.
PATIENCE = 3.0
LOOK = 0.05
TTL = 10.0


class Wants:
    """`ask` on the host that wants an address, `answer` on the one that owns its block."""

    def __init__(self, values: SharedValues, blocks: HostBlocks, sessions: Sessions, clock: Clock) -> None:
        self._values, self._blocks, self._sessions, self._clock = values, blocks, sessions, clock

    async def ask(self, claim: AddressClaim, owner: str) -> None:
        """The owner of the block has carved the address out for the claim.

        Raises Conflict when somebody has it, or asks for it at the same time, Unavailable when the owner is not heard
        or does not answer; then it may still come to be.
        """
        space, subnet, address = claim.space, claim.subnet, claim.address
        standing = await self._sessions.standing(owner)
        if not standing.heard:
            raise Unavailable(
                f"host {owner} decides over address {address}, and is not heard, for {standing.silent:.0f} s at least",
                hint="try again when it is back, or choose another address",
            )
        seen = await self._values.want(space, subnet, address)
        if seen.value is not None and not seen.value.refusal and seen.value.claim.sequence != claim.sequence:
            raise Conflict(f"address {address} is asked for by host {seen.value.claim.host} at this moment")
        try:
            revision = await self._values.put(Want(claim=claim), seen.revision, TTL)
        except StaleRevision:
            raise Conflict(f"address {address} is asked for by another host at this moment") from None
        until = self._clock.boot() + PATIENCE
        while self._clock.boot() < until:
            await self._clock.sleep(LOOK)
            if await self._is_answered(claim, revision):
                return
        with suppress(StaleRevision):
            await self._values.delete(Want(claim=claim), revision)
        if await self._is_carved(claim):
            return
        raise Unavailable(
            f"host {owner} decides over address {address}, and has not answered for {PATIENCE:.0f} s",
            hint="try again, or choose another address",
        )

    async def _is_answered(self, claim: AddressClaim, revision: int) -> bool:
        """Whether the address was carved out. Raises Conflict when it was refused."""
        seen = await self._values.want(claim.space, claim.subnet, claim.address)
        if seen.revision == revision:
            return False
        if seen.value is not None and seen.value.claim.sequence == claim.sequence and seen.value.refusal:
            hint = "choose another address, or leave the choice to Mooring"
            raise Conflict(seen.value.refusal, holder=seen.value.holder, hint=hint)
        if await self._is_carved(claim):
            return True
        raise Unavailable(f"the request for address {claim.address} was lost", hint="try again")

    async def _is_carved(self, claim: AddressClaim) -> bool:
        divided = division(claim.subnet)
        assert divided is not None
        block = await self._values.block(claim.space, claim.subnet, divided.index_of(claim.address))
        key = await self._values.claim(claim.space, claim.subnet, claim.address)
        decided = decides(block.value, claim.address, key.value).claim
        return decided is not None and decided.sequence == claim.sequence

    async def answer(self, shared: SharedSubnet) -> None:
        """Everything that this host is asked is answered. Raises Unavailable."""
        for want, revision in await self._values.wants(shared.space, shared.subnet):
            if not want.refusal and self._blocks.of(shared.space, shared.subnet, want.claim.address) is not None:
                with suppress(StaleRevision):
                    await self._answer(Seen(want, revision), want)

    async def _answer(self, seen: Seen[Want], want: Want) -> None:
        try:
            await self._blocks.carve(want.claim)
        except Unavailable:
            raise
        except Fault as fault:
            refused = msgspec.structs.replace(want, refusal=fault.what, holder=fault.holder)
            await self._values.put(refused, seen.revision, TTL)
            return
        await self._values.delete(want, seen.revision)
