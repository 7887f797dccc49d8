"""All services of a host with an engine, put together: where the daemon and the tests start.

Rule: what the library has, too, is networking.assembly's; fixed addresses of containers are added here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import Any

from mooring.services.containers.admission import AdmissionController
from mooring.services.containers.adoption import Adoption
from mooring.services.containers.advertiser import Advertiser
from mooring.services.containers.cluster_names import ClusterNames
from mooring.services.containers.container_reconciler import ContainerReconciler, FixedAddresses
from mooring.services.containers.dns_records import DnsRecords
from mooring.services.containers.engine_events import EngineEvents
from mooring.services.containers.fixed_leases import Holders
from mooring.services.containers.host_names import HostNames
from mooring.services.containers.name_follower import NameFollower
from mooring.services.containers.reattachment import Reattachment
from mooring.services.containers.refused_starts import HostThings, RefusedStarts
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import Networking, Others, World, assemble_networking
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from mooring.services.networking.network_requests import NetworkAdmission
from mooring.services.networking.networks_everywhere import NetworksEverywhere


@dataclass(frozen=True, slots=True)
class Keeping(FixedAddresses):
    """The use cases of fixed addresses on a host with an engine: what keeps them, and who follows the engine."""

    container_reconciler: ContainerReconciler
    watching: EngineEvents
    networks: NetworkAdmission
    host_names: HostNames
    dns_records: DnsRecords
    name_follower: NameFollower
    advertiser: Advertiser
    networks_everywhere: NetworksEverywhere
    refused_starts: RefusedStarts


@dataclass(frozen=True, slots=True)
class Services(Networking):
    """The use cases of one host. keeping: None where there is no engine."""

    holders: Holders
    keeping: Keeping | None


def assemble(
    world: World,
    policy: IpamPolicy,
    repair_period: float = 10.0,
    minimum_age: float = MINIMUM_AGE,
    others: Others | None = None,
    names: tuple[str, ...] = ("mooring",),
    zone: str = "mooring",
) -> Services:
    """Services that know each other, over a cache that is still empty: `await services.cache.load()` comes next.

    names: those that dockerd has for us; the first is that of the plugin socket's file. zone: of names of containers.
    """
    host = assemble_networking(world, policy, repair_period, minimum_age, others, names)
    cache, ipam, engine, clock = host.cache, host.ipam, world.engine, world.clock
    holders = Holders(cache, ipam, clock, policy)
    keeping = None
    if engine is not None:
        nudged = asyncio.Event()
        controller = AdmissionController(cache, holders, engine, nudged.set)
        adoption, reattachment = Adoption(cache, ipam, holders, clock, policy), Reattachment(cache, engine, clock)
        fixed = FixedAddresses(cache, engine, clock, holders, controller, adoption, reattachment, nudged)
        host_names = HostNames(cache, host.endpoint_index, zone)
        reconciler = ContainerReconciler(fixed, host.endpoints, repair_period, minimum_age, host_names.note_listed)
        refused_starts = RefusedStarts(
            cache, engine, clock, ipam.shared.would_refuse, HostThings(world.guard, world.kernel)
        )

        def arrived() -> None:
            host.repair.nudge()
            refused_starts.nudge()

        events = EngineEvents(fixed, reconciler, host.releases, ipam.kept_networks, arrived)
        ipam.index.endpoint_containers.listen(host_names.note)
        dns_records = DnsRecords(cache, clock)
        advertiser = Advertiser(host.records, host.host_overlays, host_names, host.cluster_runtime.is_strange)
        host.cluster_runtime.add(advertiser)
        host.overlay_feed.listen_lost(advertiser.tell_again)
        everywhere = NetworksEverywhere(cache, ipam.shared, engine, clock, names)
        host.cluster_runtime.add(everywhere)
        feed = host.overlay_feed
        feed.listen(host_names.remote.note)
        host.cluster_runtime.add(ClusterNames(host_names.remote, clock, lambda: feed.scanned))
        keeping = Keeping(
            **_fields(fixed), container_reconciler=reconciler, watching=events, networks=NetworkAdmission(ipam, names),
            host_names=host_names, dns_records=dns_records, name_follower=NameFollower(host_names, dns_records, engine),
            advertiser=advertiser, networks_everywhere=everywhere,
            refused_starts=refused_starts,
        )  # fmt: skip
    return Services(**_fields(host), holders=holders, keeping=keeping)


def _fields(part: Networking | FixedAddresses) -> dict[str, Any]:
    return {each.name: getattr(part, each.name) for each in fields(part)}
