"""What an operator asks and does, put together over the services of a host: what the API's door is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from mooring.core.cluster_hosts import tag_of
from mooring.core.dns_views import DnsServerView
from mooring.core.faults import Unavailable
from mooring.core.findings import Finding, Report
from mooring.core.networks import Network, Scope
from mooring.core.overlay_paths import path_findings
from mooring.core.overlays import Overlay
from mooring.core.subnet_index import Holdings
from mooring.core.times import moment
from mooring.ports import Clock, Engine, Kernel
from mooring.services.assembly import Services
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.cluster.own_record import HostFacts
from mooring.services.containers.engine_upgrades import EngineChanges
from mooring.services.ipam.subnet_pools import SubnetPools
from mooring.services.networking.assembly import World
from mooring.services.operations.addresses_by_id import AddressesById
from mooring.services.operations.attached_namespaces import AttachedNamespaces
from mooring.services.operations.attachments import Attachments
from mooring.services.operations.checks import unreached
from mooring.services.operations.claim_moves import ClaimMoves
from mooring.services.operations.cluster_checks import (
    mtu_findings,
    narrow_findings,
    port_findings,
    server_findings,
    turn_findings,
    unread_findings,
)
from mooring.services.operations.cluster_network_rows import ClusterNetworkRows
from mooring.services.operations.cluster_rows import ClusterRows
from mooring.services.operations.denials import Denials
from mooring.services.operations.dns_rows import DnsRows
from mooring.services.operations.doctor import Doctor
from mooring.services.operations.everywhere import Everywhere
from mooring.services.operations.exposing import Exposing
from mooring.services.operations.filter_checks import filter_findings
from mooring.services.operations.holds import Holds
from mooring.services.operations.inspection import DaemonFacts, Inspection
from mooring.services.operations.lookup import Lookup
from mooring.services.operations.network_port_rows import NetworkPortRows
from mooring.services.operations.network_ports import NetworkPorts
from mooring.services.operations.next_starts import upgrade_notes
from mooring.services.operations.other_hosts import OtherHosts
from mooring.services.operations.overlay_echoes import OverlayEchoes
from mooring.services.operations.publishing import NetworkPublishing
from mooring.services.operations.readiness import ReadinessChecks
from mooring.services.operations.reservations import Reservations
from mooring.services.operations.subnet_pool_rows import SubnetPoolRows
from mooring.services.operations.tenant_rows import TenantRows
from mooring.services.operations.vnic_rows import VnicRows
from mooring.services.records.engine_names import EngineNames, names_told

DnsServerLook = Callable[[], Awaitable[DnsServerView]]


async def no_dns_server() -> DnsServerView:
    """Where nobody follows an engine."""
    return DnsServerView("off", "", [], [])


@dataclass(frozen=True, slots=True)
class Operations:
    """Looking, asking, doing by hand, and examining. names: what the engine calls everything, asked now. dns_server:
    the host's DNS server, which is as it should be by then."""

    inspection: Inspection
    lookup: Lookup
    reservations: Reservations
    doctor: Doctor
    names: Callable[[], Awaitable[EngineNames]]
    holds: Holds
    claim_moves: ClaimMoves
    notes: Callable[[], list[str]]
    subnet_pools: SubnetPools
    subnet_pool_rows: SubnetPoolRows
    denials: Denials
    tenant_rows: TenantRows
    readiness: ReadinessChecks
    addresses_by_id: AddressesById
    network_ports: NetworkPorts
    network_port_rows: NetworkPortRows
    vnic_rows: VnicRows
    dns_rows: DnsRows
    attachments: Attachments
    exposing: Exposing
    dns_server: DnsServerLook
    attached_namespaces: AttachedNamespaces
    cluster: ClusterMembership
    cluster_rows: ClusterRows
    cluster_network_rows: ClusterNetworkRows
    publishing: NetworkPublishing
    everywhere: Everywhere


def operations(
    services: Services,
    world: World,
    daemon: DaemonFacts,
    report: Callable[[], Report | None] | None = None,
    dns_server: DnsServerLook = no_dns_server,
    found_elsewhere: Callable[[], Iterable[Finding]] = tuple,
) -> Operations:
    """The use cases over these services. report: of the last repair pass, if not their own. found_elsewhere: what the
    doctor tells besides."""
    cache, endpoint_index, clock, engine = services.cache, services.endpoint_index, world.clock, world.engine
    policy, driver = daemon.policy, daemon.plugin_socket.rpartition("/")[2].partition(".")[0]
    looked = report or (lambda: services.repair.report)
    inspection = Inspection(cache, services.ipam.index, clock, daemon, looked)
    controller = services.keeping.controller if services.keeping is not None else None
    session = controller.session if controller is not None else None
    changes = (
        EngineChanges(cache, services.ipam.fixed_index, engine, policy.claim_policy) if engine is not None else None
    )
    reattachment = services.keeping.reattachment if services.keeping is not None else None
    holds = Holds(cache, services.ipam, services.holders, engine, reattachment, clock, policy)
    cluster = _membership(services, world, daemon)
    names = partial(_names_told, engine, daemon, cluster)
    echoes = OverlayEchoes(
        services.records, services.host_overlays, services.overlay_feed, services.cluster_runtime, world.echoes
    )
    further = partial(_noted, services, found_elsewhere, cluster, clock)
    others = partial(_asked, services, world.kernel, cluster, clock, echoes)
    addresses = AddressesById(cache, services.ipam, engine, clock, holds, names)
    return Operations(
        inspection,
        _lookup(services, inspection, names),
        Reservations(cache, services.ipam, engine, clock, policy, holds),
        Doctor(services, engine, clock, policy.host, changes, dns_server, further, others),
        names,
        holds,
        ClaimMoves(cache, services.ipam, clock, policy),
        partial(_notes, services, found_elsewhere),
        services.ipam.subnet_pools,
        SubnetPoolRows(cache, services.ipam),
        Denials(cache, services.ipam.deny_list),
        TenantRows(cache, endpoint_index, inspection, f"{daemon.api_socket.rpartition('/')[0]}/tenants"),
        ReadinessChecks(clock, daemon.since, looked, session),
        addresses,
        NetworkPorts(services, clock, policy),
        NetworkPortRows(cache, endpoint_index, services.ipam),
        VnicRows(cache, endpoint_index, services.vnics, driver, names),
        DnsRows(cache, services.keeping),
        Attachments(cache, services.holders, engine, controller, clock, names),
        Exposing(cache, addresses, services.repair.exposures, world.kernel, names),
        dns_server,
        AttachedNamespaces(services, world.kernel, engine, clock, policy.boot, names, daemon.namespace),
        cluster,
        ClusterRows(cluster, clock, services.cluster_runtime),
        _cluster_network_rows(services),
        NetworkPublishing(cache, services.published_networks, cluster, names),
        Everywhere(cluster, services.cluster_runtime, clock),
    )


