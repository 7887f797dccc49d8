"""Pools: which subnet a network gets, carved over nothing that the host, another driver's network or `deny` has, and
giving it up with everything in it.

Rules: making a pool is one commit that leases its gateway too; decisions about subnets are taken one after another,
because no revision guards "overlaps nothing"; a pool's record is the last thing of it to go.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mooring.core.addresses import address_of, interface, usable
from mooring.core.claims import appointed
from mooring.core.faults import BadRequest, Conflict, Fault, StaleRevision, Unavailable
from mooring.core.kept_networks import KeptNetwork
from mooring.core.leases import ClaimPolicy, Event, Lease, Place, State, ended
from mooring.core.networks import Address, HostOverlap, Interface, Subnet, overlap
from mooring.core.overlays import PORT
from mooring.core.pools import Pool, SubnetPool, carve, check_range, check_subnet
from mooring.core.pools import pool_id as new_pool_id
from mooring.core.requests import PoolGrant, PoolRequest
from mooring.core.subnet_index import Holdings
from mooring.core.subnet_pools import Busy, Room, covers, no_room, room_of
from mooring.ports import Clock
from mooring.services.ipam.deny_list import DenyList
from mooring.services.ipam.host_addresses import HostAddresses
from mooring.services.ipam.kept_networks import KeptNetworks
from mooring.services.ipam.subnet_pools import SubnetPools, wanted_length
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.record_cache import RecordCache

# How often a decision is taken anew when another writer was first.
ATTEMPTS = 8
# How many leases of a pool go in one transaction, so that a store with a limit (etcd: 128 operations) is not the only
# one that can, and a large pool does not hold up the others for long.
BATCH = 500
# The word of `--ipam-opt` for a pool without a gateway.
NO_GATEWAY = "none"


@dataclass(frozen=True, slots=True)
class IpamPolicy:
    """The configuration's part in decisions.

    deny: subnets in which no pool may be. cooldown: seconds that a released address rests while others are free.
    hold: seconds that a key keeps an address without a holder. claim: the policy of pools that name none.
    separate_tenants: new networks of a tenant are in a routing domain of its own. serves_dns: networks may have the
    option dns=on. host, boot: ids of this host and of its present boot, for leases in use. vxlan_port: of overlays.
    """

    subnet_pools4: tuple[SubnetPool, ...] = ()
    subnet_pools6: tuple[SubnetPool, ...] = ()
    deny: tuple[Subnet, ...] = ()
    cooldown: float = 60.0
    on_host_overlap: HostOverlap = HostOverlap.REFUSE
    hold: float = 86400.0
    claim: ClaimPolicy = ClaimPolicy.EXPLICIT
    separate_tenants: bool = False
    serves_dns: bool = True
    host: str = "host"
    boot: str = "boot"
    vxlan_port: int = PORT

    def claim_policy(self, pool: Pool) -> ClaimPolicy:
        """The pool's own (`--ipam-opt claim=`), or the host's."""
        own = pool.options.get("claim") or pool.options.get("mooring.claim")
        return ClaimPolicy(own) if own else self.claim

    def declared(self) -> tuple[SubnetPool, ...]:
        """The subnet pools of the configuration, of both families."""
        return (*self.subnet_pools4, *self.subnet_pools6)


@dataclass(frozen=True, slots=True)
class Around:
    """What subnet pools lie among. taken: by pools. others: by anything else; ways: the same, for a person. Kept
    networks are in nobody's way."""

    taken: Holdings
    others: Sequence[Holdings]
    ways: Callable[[], Iterable[Busy]]

    def room(self, pool: SubnetPool) -> Room:
        """What is left of the subnet pool."""
        return room_of(pool, self.taken.ranges(pool.version), [each.ranges(pool.version) for each in self.others])

    def in_the_way(self, pool: SubnetPool) -> Iterator[Busy]:
        """What but pools is in its prefixes."""
        for each in self.ways():
            if any(overlap(each.subnet, prefix) for prefix in pool.prefixes):
                yield each


