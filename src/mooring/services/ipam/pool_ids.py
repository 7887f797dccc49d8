"""Which pool a PoolID means that no record has: an engine goes on using the ids that it was given by a lost store.

Rules: an id is bound to a pool that was rebuilt, once, durably, and to no other; ours say space and subnet, so that
they are found again at once; of older ones the addresses tell that come with them; where several pools may be meant,
none is; a pool is never released by an id that it is not known under.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import msgspec

from mooring.core.faults import NotFound, StaleRevision
from mooring.core.networks import Address
from mooring.core.pools import Pool, described
from mooring.services.records.record_cache import RecordCache

# The option of a pool whose record was made anew: the PoolID that the engine has for it, "" while that is not known.
REBUILT = "mooring.rebuilt"


@dataclass(frozen=True, slots=True)
class PoolNames:
    """Finds pools by the ids that engines remember."""

    cache: RecordCache

    async def resolve(self, pool_id: str, address: Address | None = None) -> str:
        """The id of the pool's record, the given one when no pool is meant. address: one that it is asked about.

        Raises Unavailable.
        """
        if self.cache.pool(pool_id) is not None:
            return pool_id
        pool = self._meant(pool_id, address)
        if pool is None:
            return pool_id
        if pool.options[REBUILT] != pool_id:
            with contextlib.suppress(StaleRevision):  # then the next call binds it
                await self.cache.commit(put=[msgspec.structs.replace(pool, options={**pool.options, REBUILT: pool_id})])
        return pool.id

    def bound(self, pool_id: str) -> str:
        """The id of the pool's record when the engine is known to mean it, otherwise the given one."""
        if self.cache.pool(pool_id) is None:
            for pool in self.cache.every(Pool):
                if pool.options.get(REBUILT) == pool_id:
                    return pool.id
        return pool_id

    def unknown(self, pool_id: str) -> NotFound:
        """The fault for an id that means no pool."""
        hint = "create the network again (`docker network create`)"
        if any(pool.options.get(REBUILT) == "" for pool in self.cache.every(Pool)):
            hint = (
                "the store was lost, and this ID does not tell which network it is: stop a container of that network "
                "first, or create the network again"
            )
        return NotFound(f"pool {pool_id} is not known to Mooring", hint=hint)

    def _meant(self, pool_id: str, address: Address | None) -> Pool | None:
        rebuilt = [pool for pool in self.cache.every(Pool) if REBUILT in pool.options]
        for pool in rebuilt:
            if pool.options[REBUILT] == pool_id:
                return pool
        open_ones = [pool for pool in rebuilt if not pool.options[REBUILT]]
        said = described(pool_id)
        if said is not None:
            found = [pool for pool in open_ones if (pool.space, pool.subnet) == said]
        elif address is not None:
            found = [pool for pool in open_ones if address in pool.subnet]
        else:
            found = open_ones
        return found[0] if len(found) == 1 else None
