"""A host that is gone for good is forgotten: its blocks are nobody's, and what it claimed may be claimed by others.

Rule: that it is off is an operator's word; a host that is heard is not forgotten.
"""

from __future__ import annotations

from math import ceil

import msgspec

from mooring.core.address_claims import AddressClaim, without
from mooring.core.blocks import Block, SharedSubnet, taken_from
from mooring.core.faults import Conflict, StaleRevision
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.services.cluster.sessions import Sessions
from mooring.services.cluster.shared_values import ATTEMPTS, Seen, SharedValues, contended


class Forgetting:
    """`forget`, which may be done again by any host where it was broken off."""

    def __init__(self, values: SharedValues, sessions: Sessions, blocks: HostBlocks, claims: AddressClaims) -> None:
        self._values, self._sessions, self._blocks, self._claims = values, sessions, blocks, claims

    async def forget(self, host: str, shared: SharedSubnet) -> None:
        """Nothing of the subnet is the host's. Raises Conflict while it is heard, or has only just gone silent,
        Unavailable."""
        await self.check(host)
        await self.take_back(host, shared)

    async def take_back(self, host: str, shared: SharedSubnet) -> None:
        """The same of a host that was forgotten, and has written something since. Raises Conflict where it is heard,
        and does so yet; Unavailable."""
        for block in (await self._values.blocks(shared.space, shared.subnet)).values():
            if block.value is not None and block.value.host == host:
                await self._free(block.value, host)
        for claim, _ in await self._values.claims(shared.space, shared.subnet):
            if claim.host == host or without(claim, host) != claim:
                await self._part(claim, host)

    async def check(self, host: str) -> None:
        """Raises Conflict unless the host is silent, and has been for a while."""
        standing = await self._sessions.standing(host)
        grace = self._sessions.rule.grace
        if standing.heard:
            raise Conflict(f"host {host} is heard, and keeps what it has", hint="let it leave, or switch it off first")
        if standing.silent < grace:
            what = f"host {host} has only just gone silent, and keeps what it has"
            raise Conflict(what, hint=f"let it leave, or if it is off, try again in {ceil(grace - standing.silent)} s")

    async def _free(self, block: Block, host: str) -> None:
        seen: Seen[Block] = await self._values.block(block.space, block.subnet, block.index)
        for _ in range(ATTEMPTS):
            if seen.value is None or seen.value.host != host:
                return
            try:
                for claim in seen.value.carved.values():
                    if claim is not None:
                        await self._blocks.write_key(claim)
                await self._values.put(taken_from(seen.value), seen.revision)
                return
            except StaleRevision:
                await self.check(host)  # it may be back
                seen = await self._values.block(block.space, block.subnet, block.index)
        raise contended(f"block {block.index} of {block.subnet}")

    async def _part(self, claim: AddressClaim, host: str) -> None:
        """The claim is without the host, and gone where nobody else is in it."""
        for _ in range(ATTEMPTS):
            seen = await self._values.claim(claim.space, claim.subnet, claim.address)
            now = seen.value
            if now is None or now.sequence != claim.sequence:
                return
            after = without(now, host)
            if now.host == host:
                after = msgspec.structs.replace(after, host="", boot="", generation=now.generation + 1)
            try:
                if not after.holders and not after.boot:
                    await self._claims.end(now, seen.revision)
                elif after != now:
                    await self._values.put(after, seen.revision)
                return
            except StaleRevision:
                await self.check(host)
        raise contended(f"address {claim.address}")
