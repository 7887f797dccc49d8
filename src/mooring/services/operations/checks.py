"""What the records and the engine tell that should not be: each look is a function that finds and changes nothing.

Rules: what is only just being made is no finding; a finding says what proves it; what nobody can prove is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mooring.core.containers import Container, EngineNetwork
from mooring.core.dns_views import DnsServerView
from mooring.core.endpoints import Endpoint
from mooring.core.engines import EngineView
from mooring.core.findings import AUTOMATIC, Finding
from mooring.core.intents import Intent
from mooring.core.leases import Lease, State, is_over
from mooring.core.networks import Network
from mooring.core.options import says_port_security
from mooring.core.pools import Pool
from mooring.core.times import moment
from mooring.core.whom import whom_in_words
from mooring.services.ipam.allocator import Ipam
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.record_cache import RecordCache

# Networks that are named in one line.
NAMED = 5
# Seconds that a thing may take to be made: a start of a container with everything slow.
MAKING = 60.0


def old_intents(cache: RecordCache, now: float, engine: str) -> Iterator[Finding]:
    """What was begun with the engine and is not settled. engine: id of the one at the socket, "" when not known."""
    for intent in cache.every(Intent):
        if now - intent.created < MAKING:
            continue
        strange = bool(engine) and intent.engine != engine
        whom = intent.name or intent.container[:12] or "a container"
        yield Finding(
            f"intent {intent.id}",
            f"the outcome of `{intent.purpose.value}` for {whom} is not recorded yet",
            f"intent {intent.id}" + (f" of engine {intent.engine[:12]}, not the one at the socket" if strange else ""),
            intent.created,
            "`mooring lease release ADDRESS --force` frees what it holds" if strange else AUTOMATIC,
            fixable=not strange,
        )


def overdue(cache: RecordCache, now: float) -> Iterator[Finding]:
    """Reservations whose time is over, and keys without a container that were kept long enough."""
    for lease in cache.every(Lease):
        if lease.state in (State.RESERVED, State.FIXED) and is_over(lease, now) and lease.until is not None:
            what = (
                f"kept for {lease.key}" if lease.state is State.FIXED else f"reserved for {whom_in_words(lease.whom)}"
            )
            yield Finding(
                f"overdue {lease.space} {lease.address}",
                f"address {lease.address} is still {what}, although that has expired",
                f"expired at {moment(lease.until)}",
                lease.until,
                AUTOMATIC,
                fixable=True,
            )


def unlike(cache: RecordCache, endpoint_index: EndpointIndex, host: str) -> Iterator[Finding]:
    """Leases and endpoints of this host that contradict each other."""
    for lease in cache.every(Lease):
        if lease.active is None or lease.active.host != host:
            continue
        pool = cache.pool(lease.pool)
        if pool is not None and endpoint_index.at(pool.network, lease.address) is None:
            yield Finding(
                f"active {lease.space} {lease.address}",
                f"address {lease.address} is recorded as in use, but no endpoint has it",
                f"the lease names endpoint {lease.active.endpoint[:12]}",
                lease.since,
                f"if no container has it, `mooring lease release {lease.address} --force`",
            )
    for endpoint in cache.every(Endpoint):
        network = cache.network(endpoint.network)
        for address in endpoint.addresses if network is not None else ():
            segment = network.segment_of(address) if network is not None else None
            if segment is None or not segment.pool or cache.lease(segment.space, address) is not None:
                continue
            yield Finding(
                f"unleased {endpoint.id} {address}",
                f"endpoint {endpoint.id[:12]} uses {address}, but there is no lease for it",
                "the records; another container may be given it",
                endpoint.created,
                "restart that container when convenient",
            )


def idle_pools(cache: RecordCache, ipam: Ipam, view: EngineView, now: float) -> Iterator[Finding]:
    """Pools that no network of ours or of the engine uses."""
    for pool in cache.every(Pool):
        young = now - pool.created < MAKING
        if pool.network or young or pool.subnet in view.subnets:
            continue
        reserved = ipam.index.counts(pool.id)[State.RESERVED]
        held = ipam.is_in_use(pool.id)
        why = f"; kept for its reserved addresses ({reserved})" if reserved else "; it still has leases" if held else ""
        remedy = "`mooring lease release` ends the reservations" if reserved else AUTOMATIC
        yield Finding(
            f"pool {pool.id}",
            f"pool {pool.id} ({pool.subnet}) belongs to no network{why}",
            "no network of Mooring or Docker has its subnet",
            pool.created,
            f"`mooring lease ls --pool {pool.id}` shows them" if held and not reserved else remedy,
            fixable=not held,
        )


def unchecked(cache: RecordCache) -> Iterator[Finding]:
    """One note for the networks that are open because they are older than the option, and say nothing of it."""
    old = [
        network
        for network in cache.every(Network)
        if network.bridged and not network.options.port_security and not says_port_security(network.raw)
    ]
    if old:
        names = sorted(network.name or network.id[:12] for network in old)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield Finding(
            "port-security networks",
            f"port security is off in {', '.join(names[:NAMED])}{more}: containers can spoof addresses there",
            "created by a Mooring version without port security",
            min(network.created for network in old),
            "recreate the network when convenient (`docker network rm`, then create it: subnet and kept addresses come "
            "back), or with `-o port_security=off` to leave it off deliberately",
        )


def stale_endpoints(
    known: Network, found: EngineNetwork, endpoint_index: EndpointIndex, containers: Collection[Container], now: float
) -> Iterator[Finding]:
    """Endpoints of the engine that belong to no container: with them, `docker network rm` says "has active endpoints".

    containers: those that the engine listed before it was asked for the network.
    """
    listed = {container.id for container in containers}
    used = {each.endpoint for container in containers for each in container.endpoints}
    ours = {endpoint.id: endpoint for endpoint in endpoint_index.of_network(known.id)}
    for endpoint in found.endpoints:
        record = ours.get(endpoint.id)
        making = record is not None and now - record.created < MAKING
        if endpoint.container in listed or endpoint.id in used or making:
            continue
        addresses = ", ".join(str(each) for each in (endpoint.ipv4, endpoint.ipv6) if each is not None)
        name = endpoint.name or endpoint.id
        yield Finding(
            f"stale-endpoint {endpoint.id}",
            f"network {found.name} has an endpoint without a container: {name}"
            + (f", {addresses}" if addresses else ""),
            f"Docker lists endpoint {endpoint.id[:12]}, but no container for it",
            record.created if record is not None else now,
            f"`docker network disconnect -f {found.name} {name}`",
        )


def astray(fixed_index: FixedIndex, containers: Collection[Container], now: float) -> Iterator[Finding]:
    """Running containers that have another address than the one that is fixed for them."""
    for container in containers:
        for lease in fixed_index.of_holder(container.id) if container.running else ():
            endpoints = [each for each in container.endpoints if each.network == fixed_index.network_of(lease)]
            held = [
                each
                for container_endpoint in endpoints
                for each in container_endpoint.held
                if each.version == lease.address.version
            ]
            if not held or lease.address in held:
                continue
            option = "--ip" if lease.address.version == 4 else "--ip6"
            yield Finding(
                f"wrong-address {container.id} {lease.address}",
                f"container {container.name} has {held[0]}, although {lease.address} is fixed for it",
                "Docker's list of containers, and the lease",
                now,
                f"restart it; if that does not help, recreate it with `{option} {lease.address}`",
            )


def unanswered(server: DnsServerView, now: float) -> Iterator[Finding]:
    """The host's DNS server, where it is wanted and cannot be, or is asked and is not wanted."""
    if server.trouble:
        yield Finding(
            "dns", f"names are not answered: {server.trouble}", "the last try of the DNS server", now, server.remedy
        )


def unreached(why: str, since: float, waiting: Collection[str] = ()) -> Iterator[Finding]:
    """The cluster that this host is in, where it is not heard there. why: "" where it is. since: seconds since the
    epoch. waiting: what the cluster is to be told."""
    if why:
        text = "this host is not heard in its cluster"
        text += f"; waiting for it: {', '.join(waiting)}" if waiting else ""
        yield Finding("cluster", text, why, since, "see `mooring cluster status`; nothing on this host waits for it")
