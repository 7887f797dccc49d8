"""What an operator does with addresses by hand: reserve and release; what fixes one is in operations.holds.

Rules: all or nothing, in one commit as far as one goes; who holds what is wanted is named, with the way out; an address
that an endpoint has is never taken from it; with `dry` everything is looked at and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from mooring.core.addresses import address_of, usable
from mooring.core.containers import Holder
from mooring.core.faults import BadRequest, Conflict, Fault, Kind, StaleRevision, Unavailable
from mooring.core.intents import PLACEHOLDER, is_placeholder
from mooring.core.leases import Lease, Place, State
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import Address
from mooring.core.pools import Pool, check_address
from mooring.core.reservations import ending, line, reserved, unreserved, whom_named
from mooring.core.views import Change
from mooring.ports import Clock, Engine
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.ipam.pools import ATTEMPTS, BATCH, contended
from mooring.services.ipam.vnic_addresses import check_no_vnics
from mooring.services.operations.checks import MAKING
from mooring.services.operations.holds import Holds, pool_around
from mooring.services.records.holder_names import holder_names, holder_of, in_words, reservation_in_words
from mooring.services.records.record_cache import Record, RecordCache

# Addresses that one reservation may have.
MOST = 4096


class Reservations:
    """One method for each thing that an operator does. engine: None where there is none."""

    def __init__(
        self, cache: RecordCache, ipam: Ipam, engine: Engine | None, clock: Clock, policy: IpamPolicy, holds: Holds
    ) -> None:
        self._cache = cache
        self._index = ipam.index
        self._fixed_index = ipam.fixed_index
        self._kept_networks = ipam.kept_networks
        self._new_claims = ipam.new_claims
        self._engine = engine
        self._clock = clock
        self._policy = policy
        self._holds = holds

    async def reserve(
        self, space: str | None, first: Address, last: Address, whom: str, note: str, until: float | None, dry: bool
    ) -> list[Change]:
        """The addresses from first to last are for whom it says, until then; those that were so already do not count.

        whom: a container's name, a pattern, or a label selector; "" is nobody. until: seconds since the epoch, None for
        ever. More than 500 addresses are several commits, and a refusal after the first one says how many were done.
        Raises NotFound when no pool has them, Conflict when one is somebody's, BadRequest (also where they are
        VNICs'), Unavailable.
        """
        whom, note = whom_named(whom), line(note, "a note")
        if until is not None:
            ending(until, self._clock.now())
        pool = pool_around(self._cache, space, first)
        check_no_vnics(self._cache, pool)
        left = _run(pool, first, last)
        total, changes, attempts = len(left), list[Change](), ATTEMPTS
        while left:
            try:
                plan = self._planned(pool, left, whom, note, until)
                if dry:
                    await self._new_claims.check_free(pool, [lease.address for _, lease in plan])
                    return [change for change, _ in plan]
                batch = plan[:BATCH]
                await self._write(pool, [lease for _, lease in batch])
            except StaleRevision:
                attempts -= 1
                if not attempts:
                    raise _partly(contended("the reservation"), len(changes), total) from None
                continue
            except Fault as fault:
                raise _partly(fault, len(changes), total) from fault
            changes += [change for change, _ in batch]
            done = {change.address for change, _ in batch}
            left = [address for address in left if address not in done] if len(batch) < len(plan) else []
        return changes

    async def _write(self, pool: Pool, leases: Sequence[Lease]) -> None:
        """They are on record; in a subnet that hosts share this host has a claim of each before. Raises StaleRevision,
        Conflict, Unavailable."""
        before = [self._cache.lease(pool.space, lease.address) for lease in leases]
        async with self._new_claims.reserving(leases):
            for lease, was in zip(leases, before, strict=True):
                if self._cache.lease(pool.space, lease.address) is not was:
                    raise StaleRevision(f"{lease.address}")  # given to somebody while the cluster was asked
            await self._cache.commit(put=leases)

    def _planned(
        self, pool: Pool, addresses: Sequence[Address], whom: str, note: str, until: float | None
    ) -> list[tuple[Change, Lease]]:
        """What has to be written. Raises Conflict, naming the first address that is somebody's."""
        plan: list[tuple[Change, Lease]] = []
        taken: list[str] = []
        for address in addresses:
            before = self._holds.lease_in(pool, address)
            if who := self._has(pool, address, before, whom):
                taken.append(f"{address} by {who}")
                continue
            if taken:
                continue
            after = reserved(before, Place(pool.space, address, pool.id), whom, note, until, self._clock.now())
            if after != before:
                words = in_words(before, self._cache), in_words(after, self._cache)
                plan.append((Change(pool.space, str(address), *words), after))
        if taken:
            more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
            first, _, who = taken[0].partition(" by ")
            raise Conflict(
                f"address {first}{more} cannot be reserved",
                holder=who,
                hint=f"nothing was changed; see `mooring explain {first}`",
            )
        return plan

    def _has(self, pool: Pool, address: Address, lease: Lease | None, whom: str) -> str:
        """Who has the address, "" when it may be reserved for whom it says: also another reservation has it."""
        endpoint = self._index.endpoint(pool, address)
        if lease is not None and lease.state is State.RESERVED and lease.whom != whom:
            return reservation_in_words(lease)
        if lease is not None and lease.state not in (State.COOLING, State.RESERVED):
            if lease.state is State.FIXED and lease.holders:
                return ", ".join(holder_names(lease, self._cache))
            return holder_of(lease, self._cache.endpoint(pool.network, endpoint) if endpoint else None)
        return f"endpoint {endpoint[:12]}" if endpoint else ""

    async def release(self, space: str | None, address: Address, force: bool, dry: bool) -> list[Change]:
        """Nobody has the address by a reservation, a cooldown, or a key whose containers are gone.

        force: also a fixed one whose containers are there, as long as none of them uses it. What is free already is no
        change. Raises Conflict when it is in use or wanted, NotFound when no pool has it, Unavailable.
        """
        self._check_ports(space, address)
        if waiting := [each for each in self._kept_networks.keeping(address) if space in (None, each.space)]:
            if not dry:
                await self._kept_networks.release(address, waiting)
            kept = "kept for a key of the removed network {}"
            return [Change(each.space, str(address), kept.format(each.name), "free") for each in waiting]
        pool = pool_around(self._cache, space, address)
        for _ in range(ATTEMPTS):
            lease = self._cache.lease(pool.space, address)
            if lease is None:
                return []
            self._check_idle(pool, lease, force)
            note = await self._check_unwanted(lease, force)
            if self._cache.lease(pool.space, address) is not lease or self._index.endpoint(pool, address):
                continue  # something happened while the engine was asked
            after = unreserved(lease, self._clock.now(), self._policy.cooldown)
            words = in_words(lease, self._cache), in_words(after, self._cache)
            change = Change(pool.space, str(address), *words, note)
            if dry:
                return [change]
            try:
                gone: list[Record] = [*self._idle_holders(lease), *([] if after is not None else [lease])]
                await self._cache.commit(put=[after] if after is not None else [], delete=gone)
            except StaleRevision:
                continue
            return [change]
        raise contended(f"address {address}")

    def _check_ports(self, space: str | None, address: Address) -> None:
        """Raises Conflict for an address of a network port, whether its network is there or not."""
        for port in self._cache.every(NetworkPort):
            lease = self._cache.lease(port.space, address)
            waits = lease is None and self._cache.network(port.network) is None
            if address not in port.addresses or space not in (None, port.space):
                continue
            if waits or (lease is not None and lease.key == port.key):
                raise Conflict(
                    f"address {address} belongs to a port, and ends with it",
                    holder=f"port {port.in_words()}",
                    hint=f"`mooring port rm {port.id[:12]}`",
                )

    def _check_idle(self, pool: Pool, lease: Lease, force: bool) -> None:
        """Raises Conflict for what ends with its network or its container only."""
        address, network = lease.address, pool.network[:12]
        endpoint = self._index.endpoint(pool, address)
        if lease.state in (State.GATEWAY, State.AUXILIARY):
            what = "the gateway" if lease.state is State.GATEWAY else "an auxiliary address"
            raise Conflict(
                f"address {address} is {what} of its subnet and goes with it",
                holder=f"network {network}" if network else f"pool {pool.id}",
                hint="`docker network rm` frees it",
            )
        who = ", ".join(holder_names(lease, self._cache)) or (f"container {lease.name}" if lease.name else "")
        if endpoint:
            raise Conflict(
                f"address {address} is in use",
                holder=who or f"endpoint {endpoint[:12]} of network {network}",
                hint=f"stop that container first; see `mooring explain {address}`",
            )
        if lease.state is State.DYNAMIC:
            hint = "Mooring releases it within minutes if nothing uses it" if network else "stop that container"
            raise Conflict(
                f"address {address} was given to a container that is starting, or that only Docker knows",
                holder=holder_of(lease, None),
                hint=hint,
            )
        if lease.active is not None and lease.active.host != self._policy.host:
            raise Conflict(
                f"address {address} is in use on another host",
                holder=f"endpoint {lease.active.endpoint[:12]} on host {lease.active.host}",
                hint="stop that container there first",
            )
        if lease.active is not None and not force:
            raise Conflict(
                f"address {address} is recorded as in use by an endpoint that does not exist",
                holder=f"endpoint {lease.active.endpoint[:12]}",
                hint="if no container has it, release it with --force",
            )

    async def _check_unwanted(self, lease: Lease, force: bool) -> str:
        """Raises Conflict when a container wants the address; with force, what it means that one does."""
        if not force or not self._is_forgotten(lease):
            self._check_pending(lease)
        if force:
            names = ", ".join(holder_names(lease, self._cache))
            return f"if {names} still exists and its configuration has it, it asks for it again" if names else ""
        living, strange = await self._living(lease)
        if strange:
            raise Conflict(
                f"address {lease.address} is fixed for containers of another Docker engine than the one at the socket",
                holder=", ".join(strange),
                hint="if that engine is gone for good, release it with --force",
            )
        if living:
            raise Conflict(
                f"address {lease.address} is fixed",
                holder=", ".join(living),
                hint="remove that container (`docker rm`), or release it anyway with --force",
            )
        return ""

    def _check_pending(self, lease: Lease) -> None:
        if any(is_placeholder(holder) for holder in lease.holders):
            what = f"address {lease.address} is assigned to a container that is being created"
            raise Conflict(
                what, hint="if its client has gone, Mooring asks Docker what became of it: try again in half a minute"
            )

    def _is_forgotten(self, lease: Lease) -> bool:
        """Whether whatever promised the lease was begun so long ago that nobody waits for it."""
        intents = [self._cache.intent(each.removeprefix(PLACEHOLDER)) for each in lease.holders if is_placeholder(each)]
        return all(intent is None or self._clock.now() - intent.created > MAKING for intent in intents)

    async def _living(self, lease: Lease) -> tuple[list[str], list[str]]:
        """Names of the holders that are there, and of those that the engine cannot know. Raises Unavailable."""
        living: list[str] = []
        strange: list[str] = []
        if not lease.holders:
            return living, strange
        if self._engine is None:
            return living, holder_names(lease, self._cache)
        identity = await self._engine.identity()
        for holder in sorted(lease.holders):
            known = self._cache.holder(holder)
            name = f"container {known.name}" if known is not None and known.name else f"container {holder[:12]}"
            if await self._engine.container(holder) is not None:  # also when the engine has got another id
                living.append(name)
            elif known is not None and known.engine != identity:
                strange.append(f"{name} of engine {known.engine[:12]}")
        return living, strange

    def _idle_holders(self, lease: Lease) -> list[Holder]:
        """The holders that hold nothing without the lease."""
        known = [self._cache.holder(each) for each in sorted(lease.holders)]
        return [each for each in known if each is not None and self._fixed_index.of_holder(each.id) == [lease]]

    async def hold(self, space: str | None, address: Address, key: str, hold: float | None, dry: bool) -> list[Change]:
        """As operations.holds."""
        return await self._holds.hold(space, address, key, hold, dry)


def _run(pool: Pool, first: Address, last: Address) -> list[Address]:
    """The addresses from first to last that can be given. Raises BadRequest when they are not all of the pool."""
    if first.version != last.version or int(last) < int(first):
        raise BadRequest(f"{first}-{last} is not a range", hint="write the lower address first")
    if last not in pool.subnet:
        raise BadRequest(f"{first}-{last} is not within one pool: {first} is in {pool.subnet}")
    if int(last) - int(first) >= MOST:
        raise BadRequest(f"{first}-{last} has more than {MOST} addresses", hint="reserve a part of it")
    if first == last:
        check_address(pool.subnet, first)
    start, end = usable(pool.subnet)
    numbers = range(max(int(first), start), min(int(last) + 1, end))
    return [address_of(first.version, number) for number in numbers]


def _partly(fault: Fault, done: int, total: int) -> Fault:
    """The fault, and what was done before it."""
    if not done:
        return fault
    text = f"{done} of {total} addresses were reserved, the others were not: {fault}"
    return Conflict(text) if fault.kind is Kind.CONFLICT else Unavailable(text)
