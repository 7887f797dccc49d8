"""Addresses for whoever has an id, and no need to be a container: allocated, claimed, looked up and released by id, as
Weave Net's IPAM did it over HTTP.

Rules: such an address is a reservation, so that nothing else is given it, whoever asks; with `check_alive` it is for
one container of the engine and ends with it, otherwise it ends when it is released, or with its network; an id has one
address of a subnet, however often it asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mooring.core.addresses import interface
from mooring.core.containers import Container, Holder
from mooring.core.faults import BadRequest, Conflict, Exhausted, NotFound, StaleRevision, Unavailable
from mooring.core.leases import Lease, Place, State, is_over
from mooring.core.networks import Address, Interface, Network, Subnet
from mooring.core.pools import Pool, check_address
from mooring.core.reservations import reserved, reserved_later, without_reservation
from mooring.core.subnet_pools import covers
from mooring.core.views import AddressOwner
from mooring.core.whom import HOST, container_of, for_container, id_given, is_one
from mooring.ports import Clock, Engine
from mooring.services.ipam.allocator import Ipam
from mooring.services.ipam.pools import ATTEMPTS, contended
from mooring.services.ipam.vnic_addresses import check_no_vnics, network_of_vnics
from mooring.services.operations.holds import Holds, pool_around
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.holder_names import holder_names, holder_of, reservation_in_words
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import Record, RecordCache

# Characters of the beginning of a container's id that stand for it: as many as Docker shows.
SHORT_ID = 12
# Seconds after which somebody who waits is looked after: whether he is there still.
LOOK_UP = 1.0


@dataclass(frozen=True, slots=True)
class Where:
    """In which subnet: one of a network's, or a part of one. network: as people write it. "" and None: not said."""

    subnet: Subnet | None = None
    network: str = ""
    space: str = ""


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who has the id. whom: what is reserved for it is for this. called: everything that means it."""

    whom: str
    called: frozenset[str]
    container: Container | None = None


_HOST = _Owner(HOST, frozenset({HOST}))


class AddressesById:
    """One method for each thing that is asked by id. Build it before the cache is loaded. engine: None for none."""

    def __init__(
        self,
        cache: RecordCache,
        ipam: Ipam,
        engine: Engine | None,
        clock: Clock,
        holds: Holds,
        names: Callable[[], Awaitable[EngineNames]],
    ) -> None:
        self._cache = cache
        self._index, self._fixed_index, self._host = ipam.index, ipam.fixed_index, ipam.host
        self._new_claims = ipam.new_claims
        self._engine = engine
        self._clock = clock
        self._holds = holds
        self._names = names
        self._turns = KeyedLocks()  # of networks: one may wait for the cluster
        self._room = asyncio.Event()
        cache.listen(self._follow, Lease, Pool)

    async def allocate(
        self, ident: str, where: Where, *, check_alive: bool, wait: float, hung_up: asyncio.Event
    ) -> Interface:
        """The id has an address of the subnet: the one that it had already, or a free one.

        wait: seconds that it waits for one when there is none; less, when whoever asks has hung up. Raises NotFound for
        no such subnet, Conflict for several, Exhausted, BadRequest, Unavailable; with check_alive NotFound and Conflict
        when no container of that id runs.
        """
        owner = await self._owner(ident, check_alive)
        full: Exhausted | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(wait or None):
                while True:
                    room = self._room
                    try:
                        return await self._allocate(owner, where)
                    except Exhausted as fault:
                        full = fault
                    if not wait:
                        break
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_UP):
                            await room.wait()
                    if hung_up.is_set():
                        break
        raise full or contended("the subnet")

    async def _allocate(self, owner: _Owner, where: Where) -> Interface:
        pools = await self._pools(where)
        await self._host.refresh()
        async with self._turns.hold(pools[0].network or pools[0].id):  # no revision guards "the id has none there yet"
            for _ in range(ATTEMPTS):
                mine = [lease for lease in self._reserved(owner) if _is_in(lease, pools, where)]
                if mine:
                    return self._interface(mine[0])
                with suppress(StaleRevision):
                    return await self._choose(pools, where.subnet, owner)
            raise contended(f"pool {pools[0].id}")

    async def _choose(self, pools: Sequence[Pool], part: Subnet | None, owner: _Owner) -> Interface:
        full: Exhausted | None = None
        for pool in pools:
            try:
                async with self._new_claims.free(pool, part, owner.whom) as address:
                    await self._reserve(pool, address, self._holds.lease_in(pool, address), owner)
            except Exhausted as fault:
                full = fault
                continue
            if self._cache.pool(pool.id) is None:
                raise NotFound(f"subnet {pool.subnet} is gone", hint="`mooring network ls` lists those there are")
            return interface(address.version, int(address), pool.subnet.prefixlen)
        if len(pools) == 1 and full is not None:
            raise full
        subnets = part or ", ".join(str(pool.subnet) for pool in pools)
        raise Exhausted(f"{subnets} is full: no address is free", hint=f"see `mooring lease ls --pool {pools[0].id}`")

    async def claim(
        self, ident: str, asked: Interface, where: Where, *, check_alive: bool, no_error_on_unknown: bool
    ) -> None:
        """The id has this address, as an interface would have it.

        no_error_on_unknown: an address of none of our subnets is nobody's, and that is no error. Raises NotFound for
        one otherwise, Conflict when somebody else has it, naming him; BadRequest, Unavailable; as allocate with
        check_alive.
        """
        owner = await self._owner(ident, check_alive)
        try:
            pool = pool_around(self._cache, where.space or None, asked.ip)
        except NotFound:
            if no_error_on_unknown:
                return None
            raise
        return await self._claim(owner, pool, asked)

    async def _claim(self, owner: _Owner, pool: Pool, asked: Interface) -> None:
        if asked.network.prefixlen != pool.subnet.prefixlen:
            raise BadRequest(f"{asked} is not as its subnet is", hint=f"write {asked.ip}/{pool.subnet.prefixlen}")
        check_address(pool.subnet, asked.ip)
        check_no_vnics(self._cache, pool)
        await self._host.refresh()
        async with self._turns.hold(pool.network or pool.id):
            for _ in range(ATTEMPTS):
                lease = self._holds.lease_in(pool, asked.ip)
                if lease is not None and lease.whom and lease.whom in owner.called:
                    return None
                self._check_free(pool, asked.ip, lease, owner)
                with suppress(StaleRevision):
                    return await self._reserve(pool, asked.ip, lease, owner)
            raise contended(f"address {asked.ip}")

    def _check_free(self, pool: Pool, address: Address, lease: Lease | None, owner: _Owner) -> None:
        """Raises Conflict when somebody else than the owner has the address."""
        container = owner.container
        if container is not None and any(
            each.network == pool.network and address in each.held for each in container.endpoints
        ):
            return
        endpoint = self._index.endpoint(pool, address)
        who = self._index.called(pool.network, endpoint) if endpoint else ""
        if lease is not None and lease.state is not State.COOLING:
            who = self._who_has(lease) if not who or lease.state is State.FIXED else who
        if who:
            raise Conflict(f"address {address} is not free", holder=who, hint=f"see `mooring explain {address}`")
        self._index.check_use(address)

    def _who_has(self, lease: Lease) -> str:
        if lease.state is State.RESERVED:
            return reservation_in_words(lease)
        return ", ".join(holder_names(lease, self._cache)) or holder_of(lease, None)

    async def _reserve(self, pool: Pool, address: Address, lease: Lease | None, owner: _Owner) -> None:
        """The address is the owner's. Raises StaleRevision, Unavailable."""
        container, now = owner.container, self._clock.now()
        mine = container if owner.whom == for_container(container.id if container else "") else None
        note = mine.name if mine is not None else ""
        if lease is not None and lease.state in (State.DYNAMIC, State.FIXED):
            after = reserved_later(lease, owner.whom, note)
        else:
            after = reserved(lease, Place(pool.space, address, pool.id), owner.whom, note, None, now)
        put: list[Record] = [after]
        if mine is not None and self._cache.holder(mine.id) is None:
            assert self._engine is not None  # it has told the container
            put.append(Holder(id=mine.id, engine=await self._engine.identity(), name=mine.name, since=now))
        async with self._new_claims.reserving([after]):
            if self._holds.lease_in(pool, address) is not lease:
                raise StaleRevision(f"{address}")  # given to somebody while the cluster was asked
            await self._cache.commit(put=put)

    async def allocate_for_host(self, network: Network, subnet: Subnet) -> Interface:
        """The host has an address of the network's subnet, on record. Raises as allocate."""
        return await self._allocate(_HOST, Where(subnet, network.id))

    async def claim_for_host(self, network: Network, address: Address) -> None:
        """The host has this address of the network, on record. Raises as claim, BadRequest for one of another."""
        for pool in self._cache.every(Pool):
            if pool.network == network.id and address in pool.subnet:
                asked = interface(address.version, int(address), pool.subnet.prefixlen)
                return await self._claim(_HOST, pool, asked)
        raise BadRequest(f"address {address} is not in the network, or another IPAM driver gives its addresses")

    async def release_for_host(self, network: Network, addresses: Sequence[Address]) -> None:
        """These are not the host's any more. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            mine = self._fixed_index.reserved_for(HOST)
            gone = [each for each in mine if each.address in addresses and self._network_of(each) == network.id]
            left = [rest for each in gone if (rest := without_reservation(each)) is not None]
            with suppress(StaleRevision):
                await self._cache.commit(put=left, delete=[each for each in gone if each.state is State.RESERVED])
                return
        raise contended("the addresses of the host")

    async def look_up(self, ident: str, where: Where) -> list[Interface]:
        """The addresses of the id, by address space and address; those that the container of that id has as well.

        Raises NotFound when there are none, or no such network; Conflict, BadRequest, Unavailable.
        """
        owner = await self._owner(ident, False)
        network = network_meant(where.network, self._cache, await self._names()).id if where.network else ""
        found = {(lease.space, lease.address): lease for lease in self._all_of(owner)}
        mine = [
            lease
            for lease in found.values()
            if where.space in ("", lease.space)
            and (where.subnet is None or lease.address in where.subnet)
            and (not network or self._network_of(lease) == network)
        ]
        if not mine:
            raise NotFound(f"{ident} has no address here", hint="`mooring ip ls` lists who has some")
        ordered = sorted(mine, key=lambda each: (each.space, each.address.version, int(each.address)))
        return [self._interface(lease) for lease in ordered]

    def _network_of(self, lease: Lease) -> str:
        pool = self._cache.pool(lease.pool)
        return pool.network if pool is not None else ""

    def _all_of(self, owner: _Owner) -> list[Lease]:
        found = self._reserved(owner)
        if (container := owner.container) is not None:
            found += self._fixed_index.of_holder(container.id)
            for each in container.endpoints:
                network = self._cache.network(each.network) if each.network else None
                for address in each.held if network is not None else ():
                    segment = network.segment_of(address) if network is not None else None
                    lease = self._cache.lease(segment.space, address) if segment is not None else None
                    found += [lease] if lease is not None else []
        return found

    async def release(self, ident: str, address: Address | None, where: Where) -> list[Address]:
        """Nothing is reserved for the id any more, or not this address; whoever uses one has it until he lets it go.

        Raises NotFound when the id has none, Conflict when somebody else has the address, Unavailable.
        """
        owner = await self._owner(ident, False)
        for _ in range(ATTEMPTS):
            mine = [
                lease
                for lease in self._reserved(owner)
                if address in (None, lease.address) and where.space in ("", lease.space)
            ]
            if not mine:
                raise self._not_reserved(ident, address, where)
            left = {lease: without_reservation(lease) for lease in mine}
            with suppress(StaleRevision):
                put = [after for after in left.values() if after is not None]
                await self._cache.commit(put=put, delete=[lease for lease, after in left.items() if after is None])
                return [lease.address for lease in mine]
        raise contended(f"the addresses of {ident}")

    def _not_reserved(self, ident: str, address: Address | None, where: Where) -> NotFound | Conflict:
        what = f"{ident} has no address to release" if address is None else f"{address} is not an address of {ident}"
        leases = [lease for lease in self._cache.every(Lease) if lease.address == address] if address else []
        for lease in leases:
            if where.space in ("", lease.space) and lease.state is not State.COOLING:
                return Conflict(what, holder=self._who_has(lease), hint=f"see `mooring explain {address}`")
        return NotFound(what, hint="`mooring ip ls` lists who has some")

    def owners(self) -> list[AddressOwner]:
        """Every id that has addresses, containers among them by their full ids."""
        found = []
        for whom in self._fixed_index.reserved():
            leases = self._fixed_index.reserved_for(whom)
            if is_one(whom):
                name = leases[0].note if container_of(whom) else ""
                addresses = [str(self._interface(lease)) for lease in leases]
                found.append(AddressOwner(container_of(whom) or whom, addresses, name))
        return found

    def _reserved(self, owner: _Owner) -> list[Lease]:
        """What is reserved for the owner, not over, and has its subnet still, by address."""
        found = [lease for whom in sorted(owner.called) for lease in self._fixed_index.reserved_for(whom)]
        now = self._clock.now()
        return [lease for lease in found if self._cache.pool(lease.pool) is not None and not is_over(lease, now)]

    async def _owner(self, ident: str, alive: bool) -> _Owner:
        """Who has the id. alive: it must be that of a container that runs. Raises BadRequest, NotFound, Conflict."""
        id_given(ident)
        container = await self._container(ident, alive)
        if container is None:
            if alive:
                raise NotFound(
                    f"Docker has no container {ident}", hint="leave check-alive out for an ID of another kind"
                )
            # While the engine does not answer: by what is on record.
            known = [whom for whom in self._fixed_index.reserved() if _stands_for(ident, container_of(whom))]
            return _Owner(ident, frozenset({ident, *known}))
        if alive and not container.running:
            raise Conflict(f"container {container.name} is not running", hint=f"`docker start {container.name}`")
        whom = for_container(container.id)
        called = frozenset({ident, whom, container.name, container.id})
        return _Owner(whom if alive else ident, called, container)

    async def _container(self, ident: str, alive: bool) -> Container | None:
        """The container whose id or name it is. Raises Unavailable when it must be known."""
        if self._engine is None:
            return None
        try:
            found = await self._engine.container(ident)
        except Conflict:  # the beginning of several ids stands for none
            return None
        except Unavailable:
            if alive:
                raise
            return None
        return found if found is not None and (found.name == ident or _stands_for(ident, found.id)) else None

    async def _pools(self, where: Where) -> list[Pool]:
        """Those of one network and family. Raises NotFound, BadRequest for VNICs', Conflict for several,
        Unavailable."""
        pools = [pool for pool in self._cache.every(Pool) if where.space in ("", pool.space)]
        if where.network:
            network = network_meant(where.network, self._cache, await self._names())
            pools = [pool for pool in pools if pool.network == network.id]
        if (part := where.subnet) is not None:
            pools = [pool for pool in pools if covers(pool.subnet, part)]
        else:
            pools = [pool for pool in pools if pool.subnet.version == 4] or pools
        given = [pool for pool in pools if network_of_vnics(self._cache, pool.id) is None]
        if pools and not given:
            check_no_vnics(self._cache, pools[0])
        pools = given
        if not pools:
            what = f"no network of Mooring's has {part}" if part is not None else "there is no subnet to choose from"
            raise NotFound(what, hint="`mooring network ls` lists them")
        if len({(pool.network or pool.id, pool.space) for pool in pools}) > 1:
            some = ", ".join(f"{pool.subnet} ({pool.space})" for pool in pools[:5])
            raise Conflict(
                f"there are {len(pools)} subnets to choose from: {some}", hint="name the subnet, or the network"
            )
        return sorted(pools, key=lambda pool: pool.created)

    def _interface(self, lease: Lease) -> Interface:
        pool = self._cache.pool(lease.pool)
        length = pool.subnet.prefixlen if pool is not None else lease.address.max_prefixlen
        return interface(lease.address.version, int(lease.address), length)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        ended = isinstance(before, Lease) and (
            after is None or (isinstance(after, Lease) and after.state is State.COOLING)
        )
        if ended or isinstance(after, Pool):
            self._room.set()  # whoever waits looks again, each of them once
            self._room = asyncio.Event()


def _stands_for(ident: str, container: str) -> bool:
    """Whether the id is the container's full one, or as much of it as Docker shows."""
    return len(ident) >= SHORT_ID and container.startswith(ident)


def _is_in(lease: Lease, pools: Sequence[Pool], where: Where) -> bool:
    inside = where.subnet is None or lease.address in where.subnet
    return inside and any(lease.pool == pool.id for pool in pools)
