"""Addresses: who gets which, durable before it is answered. Which is next: core.addresses; cooling: core.leases.

Rules: every change is one commit that expects what was read, and is decided anew when another writer was first; what
was already given is given again, and what is not held is released with success; an answer names the prefix length of
the pool that the address came from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import msgspec

from mooring.core.addresses import address_of, interface
from mooring.core.claims import appointed, given, proven, set_aside, started
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Exhausted, StaleRevision
from mooring.core.leases import (
    Active,
    Claimant,
    Event,
    Lease,
    Place,
    State,
    at_rest,
    ended,
    holder,
    is_over,
    may_take,
    released,
)
from mooring.core.networks import Address, Interface, Network, Subnet
from mooring.core.pools import Pool, check_address
from mooring.core.requests import AddressRequest, PoolGrant, PoolRequest, Role
from mooring.ports import Clock
from mooring.services.ipam.fixed_claims import FixedClaims
from mooring.services.ipam.host_addresses import HostAddresses, HostNetworks
from mooring.services.ipam.new_claims import NewClaims
from mooring.services.ipam.pending_allocations import PendingAllocations
from mooring.services.ipam.pool_ids import PoolNames
from mooring.services.ipam.pools import ATTEMPTS, BATCH, Draft, IpamPolicy, Pools, contended
from mooring.services.ipam.shared_pools import SharedPools
from mooring.services.ipam.vnic_addresses import VnicAddresses
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.holder_names import way_out_of_use
from mooring.services.records.record_cache import Record, RecordCache

__all__ = ["ATTEMPTS", "Ipam", "IpamPolicy"]

T = TypeVar("T")


class Ipam:
    """The IPAM driver's use cases. Build it before the cache is loaded."""

    def __init__(
        self, cache: RecordCache, clock: Clock, policy: IpamPolicy, host_networks: HostNetworks,
        elsewhere: Callable[[], Iterable[Subnet]] = tuple,
    ) -> None:  # fmt: skip
        """elsewhere: as ipam.pools has it."""
        self._cache, self._clock, self._policy = cache, clock, policy
        index = self._index = self.index = AddressIndex(cache)
        self.fixed_index = FixedIndex(cache)
        self.names = PoolNames(cache)
        self._vnic_addresses = VnicAddresses(cache)
        self.vnics = self._vnic_addresses.index
        self.pending_allocations = PendingAllocations(self.fixed_index, clock, self._is_of_the_past)
        self.shared = SharedPools(cache, self._index, clock)
        self.fixed_claims = FixedClaims(cache, self.shared, self.pending_allocations, clock, self._is_of_the_past)
        self.new_claims = NewClaims(cache, index, self.shared, self.fixed_claims, clock)
        self.host = HostAddresses(host_networks, self._index)
        pools = self._subnets = Pools(cache, self._index, self.fixed_index, clock, policy, self.host, elsewhere)
        self.kept_networks, self.may_return, self.around = pools.kept_networks, pools.may_return, pools.around
        self.subnet_pools, self.deny_list, self.check_subnet = pools.subnet_pools, pools.deny_list, pools.check_subnet

    @property
    def requires_mac(self) -> bool:
        """It proves that an address which is asked for twice is one request."""
        return True

    async def default_space(self) -> str:
        """Where pools are when nobody names a tenant."""
        return "default"

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """A pool with a new id exists, and its gateway is leased unless the options say `gateway=none`.

        Raises BadRequest for what no network can have, Conflict for an overlap with a pool of the space, Forbidden for
        the deny list, Exhausted when there is no subnet left, Unavailable.
        """
        return await self._subnets.request_pool(self._vnic_addresses.of_tenant(request))

    def drafted_pool(self, request: PoolRequest, network_id: str) -> AbstractAsyncContextManager[Draft]:
        """A pool of the network as `request_pool` would make it, for whoever enters to commit, together with what else
        belongs to it; until he leaves, nobody makes another one. With an exception he leaves nothing of it.

        Raises the same.
        """
        return self._subnets.drafted(request, network_id)

    async def release_pool(self, pool_id: str) -> None:
        """The pool and every lease of it are gone; an unknown one is gone already. Raises as `Pools.release_pool`."""
        await self._subnets.release_pool(self.names.bound(pool_id))

    async def request_address(self, request: AddressRequest) -> Interface:
        """The address is leased; with the prefix length of the subnet that it is from.

        Raises NotFound for an unknown pool, BadRequest for an address that cannot be in it, Conflict when somebody else
        has it, Exhausted when nothing is left, Unavailable.
        """
        request = replace(request, pool=await self.names.resolve(request.pool, request.address))
        request = self._vnic_addresses.of_vnic(request)
        await self.host.refresh()
        if request.role is Role.GATEWAY:
            return await self._decide(request.pool, partial(self._appoint, request))
        self._index.check_room(request)
        if request.address is None:
            if request.role is Role.AUXILIARY:
                raise BadRequest("an auxiliary address must be named", hint="give it with --aux-address NAME=ADDRESS")
            tries = iter(range(ATTEMPTS))
            while True:  # others who wait may be given what there is, each time
                try:
                    return await self._decide(request.pool, partial(self._choose, request))
                except Exhausted:
                    if (pool := self._pool(request.pool)) not in self.shared or next(tries, None) is None:
                        raise
                if (address := await self.shared.room(pool, request)) is not None:
                    return await self._decide(request.pool, partial(self._give, request, address))
        return await self._decide(request.pool, partial(self._give, request, request.address))

    @asynccontextmanager
    async def held_address(self, request: AddressRequest) -> AsyncIterator[Interface]:
        """The address that `request_address` would choose. It is not on record, but nobody else is given it until this
        is left, by when `confirm` and a commit have made it an endpoint's. Raises the same."""
        await self.host.refresh()
        self._index.check_room(request)
        pool = self._pool(request.pool)
        if (known := self._known(pool, request)) is not None:
            yield self._answer(await self.fixed_claims.start(known))
            return
        with self._held(pool, request.exact) as (origin, address):
            yield interface(address.version, int(address), origin.subnet.prefixlen)

    async def release_address(self, pool_id: str, address: Address) -> None:
        """Nobody uses the address: a dynamic one cools, a gateway or auxiliary one is free, a fixed one is idle.

        What is not leased, or not from this pool or its siblings, is left as it is: success. So is an address that an
        endpoint still has: the release is late, and meant somebody before. Raises Unavailable.
        """
        self._index.let_in(address)
        pool_id = await self.names.resolve(pool_id, address)
        await self._decide(pool_id, partial(self._release, pool_id, address))

    def confirm(self, network: Network, endpoint: Endpoint, inherited: frozenset[Address]) -> list[Lease]:
        """The leases of the endpoint's addresses as they must be when it is recorded, to be written with it.

        A lease that has cooled or gone since Docker was told the address is taken again, and so is one inherited from
        a dead endpoint. Raises Conflict when somebody else has it. Addresses of other IPAM drivers have no lease here.
        """
        leases, now = list[Lease](), self._clock.now()
        for address in endpoint.addresses:
            segment = network.segment_of(address)
            pool = self._cache.pool(segment.pool) if segment is not None else None
            if pool is None:
                continue
            lease = self._cache.lease(pool.space, address)
            if lease is not None and self._cache.pool(lease.pool) is None:
                lease = None  # left over
            stranger = lease is not None and lease.mac not in ("", endpoint.mac)
            free = lease is None or lease.state is State.COOLING
            if free:
                self.shared.check_give(pool, address, endpoint.mac)
            if free or (lease is not None and lease.state is State.DYNAMIC and stranger and address in inherited):
                leases.append(given(lease, Place(pool.space, address, pool.id), now, endpoint.mac))
            elif lease is not None and lease.state is State.DYNAMIC and not stranger:
                leases.append(lease)
            elif lease is not None and lease.state is State.FIXED:
                self.fixed_claims.check_used(lease)
                leases.append(started(lease, Active(endpoint.id, self._policy.host, self._policy.boot)))
            elif lease is not None:
                raise Conflict(
                    f"address {address} has been given to another container in the meantime",
                    holder=holder(lease),
                    hint="start the container again",
                )
        return leases

    def without_endpoint(self, network: Network, endpoint: Endpoint) -> tuple[list[Lease], list[Lease]]:
        """The endpoint's leases as they are without it, and those that are gone, to be written when it is deleted."""
        after, gone = list[Lease](), list[Lease]()
        for address in endpoint.addresses:
            segment = network.segment_of(address)
            pool = self._cache.pool(segment.pool) if segment is not None else None
            lease = self._cache.lease(pool.space, address) if pool is not None else None
            if lease is None:
                continue
            if (left := released(lease, self._clock.now(), self._policy.cooldown)) is None:
                gone.append(lease)
            elif left is not lease:
                after.append(left)
        return after, gone

    async def sweep(self) -> int:
        """Cooldowns, reservations and hold times that are over have ended, and so have leases without a pool.

        Returns how many; a record that another writer changed meanwhile is left to the next sweep. Raises Unavailable.
        """
        count, leftovers = 0, self._index.leftovers()
        while True:
            dropped, over = leftovers[:BATCH], self._index.over(self._clock.now(), BATCH)
            del leftovers[:BATCH]
            if not (due := [*dropped, *over]):
                return count
            for lease in dropped:
                ended(lease, Event.DROP)
            for lease in over:
                ended(lease, Event.EXPIRE)
            try:
                await self._cache.commit(delete=due)
            except BaseException as error:
                for lease in due:
                    self._index.note_end(lease)
                if not isinstance(error, StaleRevision):
                    raise
                continue
            count += len(due)

    def is_in_use(self, pool_id: str) -> bool:
        """Whether the pool has addresses that were given to endpoints, or that something is to get again."""
        idle = (State.GATEWAY, State.AUXILIARY, State.COOLING)
        return any(count for state, count in self._index.counts(pool_id).items() if state not in idle)

    async def _decide(self, pool_id: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt answers; it is made again when another writer was first, a bounded number of times."""
        for _ in range(ATTEMPTS):
            try:
                return await attempt()
            except StaleRevision:
                continue
        raise contended(f"pool {pool_id}")

    async def _choose(self, request: AddressRequest) -> Interface:
        pool = self._pool(request.pool)
        if (known := self._known(pool, request)) is not None:
            return self._answer(await self.fixed_claims.start(known))
        with self._held(pool, request.exact) as (origin, address):
            lease = self._lease(origin, address)
            place = Place(origin.space, address, origin.id)
            await self._grant(given(lease, place, self._clock.now(), request.mac, request.name, Event.CHOOSE))
        return interface(address.version, int(address), origin.subnet.prefixlen)

    def _known(self, pool: Pool, request: AddressRequest) -> Lease | None:
        """What waits for who asks, or was given to him before. Raises Conflict when somebody uses what waits."""
        if (mine := self.pending_allocations.awaited(pool, request)) is not None:
            self._index.check_use(mine.address)
            self.pending_allocations.make(mine, request)
            return mine
        again = self._index.given_before(pool, request.mac, request.name) if request.mac or request.name else None
        return again if again is not None and not self._index.kept_out(again.address) else None

    @contextmanager
    def _held(self, pool: Pool, exact: bool) -> Iterator[tuple[Pool, Address]]:
        """The next address and the pool that it is from, which nobody else is given meanwhile. Raises Exhausted."""
        chosen = self._index.choose(pool, exact)
        if chosen is None:
            raise self._index.exhausted(pool)
        origin, number = chosen
        try:
            yield origin, address_of(origin.subnet.version, number)
        finally:
            # From here on only the record counts, also when the commit failed or this task was cancelled.
            self._index.unhold(origin.id, number)

    async def _give(self, request: AddressRequest, address: Address) -> Interface:
        pool = self._pool(request.pool)
        await self.shared.check_known(pool, address)
        check_address(pool.subnet, address)
        self._index.check_use(address, aside=request.role is Role.AUXILIARY)
        number = int(address)
        answer = interface(address.version, number, pool.subnet.prefixlen)
        lease, place = self._lease(pool, address), Place(pool.space, address, pool.id)
        if request.role is Role.AUXILIARY:
            if lease is not None and lease.state is State.AUXILIARY and lease.pool == pool.id:
                return answer
            self._check_free(pool, address, lease, Claimant())
            after = set_aside(lease, place, self._clock.now())
        else:
            asked = lease
            if lease is not None and lease.state is State.FIXED:
                asked = proven(lease, self.fixed_index.proof(lease))
            self._check_free(pool, address, asked, self.pending_allocations.claimant(lease, request))
            if lease is not None and lease.state in (State.DYNAMIC, State.FIXED):
                if lease.state is State.FIXED:
                    self.pending_allocations.make(lease, request)
                    await self.fixed_claims.start(lease)
                return answer
            if not self.shared.may_give(pool, address, request.mac or request.name):
                await self.shared.claim(pool, request, address)
            after = given(lease, place, self._clock.now(), request.mac, request.name)
        occupancy = self._index.of(pool.id)
        occupancy.hold(number)
        try:
            await self._grant(after)
        finally:
            occupancy.unhold(number)
        return answer

    async def _appoint(self, request: AddressRequest) -> Interface:
        pool = self._pool(request.pool)
        address = request.address or pool.gateway or self._subnets.first_free(pool.space, pool.subnet)
        check_address(pool.subnet, address)
        answer = interface(address.version, int(address), pool.subnet.prefixlen)
        lease = self._lease(pool, address)
        if pool.gateway == address and lease is not None and lease.state is State.GATEWAY:
            return answer
        self._index.check_use(address)
        self._check_free(pool, address, lease, Claimant())
        put: list[Record] = [
            msgspec.structs.replace(pool, gateway=address),
            appointed(lease, Place(pool.space, address, pool.id), self._clock.now()),
        ]
        gone: list[Record] = []
        before = self._lease(pool, pool.gateway) if pool.gateway is not None and pool.gateway != address else None
        if before is not None and before.state is State.GATEWAY and before.pool == pool.id:
            ended(before, Event.RELEASE)
            gone.append(before)
        await self._cache.commit(put=put, delete=gone)
        return answer

    async def _release(self, pool_id: str, address: Address) -> None:
        pool = self._cache.pool(pool_id)
        lease = self._cache.lease(pool.space, address) if pool is not None else None
        if pool is None or lease is None or not self._index.is_sibling(pool, lease.pool):
            return
        if self._index.endpoint(pool, address):
            return
        self.pending_allocations.end(pool.space, address)
        after = released(lease, self._clock.now(), self._policy.cooldown)
        if after is lease:
            return
        origin = self._cache.pool(lease.pool)
        if origin is not None and lease.state is State.DYNAMIC and (after is None or after.state is State.COOLING):
            await self.shared.release(origin, address)
        if after is not None:
            await self._cache.commit(put=[after])
        elif origin is not None and origin.gateway == address:
            await self._cache.commit(put=[msgspec.structs.replace(origin, gateway=None)], delete=[lease])
        else:
            await self._cache.commit(delete=[lease])

    async def _grant(self, lease: Lease) -> None:
        """The lease is durable, and its pool is still there. Raises NotFound when that went meanwhile."""
        await self._cache.commit(put=(lease,))
        if not self._subnets.is_open(lease.pool):
            if self._cache.lease(lease.space, lease.address) is lease:
                ended(lease, Event.DROP)
                await self._cache.commit(delete=(lease,))
            raise self.names.unknown(lease.pool)

    def _pool(self, pool_id: str) -> Pool:
        pool = self._cache.pool(pool_id)
        if pool is None or not self._subnets.is_open(pool_id):
            raise self.names.unknown(pool_id)
        return pool

    def _lease(self, pool: Pool, address: Address) -> Lease | None:
        """The lease of the address; one whose pool is gone or whose time is over counts for nothing."""
        lease = self._cache.lease(pool.space, address)
        if lease is None or self._cache.pool(lease.pool) is None or is_over(lease, self._clock.now()):
            return None
        # Nothing is in use any more that was before this host's last boot.
        return at_rest(lease) if self._is_of_the_past(lease) else lease

    def _is_of_the_past(self, lease: Lease) -> bool:
        active = lease.active
        return active is not None and active.host == self._policy.host and active.boot != self._policy.boot

    def _answer(self, lease: Lease) -> Interface:
        return interface(lease.address.version, int(lease.address), self._pool(lease.pool).subnet.prefixlen)

    def _check_free(self, pool: Pool, address: Address, lease: Lease | None, claimant: Claimant) -> None:
        """Raises Conflict unless whoever names the address may have it."""
        verdict = may_take(lease, claimant, self._policy.claim_policy(pool), self._clock.now())
        endpoint = self._index.endpoint(pool, address)
        known = self._cache.lease(pool.space, address)
        if endpoint and not (known is not None and self._is_of_the_past(known)):
            raise Conflict(
                f"address {address} of pool {pool.id} is in use",
                holder=self._index.called(pool.network, endpoint),
                hint=way_out_of_use(address),
            )
        if not verdict.allowed:
            what = f"address {address} of pool {pool.id} is not free: {verdict.rule}"
            raise Conflict(what, holder=verdict.holder, hint=verdict.hint)
