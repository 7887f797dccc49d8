"""Claims of addresses that belong to this host by hand: reservations, and the addresses of ports.

Rules: a claim is there before the lease and goes after it, by a turn of FixedClaims, whatever dies; what one host
reserved, or made a port of, no other host is given, nor takes, until that host gives it back or is forgotten.
"""

from __future__ import annotations

from asyncio import gather
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from itertools import islice

from mooring.core.address_claims import AddressClaim, HostClaim, Phase, Spec, claimed_for, has_already, taken
from mooring.core.addresses import address_of
from mooring.core.blocks import division
from mooring.core.cluster_hosts import Membership
from mooring.core.faults import Conflict, Exhausted, Fault, Unavailable
from mooring.core.keys import RESERVED_KEY, is_reservations
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Subnet
from mooring.core.pools import Pool, candidates
from mooring.ports import Clock, Cluster
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.free_blocks import together
from mooring.services.ipam.fixed_claims import AGAIN, FixedClaims
from mooring.services.ipam.shared_pools import SharedPools
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.block_index import within
from mooring.services.records.record_cache import RecordCache

# Claims that are made at a time.
ABREAST = 16
# Addresses of a part of a subnet that are tried, where others were quicker.
TRIES = 8
# Addresses of a part of a subnet that are looked at.
LOOKED_AT = 4096


