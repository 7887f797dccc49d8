"""Endpoints found by network, by address and by host port, and leases that no endpoint has: an index of the cache.

Rule: nothing in here is a record; it is rebuilt from the cache's changes, so it can never disagree with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.ports import Clock
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import Record, RecordCache


class EndpointIndex:
    """Build it before the cache is loaded."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._by_network: dict[str, dict[str, Endpoint]] = {}
        self._by_sandbox: dict[str, dict[str, Endpoint]] = {}
        self._ids: set[str] = set()
        self._by_name: dict[tuple[str, str], Endpoint] = {}
        self._by_mac: dict[tuple[str, str], Endpoint] = {}
        self._by_address: dict[tuple[str, Address], Endpoint] = {}
        # By number alone: an endpoint may have tens of thousands, and a key with an enum in it takes thrice as long.
        self._by_port: dict[int, list[tuple[PortBinding, Endpoint]]] = {}
        self._unattached: dict[tuple[str, Address], Lease] = {}
        cache.listen(self._follow, Lease, Endpoint)

    def of_network(self, network_id: str) -> list[Endpoint]:
        """Every endpoint of the network."""
        return list(self._by_network.get(network_id, {}).values())

    def count(self, network_id: str) -> int:
        """How many endpoints the network has."""
        return len(self._by_network.get(network_id, ()))

    def named(self, network_id: str, name: str) -> Endpoint | None:
        """The endpoint of the network with the name; nobody has the name ""."""
        return self._by_name.get((network_id, name))

    def with_mac(self, network_id: str, mac: str) -> Endpoint | None:
        """An endpoint of the network with the MAC; nobody has the MAC ""."""
        return self._by_mac.get((network_id, mac))

    def in_sandbox(self, key: str) -> list[Endpoint]:
        """Every endpoint that is attached to the sandbox with the key."""
        return list(self._by_sandbox.get(key, {}).values())

    def at(self, network_id: str, address: Address) -> Endpoint | None:
        """The endpoint of the network that has the address."""
        return self._by_address.get((network_id, address))

    def publishers(self, protocol: Protocol, port: int) -> Iterator[tuple[PortBinding, Endpoint]]:
        """What is published at the host port, on any address of the host, and by whom."""
        for pair in self._by_port.get(port, ()):
            if pair[0].protocol is protocol:
                yield pair

    def knows(self, endpoint_id: str) -> bool:
        """Whether any network has an endpoint with the id."""
        return endpoint_id in self._ids

    def unattached(self) -> list[Lease]:
        """Leases in use, in networks of ours, that no endpoint has: on their way to one, or forgotten by Docker. Not
        the host's own in an overlay, whose MAC is the bridge's."""
        return [lease for lease in self._unattached.values() if not self._is_the_hosts(lease)]

    def _is_the_hosts(self, lease: Lease) -> bool:
        pool = self._cache.pool(lease.pool) if lease.mac else None
        network = self._cache.network(pool.network) if pool is not None else None
        return network is not None and lease.mac == network.mac

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Lease):
            self._unattached.pop((before.space, before.address), None)
        if isinstance(after, Lease):
            self._consider(after)
        if isinstance(before, Endpoint):
            self._drop(before)
        if isinstance(after, Endpoint):
            self._by_network.setdefault(after.network, {})[after.id] = after
            self._ids.add(after.id)
            if after.name:
                self._by_name[after.network, after.name] = after
            if after.mac:
                self._by_mac[after.network, after.mac] = after
            if after.sandbox:
                self._by_sandbox.setdefault(after.sandbox, {})[after.id] = after
            for address in after.addresses:
                self._by_address[after.network, address] = after
                if (lease := self._lease_of(after, address)) is not None:
                    self._unattached.pop((lease.space, lease.address), None)
            for port_binding in after.published:
                self._by_port.setdefault(port_binding.host_port, []).append((port_binding, after))

    def _consider(self, lease: Lease) -> None:
        """Note the lease when it belongs to a network of ours and no endpoint has it."""
        used = lease.state is LeaseState.DYNAMIC or lease.active is not None
        pool = self._cache.pool(lease.pool) if used else None
        if pool is not None and pool.network and self.at(pool.network, lease.address) is None:
            self._unattached[lease.space, lease.address] = lease

    def _lease_of(self, endpoint: Endpoint, address: Address) -> Lease | None:
        network = self._cache.network(endpoint.network)
        segment = network.segment_of(address) if network is not None else None
        return self._cache.lease(segment.space, address) if segment is not None else None

    def _drop(self, endpoint: Endpoint) -> None:
        members = self._by_network.get(endpoint.network, {})
        members.pop(endpoint.id, None)
        self._ids.discard(endpoint.id)
        if endpoint.name:
            self._by_name.pop((endpoint.network, endpoint.name), None)
        same = self._by_mac.get((endpoint.network, endpoint.mac))
        if same is not None and same.id == endpoint.id:
            del self._by_mac[endpoint.network, endpoint.mac]
        if endpoint.sandbox:
            joined = self._by_sandbox.get(endpoint.sandbox, {})
            joined.pop(endpoint.id, None)
            if not joined:
                self._by_sandbox.pop(endpoint.sandbox, None)
        if not members:
            self._by_network.pop(endpoint.network, None)
        for address in endpoint.addresses:
            holder = self._by_address.get((endpoint.network, address))
            if holder is not None and holder.id == endpoint.id:
                del self._by_address[endpoint.network, address]
                if (lease := self._lease_of(endpoint, address)) is not None:
                    self._consider(lease)
        for port in {port_binding.host_port for port_binding in endpoint.published}:
            rest = [pair for pair in self._by_port.get(port, ()) if pair[1].id != endpoint.id]
            if rest:
                self._by_port[port] = rest
            else:
                self._by_port.pop(port, None)


@dataclass(frozen=True, slots=True)
class Records:
    """What is on record, and what those go by who change it."""

    cache: RecordCache
    endpoint_index: EndpointIndex
    locks: KeyedLocks
    clock: Clock
