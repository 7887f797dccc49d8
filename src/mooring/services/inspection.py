"""Looking: what there is, in the words of the API. Nothing here changes anything or waits for anybody.

Rules: everything comes from the mirror and costs no I/O; an endpoint and a lease belong together when the endpoint's
network took that address from the lease's pool space; counts per pool follow the mirror's changes and are not counted
on demand.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Protocol

from mooring.core.addresses import usable
from mooring.core.endpoints import Endpoint
from mooring.core.endpoints import State as EndpointState
from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address, Interface, Network, Segment, Subnet
from mooring.core.pools import Pool, SubnetPool
from mooring.ports import Clock
from mooring.services.explanations import explain_address, holder_names, holder_of
from mooring.services.mirror import Mirror, Record
from mooring.services.roster import Roster
from mooring.services.subnets import IpamPolicy
from mooring.wire import api

# How many rows are made before others may run: about a millisecond's worth.
BATCH = 256


class PassReport(Protocol):
    """What services.repair says of its last pass."""

    @property
    def at(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def repaired(self) -> Sequence[str]:
        """One line each."""
        ...

    @property
    def findings(self) -> Sequence[str]:
        """One line each."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the daemon knows and the records do not. since: seconds since the epoch of its start."""

    version: str
    since: float
    store: str
    plugin_socket: str
    api_socket: str
    subnet_pools: tuple[SubnetPool, ...] = ()
    deny: tuple[Subnet, ...] = ()
    policy: IpamPolicy = field(default_factory=IpamPolicy)


