"""The keyspace in memory: every record as of the last commit that this process saw.

Rules: reads cost no I/O; every write goes through `commit`, which expects the revisions that the cache has, so a stale
cache can cost a retry but never give a wrong answer; listeners hear of a change after it is durable, in commit order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from mooring.core.address_claims import HostClaim
from mooring.core.blocks import HostBlock, LeftSubnet, SharedSubnet
from mooring.core.cluster_marks import ClusterMark
from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import Holder
from mooring.core.deny_entries import DenyEntry
from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Endpoint
from mooring.core.engines import KnownEngine
from mooring.core.faults import StaleRevision, Unavailable
from mooring.core.intents import Intent
from mooring.core.kept_networks import KeptNetwork
from mooring.core.leases import Lease
from mooring.core.moves import Move
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import Address, Network, Subnet
from mooring.core.pools import Pool, SubnetPool
from mooring.core.sandboxes import Sandbox
from mooring.core.vnics import Vnic
from mooring.ports import Store, Transaction
from mooring.services.records.pacing import Pace
from mooring.wire import stored

Record = (
    Pool
    | Lease
    | Network
    | Sandbox
    | Endpoint
    | KnownEngine
    | Holder
    | Intent
    | KeptNetwork
    | Move
    | SubnetPool
    | DenyEntry
    | DnsRecord
    | NetworkPort
    | Vnic
    | SharedSubnet
    | LeftSubnet
    | HostBlock
    | HostClaim
    | HostNetwork
    | ClusterMark
)
Listener = Callable[[str, "Record | None", "Record | None"], None]
T = TypeVar(
    "T", Pool, Lease, Network, Sandbox, Endpoint, KnownEngine, Holder, Intent, KeptNetwork, Move, SubnetPool, DenyEntry,
    DnsRecord,
    NetworkPort,
    Vnic, SharedSubnet, LeftSubnet, HostBlock, HostClaim, HostNetwork, ClusterMark,
)  # fmt: skip

# Ports of an endpoint from which on its record is written beside the loop, and bytes from which on it is read so.
MANY_PORTS = 512
LONG = 1 << 16


class RecordCache:
    """Records by key, with their revisions. `load` first, then read and commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, Record] = {}
        self._revisions: dict[str, int] = {}
        self._kinds: dict[type, dict[str, Record]] = {
            kind: {}
            for kind in (
                Pool,
                Lease,
                Network,
                Sandbox,
                Endpoint,
                KnownEngine,
                Holder,
                Intent,
                KeptNetwork,
                Move,
                SubnetPool,
                DenyEntry,
                DnsRecord,
                NetworkPort,
                Vnic,
                SharedSubnet,
                LeftSubnet,
                HostBlock,
                HostClaim,
                HostNetwork,
                ClusterMark,
            )
        }
        self._listeners: dict[type, list[Listener]] = {kind: [] for kind in self._kinds}
        self.revision = 0

    def listen(self, listener: Listener, *kinds: type[Record]) -> None:
        """Call listener(key, before, after) after every change from now on, and for every record at `load`. kinds: of
        what records; none for all. Of one key, before and after are of one kind."""
        for kind in kinds or self._kinds:
            self._listeners[kind].append(listener)

    async def load(self) -> None:
        """Read everything. Raises Unavailable for a record that this version cannot read."""
        pace = Pace()
        for prefix in stored.PREFIXES:
            entries, self.revision = await self._store.scan(prefix)
            for entry in entries:
                await pace.step()
                self._set(entry.key, await _decoded(entry.key, entry.value), entry.revision)

    async def complaints(self) -> Sequence[str]:
        """What is wrong with the store, a line each."""
        return await self._store.complaints()

    def get(self, key: str) -> Record | None:
        """The record under the key."""
        return self._records.get(key)

    def every(self, kind: type[T]) -> Iterator[T]:
        """All records of the kind, as of now: a copy, so that it may be iterated over awaits."""
        yield from list(self._kinds[kind].values())  # type: ignore[misc]

    def count(self, kind: type[T]) -> int:
        """How many records of the kind there are."""
        return len(self._kinds[kind])

    def pool(self, pool_id: str) -> Pool | None:
        """The pool with the PoolID."""
        return self._kinds[Pool].get(stored.pool_key(pool_id))  # type: ignore[return-value]

    def subnet_pool(self, name: str) -> SubnetPool | None:
        """The stored subnet pool with the name."""
        return self._kinds[SubnetPool].get(stored.subnet_pool_key(name))  # type: ignore[return-value]

    def lease(self, space: str, address: Address) -> Lease | None:
        """The lease of the address."""
        return self._kinds[Lease].get(stored.lease_key(space, address))  # type: ignore[return-value]

    def kept_network(self, network_id: str) -> KeptNetwork | None:
        """What the network with the full id left."""
        return self._kinds[KeptNetwork].get(stored.kept_network_key(network_id))  # type: ignore[return-value]

    def network(self, network_id: str) -> Network | None:
        """The network with the full id."""
        return self._kinds[Network].get(stored.network_key(network_id))  # type: ignore[return-value]

    def sandbox(self, sandbox_id: str) -> Sandbox | None:
        """The sandbox with the full id."""
        return self._kinds[Sandbox].get(stored.sandbox_key(sandbox_id))  # type: ignore[return-value]

    def endpoint(self, network_id: str, endpoint_id: str) -> Endpoint | None:
        """The endpoint of the network with the full id."""
        return self._kinds[Endpoint].get(stored.endpoint_key(network_id, endpoint_id))  # type: ignore[return-value]

    def holder(self, container_id: str) -> Holder | None:
        """The holder with the container's full id."""
        return self._kinds[Holder].get(stored.holder_key(container_id))  # type: ignore[return-value]

    def intent(self, intent_id: str) -> Intent | None:
        """The intent with the id."""
        return self._kinds[Intent].get(stored.intent_key(intent_id))  # type: ignore[return-value]

    def move(self, container_id: str, network_id: str) -> Move | None:
        """The move of the container in the network, of full ids."""
        return self._kinds[Move].get(stored.move_key(container_id, network_id))  # type: ignore[return-value]

    def deny_entry(self, subnet: Subnet) -> DenyEntry | None:
        """The operator's entry for exactly the subnet."""
        return self._kinds[DenyEntry].get(stored.deny_key(subnet))  # type: ignore[return-value]

    def dns_record(self, network_id: str, name: str) -> DnsRecord | None:
        """The operator's record of the name in the network ("" for none)."""
        return self._kinds[DnsRecord].get(stored.dns_key(network_id, name))  # type: ignore[return-value]

    def network_port(self, port_id: str) -> NetworkPort | None:
        """The port with exactly that id."""
        return self._kinds[NetworkPort].get(stored.network_port_key(port_id))  # type: ignore[return-value]

    def vnic(self, tenant: str, subnet: Subnet, address: Address) -> Vnic | None:
        """The VNIC of the tenant and subnet with the address."""
        return self._kinds[Vnic].get(stored.vnic_key(tenant, subnet, address))  # type: ignore[return-value]

    def host_claim(self, space: str, subnet: Subnet, address: Address) -> HostClaim | None:
        """This host's claim of the address of the subnet."""
        return self._kinds[HostClaim].get(stored.host_claim_key(space, subnet, address))  # type: ignore[return-value]

    def left_subnet(self, space: str, subnet: Subnet) -> LeftSubnet | None:
        """What says that this host has left the network of the subnet."""
        return self._kinds[LeftSubnet].get(stored.left_key(space, subnet))  # type: ignore[return-value]

    def host_network(self, network_id: str) -> HostNetwork | None:
        """This host's part in the cluster network that Docker knows by that full id here."""
        return self._kinds[HostNetwork].get(stored.host_network_key(network_id))  # type: ignore[return-value]

    async def commit(self, put: Iterable[Record] = (), delete: Iterable[Record] = ()) -> int:
        """Write the records and delete those others, all or nothing, durable when it returns.

        Each key is expected to be as the cache has it now. On StaleRevision nothing was changed, the cache has read
        the keys again, and the caller decides anew. When the outcome is unknown (cancelled, Unavailable) the cache
        reads them again, too.
        """
        puts = {stored.key_of(record): record for record in put}
        deletes = [stored.key_of(record) for record in delete]
        expect = {key: self._revisions.get(key, 0) for key in (*puts, *deletes)}
        values = {key: await _encoded(record) for key, record in puts.items()}
        try:
            revision = await self._store.commit(Transaction(expect, values, deletes))
        except StaleRevision:
            await self._read_again(expect)
            raise
        except (asyncio.CancelledError, Unavailable):
            with suppress(Unavailable):  # then the cache stays as it is, and the next commit finds it stale
                await self._read_again(expect)
            raise
        # Who read a key again meanwhile may already have shown what came after this commit.
        for key, record in puts.items():
            if revision > self._revisions.get(key, 0):
                self._set(key, record, revision)
        for key in deletes:
            if revision > self._revisions.get(key, 0):
                self._drop(key)
        self.revision = max(self.revision, revision)
        return revision

    async def _read_again(self, keys: Iterable[str]) -> None:
        for key in keys:
            known = self._revisions.get(key, 0)
            entry = await self._store.get(key)
            if entry is not None and entry.revision > self._revisions.get(key, 0):
                record = await _decoded(key, entry.value)
                if entry.revision > self._revisions.get(key, 0):  # nobody was quicker meanwhile
                    self._set(key, record, entry.revision)
            elif entry is None and self._revisions.get(key, 0) == known:
                self._drop(key)

    def _set(self, key: str, record: Record, revision: int) -> None:
        before = self._records.get(key)
        self._records[key] = record
        self._revisions[key] = revision
        self._kinds[type(record)][key] = record
        for listener in self._listeners[type(record)]:
            listener(key, before, record)

    def _drop(self, key: str) -> None:
        before = self._records.pop(key, None)
        self._revisions.pop(key, None)
        if before is None:
            return
        del self._kinds[type(before)][key]
        for listener in self._listeners[type(before)]:
            listener(key, before, None)


async def _encoded(record: Record) -> bytes:
    if isinstance(record, Endpoint) and len(record.ports) + len(record.published) + len(record.exposed) > MANY_PORTS:
        return await asyncio.to_thread(stored.encode, record)
    return stored.encode(record)


async def _decoded(key: str, value: bytes) -> Record:
    return await asyncio.to_thread(stored.decode, key, value) if len(value) > LONG else stored.decode(key, value)
