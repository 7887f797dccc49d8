"""Looking: what there is, in the words of the API. Nothing here changes anything or waits for anybody.

Rules: records come from the cache and cost no I/O, and names from what the engine was asked just before; an endpoint
and a lease belong together when the endpoint's network took that address from the lease's pool space; counts per pool
follow the cache's changes and are not counted on demand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from mooring.core.addresses import usable
from mooring.core.endpoints import Endpoint
from mooring.core.endpoints import State as EndpointState
from mooring.core.faults import NotFound
from mooring.core.filters import LeaseFilter, NetworkFilter, Page, PoolFilter
from mooring.core.findings import Report
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address, Interface, Network, Segment, Subnet
from mooring.core.pools import Pool
from mooring.core.views import (
    LARGEST,
    EndpointView,
    Explanation,
    HostStatus,
    LeaseRow,
    NetworkDetail,
    NetworkRow,
    PoolDetail,
    PoolRow,
    SegmentView,
)
from mooring.ports import Clock
from mooring.services.ipam.kept_address_rows import kept_lease_rows, kept_rows
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.operations.explain import explain_address
from mooring.services.operations.matching import lease_matcher, network_matcher, pool_matcher
from mooring.services.operations.next_starts import losses
from mooring.services.operations.pages import Place, page_of
from mooring.services.operations.references import network_meant, pools_meant
from mooring.services.operations.scenes import Scene
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.holder_names import holder_names, holder_of
from mooring.services.records.record_cache import RecordCache


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What the daemon knows and the records do not. since: seconds since the epoch of its start. host_name: of this
    host. namespace: which network namespace the calling thread is in (ports.Namespaces); None: nobody can tell."""

    version: str
    since: float
    store: str
    plugin_socket: str
    api_socket: str
    policy: IpamPolicy = field(default_factory=IpamPolicy)
    host_name: str = ""
    namespace: Callable[[], str] | None = None