class Inspection:
    """Reads the mirror for people. Build it before the mirror is loaded, as it counts what is loaded."""

    def __init__(
        self,
        mirror: Mirror,
        roster: Roster,
        clock: Clock,
        surroundings: Surroundings,
        report: Callable[[], PassReport | None],
    ) -> None:
        self._mirror = mirror
        self._roster = roster
        self._clock = clock
        self._surroundings = surroundings
        self._report = report
        self._states: Counter[LeaseState] = Counter()
        self._by_pool: dict[str, Counter[LeaseState]] = {}
        self._attached = 0
        mirror.listen(self._follow)

    def version(self) -> api.VersionReply:
        """What runs."""
        return api.VersionReply(self._surroundings.version, [api.VERSION])

    def status(self) -> api.StatusReply:
        """How the daemon is and how much it holds."""
        around, report = self._surroundings, self._report()
        return api.StatusReply(
            version=around.version,
            since=around.since,
            now=self._clock.now(),
            networks=self._mirror.count(Network),
            endpoints=self._mirror.count(Endpoint),
            attached=self._attached,
            pools=self._mirror.count(Pool),
            leases={state.value: self._states[state] for state in LeaseState if self._states[state]},
            store=around.store,
            plugin_socket=around.plugin_socket,
            api_socket=around.api_socket,
            repair=api.RepairStatus(report.at, list(report.repaired), list(report.findings)) if report else None,
        )

    def networks(self) -> list[api.NetworkRow]:
        """Every network, oldest first."""
        return [
            api.NetworkRow(
                id=network.id,
                mode=network.options.mode.value,
                bridge=network.bridge,
                internal=network.internal,
                subnets=[str(segment.subnet) for segment in network.segments],
                endpoints=len(self._roster.of_network(network.id)),
                created=network.created,
            )
            for network in sorted(self._mirror.every(Network), key=lambda network: (network.created, network.id))
        ]

    def network(self, prefix: str) -> api.NetworkDetail:
        """The one network whose id begins so. Raises NotFound for none and Conflict for several."""
        network = self._mirror.network(prefix) or self._only(prefix)
        endpoints = sorted(self._roster.of_network(network.id), key=lambda endpoint: (endpoint.created, endpoint.id))
        return api.NetworkDetail(
            id=network.id,
            mode=network.options.mode.value,
            bridge=network.bridge,
            mac=network.mac,
            mtu=network.mtu,
            internal=network.internal,
            created=network.created,
            options=dict(network.raw),
            segments=[self._segment(segment) for segment in network.segments],
            endpoints=[self._endpoint(network, endpoint) for endpoint in endpoints],
        )

    def pools(self) -> list[api.PoolRow]:
        """Every pool, by address space, family and subnet."""
        return [self._pool(pool) for pool in sorted(self._mirror.every(Pool), key=_pool_place)]

    def pool(self, which: str) -> list[api.PoolDetail]:
        """The pool whose id begins so, or those of the subnet, one for each address space.

        Raises NotFound for none, Conflict for several ids, BadRequest for what is neither.
        """
        pools = sorted(self._mirror.every(Pool), key=_pool_place)
        if self._mirror.pool(which) is None and ("/" in which or ":" in which or "." in which):
            try:
                found = [pool for pool in pools if pool.subnet == ip_network(which)]
            except ValueError as error:
                raise BadRequest(f"{which[:60]!r} is not a subnet: {error}", hint="write it as 10.32.0.0/24") from None
        else:
            found = [pool for pool in pools if pool.id.startswith(which)]
            exact = [pool for pool in found if pool.id == which]
            if len(found) > 1 and not exact:
                some = ", ".join(pool.id for pool in found[:5])
                raise Conflict(f"{len(found)} pools have ids that begin with {which!r}: {some}", hint="give more of it")
            found = exact or found
        if not found:
            raise NotFound(f"there is no pool {which[:60]!r}", hint="`mooring pool ls` lists them")
        return [
            api.PoolDetail(
                pool=self._pool(pool),
                leases={state.value: count for state in LeaseState if (count := self._tally(pool.id)[state])},
                options=dict(pool.options),
                claim=self._surroundings.policy.claim_policy(pool).value,
            )
            for pool in found
        ]

    async def leases(self, wanted: api.ListLeases) -> list[api.LeaseRow]:
        """The leases that match, by address space, family and address. Others run while many are gone through."""
        found = []
        for number, lease in enumerate(self._mirror.every(Lease), 1):
            if number % BATCH == 0:
                await asyncio.sleep(0)
            if self._matches(lease, wanted):
                found.append(lease)
        found.sort(key=_place)
        rows = []
        for number, lease in enumerate(found, 1):
            if number % BATCH == 0:
                await asyncio.sleep(0)
            rows.append(self._lease(lease))
        return rows

    def lease(self, address: Address) -> list[api.LeaseRow]:
        """The leases of the address, one for each address space that has one. Raises NotFound when there is none."""
        spaces = {pool.space for pool in self._mirror.every(Pool)}
        found = [lease for space in sorted(spaces) if (lease := self._mirror.lease(space, address)) is not None]
        if not found:
            raise NotFound(f"nobody holds {address}", hint=f"`mooring explain {address}` says why")
        return [self._lease(lease) for lease in found]

    def explain(self, address: Address) -> api.Explanation:
        """All that is known of any address, in sentences."""
        return explain_address(
            address, self._mirror, self._roster, self._clock.now(), self._surroundings.subnet_pools,
            self._surroundings.deny,
        )  # fmt: skip

    def _only(self, prefix: str) -> Network:
        found = [network for network in self._mirror.every(Network) if network.id.startswith(prefix)]
        if not found:
            raise NotFound(
                f"no network has an id that begins with {prefix[:70]!r}",
                hint="`mooring network ls` lists them; Docker does not tell a driver the names of networks",
            )
        if len(found) > 1:
            some = ", ".join(sorted(network.id[:12] for network in found)[:5])
            raise Conflict(f"{len(found)} networks have ids that begin with {prefix!r}: {some}", hint="give more of it")
        return found[0]

    def _tally(self, pool_id: str) -> Counter[LeaseState]:
        return self._by_pool.get(pool_id, Counter())

    def _pool(self, pool: Pool) -> api.PoolRow:
        tally = self._tally(pool.id)
        return api.PoolRow(
            id=pool.id,
            space=pool.space,
            subnet=str(pool.subnet),
            range=_text(pool.range),
            gateway=str(pool.gateway) if pool.gateway is not None else None,
            network=pool.network,
            source=pool.source,
            size=size_of(pool.subnet),
            used=tally.total() - tally[LeaseState.COOLING],
            cooling=tally[LeaseState.COOLING],
            created=pool.created,
        )

    def _segment(self, segment: Segment) -> api.SegmentView:
        pool = self._mirror.pool(segment.pool) if segment.pool else None
        tally = self._tally(segment.pool) if pool else Counter[LeaseState]()
        return api.SegmentView(
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
        )

    def _endpoint(self, network: Network, endpoint: Endpoint) -> api.EndpointView:
        names = {lease.name for address in endpoint.addresses if (lease := self._lease_at(network, address))}
        return api.EndpointView(
            id=endpoint.id,
            state=endpoint.state.value,
            name=next(iter(sorted(names - {""})), ""),
            ipv4=_text(endpoint.ipv4),
            ipv6=_text(endpoint.ipv6),
            mac=endpoint.mac,
            published=[str(publication) for publication in endpoint.published],
            sandbox=endpoint.sandbox,
            created=endpoint.created,
        )

    def _lease_at(self, network: Network, address: Address) -> Lease | None:
        segment = network.segment_of(address)
        return self._mirror.lease(segment.space, address) if segment is not None else None

    def _lease(self, lease: Lease) -> api.LeaseRow:
        pool = self._mirror.pool(lease.pool)
        endpoint = self._roster.at(pool.network, lease.address) if pool is not None else None
        names = [name.removeprefix("container ") for name in holder_names(lease, self._mirror)]
        return api.LeaseRow(
            address=str(lease.address),
            space=lease.space,
            subnet=str(pool.subnet) if pool else None,
            pool=lease.pool,
            network=pool.network if pool else "",
            state=lease.state.value,
            holder=", ".join(f"container {name}" for name in names) or holder_of(lease, endpoint),
            mac=lease.mac or (endpoint.mac if endpoint else ""),
            name=lease.name,
            endpoint=endpoint.id if endpoint else "",
            since=lease.since,
            until=lease.until,
            key=lease.key,
            holders=names,
            active=endpoint is not None or lease.active is not None,
            whom=lease.whom,
            note=lease.note,
        )

    def _matches(self, lease: Lease, wanted: api.ListLeases) -> bool:
        if wanted.state is not None and lease.state is not wanted.state:
            return False
        if wanted.fixed and lease.state is not LeaseState.FIXED:
            return False
        if (wanted.space and lease.space != wanted.space) or not lease.pool.startswith(wanted.pool):
            return False
        if wanted.network:
            pool = self._mirror.pool(lease.pool)
            if pool is None or not pool.network or not pool.network.startswith(wanted.network):
                return False
        text = wanted.text.lower()
        fields = self._texts(lease) if text else ()
        return not text or any(text in field.lower() for field in fields)

    def _texts(self, lease: Lease) -> tuple[str, ...]:
        names = holder_names(lease, self._mirror)
        return str(lease.address), lease.mac, lease.name, lease.owner, lease.note, lease.key, lease.whom, *names

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        for record, step in ((before, -1), (after, 1)):
            if isinstance(record, Lease):
                self._states[record.state] += step
                tally = self._by_pool.setdefault(record.pool, Counter())
                tally[record.state] += step
                if not tally.total():
                    del self._by_pool[record.pool]
            elif isinstance(record, Endpoint) and record.state is EndpointState.ATTACHED:
                self._attached += step


def size_of(subnet: Subnet) -> int:
    """How many addresses of the subnet can be given at all, LARGEST at most."""
    start, end = usable(subnet)
    return min(end - start, api.LARGEST)


def _text(value: Subnet | Interface | None) -> str | None:
    return None if value is None else str(value)


def _pool_place(pool: Pool) -> tuple[str, int, int]:
    return pool.space, pool.subnet.version, int(pool.subnet.network_address)


def _place(lease: Lease) -> tuple[str, int, int]:
    return lease.space, lease.address.version, int(lease.address)
