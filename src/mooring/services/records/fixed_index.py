"""Fixed leases found by holder, by key and by MAC, reserved ones by whom they are for, and cooling ones by MAC: an
index of the cache.

Rule: nothing in here is a record; it is rebuilt from the cache's changes, so it can never disagree with them.
"""

from __future__ import annotations

from typing import TypeVar

from mooring.core.containers import Holder
from mooring.core.engines import KnownEngine, is_mute
from mooring.core.leases import Lease, State
from mooring.core.networks import Address
from mooring.services.records.record_cache import Record, RecordCache

Place = tuple[str, Address]
K = TypeVar("K")
V = TypeVar("V")


class FixedIndex:
    """Build it before the cache is loaded."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._networks: dict[Place, str] = {}
        self._by_holder: dict[str, set[Place]] = {}
        self._by_key: dict[tuple[str, str], set[Place]] = {}
        self._by_mac: dict[tuple[str, str], set[Place]] = {}
        self._by_name: dict[str, set[str]] = {}
        self._resting: dict[tuple[str, str], set[Place]] = {}
        self._rest_networks: dict[Place, str] = {}
        self._by_whom: dict[str, set[Place]] = {}
        cache.listen(self._follow, Lease, Holder)

    def __len__(self) -> int:
        return len(self._networks)

    def network_of(self, lease: Lease) -> str:
        """Id of the network that the fixed lease is in, "" for none."""
        return self._networks.get((lease.space, lease.address), "")

    def of_holder(self, holder: str) -> list[Lease]:
        """The fixed leases that the container (full id) or placeholder holds, in order of address."""
        return self._leases(self._by_holder.get(holder, ()))

    def of_key(self, network_id: str, key: str) -> list[Lease]:
        """The network's fixed leases that belong to the key, in order of address."""
        return self._leases(self._by_key.get((network_id, key), ()))

    def with_mac(self, network_id: str, mac: str) -> list[Lease]:
        """The network's fixed leases with the MAC, in order of address."""
        return self._leases(self._by_mac.get((network_id, mac), ()))

    def resting(self, network_id: str, mac: str) -> list[Lease]:
        """The network's cooling leases of addresses that were used with the MAC, in order of address."""
        return self._leases(self._resting.get((network_id, mac), ()))

    def reserved_for(self, whom: str) -> list[Lease]:
        """The leases that are reserved for exactly that, or were and will be again, in order of address."""
        return self._leases(self._by_whom.get(whom, ()))

    def reserved(self) -> list[str]:
        """For whom anything is reserved, in order."""
        return sorted(self._by_whom)

    def proof(self, lease: Lease) -> str:
        """The MAC that proves who asks for the fixed lease; "" where it has none, and where the engine of a holder does
        not read it from the configuration that another version wrote: then nobody can be asked for it."""
        if not lease.mac:
            return ""
        versions = {known.id: known.version for known in self._cache.every(KnownEngine)}
        holders = [self._cache.holder(each) for each in lease.holders]
        mute = any(
            each is not None and is_mute(each.oldest, each.newest, versions.get(each.engine, (0, 0)))
            for each in holders
        )
        return "" if mute else lease.mac

    def holders_named(self, name: str) -> list[Holder]:
        """The holders with the container name."""
        found = (self._cache.holder(ident) for ident in sorted(self._by_name.get(name, ())))
        return [holder for holder in found if holder is not None]

    def _leases(self, places: set[Place] | tuple[()]) -> list[Lease]:
        ordered = sorted(places, key=lambda place: (place[0], place[1].version, int(place[1])))
        found = (self._cache.lease(*place) for place in ordered)
        return [lease for lease in found if lease is not None]

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Lease) and before.state is State.FIXED:
            self._forget(before)
        if isinstance(after, Lease) and after.state is State.FIXED:
            self._note(after)
        for lease, note in ((before, False), (after, True)):
            if isinstance(lease, Lease) and lease.state is State.COOLING and lease.mac:
                self._rest(lease, note)
        if isinstance(before, Lease) and before.whom:
            _remove(self._by_whom, before.whom, (before.space, before.address))
        if isinstance(after, Lease) and after.whom:
            self._by_whom.setdefault(after.whom, set()).add((after.space, after.address))
        if isinstance(before, Holder):
            _remove(self._by_name, before.name, before.id)
        if isinstance(after, Holder):
            self._by_name.setdefault(after.name, set()).add(after.id)

    def _rest(self, lease: Lease, note: bool) -> None:
        place = lease.space, lease.address
        if not note:
            _remove(self._resting, (self._rest_networks.pop(place, ""), lease.mac), place)
            return
        pool = self._cache.pool(lease.pool)
        network = self._rest_networks[place] = pool.network if pool is not None else ""
        self._resting.setdefault((network, lease.mac), set()).add(place)

    def _note(self, lease: Lease) -> None:
        place = lease.space, lease.address
        pool = self._cache.pool(lease.pool)
        network = self._networks[place] = pool.network if pool is not None else ""
        for holder in lease.holders:
            self._by_holder.setdefault(holder, set()).add(place)
        if lease.key:
            self._by_key.setdefault((network, lease.key), set()).add(place)
        if lease.mac:
            self._by_mac.setdefault((network, lease.mac), set()).add(place)

    def _forget(self, lease: Lease) -> None:
        place = lease.space, lease.address
        network = self._networks.pop(place, "")
        for holder in lease.holders:
            _remove(self._by_holder, holder, place)
        _remove(self._by_key, (network, lease.key), place)
        _remove(self._by_mac, (network, lease.mac), place)


def _remove(index: dict[K, set[V]], key: K, value: V) -> None:
    members = index.get(key)
    if members is not None:
        members.discard(value)
        if not members:
            del index[key]
