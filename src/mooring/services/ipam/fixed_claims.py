"""Fixed addresses of shared subnets: this host has a claim of each that it keeps for a key, and follows its lease.

Rules: a claim is there before the lease, and goes after it; an address is claimed as in use before whoever starts is
told it, and told as idle when nobody has it any more; what differs after a death is made alike by the next turn, by
the lease.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

from mooring.core.address_claims import AddressClaim, HostClaim, Phase, Spec, alike, claimed_for, taken
from mooring.core.cluster_hosts import Membership
from mooring.core.faults import Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.keys import CONTAINER_KEY, is_ports, is_reservations, outlives
from mooring.core.leases import Lease, State, phase
from mooring.core.networks import Address
from mooring.core.pools import Pool, moves
from mooring.ports import Clock, Cluster
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.ipam.pending_allocations import PendingAllocations
from mooring.services.ipam.shared_pools import SharedPools
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import Record, RecordCache

# Seconds after which a claim that could not be given the key of its lease is looked at again.
AGAIN = 20.0


class FixedClaims:
    """`take` when a container is made, `use` when it starts; `turn` for everything else, a part of the cluster's
    runtime. Build it before the cache is loaded. nudge: called when there is something to do for a turn."""

    def __init__(
        self, cache: RecordCache, shared: SharedPools, promised: PendingAllocations, clock: Clock,
        is_past: Callable[[Lease], bool],
    ) -> None:  # fmt: skip
        """is_past: whether a lease is in use only by what an earlier boot had."""
        self.nudge: Callable[[], None] = lambda: None
        cache.listen(self._heed, Lease)
        self._cache, self._shared, self._promised = cache, shared, promised
        self._clock, self._is_past = clock, is_past
        self._taking = KeyedLocks()
        self._pending: Counter[tuple[str, Address]] = Counter()
        self._tried: dict[tuple[str, Address], float] = {}

    def _heed(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(after, Lease) and after.active is not None:
            # Not before that is on record: a turn in between would take the address for idle, and say so.
            self._promised.end(after.space, after.address)
        kept = isinstance(before, Lease) and (before.state in (State.FIXED, State.RESERVED) or bool(before.whom))
        if not isinstance(before, Lease) or not kept or self._shared.plan is None:
            return
        if not isinstance(after, Lease) or (after.state, after.active) != (before.state, before.active):
            self.nudge()

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """See Part: the plan is all that is needed."""

    async def left(self) -> None:
        """See Part."""

    @contextmanager
    def pending(self, space: str, address: Address) -> Iterator[None]:
        """The claim of the address is made, and the lease is to come: a turn leaves it alone."""
        self._pending[space, address] += 1
        try:
            yield
        finally:
            self._pending[space, address] -= 1
            self._pending += Counter()

    async def take(
        self, pool: Pool, spec: Spec, address: Address | None, named: bool, other_mac: str = ""
    ) -> AddressClaim:  # fmt: skip
        """This host has a claim for the key: of the address that is named, of the one that the key has in the cluster,
        of this host's for it, or of one that is free.

        spec: of the pool. address: the one that is named, or that the key has by this host's records. other_mac: the
        claim's where the key has another address as well. Raises Conflict when it is somebody else's, or in use
        elsewhere, naming holder and host, or this host is drained and would have one more; Exhausted, Unavailable.
        """
        plan = self._shared.joined(pool)
        # One after another for a key: two containers of it that are made at a time have one address.
        async with self._taking.hold(f"{pool.space} {pool.subnet} {spec.key}"), plan.hosts.named():
            return await self._take(plan, pool, spec, address, named, other_mac)

    async def _take(
        self, plan: AddressPlan, pool: Pool, spec: Spec, address: Address | None, named: bool, other_mac: str
    ) -> AddressClaim:  # fmt: skip
        lease = self._cache.lease(pool.space, address) if address is not None else None
        if lease is not None and lease.state in (State.GATEWAY, State.AUXILIARY):
            what = f"address {address} is not free: it is {phase(lease).value}"
            raise Conflict(what, hint="choose another address, or leave the choice to Mooring")
        kept = self._kept(pool, address) if address is not None else None
        if kept is not None and await self._is_here(plan, kept):
            return kept.claim
        plan.check_reached()
        known = await plan.keys.of_key(spec)
        if known is not None and named and known.address != address:
            # As on one host: the key has both, until its containers have left the other one. See `turn`.
            spec, known = replace(spec, key=CONTAINER_KEY + spec.holder, mac=other_mac or spec.mac), None
        if known is not None:
            if known.host != plan.member.host:
                plan.check()
            return await plan.claims.claim(spec, known.address)
        if kept is not None:
            if (theirs := await plan.keys.at(pool.space, pool.subnet, kept.claim.address)) is not None and theirs.host:
                raise taken(theirs)
            await plan.claims.release(pool.space, pool.subnet, kept.claim.address)  # the host was forgotten
        if not spec.boot:  # else it is in use here
            plan.check()
        if address is None:
            return await plan.claim(spec)
        try:
            with self._own(plan, pool, address):
                return await plan.claims.claim(spec, address)
        except Conflict:
            if named:
                raise
            return await plan.claim(spec)

    def spec(self, pool: Pool, key: str, mac: str, holder: str) -> Spec:
        """What a claim is asked for. holder: full container id, or a placeholder."""
        return Spec(pool.space, pool.subnet, self._clock.token(), key, mac, holder, moves(pool) and not is_ports(key))

    async def use(self, lease: Lease) -> Lease:
        """The fixed lease, which may be used here now: its claim says so. What is not shared is as it is.

        Raises Conflict when another host has the address, naming holder and host, Unavailable when the cluster is away
        for so long that another host may.
        """
        pool = self._cache.pool(lease.pool)
        if pool is None or pool not in self._shared:
            return lease
        if lease.state is not State.FIXED:
            await self._shared.check_known(pool, lease.address)
            return lease
        plan = self._shared.joined(pool)
        with self.pending(lease.space, lease.address):
            async with plan.hosts.named():
                try:
                    await self._use(plan, pool, lease)
                except (Conflict, NotFound):
                    spec = self.spec(pool, lease.key, lease.mac, min(lease.holders, default=lease.key))
                    claim = await self.take(pool, spec, lease.address, named=True)
                    if claim.address != lease.address:
                        raise taken(claim) from None
                    await self._use(plan, pool, lease)
        return lease

    async def start(self, lease: Lease) -> Lease:
        """As `use`, of what is promised to who asks already, since the cluster may be waited for: nobody else is told
        it meanwhile. Raises StaleRevision when it was changed meanwhile, too; nothing is promised after a fault."""
        before = self._cache.lease(lease.space, lease.address)
        try:
            await self.use(lease)
            if self._cache.lease(lease.space, lease.address) is not before:
                raise StaleRevision(f"{lease.address}")
        except BaseException:
            self._promised.end(lease.space, lease.address)
            raise
        return lease

    async def _use(self, plan: AddressPlan, pool: Pool, lease: Lease) -> None:
        kept = self._kept(pool, lease.address)
        if kept is None:
            raise NotFound(f"address {lease.address} is not claimed by this host")
        change = partial(alike, lease=lease, host=plan.member.host, moves=moves(pool) and not is_ports(lease.key))
        await plan.claims.use(pool.space, pool.subnet, lease.address, kept.claim.key, change)

    @asynccontextmanager
    async def fixing(self, lease: Lease) -> AsyncIterator[None]:
        """A claim is there for the lease, which is fixed by whoever enters: the address was given here before. It is in
        use where the lease is. What is not shared is as it is. Raises Conflict, Exhausted, Unavailable."""
        pool = self._cache.pool(lease.pool)
        if lease.state is not State.FIXED or pool is None or pool not in self._shared:
            yield
            return
        plan = self._shared.joined(pool)
        with self.pending(lease.space, lease.address):
            async with plan.hosts.named():
                await self._fix(plan, pool, lease)
            yield

    async def adopt(self, pool: Pool, lease: Lease) -> None:
        """A claim is there for the lease, which is fixed on this host, and whose pool is about to be shared. Raises as
        `fixing`."""
        with self.pending(lease.space, lease.address):
            await self._fix(self._shared.joined(pool), pool, lease)

    async def _fix(self, plan: AddressPlan, pool: Pool, lease: Lease) -> None:
        plan.check_reached()
        kept = self._cache.host_claim(pool.space, pool.subnet, lease.address)
        if kept is not None and kept.phase is Phase.HELD:
            if kept.claim.key:  # it follows the lease, unless the key has another one
                known = await plan.keys.of_key(self.spec(pool, lease.key, "", ""))
                if known is not None and known.address != lease.address:
                    what = f"the key {lease.key} has {known.address} in that network"
                    raise Conflict(what, holder=known.held_by(), hint="choose another key")
                return
            # Of a dynamic lease: what comes of it has to be in use, as nobody may be given it now.
            alone = CONTAINER_KEY + min(lease.holders, default=lease.key)
            uses = lease.active is not None
            if not (
                await plan.keys.rekey(kept.claim, lease.key, uses) or await plan.keys.rekey(kept.claim, alone, uses)
            ):
                raise Conflict(f"address {lease.address} is not this host's any more", hint="start the container again")
            return
        spec = self.spec(pool, lease.key, lease.mac, min(lease.holders, default=lease.key))
        boot = plan.member.boot if lease.active is not None else ""
        with plan.blocks.being_claimed.own(lease.space, lease.address):
            claim = await self.take(pool, replace(spec, boot=boot), lease.address, named=True)
            if claim.address != lease.address:
                raise taken(claim)

    def check_used(self, lease: Lease) -> None:
        """The fixed lease is about to be in use. Raises Conflict where its claim does not say that it is so here."""
        pool = self._cache.pool(lease.pool)
        if pool is None or pool not in self._shared:
            return
        kept, plan = self._kept(pool, lease.address), self._shared.joined(pool)
        if kept is None or kept.idle or kept.claim.boot != plan.member.boot:
            raise Conflict(f"address {lease.address} is not this host's any more", hint="start the container again")
        plan.claims.check_alone(kept.claim)
        self._promised.renew(lease.space, lease.address)  # the engine may have come late

    async def turn(self) -> list[Fault]:
        """Claims are as their leases are: released, idle, or of another key; what could not be done."""
        faults: list[Fault] = []
        plan = self._shared.plan
        for kept in self._cache.every(HostClaim) if plan is not None else ():
            if plan is not None and kept.phase is Phase.HELD and kept.claim.key:
                try:
                    await self.follow(plan, kept.claim)
                except Fault as fault:
                    plan.hosts.name_in(fault)
                    faults.append(fault)
        return faults

    async def follow(self, plan: AddressPlan, claim: AddressClaim) -> None:
        """The claim, which this host keeps, is as its lease is. Raises Unavailable."""
        space, subnet, address = claim.space, claim.subnet, claim.address
        if self._lacks_lease(claim):
            await plan.claims.release(space, subnet, address, lambda: self._lacks_lease(claim))
            return
        if self._is_idle(claim):
            await plan.claims.leave(space, subnet, address, lambda: self._is_idle(claim))
        lease = self._cache.lease(space, address)
        now = self._clock.boot()
        key = self._wanted(lease, claim)
        if (
            not key or key == claim.key or (space, address) in self._pending or plan.unreached is not None
            or now < self._tried.get((space, address), float("-inf")) + AGAIN
        ):  # fmt: skip
            return
        self._tried = {place: at for place, at in self._tried.items() if now < at + AGAIN}
        if not await plan.keys.rekey(claim, key):
            self._tried[space, address] = now

    def _wanted(self, lease: Lease | None, claim: AddressClaim) -> str:
        """The key that the claim of the lease is to have, "" where that does not matter: a container's own is written
        with the next use."""
        if lease is None or (lease.state is not State.RESERVED and not lease.whom and lease.state is not State.FIXED):
            return ""
        key = claimed_for(lease)
        counts = outlives(key) or outlives(claim.key) or is_reservations(key) or is_reservations(claim.key)
        return key if counts else ""

    def _lacks_lease(self, claim: AddressClaim) -> bool:
        """Whether nothing is kept here for which the claim is."""
        lease = self._cache.lease(claim.space, claim.address)
        # A dynamic one is being fixed, or was about to be: the address is in use.
        kept = lease is not None and lease.state in (State.FIXED, State.RESERVED, State.DYNAMIC)
        return not kept and (claim.space, claim.address) not in self._pending

    def _is_idle(self, claim: AddressClaim) -> bool:
        """Whether the cluster takes for used here what nobody uses."""
        kept = self._cache.host_claim(claim.space, claim.subnet, claim.address)
        if kept is None or not kept.claim.boot or kept.idle or (claim.space, claim.address) in self._pending:
            return False
        lease = self._cache.lease(claim.space, claim.address)
        if lease is None or lease.state is not State.FIXED:
            return lease is None or lease.state is not State.DYNAMIC
        return (lease.active is None or self._is_past(lease)) and not self._promised.is_promised(lease)

    def _kept(self, pool: Pool, address: Address) -> HostClaim | None:
        """What this host keeps of a claim of the address for a key."""
        kept = self._cache.host_claim(pool.space, pool.subnet, address)
        return kept if kept is not None and kept.phase is Phase.HELD and kept.claim.key else None

    async def _is_here(self, plan: AddressPlan, kept: HostClaim) -> bool:
        """Whether the claim is this host's. Without the cluster it is for so long as no other host can have been given
        it; raises Unavailable after that."""
        if kept.claim.boot == plan.member.boot and not kept.idle:
            return True
        try:
            plan.check_reached()
            return await plan.keys.is_here(kept.claim)
        except Unavailable:
            plan.claims.check_alone(kept.claim)
            return True

    def _own(self, plan: AddressPlan, pool: Pool, address: Address) -> AbstractContextManager[None]:
        """A fixed lease that is here may be claimed for: who may hold it, the records have said."""
        lease = self._cache.lease(pool.space, address)
        if lease is None or lease.state is not State.FIXED:
            return nullcontext()
        return plan.blocks.being_claimed.own(pool.space, address)
