"""What the address model needs to find quickly: an index of the cache.

Rule: nothing in here is a record; it is rebuilt from the cache's changes, so it can never disagree with them. Only
what requests in flight hold is its own, and that ends with the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from heapq import heappop, heappush
from ipaddress import ip_network

from mooring.core.addresses import Occupancy
from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.blocks import HostBlock
from mooring.core.faults import Conflict, Exhausted
from mooring.core.leases import Claimant, Lease, State, is_over, same_owner
from mooring.core.networks import BRIDGE_PORTS, Address, Origin, Subnet
from mooring.core.pools import Pool, candidates
from mooring.core.requests import AddressRequest, Role
from mooring.core.subnet_index import Holdings
from mooring.services.records.block_index import BlockIndex, within
from mooring.services.records.endpoint_containers import EndpointContainers
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import Record, RecordCache


class AddressIndex:
    """Build it before the cache is loaded. endpoints: the index of those who have addresses. called: who has the
    endpoint of the network (full ids), for a fault. taken: the subnets of all pools with their ids."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self.endpoints = EndpointIndex(cache)
        self.endpoint_containers = EndpointContainers(cache)
        self.called = self.endpoint_containers.user
        self._pools: dict[str, Occupancy] = {}
        self._leases: dict[str, dict[int, Lease]] = {}
        self._counts: dict[str, Counter[State]] = {}
        self._bounds: dict[str, tuple[int, int]] = {}
        self._siblings: dict[tuple[str, int], list[str]] = {}
        self.taken = Holdings()
        self.blocks = BlockIndex(cache)
        self._owners: dict[tuple[str, str, str], Address] = {}
        self._ending: list[tuple[float, int, Lease]] = []
        self._sequence = 0
        self._strangers: dict[Address, str] = {}
        self._hosts: dict[Address, str] = {}
        self._kept_out: dict[Address, str] = {}
        self._lost: frozenset[Address] = frozenset()
        cache.listen(self._follow, Lease, Pool)

    def keep_out(self, used: Mapping[Address, str]) -> None:
        """These addresses are in use without a record, and given to nobody, until the next call. used: by whom."""
        self._strangers = dict(used)
        self._keep_out()

    def note_host(self, own: Mapping[Address, str], lost: Iterable[Address] = ()) -> None:
        """The host has these addresses itself: they are given to nobody, and are no gateway, until the next call.
        own: how faults name their holder. lost: those that the host would look for elsewhere, given only to who names
        them."""
        self._hosts = dict(own)
        self._keep_out(lost)

    def _keep_out(self, lost: Iterable[Address] | None = None) -> None:
        before = self._held
        self._kept_out = self._hosts | self._strangers
        self._lost = self._lost if lost is None else frozenset(lost)
        after = self._held
        for address in before - after:
            for pool_id in self._around(address):
                self.of(pool_id).unhold(int(address))
        for address in after - before:
            for pool_id in self._around(address):
                self.of(pool_id).hold(int(address))

    @property
    def _held(self) -> Set[Address]:
        """What is not chosen."""
        return self._kept_out.keys() | self._lost

    def _around(self, address: Address) -> Iterator[str]:
        """Ids of the pools whose subnet has the address, of every space."""
        for _, pool_id in self.taken.overlapping(ip_network(address)):
            yield pool_id

    def let_in(self, address: Address) -> None:
        """Docker has released the address: nobody uses it without a record, until a look says otherwise."""
        if address in self._strangers:
            self.keep_out({each: user for each, user in self._strangers.items() if each != address})

    def kept_out(self, address: Address) -> str:
        """Who uses the address without a record, "" for nobody."""
        return self._kept_out.get(address, "")

    def check_use(self, address: Address, *, aside: bool = False) -> None:
        """Raises Conflict when somebody uses the address without a record. aside: it is to be given to nobody, so that
        it may be the host's."""
        if user := (self._strangers if aside else self._kept_out).get(address):
            hint = "choose another address" if address in self._hosts else "see `mooring doctor`, or choose another"
            raise Conflict(f"address {address} is in use", holder=user, hint=hint)

    def kept_out_of(self, subnet: Subnet) -> tuple[Address, ...]:
        """The addresses of the subnet that containers use without a record."""
        return tuple(address for address in self._strangers if address in subnet)

    def choose(self, pool: Pool, exact: bool = False) -> tuple[Pool, int] | None:
        """The next address of the pool or, when that is full, of another one of its network and family, unless `exact`.

        It is held until `unhold`. None when all are full.
        """
        number = self._choose(pool)
        if number is not None:
            return pool, number
        for pool_id in self._siblings.get((pool.network, pool.subnet.version), ()) if not exact else ():
            sibling = self._cache.pool(pool_id)
            if sibling is None or pool_id == pool.id or sibling.space != pool.space:
                continue
            number = self._choose(sibling)
            if number is not None:
                return sibling, number
        return None

    def _choose(self, pool: Pool) -> int | None:
        start, end = self._bounds[pool.id]
        if self.blocks.any and (own := self.blocks.ranges(pool.space, pool.subnet)) is not None:
            return self.of(pool.id).choose_among(within(own, start, end))
        return self.of(pool.id).choose(start, end)

    def to_give(self, space: str, subnet: Subnet) -> int:
        """How many addresses of this host's blocks of the subnet, which is the cluster's, may be chosen."""
        own = self.blocks.ranges(space, subnet) or ()
        parts = ((self.of(pool.id), within(own, *self._bounds[pool.id])) for pool in self.pools_of(space, subnet))
        return sum(there.is_free(number) for there, found in parts for part in found for number in range(*part))

    def free_in(self, block: HostBlock) -> int:
        """How many addresses of this host's block may be given, once it is served."""
        (pool,) = self.pools_of(block.space, block.subnet)
        carved, occupancy = set(map(int, block.carved)), self.of(pool.id)
        ranges = within([block.numbers()], *self._bounds[pool.id])
        return sum(n not in carved and occupancy.is_free(n) for start, end in ranges for n in range(start, end))

    def bounds(self, pool_id: str) -> tuple[int, int]:
        """The numbers of the pool that may be chosen, half-open."""
        return self._bounds[pool_id]

    def pools_of(self, space: str, subnet: Subnet) -> list[Pool]:
        """The pools of the space with exactly this subnet: one, or none."""
        return [pool for pool in self.pools_at(subnet) if pool.space == space]

    def of(self, pool_id: str) -> Occupancy:
        """The addresses of the pool."""
        occupancy = self._pools.get(pool_id)
        if occupancy is None:
            occupancy = self._pools[pool_id] = Occupancy()
        return occupancy

    def unhold(self, pool_id: str, number: int) -> None:
        """The request that held the address is over."""
        occupancy = self._pools.get(pool_id)
        if occupancy is not None:
            occupancy.unhold(number)

    def is_sibling(self, pool: Pool, pool_id: str) -> bool:
        """Whether addresses asked for in the pool may come from the one with the id: itself or one of its network."""
        return pool_id == pool.id or pool_id in self._siblings.get((pool.network, pool.subnet.version), ())

    def given_before(self, pool: Pool, mac: str, name: str) -> Lease | None:
        """The dynamic lease that who asks got from the pool or its siblings, while no endpoint has it yet.

        In a network of ours that is the answer to a request which came twice, or was never used. Elsewhere endpoints
        are not seen; there only the same MAC tells a repetition from a container that took over a name.
        """
        siblings = self._siblings.get((pool.network, pool.subnet.version)) if pool.network else None
        for pool_id in siblings or (pool.id,):
            address = self._owners.get((pool_id, "mac", mac)) if mac else None
            if address is None and name and (pool.network or not mac):
                address = self._owners.get((pool_id, "name", name))
            if address is None or self.endpoint(pool, address):
                continue
            lease = self._cache.lease(pool.space, address)
            if lease is not None and lease.state is State.DYNAMIC and same_owner(lease, Claimant(name, mac)):
                return lease
        return None

    def endpoint(self, pool: Pool, address: Address) -> str:
        """Id of the endpoint of the pool's network that has the address, "" if none."""
        endpoint = self.endpoints.at(pool.network, address) if pool.network else None
        return endpoint.id if endpoint is not None else ""

    def check_left(self, pool_id: str) -> None:
        """Raises Conflict while a namespace is attached to the pool's network: its engine does not know of that."""
        pool = self._cache.pool(pool_id)
        inside = self.endpoints.of_network(pool.network) if pool is not None and pool.network else []
        if pool is not None and (names := [namespace_name(each) for each in inside if is_namespaces(each.id)]):
            raise Conflict(f"subnet {pool.subnet} is in use", holder=", ".join(names), hint="detach it first")

    def check_room(self, request: AddressRequest) -> None:
        """Raises Exhausted when an endpoint asks and the bridge has no room for one more. Whose address is asked for
        again has room already: an engine that crashed asks so."""
        pool = self._cache.pool(request.pool) if request.role is Role.ENDPOINT else None
        network = self._cache.network(pool.network) if pool is not None else None
        if pool is None or network is None or not network.bridged or network.origin is not Origin.ENGINE:
            return
        again = request.address is not None and bool(self.endpoint(pool, request.address))
        if self.endpoints.count(network.id) >= BRIDGE_PORTS and not again:
            raise Exhausted(
                f"network {network.id[:12]} is full: a Linux bridge has room for {BRIDGE_PORTS} endpoints",
                hint="use a second network",
            )

    def counts(self, pool_id: str) -> Counter[State]:
        """How many leases of each state the pool has."""
        return self._counts.get(pool_id, Counter())

    def states(self) -> Counter[State]:
        """How many leases of each state there are."""
        return sum(self._counts.values(), Counter[State]())

    def overlapping(self, space: str, subnet: Subnet) -> list[Pool]:
        """The pools of the space that overlap the subnet."""
        found = self._pools_of(pool_id for _, pool_id in self.taken.overlapping(subnet))
        return [pool for pool in found if pool.space == space]

    def pools_at(self, subnet: Subnet) -> Iterator[Pool]:
        """The pools of exactly this subnet, in every space."""
        yield from self._pools_of(self.taken.at(subnet))

    def _pools_of(self, ids: Iterable[str]) -> Iterator[Pool]:
        return (pool for each in ids if (pool := self._cache.pool(each)) is not None)

    def exhausted(self, pool: Pool) -> Exhausted:
        """The fault for a pool of which nothing can be chosen."""
        start, end = candidates(pool.subnet, pool.range)
        counts = self.counts(pool.id)
        held = ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])
        limit, number = f"range {pool.range} of " if pool.range is not None else "", max(end - start, 0)
        return Exhausted(
            f"{limit}subnet {pool.subnet} is full: {number} of {number} addresses of pool {pool.id} are in use "
            f"({held or 'all are being assigned to starting containers'})",
            hint=f"see `mooring lease ls --pool {pool.id}`",
        )

    def users(self, pool_id: str, start: int, end: int) -> int:
        """How many addresses of [start, end), which is short, are taken, but as gateway or auxiliary address."""
        occupancy, leases = self.of(pool_id), self._leases.get(pool_id, {})
        own = (State.GATEWAY, State.AUXILIARY)
        taken = (number for number in range(start, end) if occupancy.is_taken(number))
        return sum(number not in leases or leases[number].state not in own for number in taken)

    def leases(self, pool_id: str) -> list[Lease]:
        """Every lease of the pool."""
        return list(self._leases.get(pool_id, {}).values())

    def over(self, now: float, most: int) -> list[Lease]:
        """At most so many leases whose `until` has come, as they are now. Each is named once."""
        due: list[Lease] = []
        while self._ending and self._ending[0][0] <= now and len(due) < most:
            lease = heappop(self._ending)[2]
            if self._cache.lease(lease.space, lease.address) is lease and is_over(lease, now):
                due.append(lease)
        return due

    def note_end(self, lease: Lease) -> None:
        """Name the lease when its time has come, if it has one."""
        if lease.until is not None:
            self._sequence += 1
            heappush(self._ending, (lease.until, self._sequence, lease))

    def leftovers(self) -> list[Lease]:
        """Every lease whose pool is gone."""
        gone = [pool_id for pool_id in self._leases if self._cache.pool(pool_id) is None]
        return [lease for pool_id in gone for lease in self.leases(pool_id)]

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Lease):
            self._forget_lease(before, after)
        elif isinstance(before, Pool):
            self._forget_pool(before, after)
        if isinstance(after, Lease):
            self._note_lease(after)
        elif isinstance(after, Pool):
            self._note_pool(after)

    def _note_lease(self, lease: Lease) -> None:
        number = int(lease.address)
        leases = self._leases.get(lease.pool)
        if leases is None:
            leases = self._leases[lease.pool] = {}
            self._counts[lease.pool] = Counter()
        leases[number] = lease
        self._counts[lease.pool][lease.state] += 1
        self.of(lease.pool).record(number, lease.since if lease.state is State.COOLING else None)
        if lease.until is not None:
            self.note_end(lease)
        if lease.state is State.DYNAMIC:
            if lease.mac:
                self._owners[lease.pool, "mac", lease.mac] = lease.address
            if lease.name:
                self._owners[lease.pool, "name", lease.name] = lease.address

    def _forget_lease(self, before: Lease, after: Record | None) -> None:
        number = int(before.address)
        leases = self._leases[before.pool]
        del leases[number]
        self._counts[before.pool][before.state] -= 1
        if not isinstance(after, Lease) or after.pool != before.pool:
            self.of(before.pool).delete(number)
        if before.state is State.DYNAMIC:
            for key in ((before.pool, "mac", before.mac), (before.pool, "name", before.name)):
                if self._owners.get(key) == before.address:
                    del self._owners[key]
        if not leases:
            del self._leases[before.pool], self._counts[before.pool]
            if self._cache.pool(before.pool) is None:
                self._pools.pop(before.pool, None)

    def _note_pool(self, pool: Pool) -> None:
        self._bounds[pool.id] = candidates(pool.subnet, pool.range)
        self.taken.add(pool.subnet, pool.id)
        for address in self._held:
            if address in pool.subnet and not self.of(pool.id).is_held(int(address)):  # the pool may only have changed
                self.of(pool.id).hold(int(address))
        if pool.network:
            self._siblings.setdefault((pool.network, pool.subnet.version), []).append(pool.id)

    def _forget_pool(self, pool: Pool, after: Record | None) -> None:
        del self._bounds[pool.id]
        self.taken.remove(pool.subnet, pool.id)
        siblings = self._siblings.get((pool.network, pool.subnet.version))
        if siblings is not None:
            siblings.remove(pool.id)
            if not siblings:
                del self._siblings[pool.network, pool.subnet.version]
        if pool.id not in self._leases and after is None:
            self._pools.pop(pool.id, None)
