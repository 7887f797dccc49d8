"""Fixed addresses of shared subnets for a container that is being made: claimed before they are on record.

Rules: what no other host gives costs nothing here; a key has the address and MAC that it has in the cluster, wherever
that is; both families of a place have one MAC.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace

from mooring.core.address_claims import AddressClaim
from mooring.core.faults import Exhausted
from mooring.core.intents import Intent, placeholder
from mooring.core.networks import stable_mac
from mooring.core.pools import Pool, check_address
from mooring.services.containers.fixed_allocator import FixedAllocator, FixedSpec, Part, elsewhere
from mooring.services.ipam.allocator import Ipam

# Seconds for which the cluster is waited for: less than the proxy does for an answer (containers/admission.py).
PATIENCE = 3.5


class SharedLeases:
    """`claimed` around the choice of addresses and its commit."""

    def __init__(self, ipam: Ipam, fixed_allocator: FixedAllocator) -> None:
        self._index, self._shared, self._claims = ipam.index, ipam.shared, ipam.fixed_claims
        self._fixed_allocator = fixed_allocator

    @asynccontextmanager
    async def claimed(self, intent: Intent, fixed_specs: Sequence[FixedSpec]) -> AsyncIterator[Sequence[FixedSpec]]:
        """The fixed specs with the addresses that this host has claims of for them. What has no lease when this is left
        is released by a turn. Raises as FixedClaims.take."""
        if not self._index.blocks.any:
            yield fixed_specs
            return
        with ExitStack() as pending:
            yield await self._answered(intent, fixed_specs, pending)

    async def _answered(
        self, intent: Intent, fixed_specs: Sequence[FixedSpec], pending: ExitStack
    ) -> Sequence[FixedSpec]:
        """The same. Raises Unavailable, naming the cluster, before whoever asks loses patience."""
        try:
            async with asyncio.timeout(PATIENCE) as scope:
                return [await self._with_claims(intent, each, pending) for each in fixed_specs]
        except TimeoutError:
            if not scope.expired() or (plan := self._shared.plan) is None:
                raise
            raise plan.unanswered(PATIENCE) from None

    async def _with_claims(self, intent: Intent, fixed_spec: FixedSpec, pending: ExitStack) -> FixedSpec:
        mac = fixed_spec.mac
        claims: list[AddressClaim] = []
        for part in self._fixed_allocator.parts(fixed_spec):
            pools = [pool for pool in part.pools if pool in self._shared]
            if not pools:
                continue
            claim = await self._take(pools, part, replace(fixed_spec, claimed_mac=mac), placeholder(intent.id), pending)
            pending.enter_context(self._claims.pending(claim.space, claim.address))
            claims.append(claim)
            mac = fixed_spec.mac or claim.mac or mac
        return replace(fixed_spec, claimed=tuple(claim.address for claim in claims), claimed_mac=mac)

    async def _take(
        self, pools: Sequence[Pool], part: Part, fixed_spec: FixedSpec, holder: str, pending: ExitStack
    ) -> AddressClaim:  # fmt: skip
        had = self._fixed_allocator.usable(part.before)
        address = part.wanted or (had.address if had is not None else None)
        full: Exhausted | None = None
        for pool in pools:
            if address is None or address in pool.subnet:
                if address is not None:
                    check_address(pool.subnet, address)
                    pending.enter_context(self._claims.pending(pool.space, address))
                mac, other = _macs(pool, fixed_spec, part)
                try:
                    spec = self._claims.spec(pool, fixed_spec.key, mac, holder)
                    return await self._claims.take(pool, spec, address, part.wanted is not None, other)
                except Exhausted as fault:
                    full = fault
        raise full or elsewhere(part.pools, address)


def _macs(pool: Pool, fixed_spec: FixedSpec, part: Part) -> tuple[str, str]:
    """The MAC of a claim, and the one where its key has another address, too. By what all hosts call the place: also
    where two of them make it at a time, it is one."""
    if (known := fixed_spec.mac or fixed_spec.claimed_mac) or not fixed_spec.settable:
        return known, known
    place = f"key:{pool.space} {pool.subnet}:{fixed_spec.key}"
    return stable_mac(place), stable_mac(f"{place}:{part.wanted}")
