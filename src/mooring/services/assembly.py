"""All services of a host, put together over its ports: where the daemon, the library and the tests start.

Rule: networks, endpoints and their states are the same objects for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.core.networks import BRIDGE, HOST, NULL, OUR_IPAM
from mooring.ports import Clock, Driver, Engine, IpamDriver, Kernel, PluginFinder, PortGuard, Store
from mooring.services.containers.admission import AdmissionController
from mooring.services.containers.adoption import Adoption
from mooring.services.containers.container_reconciler import ContainerReconciler
from mooring.services.containers.engine_events import EngineEvents
from mooring.services.containers.fixed_leases import Holders
from mooring.services.containers.reattachment import Reattachment
from mooring.services.drivers.bridge import BridgeDriver
from mooring.services.drivers.checked import CheckedDriver
from mooring.services.drivers.null import BareDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.drivers.uplinks import Uplinks
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.engine_releases import EngineReleases
from mooring.services.networking.garbage_collector import MINIMUM_AGE, GarbageCollector
from mooring.services.networking.kernel_reconciler import KernelReconciler
from mooring.services.networking.network_requests import NetworkAdmission
from mooring.services.networking.networks import Networks
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.networking.rebuilding import Rebuilding
from mooring.services.networking.unrecorded import UnrecordedState
from mooring.services.records.endpoint_containers import EndpointContainers
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import RecordCache


@dataclass(frozen=True, slots=True)
class World:
    """What the services stand on. engine: None where networks are the library's alone."""

    store: Store
    kernel: Kernel
    guard: PortGuard
    engine: Engine | None
    clock: Clock


@dataclass(frozen=True, slots=True)
class Others:
    """Drivers of the library's user, by name, and where plugins are found."""

    drivers: Mapping[str, Driver] = field(default_factory=dict)
    ipam_drivers: Mapping[str, IpamDriver] = field(default_factory=dict)
    plugins: PluginFinder | None = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """The use cases of fixed addresses on a host with an engine. nudged: when the reconciler is to look soon."""

    desk: AdmissionController
    adoption: Adoption
    reconciling: ContainerReconciler
    watching: EngineEvents
    nudged: asyncio.Event
    networks: NetworkAdmission
    moving: Reattachment


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases of one host. recovering, keeping: None where there is no engine."""

    mirror: RecordCache
    roster: EndpointIndex
    ipam: Ipam
    publishing: PortAllocator
    networks: Networks
    endpoints: Endpoints
    repair: KernelReconciler
    drivers: Drivers
    locks: KeyedLocks
    holders: Holders
    reclaiming: GarbageCollector
    recovering: UnrecordedState | None
    keeping: Keeping | None


def assemble(
    world: World,
    policy: IpamPolicy,
    repair_period: float = 10.0,
    minimum_age: float = MINIMUM_AGE,
    others: Others | None = None,
    plugin: str = "mooring",
) -> Services:
    """Services that know each other, over a mirror that is still empty: `await services.mirror.load()` comes next.

    plugin: the name that dockerd has for us, which is that of the plugin socket's file.
    """
    kernel, clock, others = world.kernel, world.clock, others or Others()
    mirror = RecordCache(world.store)
    roster = EndpointIndex(mirror)
    ipam = Ipam(mirror, clock, policy, kernel, lambda: view.elsewhere if (view := reclaiming.view) is not None else ())
    releases = EngineReleases(mirror)
    uplinks = Uplinks(kernel, clock, world.engine is not None)
    bridge = BridgeDriver(kernel, releases.take_interface_names, uplinks)
    builtin: dict[str, Driver] = {BRIDGE: bridge, NULL: BareDriver(), HOST: BareDriver()}
    theirs = {name: CheckedDriver(name, driver) for name, driver in others.drivers.items()}
    drivers = Drivers({**theirs, **builtin}, {**others.ipam_drivers, OUR_IPAM: ipam}, others.plugins)
    publishing = PortAllocator(roster, world.guard)
    locks = KeyedLocks()
    overlaps = Overlaps(mirror, kernel, policy.on_host_overlap, lambda: reclaiming.view)
    networks = Networks(mirror, roster, drivers, ipam, publishing, clock, locks, overlaps)
    endpoints = Endpoints(mirror, roster, drivers, ipam, publishing, clock, locks)
    reclaiming = GarbageCollector(mirror, roster, ipam, networks, endpoints, world.engine, clock, minimum_age)
    recovering = None
    if world.engine is not None:
        rebuilding = Rebuilding(
            mirror, networks, ipam, world.engine, lambda: reclaiming.view, clock, policy, plugin
        )  # fmt: skip
        recovering = UnrecordedState(
            mirror, roster, ipam, publishing, kernel, clock, locks, policy, rebuilding, overlaps
        )
    repair = KernelReconciler(
        mirror, roster, kernel, publishing, reclaiming, uplinks, bridge.guarding, clock, repair_period, recovering
    )  # fmt: skip
    holders = Holders(mirror, ipam, clock, policy)
    keeping = None
    if world.engine is not None:
        nudged = asyncio.Event()
        desk = AdmissionController(mirror, holders, world.engine, nudged.set)
        adoption = Adoption(mirror, ipam, holders, clock, policy)
        adoption.residents = endpoints.admission.residents = residents = EndpointContainers(mirror)
        ipam.index.called = residents.user
        moving = Reattachment(mirror, world.engine, clock)
        reconciling = ContainerReconciler(
            mirror, holders, desk, adoption, endpoints, world.engine, clock, repair_period, minimum_age, nudged,
            moving,
        )  # fmt: skip
        watching = EngineEvents(
            mirror, holders, desk, adoption, reconciling, releases, world.engine, clock, ipam.estates,
            moving, repair.nudge,
        )  # fmt: skip
        keeping = Keeping(desk, adoption, reconciling, watching, nudged, NetworkAdmission(ipam, plugin), moving)
    return Services(
        mirror, roster, ipam, publishing, networks, endpoints, repair, drivers, locks, holders, reclaiming, recovering,
        keeping,
    )  # fmt: skip