class Inspection:
    """Reads the cache for people."""

    def __init__(
        self,
        cache: RecordCache,
        index: AddressIndex,
        clock: Clock,
        daemon: DaemonFacts,
        report: Callable[[], Report | None],
    ) -> None:
        self._cache = cache
        self._index = index
        self._endpoint_index = index.endpoints
        self._clock = clock
        self._daemon = daemon
        self._report = report

    @property
    def version(self) -> str:
        """What runs."""
        return self._daemon.version

    def status(self, notes: Sequence[str] = (), ready: bool = True, waits: Sequence[str] = ()) -> HostStatus:
        """How the daemon is and how much it holds. notes: what else is good to know. ready, waits: as HostStatus."""
        daemon, states = self._daemon, self._index.states()
        return HostStatus(
            version=daemon.version,
            since=daemon.since,
            now=self._clock.now(),
            networks=self._cache.count(Network),
            endpoints=self._cache.count(Endpoint),
            attached=sum(each.state is EndpointState.ATTACHED for each in self._cache.every(Endpoint)),
            pools=self._cache.count(Pool),
            leases={state.value: states[state] for state in LeaseState if states[state]},
            store=daemon.store,
            plugin_socket=daemon.plugin_socket,
            api_socket=daemon.api_socket,
            repair=self._report(),
            notes=list(notes),
            ready=ready,
            waits=list(waits),
        )

    async def networks(self, wanted: NetworkFilter, names: EngineNames = NOBODY_ASKED) -> Page[NetworkRow]:
        """The networks that match, oldest first. Raises BadRequest, NotFound for an address space that is not there."""

        def row(network: Network) -> NetworkRow:
            return NetworkRow(
                id=network.id,
                mode=network.mode_word,
                bridge=network.bridge,
                internal=network.internal,
                subnets=[str(segment.subnet) for segment in network.segments],
                endpoints=len(self._endpoint_index.of_network(network.id)),
                created=network.created,
                name=names.of_network(network),
                tenant=network.tenant,
                host_access=_host_access(network),
                scope=network.options.scope.value,
            )

        matches = network_matcher(wanted, self._cache, names)
        return await page_of(
            self._cache.every(Network), wanted, lambda each: (each.created, each.id, 0, b"", ""), row, matches
        )

    def network(self, reference: str, names: EngineNames = NOBODY_ASKED) -> NetworkDetail:
        """The one network that is meant. Raises as references.network_meant."""
        network = network_meant(reference, self._cache, names)
        endpoints = sorted(
            self._endpoint_index.of_network(network.id), key=lambda endpoint: (endpoint.created, endpoint.id)
        )
        return NetworkDetail(
            id=network.id,
            mode=network.mode_word,
            bridge=network.bridge,
            mac=network.mac,
            mtu=network.mtu,
            internal=network.internal,
            created=network.created,
            options=dict(network.raw),
            segments=[self._segment(segment) for segment in network.segments],
            endpoints=[self._endpoint(network, endpoint, names) for endpoint in endpoints],
            name=names.of_network(network),
            tenant=network.tenant,
            host_access=_host_access(network),
            scope=network.options.scope.value,
        )

    async def pools(self, wanted: PoolFilter, names: EngineNames = NOBODY_ASKED) -> Page[PoolRow]:
        """The pools that match, by address space, family and subnet. Raises as references.network_meant, BadRequest,
        and NotFound for an address space that is not there."""

        def place(pool: Pool) -> Place:
            return 0, pool.space, pool.subnet.version, pool.subnet.network_address.packed, pool.id

        matches = pool_matcher(wanted, self._cache, self._index, names)
        return await page_of(self._cache.every(Pool), wanted, place, lambda pool: self._pool(pool, names), matches)

    def pool(self, which: str, names: EngineNames = NOBODY_ASKED) -> list[PoolDetail]:
        """The pools that are meant. Raises as references.pools_meant."""
        return [
            PoolDetail(
                pool=self._pool(pool, names),
                leases={state.value: count for state in LeaseState if (count := self._index.counts(pool.id)[state])},
                options=dict(pool.options),
                claim=self._daemon.policy.claim_policy(pool).value,
            )
            for pool in pools_meant(which, self._cache, names)
        ]

    async def leases(self, wanted: LeaseFilter, names: EngineNames = NOBODY_ASKED) -> Page[LeaseRow]:
        """The leases that match, by address space, family and address, and behind them those that wait for a network.

        Raises as references.network_meant and pools_meant, and NotFound for an address space that is not there.
        """
        now = self._clock.now()
        matches = lease_matcher(wanted, self._cache, self._endpoint_index, now, names)
        items: list[Lease | LeaseRow] = [*self._cache.every(Lease), *kept_rows(self._cache, now, wanted)]
        return await page_of(
            items,
            wanted,
            _place,
            lambda each: each if isinstance(each, LeaseRow) else self._lease(each, names),
            lambda each: isinstance(each, LeaseRow) or matches(each),
        )

    def lease(self, address: Address, names: EngineNames = NOBODY_ASKED) -> list[LeaseRow]:
        """The leases of the address, one for each address space that has one. Raises NotFound when there is none."""
        spaces = {pool.space for pool in self._cache.every(Pool)}
        found = [lease for space in sorted(spaces) if (lease := self._cache.lease(space, address)) is not None]
        waits = kept_lease_rows(self._cache, self._clock.now(), address)
        if not found and not waits:
            raise NotFound(f"nothing holds {address}", hint=f"`mooring explain {address}` says why")
        return [self._lease(lease, names) for lease in found] + waits

    def explain(self, address: Address, names: EngineNames = NOBODY_ASKED) -> Explanation:
        """All that is known of any address, in sentences."""
        return explain_address(address, self.scene(names))

    def scene(self, names: EngineNames) -> Scene:
        """What answers to `explain` are made of now."""
        return Scene(self._cache, self._endpoint_index, self._clock.now(), names, self._daemon.policy)

    def _pool(self, pool: Pool, names: EngineNames) -> PoolRow:
        tally = self._index.counts(pool.id)
        used = tally.total() - tally[LeaseState.COOLING]
        network = self._cache.network(pool.network) if pool.network else None
        return PoolRow(
            id=pool.id,
            space=pool.space,
            subnet=str(pool.subnet),
            range=_text(pool.range),
            gateway=str(pool.gateway) if pool.gateway is not None else None,
            network=pool.network,
            source=pool.source,
            size=size_of(pool.subnet),
            used=used,
            cooling=tally[LeaseState.COOLING],
            created=pool.created,
            network_name=names.of_network(network) if network is not None else "",
            percent=round(100 * used / size_of(pool.subnet), 1),
        )

    def _segment(self, segment: Segment) -> SegmentView:
        pool = self._cache.pool(segment.pool) if segment.pool else None
        tally = self._index.counts(segment.pool) if pool else Counter[LeaseState]()
        return SegmentView(
            subnet=str(segment.subnet),
            gateway=_text(segment.gateway),
            auxiliary={name: str(address) for name, address in segment.auxiliary.items()},
            space=segment.space,
            pool=segment.pool,
            range=_text(pool.range) if pool else None,
            source=pool.source if pool else "",
            size=size_of(segment.subnet) if pool else 0,
            used=tally.total() - tally[LeaseState.COOLING],
            cooling=tally[LeaseState.COOLING],
            name=segment.name,
        )

    def _endpoint(self, network: Network, endpoint: Endpoint, names: EngineNames) -> EndpointView:
        called = {lease.name for address in endpoint.addresses if (lease := self._lease_at(network, address))}
        container = names.with_endpoint(endpoint.id)
        return EndpointView(
            id=endpoint.id,
            state=endpoint.state.value,
            name=container.name if container is not None else next(iter(sorted(called - {""})), endpoint.name),
            ipv4=_text(endpoint.ipv4),
            ipv6=_text(endpoint.ipv6),
            mac=endpoint.mac,
            published=[str(port_binding) for port_binding in endpoint.published],
            sandbox=endpoint.sandbox,
            created=endpoint.created,
            container=container.id if container is not None else "",
        )

    def _lease_at(self, network: Network, address: Address) -> Lease | None:
        segment = network.segment_of(address)
        return self._cache.lease(segment.space, address) if segment is not None else None

    def _lease(self, lease: Lease, names: EngineNames) -> LeaseRow:
        pool = self._cache.pool(lease.pool)
        network = self._cache.network(pool.network) if pool is not None and pool.network else None
        endpoint = self._endpoint_index.at(pool.network, lease.address) if pool is not None else None
        container = names.with_endpoint(endpoint.id) if endpoint is not None else None
        holders = [name.removeprefix("container ") for name in holder_names(lease, self._cache, names)]
        return LeaseRow(
            address=str(lease.address),
            space=lease.space,
            subnet=str(pool.subnet) if pool else None,
            pool=lease.pool,
            network=pool.network if pool else "",
            state=lease.state.value,
            holder=", ".join(f"container {name}" for name in holders) or holder_of(lease, endpoint, names),
            mac=lease.mac or (endpoint.mac if endpoint else ""),
            name=container.name if container is not None else lease.name,
            endpoint=endpoint.id if endpoint else "",
            since=lease.since,
            until=lease.until,
            key=lease.key,
            holders=holders,
            active=endpoint is not None or lease.active is not None,
            whom=lease.whom,
            note=lease.note,
            network_name=names.of_network(network) if network is not None else "",
            container=container.id if container is not None else "",
            warning="; ".join(f"{loss.text}; {loss.remedy}" for loss in losses(lease, self._cache, names)),
        )


def size_of(subnet: Subnet) -> int:
    """How many addresses of the subnet can be given at all, LARGEST at most."""
    start, end = usable(subnet)
    return min(end - start, LARGEST)


def _host_access(network: Network) -> str:
    return network.host_access.value if network.domain else ""


def _text(value: Subnet | Interface | None) -> str | None:
    return None if value is None else str(value)


def _place(each: Lease | LeaseRow) -> Place:
    if isinstance(each, LeaseRow):
        address = ip_address(each.address)
        return 1, each.space, address.version, address.packed, f"{each.network_name} {each.key}"
    return 0, each.space, each.address.version, each.address.packed, ""