async def _names_told(engine: Engine | None, daemon: DaemonFacts, cluster: ClusterMembership) -> EngineNames:
    """What the engine calls everything, and the cluster this host, where it is in one. Raises no Fault."""
    name = cluster.membership.name if cluster.membership is not None else daemon.host_name
    return await names_told(engine, {daemon.policy.host: name} if name else {})


def _cluster_network_rows(services: Services) -> ClusterNetworkRows:
    overlays, ingress = services.repair.overlays, services.ingress_ports
    cache, index = services.cache, services.endpoint_index
    return ClusterNetworkRows(cache, index, lambda: services.ipam.shared.plan, overlays.of, ingress.of_network)


def _lookup(services: Services, inspection: Inspection, names: Callable[[], Awaitable[EngineNames]]) -> Lookup:
    cache, ipam = services.cache, services.ipam
    host_names = services.keeping.host_names if services.keeping is not None else None
    others = OtherHosts(cache, ipam.shared, host_names.remote if host_names is not None else None)
    return Lookup(
        inspection, cache, services.endpoint_index, ipam.fixed_index, names, ipam.host, host_names, others
    )  # fmt: skip


def _membership(services: Services, world: World, daemon: DaemonFacts) -> ClusterMembership:
    """This host's place in a cluster."""
    policy = daemon.policy
    here = HostFacts(daemon.host_name, tag_of(policy.host), policy.boot, daemon.version, policy.vxlan_port)
    membership = ClusterMembership(world.cluster, world.clock, here, partial(_has, services))
    services.cluster_runtime.follow(membership)
    services.encrypted_underlay.told_by(membership)
    return membership


async def _has(services: Services) -> Holdings:
    """The subnets that this host reaches, or is in, and those of its networks, but for what is in a cluster already: it
    may join that one again. Raises Unavailable."""
    host = await services.ipam.host.look()
    held = host.routes.copy()
    for interface, holder in host.addresses.items():
        held.add(interface.network, holder)
    for network in services.cache.every(Network):
        for segment in network.segments if network.options.scope is not Scope.CLUSTER else ():
            held.add(segment.subnet, f"network {network.name or network.id[:12]}")
    return held


def _notes(services: Services, found_elsewhere: Callable[[], Iterable[Finding]]) -> list[str]:
    """What else is good to know of the daemon, one line each."""
    told = [f"{finding.text} (since {moment(finding.since)})" for finding in found_elsewhere()]
    return [*upgrade_notes(services.cache, services.ipam.fixed_index), *told]


async def _asked(
    services: Services, kernel: Kernel, cluster: ClusterMembership, clock: Clock, echoes: OverlayEchoes
) -> list[Finding]:
    """What the host's filters tell; what the cluster's servers say, and hosts whom they know of. They are asked where
    they answered just now."""
    found = await filter_findings(services.cache, kernel, clock.now())
    if cluster.cluster is None or cluster.unreached:
        return found
    found += server_findings(await cluster.cluster.complaints(), clock.now())
    with suppress(Unavailable):  # the next turn tells of that
        paths, answers = await echoes.ask(_overlays(services))
        found += path_findings(paths, answers, clock.now())
    return found


def _overlays(services: Services) -> list[tuple[Network, Overlay]]:
    """Of this host."""
    known = ((network, services.repair.overlays.of(network.id)) for network in services.cache.every(Network))
    return [(network, overlay) for network, overlay in known if overlay is not None]


def _noted(
    services: Services, found_elsewhere: Callable[[], Iterable[Finding]], cluster: ClusterMembership, clock: Clock
) -> Iterator[Finding]:
    """What others have found."""
    now = clock.now()
    yield from found_elsewhere()
    began = now - clock.boot() + cluster.unreached_at if cluster.unreached_at is not None else now
    yield from unreached(cluster.unreached, began, services.cluster_runtime.waiting() if cluster.unreached else ())
    yield from services.cluster_runtime.evictions.findings()
    if services.keeping is not None:
        yield from services.keeping.refused_starts.findings()
    # Where the cluster is not reached, nothing else need be said of that.
    yield from turn_findings(
        (each for each in services.cluster_runtime.faults if not (cluster.unreached and isinstance(each, Unavailable))),
        now,
    )
    yield from unread_findings(services.overlay_feed.complaints(), now)
    opened = _overlays(services)
    yield from mtu_findings(opened, now)
    if opened and (plan := services.ipam.shared.plan) is not None:
        yield from port_findings(plan.hosts.hosts, services.host_overlays.port, now)
        yield from narrow_findings(plan.hosts.hosts, opened, now)