class NewClaims:
    """`reserving` around the commit of leases, `free` for a free address, `port` for those of a port. What is not
    shared is as it is."""

    def __init__(
        self, cache: RecordCache, index: AddressIndex, shared: SharedPools, claims: FixedClaims, clock: Clock
    ) -> None:
        self._cache, self._index, self._shared, self._claims = cache, index, shared, claims
        self._clock = clock
        self._tried = float("-inf")

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """See Part: the plan is all that is needed."""

    async def left(self) -> None:
        """See Part."""

    @asynccontextmanager
    async def reserving(self, leases: Sequence[Lease]) -> AsyncIterator[None]:
        """A claim is there for each of the leases, which are reserved, or to be when they are let go, by whoever
        enters. Raises Conflict, naming holder and host, where somebody else has one; Unavailable."""
        with ExitStack() as pending:
            works: list[Callable[[], Awaitable[None]]] = []
            for lease in leases:
                pool = self._cache.pool(lease.pool)
                if pool is None or pool not in self._shared:
                    continue
                pending.enter_context(self._claims.pending(pool.space, lease.address))
                if not self._is_claimed(pool, lease):
                    works.append(lambda pool=pool, lease=lease: self._reserve(pool, lease))  # type: ignore[misc]
            for start in range(0, len(works), ABREAST):
                await together([work() for work in works[start : start + ABREAST]])
            yield

    def _is_claimed(self, pool: Pool, lease: Lease) -> bool:
        """Whether this host has the reservation's claim already: it is not moved, whatever else is."""
        kept = self._cache.host_claim(pool.space, pool.subnet, lease.address)
        return kept is not None and kept.phase is Phase.HELD and kept.claim.key == claimed_for(lease)

    async def _reserve(self, pool: Pool, lease: Lease) -> None:
        plan, key = self._shared.joined(pool), claimed_for(lease)
        plan.check()
        kept = self._cache.host_claim(pool.space, pool.subnet, lease.address)
        if kept is not None and kept.phase is Phase.HELD:
            if not await plan.keys.rekey(kept.claim, key):
                raise Conflict(f"address {lease.address} is not this host's any more", hint="try again")
            return
        with plan.blocks.being_claimed.own(pool.space, lease.address):
            await plan.claim(self._spec(pool, key), lease.address)

    @asynccontextmanager
    async def free(self, pool: Pool, part: Subnet | None, whom: str) -> AsyncIterator[Address]:
        """A free address of the pool, or of a part of it, held for a reservation that whoever enters writes; of a
        shared one this host has a claim by then. Raises Exhausted, Unavailable."""
        if pool in self._shared:
            async with self._claimed(pool, part, whom) as address:
                yield address
            return
        bounds = candidates(pool.subnet, part if part not in (None, pool.subnet) else pool.range)
        number = self._index.of(pool.id).choose(*bounds)
        if number is None:
            raise _full(pool, part)
        try:
            yield address_of(pool.subnet.version, number)
        finally:
            # From here on only the record counts, also when the commit failed or this task was cancelled.
            self._index.unhold(pool.id, number)

    @asynccontextmanager
    async def _claimed(self, pool: Pool, part: Subnet | None, whom: str) -> AsyncIterator[Address]:
        plan = self._shared.joined(pool)
        spec = self._spec(pool, RESERVED_KEY + whom)
        if part in (None, pool.subnet):
            claim = await plan.claim(spec)
        else:
            plan.check()
            async with plan.hosts.named():
                claim = await self._of_part(plan, pool, part, spec)
        with self._claims.pending(pool.space, claim.address):
            yield claim.address

    async def _of_part(self, plan: AddressPlan, pool: Pool, part: Subnet | None, spec: Spec) -> AddressClaim:
        tries = iter(range(TRIES))
        for address in await self._free(plan, pool, *candidates(pool.subnet, part)):
            with suppress(Conflict), self._held(pool, address):
                return await plan.claim(spec, address)
            if next(tries, None) is None:
                raise Unavailable(f"others were given {TRIES} addresses of {part} at once", hint="try again")
        raise _full(pool, part)

    @contextmanager
    def _held(self, pool: Pool, address: Address) -> Iterator[None]:
        self._index.of(pool.id).hold(int(address))
        with self._shared.joined(pool).blocks.being_claimed.chosen(pool, address):
            yield

    async def _free(self, plan: AddressPlan, pool: Pool, start: int, end: int) -> Iterable[Address]:
        """Addresses of [start, end) that are free as far as this host and the cluster's records say: first those of its
        own blocks, then those of nobody's. What is in another host's block is that host's to give."""
        space, subnet, divided = pool.space, pool.subnet, division(pool.subnet)
        taken_there = {int(claim.address) for claim, _ in await plan.values.claims(space, subnet)}
        owned: set[int] = set()
        for index, seen in (await plan.values.blocks(space, subnet)).items() if divided is not None else ():
            if seen.value is not None and seen.value.host:
                owned.add(index)
                taken_there |= set(map(int, seen.value.carved))
        own = within(self._index.blocks.ranges(space, subnet) or (), start, end)
        numbers = [n for first, last in own for n in range(first, last)]
        numbers += [
            n
            for n in islice(range(start, end), LOOKED_AT)
            if divided is None or divided.index_of(address_of(subnet.version, n)) not in owned
        ]
        occupancy = self._index.of(pool.id)
        return [address_of(subnet.version, n) for n in numbers if n not in taken_there and occupancy.is_free(n)]

    async def port(self, pool: Pool, key: str, mac: str, address: Address | None) -> AddressClaim:
        """This host has a claim of the address (None: of a free one) for the port's key, which no host had. Whoever
        asks says that it is pending before anything else is done. Raises Conflict, naming holder and host, Exhausted,
        Unavailable."""
        plan = self._shared.joined(pool)
        for kept in self._cache.every(HostClaim):
            if kept.claim.key == key and (kept.claim.space, kept.claim.subnet) == (pool.space, pool.subnet):
                await self._claims.follow(plan, kept.claim)  # a port of that name that has gone just now
                await plan.claims.settle(kept)
        spec = replace(self._claims.spec(pool, key, mac, key), new=True)
        return await plan.claim(spec, address)

    async def check_port(self, pool: Pool, key: str, address: Address | None) -> None:
        """Raises Conflict, naming holder and host, where another host has a port of that key, or the address."""
        if pool not in self._shared:
            return
        plan = self._shared.joined(pool)
        plan.check()
        async with plan.hosts.named():
            known = await plan.keys.of_key(self._claims.spec(pool, key, "", key))
            if known is not None and known.host != plan.member.host:
                raise has_already(known)
        await self.check_free(pool, [address] if address is not None else [])

    async def check_free(self, pool: Pool, addresses: Iterable[Address]) -> None:
        """Raises Conflict, naming holder and host, where another host has a claim of one of the addresses, or whoever
        decides over them has carved one out for it."""
        if pool not in self._shared:
            return
        plan, wanted = self._shared.joined(pool), set(addresses)
        plan.check()
        async with plan.hosts.named():
            claims = [claim for claim, _ in await plan.values.claims(pool.space, pool.subnet)]
            if division(pool.subnet) is not None:
                for seen in (await plan.values.blocks(pool.space, pool.subnet)).values():
                    claims += filter(None, seen.value.carved.values() if seen.value is not None else ())
            for claim in claims:
                if claim.address in wanted and claim.host != plan.member.host:
                    raise taken(claim)

    async def turn(self) -> list[Fault]:
        """Reservations whose claim was lost, as the host was forgotten or its records are old, have one again; what
        could not be done."""
        plan, now = self._shared.plan, self._clock.boot()
        if plan is None or plan.unreached is not None or plan.drained or now < self._tried + AGAIN:
            return []
        self._tried = now
        due = [lease for lease in self._cache.every(Lease) if self._is_due(plan, lease)]
        faults: list[Fault | None] = []
        for start in range(0, len(due), ABREAST):  # each may wait for another host, and whoever comes after for them
            faults += await gather(*(self._tend(plan, lease) for lease in due[start : start + ABREAST]))
        return [fault for fault in faults if fault is not None]

    def _is_due(self, plan: AddressPlan, lease: Lease) -> bool:
        """Whether the claim of the lease may be lost, or the cluster has not said in this boot that it is here."""
        pool = self._cache.pool(lease.pool) if lease.state in (State.RESERVED, State.DYNAMIC) else None
        if pool is None or pool not in self._shared:
            return False
        kept = self._cache.host_claim(pool.space, pool.subnet, lease.address)
        if kept is None or not is_reservations(kept.claim.key):
            return lease.state is State.RESERVED
        return kept.phase is Phase.HELD and kept.known_in != plan.member.boot

    async def _tend(self, plan: AddressPlan, lease: Lease) -> Fault | None:
        """What kept the lease from having its claim."""
        try:
            pool = self._cache.pool(lease.pool)
            kept = self._cache.host_claim(pool.space, pool.subnet, lease.address) if pool is not None else None
            if kept is not None and is_reservations(kept.claim.key):
                await plan.keys.confirm(kept)
            elif pool is not None and await self._is_lost(plan, pool, lease):
                async with self.reserving([lease]):
                    pass
        except Fault as fault:
            fault.hint = f"if it may go, end the reservation with `mooring lease release {lease.address}`"
            return fault
        return None

    async def _is_lost(self, plan: AddressPlan, pool: Pool, lease: Lease) -> bool:
        """Whether the reservation has no claim here, nor keeps one that a key took to another host."""
        kept = self._cache.host_claim(pool.space, pool.subnet, lease.address)
        if kept is None:
            return True
        if kept.phase is not Phase.HELD or kept.claim.key == claimed_for(lease) or await plan.keys.is_here(kept.claim):
            return False  # on its way, or FixedClaims gives it the key
        await plan.claims.release(pool.space, pool.subnet, lease.address, lambda: self._is_as_it_was(kept, lease))
        await plan.claims.settle(kept)
        return self._cache.host_claim(pool.space, pool.subnet, lease.address) is None

    def _is_as_it_was(self, kept: HostClaim, lease: Lease) -> bool:
        """Whether nothing came of the claim or its lease since they were looked at."""
        claim = kept.claim
        now = self._cache.host_claim(claim.space, claim.subnet, claim.address)
        return now == kept and self._cache.lease(claim.space, claim.address) == lease

    def _spec(self, pool: Pool, key: str) -> Spec:
        assert is_reservations(key)
        return replace(self._claims.spec(pool, key, "", key), moves=False)


def _full(pool: Pool, part: Subnet | None) -> Exhausted:
    hint = f"see `mooring lease ls --pool {pool.id}`"
    return Exhausted(f"{part or pool.subnet} is full: no address is free", hint=hint)