@dataclass(frozen=True, slots=True)
class Draft:
    """A pool that is not on record yet, and the lease of its gateway. yielding: the kept networks that end with it.
    warnings: what a person should know of it, one line each."""

    pool: Pool
    leases: list[Lease]
    yielding: list[KeptNetwork]
    warnings: tuple[str, ...] = ()

    @property
    def gateway(self) -> Interface | None:
        """Of the pool."""
        number, subnet = self.pool.gateway, self.pool.subnet
        return interface(subnet.version, int(number), subnet.prefixlen) if number is not None else None


class Pools:
    """Makes pools and gives them up."""

    def __init__(
        self,
        cache: RecordCache,
        index: AddressIndex,
        fixed_index: FixedIndex,
        clock: Clock,
        policy: IpamPolicy,
        host: HostAddresses,
        elsewhere: Callable[[], Iterable[Subnet]] = tuple,
    ) -> None:
        """elsewhere: subnets of other drivers' networks that no interface of the host shows."""
        self._cache = cache
        self._index = index
        self._clock = clock
        self._policy = policy
        self._host = host
        self._elsewhere = elsewhere
        self.kept_networks = KeptNetworks(cache, index, fixed_index, clock, policy.hold)
        self._one_at_a_time = asyncio.Lock()
        self.subnet_pools = SubnetPools(cache, policy.declared, clock, self._one_at_a_time)
        self.deny_list = DenyList(cache, policy.deny, clock, self._one_at_a_time)
        self._doubtful: list[tuple[Pool, list[Lease]]] = []
        self._closing: set[str] = set()

    def is_open(self, pool_id: str) -> bool:
        """Whether addresses of the pool may still be given."""
        return pool_id not in self._closing and self._cache.pool(pool_id) is not None

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """Ipam.request_pool."""
        _check(request)
        host = await self._host.look()
        # Not cancelled half-way: a pool that was made without being known here could be overlapped by the next one.
        making = asyncio.get_running_loop().create_task(self._make(request, host.occupied))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._doubt)
            raise

    def _doubt(self, making: asyncio.Task[PoolGrant]) -> None:
        """Nobody waited for the pool that was made: it goes before the next one is made."""
        if making.cancelled() or making.exception() is not None:
            return
        if (pool := self._cache.pool(making.result().pool)) is not None:
            lease = self._cache.lease(pool.space, pool.gateway) if pool.gateway is not None else None
            self._doubtful.append((pool, [lease] if lease is not None else []))

    async def _make(self, request: PoolRequest, occupied: Holdings) -> PoolGrant:
        async with self._one_at_a_time:
            await self._settle_doubts()
            for _ in range(ATTEMPTS):
                draft = self._draft(request, occupied)
                try:
                    await self._cache.commit(put=[draft.pool, *draft.leases], delete=draft.yielding)
                except StaleRevision:
                    continue
                except Unavailable:
                    # It may have been written all the same.
                    self._doubtful.append((draft.pool, draft.leases))
                    raise
                return PoolGrant(draft.pool.id, draft.pool.subnet, draft.gateway, draft.warnings)
            raise contended("the subnets in use")

    @asynccontextmanager
    async def drafted(self, request: PoolRequest, network_id: str) -> AsyncIterator[Draft]:
        """Ipam.drafted_pool."""
        _check(request)
        host = await self._host.look()
        async with self._one_at_a_time:
            await self._settle_doubts()
            draft = self._draft(request, host.occupied, network_id)
            try:
                yield draft
            except (Unavailable, asyncio.CancelledError):
                self._doubtful.append((draft.pool, draft.leases))
                raise

    def _draft(self, request: PoolRequest, occupied: Holdings, network_id: str = "") -> Draft:
        space = request.options.get("tenant") or request.space
        warnings: tuple[str, ...] = ()
        source, yielding = "", list[KeptNetwork]()
        if request.subnet is not None:
            subnet = request.subnet
            self.subnet_pools.check_typed(request, space, subnet)
            warnings = self._check_explicit(space, subnet, occupied)
        else:
            subnet_pools = self.subnet_pools.chosen(request.version, space, request.options)
            origin, subnet, yielding = self._carve(subnet_pools, wanted_length(request), occupied)
            source = origin.name
        now = self._clock.now()
        ident = new_pool_id(self._clock.token(), space, subnet)
        gateway: Address | None = None
        leases: list[Lease] = []
        if request.options.get("gateway") != NO_GATEWAY:
            gateway = self.first_free(space, subnet)
            leases.append(appointed(None, Place(space, gateway, ident), now))
        pool = Pool(
            id=ident, space=space, subnet=subnet, range=request.range, source=source, options=dict(request.options),
            created=now, gateway=gateway, network=network_id,
        )  # fmt: skip
        return Draft(pool, leases, yielding, warnings)

    def _carve(
        self, subnet_pools: Sequence[SubnetPool], length: int | None, occupied: Holdings
    ) -> tuple[SubnetPool, Subnet, list[KeptNetwork]]:
        """A free subnet, where it is from, and the kept networks that yield for it: none while there is another one."""
        taken = [self._index.taken, occupied, Holdings(self._elsewhere()), self.deny_list.holdings]
        kept_networks = self.kept_networks.living()

        def room(yielding: int) -> tuple[SubnetPool, Subnet] | None:
            kept = (subnet for kept_network in kept_networks[yielding:] for subnet in kept_network.subnets)
            return carve(subnet_pools, length, [*taken, Holdings(kept)])

        found = room(0)
        if found is None and kept_networks:  # there is the more room the more of them yield
            numbers = range(1, len(kept_networks))
            found = room(1 + bisect_left(numbers, True, key=lambda each: room(each) is not None))
        if found is None:
            around = self._around(occupied)
            raise no_room([(pool, around.room(pool)) for pool in subnet_pools], length, self._busy(occupied))
        return *found, [e for e in kept_networks if any(overlap(found[1], each) for each in e.subnets)]

    def _around(self, occupied: Holdings) -> Around:
        others = (occupied, Holdings(self._elsewhere()), self.deny_list.holdings)
        return Around(self._index.taken, others, lambda: self._others(occupied))

    async def around(self) -> Around:
        """What subnet pools lie among now. Raises Unavailable."""
        return self._around((await self._host.look()).occupied)

    async def may_return(self, space: str, subnet: Subnet, options: dict[str, str]) -> bool:
        """Whether a network that is made again can have the subnet that it had: nothing is in its way, and the subnet
        pools that networks of the space with these options get theirs from still have it. Raises Unavailable, and as
        SubnetPools.chosen."""
        pools = self.subnet_pools.chosen(subnet.version, space, options)
        if not any(covers(prefix, subnet) for pool in pools for prefix in pool.prefixes):
            return False
        if wanted_length(PoolRequest(space, subnet.version, options=options)) not in (None, subnet.prefixlen):
            return False
        host = await self._host.look()
        # Not all that is occupied: its own bridge may be about to go, and a nameserver may have been in the network.
        others = host.routes.copy()
        for interface_ in host.addresses:
            others.add(interface_.network)
        try:
            warnings = self._check_explicit(space, subnet, others)
        except Fault:
            return False
        if warnings or self._index.taken.overlapping(subnet):  # of any space: bridges of a host never overlap
            return False
        return not any(overlap(subnet, each) for each in self._elsewhere())

    def first_free(self, space: str, subnet: Subnet) -> Address:
        """The lowest usable address of the subnet that may become a gateway. Raises Conflict if there is none."""
        for number in range(*usable(subnet)):
            address = address_of(subnet.version, number)
            lease = self._cache.lease(space, address)
            free = lease is None or not self.is_open(lease.pool) or lease.state is State.COOLING
            if free and not self._index.kept_out(address):
                return address
        raise Conflict(f"no address of {subnet} is free for a gateway", hint="use --ipam-opt gateway=none")

    def check_subnet(self, space: str, subnet: Subnet) -> None:
        """Raises Forbidden for the deny list, Conflict when a pool of the space or somebody unrecorded is in it."""
        self.deny_list.check(subnet)
        if living := self._index.kept_out_of(subnet):
            user = self._index.kept_out(living[0])
            raise Conflict(
                f"subnet {subnet} contains addresses that are in use but missing from the records", holder=user,
                hint="see `mooring doctor`, or choose another subnet",
            )  # fmt: skip
        for pool in self._index.overlapping(space, subnet):
            raise Conflict(
                f"subnet {subnet} overlaps {pool.subnet} in address space {space}",
                holder=self._in_words(pool),
                hint="choose another subnet, or remove that network (`mooring network ls` shows them)",
            )

    def _check_explicit(self, space: str, subnet: Subnet, occupied: Holdings) -> tuple[str, ...]:
        self.check_subnet(space, subnet)
        routes = [str(route) for route, _ in occupied.overlapping(subnet) if not self._index.taken.at(route)]
        if not routes:
            return ()
        # It may be for a driver whose networks are in the host's own (macvlan); ours are checked when they are made.
        return (f"subnet {subnet} overlaps routes of this host: {', '.join(routes[:3])}",)

    def _busy(self, occupied: Holdings) -> Iterator[Busy]:
        """Whatever nothing can be carved over, for a person."""
        yield from (Busy(pool.subnet, self._in_words(pool)) for pool in self._cache.every(Pool))
        yield from self._others(occupied)

    def _others(self, occupied: Holdings) -> Iterator[Busy]:
        """Of that, what is no pool of ours, nor the host's part in one: the bridge's address, the route to it."""
        for subnet in occupied:
            if not any(covers(mine, subnet) for mine, _ in self._index.taken.overlapping(subnet)):
                yield Busy(subnet, "an address or route of this host")
        yield from (Busy(subnet, "another network of Docker's") for subnet in self._elsewhere())
        yield from (Busy(each.subnet, each.busy()) for each in self.deny_list.entries())

    def _in_words(self, pool: Pool) -> str:
        """The pool and its network, by the name that it has, as far as that is known."""
        network = self._cache.network(pool.network) if pool.network else None
        name = network.name if network is not None and network.name else pool.network[:12]
        return f"pool {pool.id} of {f'network {name}' if name else 'no network yet'}"

    async def _settle_doubts(self) -> None:
        """Take back pools whose commit failed with an unknown outcome. Nobody was told of them. Raises Unavailable."""
        while self._doubtful:
            pool, leases = self._doubtful[-1]
            for _ in range(ATTEMPTS):
                # Expects what the cache knows; where that is wrong, it reads the record and the next turn removes it.
                doomed = [each for each in leases if self._is_of(pool.id, each)]
                for each in doomed:
                    ended(each, Event.DROP)
                network = self._cache.network(pool.network) if pool.network else None
                put = [network.without_pool(pool.id)] if network is not None else []
                try:
                    await self._cache.commit(put=put, delete=[pool, *doomed])
                    break
                except StaleRevision:
                    continue
            else:
                raise contended(f"pool {pool.id}")
            self._doubtful.pop()

    def _is_of(self, pool_id: str, lease: Lease) -> bool:
        """Whether the address has the pool's lease, or none that we know of."""
        known = self._cache.lease(lease.space, lease.address)
        return known is None or known.pool == pool_id

    async def release_pool(self, pool_id: str) -> None:
        """Ipam.release_pool. Raises Conflict while a namespace is attached to the pool's network, Unavailable."""
        self._index.check_left(pool_id)
        self._closing.add(pool_id)
        try:
            for _ in range(ATTEMPTS):
                try:
                    return await self._drop(pool_id)
                except StaleRevision:
                    continue
            raise contended(f"pool {pool_id}")
        finally:
            self._closing.discard(pool_id)

    async def _drop(self, pool_id: str) -> None:
        while (pool := self._cache.pool(pool_id)) is not None:
            leases = self._index.leases(pool_id)
            for lease in leases[:BATCH]:
                ended(lease, Event.DROP)
            put, gone = self.kept_networks.left([pool]) if pool.network else ([], [])
            last = [pool] if len(leases) <= BATCH else []
            await self._cache.commit(put=put, delete=[*last, *leases[:BATCH], *gone])
            if last:
                self.kept_networks.tell(put)


def contended(subject: str) -> Unavailable:
    """The fault for a decision that other writers overtook too often."""
    return Unavailable(f"{subject} was changed by other requests {ATTEMPTS} times in a row", hint="try again")


def _check(request: PoolRequest) -> None:
    if request.subnet is not None:
        if request.subnet.version != request.version:
            raise BadRequest(f"subnet {request.subnet} is not IPv{request.version}")
        check_subnet(request.subnet)
        if request.range is not None:
            check_range(request.subnet, request.range)
    elif request.range is not None:
        raise BadRequest(f"range {request.range} without a subnet", hint="give the subnet as well (--subnet)")
