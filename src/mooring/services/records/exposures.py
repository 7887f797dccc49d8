"""The addresses that the host has in networks besides their gateways: an index of the cache.

Rule: nothing in here is a record: such an address is a reservation for the host (core.whom.HOST).
"""

from __future__ import annotations

from mooring.core.addresses import interface
from mooring.core.datapath import exposed_facts
from mooring.core.leases import Lease
from mooring.core.networks import Interface, Network
from mooring.core.plumbing import Fact
from mooring.core.whom import HOST
from mooring.services.records.record_cache import Record, RecordCache


class Exposures:
    """Build it before the cache is loaded."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._leases: dict[str, Lease] = {}
        cache.listen(self._follow, Lease)

    def of(self, network: Network) -> list[Interface]:
        """The host's addresses in the network, by family and number."""
        found = []
        for lease in self._leases.values():
            pool = self._cache.pool(lease.pool)
            if pool is not None and pool.network == network.id:
                found.append(interface(lease.address.version, int(lease.address), pool.subnet.prefixlen))
        return sorted(found, key=lambda each: (each.version, int(each.ip)))

    def facts(self, network: Network) -> dict[tuple[str, ...], Fact]:
        """What they are in the kernel, by key."""
        return {fact.key: fact for fact in exposed_facts(network, self.of(network))} if self._leases else {}

    def _follow(self, key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(after, Lease) and after.whom == HOST:
            self._leases[key] = after
        elif isinstance(before, Lease) and before.whom == HOST:
            self._leases.pop(key, None)
