"""Who holds which fixed address: claimed when a container is made, kept through everything, given up when it is gone.

Rules: all families, all networks and the intent of one container are one commit; who is gone is said by full id; an
address is taken from a holder only by a caller that has proof, and never from an endpoint that has it now; what is not
held is given up with success.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from mooring.core.claims import Claim, claimed, left, renamed
from mooring.core.containers import Holder
from mooring.core.faults import StaleRevision
from mooring.core.intents import Intent, Purpose, placeholder
from mooring.core.keys import CONTAINER_KEY
from mooring.core.leases import Claimant, Lease
from mooring.core.networks import Address
from mooring.core.reservations import without_reservation
from mooring.core.whom import container_of, for_container
from mooring.ports import Clock
from mooring.services.containers.fixed_allocator import Draft, FixedAllocator, FixedSpec, Grant
from mooring.services.containers.shared_leases import SharedLeases
from mooring.services.ipam.allocator import ATTEMPTS, Ipam, IpamPolicy
from mooring.services.ipam.pools import contended
from mooring.services.records.holder_names import holder_names
from mooring.services.records.record_cache import Record, RecordCache

# How many containers are remembered that have left something: those that somebody may be looking at right now.
REMEMBERED = 1024


class Holders:
    """Claims, settles and gives up. Build it before the cache is loaded."""

    def __init__(self, cache: RecordCache, ipam: Ipam, clock: Clock, policy: IpamPolicy) -> None:
        self._cache = cache
        self._index, self._host = ipam.index, ipam.host
        self.fixed_allocator = FixedAllocator(cache, ipam, clock, policy, self.describe)
        self._shared = SharedLeases(ipam, self.fixed_allocator)
        self.fixed_index = ipam.fixed_index
        self._clock = clock
        self._claiming = asyncio.Lock()
        self._policy = policy
        self._departures: dict[str, int] = {}
        self._count = 0

    @property
    def departures(self) -> int:
        """How many there were: what was seen of a container at this moment is not the last word after a later one."""
        return self._count

    def has_left_since(self, container: str, departures: int) -> bool:
        """Whether the container (full id) was removed or disconnected after there were so many departures."""
        return self._departures.get(container, 0) > departures

    @property
    def any(self) -> bool:
        """Whether there is any fixed lease at all, or one that is reserved for a container alone."""
        return len(self.fixed_index) > 0 or any(map(container_of, self.fixed_index.reserved()))

    def holds(self, container: str) -> bool:
        """Whether the container (full id) holds anything, or an address is reserved for it alone."""
        return bool(self.fixed_index.of_holder(container) or self.fixed_index.reserved_for(for_container(container)))

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def held_by(self, holder: str) -> list[tuple[str, Lease]]:
        """What the container (full id) or placeholder holds: id of the network, and the lease."""
        return [(self.fixed_index.network_of(lease), lease) for lease in self.fixed_index.of_holder(holder)]

    def begin(self, purpose: Purpose, engine: str, container: str = "", name: str = "", network: str = "") -> Intent:
        """An intent, not written yet."""
        return Intent(
            id=self._clock.token(),
            purpose=purpose,
            engine=engine,
            created=self._clock.now(),
            container=container,
            name=name,
            network=network,
        )

    async def note(self, intent: Intent) -> None:
        """The intent is durable. Raises Unavailable."""
        await self._cache.commit(put=[intent])

    async def claim(self, intent: Intent, fixed_specs: Sequence[FixedSpec], claimant: Claimant) -> list[Grant]:
        """Every fixed spec has its addresses, held by the intent until it is settled or rolled back.

        claimant: who the container will be; its key is taken from each. Raises Conflict when somebody else has an
        address that is named, BadRequest for one that cannot be, Exhausted when there is none left, Unavailable, also
        when only the cluster can tell.
        """
        # One after another, once the cluster has been asked: no revision guards "the key has no address yet".
        async with self._shared.claimed(intent, fixed_specs) as claimed, self._claiming:
            await self._host.refresh()
            return await self._claim(intent, claimed, claimant)

    async def _claim(self, intent: Intent, fixed_specs: Sequence[FixedSpec], claimant: Claimant) -> list[Grant]:
        intent = msgspec.structs.replace(
            intent, keys={fixed_spec.network.id: fixed_spec.key for fixed_spec in fixed_specs}
        )
        for _ in range(ATTEMPTS):
            held: list[tuple[str, int]] = []
            try:
                puts: dict[tuple[str, Address], Lease] = {}
                grants = [
                    self.fixed_allocator.choose(fixed_spec, intent, claimant, Draft(puts, held))
                    for fixed_spec in fixed_specs
                ]
                if puts:
                    await self._cache.commit(put=[intent, *puts.values()])
                return grants
            except StaleRevision:
                continue
            finally:
                # From here on only the records count, also when the commit failed or this task was cancelled.
                for pool_id, number in held:
                    self._index.unhold(pool_id, number)
        raise contended("the addresses of a container")

    async def complete(self, intent: Intent, container: str, name: str = "") -> None:
        """The container (full id) holds what the intent held, and the intent is gone. Raises Unavailable."""

        def change() -> tuple[list[Record], list[Record]]:
            put: list[Record] = []
            delete = self._recorded(intent)
            begun = self._cache.intent(intent.id)
            for network, lease in self.held_by(placeholder(intent.id)):
                key = begun.keys.get(network, "") if begun is not None else ""
                if key == CONTAINER_KEY + placeholder(intent.id):
                    key = CONTAINER_KEY + container
                others = self.others(container, network, lease.address)
                if any(other.active is not None for other in others):
                    # It has been given another address meanwhile: that is its own now.
                    rest = left(lease, placeholder(intent.id), self._clock.now(), 0.0, self._policy.cooldown)
                    (delete if rest is None else put).append(rest or lease)
                    continue
                after = renamed(lease, placeholder(intent.id), container)
                claim = Claim(key=key, holder=container)
                after = claimed(after, after, claim, self._clock.now())
                put.append(after)
                for old, rest in self.fixed_allocator.left_behind(self.fixed_index.of_key(network, key), after):
                    (delete if rest is None else put).append(rest or old)
                for old, rest in self.instead_of(others, container):
                    (delete if rest is None else put).append(rest or old)
            if put and self._cache.holder(container) is None:
                put.append(self._holder(intent.engine, container, name or intent.name))
            return put, delete

        await self.commit(change, f"intent {intent.id}")

    async def roll_back(self, intent: Intent) -> None:
        """Nobody holds anything because of the intent, and it is gone. Raises Unavailable."""
        await self._release(placeholder(intent.id), lambda _: True, intent)

    async def release_all(self, container: str, intent: Intent | None = None) -> int:
        """The container (full id) is gone for good: it holds nothing, and nothing is reserved for it. Returns how many
        leases it held. Raises Unavailable."""
        return await self._release(container, lambda _: True, intent, gone=True)

    async def leave(self, container: str, network_id: str, intent: Intent | None = None) -> int:
        """The container holds nothing in the network. Returns how many leases it held there. Raises Unavailable."""
        return await self._release(container, lambda lease: self.fixed_index.network_of(lease) == network_id, intent)

    async def end(self, intent: Intent) -> None:
        """The intent is gone, and nothing else has changed. Raises Unavailable."""
        await self.commit(lambda: ([], self._recorded(intent)), f"intent {intent.id}")

    async def rename(self, container: str, name: str) -> None:
        """People see the container under this name. Raises Unavailable."""

        def change() -> tuple[list[Record], list[Record]]:
            known = self._cache.holder(container)
            if known is None or known.name == name:
                return [], []
            return [msgspec.structs.replace(known, name=name)], []

        await self.commit(change, f"container {container[:12]}")

    async def _release(
        self, holder: str, concerns: Callable[[Lease], bool], intent: Intent | None, gone: bool = False
    ) -> int:
        """The holder holds none of the leases that it concerns, and the intent is gone; how many leases that were.
        gone: what is reserved for it alone ends, too."""
        count = 0
        self._count += 1
        self._departures.pop(holder, None)
        self._departures[holder] = self._count
        while len(self._departures) > REMEMBERED:
            del self._departures[next(iter(self._departures))]

        def change() -> tuple[list[Record], list[Record]]:
            nonlocal count
            put: list[Record] = []
            delete = self._recorded(intent)
            mine = self.fixed_index.of_holder(holder)
            leaving = [lease for lease in mine if concerns(lease)]
            count = len(leaving)
            reserved = self.fixed_index.reserved_for(for_container(holder))
            ending = reserved if gone else []
            for lease in [*leaving, *(each for each in ending if each not in leaving)]:
                after: Lease | None = without_reservation(lease) if lease in ending else lease
                if after is not None and lease in leaving:
                    after = left(after, holder, self._clock.now(), self._hold(lease), self._policy.cooldown)
                if after is None:
                    delete.append(lease)
                elif after is not lease:
                    put.append(after)
            known = self._cache.holder(holder)
            if known is not None and len(leaving) == len(mine) and len(ending) == len(reserved):
                delete.append(known)
            return put, delete

        await self.commit(change, "a holder")
        return count

    def instead_of(self, others: Sequence[Lease], container: str) -> list[tuple[Lease, Lease | None]]:
        """The leases instead of which the container (full id) has another one, each with what becomes of it."""
        now, cooldown = self._clock.now(), self._policy.cooldown
        return [(other, left(other, container, now, 0.0, cooldown)) for other in others]

    def others(self, container: str, network_id: str, address: Address) -> list[Lease]:
        """What the container (full id) holds of the address's family in the network besides it."""
        return [
            other
            for other in self.fixed_index.of_holder(container)
            if other.address != address
            and other.address.version == address.version
            and self.fixed_index.network_of(other) == network_id
        ]

    def _hold(self, lease: Lease) -> float:
        """Seconds that the lease's key keeps it: none when the key has another address of the family by now."""
        network = self.fixed_index.network_of(lease)
        others = [
            other
            for other in self.fixed_index.of_key(network, lease.key)
            if other.address != lease.address and other.address.version == lease.address.version
        ]
        return 0.0 if any(other.holders for other in others) else lease.hold or self._policy.hold

    def _recorded(self, intent: Intent | None) -> list[Record]:
        known = self._cache.intent(intent.id) if intent is not None else None
        return [known] if known is not None else []

    def _holder(self, engine: str, container: str, name: str) -> Holder:
        return Holder(id=container, engine=engine, name=name, since=self._clock.now())

    async def commit(self, change: Callable[[], tuple[list[Record], list[Record]]], subject: str) -> None:
        """Write what the change says, anew when another writer was first. Nothing is written when it says nothing."""
        for _ in range(ATTEMPTS):
            put, delete = change()
            if not put and not delete:
                return
            try:
                await self._cache.commit(put=put, delete=delete)
                return
            except StaleRevision:
                continue
        raise contended(subject)

    def describe(self, lease: Lease) -> str:
        """The lease's holders for people, by name where one is known."""
        return ", ".join(holder_names(lease, self._cache)) or (f"key {lease.key}" if lease.key else "nobody")
