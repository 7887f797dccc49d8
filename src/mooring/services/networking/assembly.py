"""Networks and addresses of a host, put together over its ports: what the daemon and the library have in common.

Rule: networks, endpoints and their states are the same objects for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.core.networks import BRIDGE, HANDOFF, HOST, NULL, OUR_IPAM, Network
from mooring.ports import (
    Clock,
    ClusterSetup,
    Driver,
    Echoes,
    Engine,
    IpamDriver,
    Kernel,
    PluginFinder,
    PortGuard,
    Store,
    WireGuard,
)
from mooring.services.drivers.bridge import BridgeDriver
from mooring.services.drivers.checked import CheckedDriver
from mooring.services.drivers.foreign_bridges import ForeignBridges
from mooring.services.drivers.handoff import HandoffDriver
from mooring.services.drivers.null import BareDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.networking.cluster_networks import ClusterNetworks
from mooring.services.networking.cluster_runtime import ClusterRuntime
from mooring.services.networking.encrypted_underlay import EncryptedUnderlay
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.engine_releases import EngineReleases
from mooring.services.networking.evictions import Evictions
from mooring.services.networking.garbage_collector import MINIMUM_AGE, GarbageCollector
from mooring.services.networking.host_follower import HostFollower
from mooring.services.networking.host_overlays import HostOverlays
from mooring.services.networking.ingress_ports import IngressPorts
from mooring.services.networking.kernel_reconciler import KernelReconciler
from mooring.services.networking.networks import Networks
from mooring.services.networking.on_demand_subnets import OnDemandSubnets
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.overlay_feed import OverlayFeed
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.networking.published_networks import PublishedNetworks
from mooring.services.networking.rebuilt_networks import RebuiltNetworks
from mooring.services.networking.restored_store import RestoredStore
from mooring.services.networking.shown_subnets import ShownSubnets
from mooring.services.networking.vnic_repair import VnicRepair
from mooring.services.networking.vnics import Vnics
from mooring.services.records.endpoint_index import EndpointIndex, Records
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import RecordCache


@dataclass(frozen=True, slots=True)
class World:
    """What the services stand on. engine: None where networks are the library's alone. cluster: None where this can be
    in none. wireguard: None where nothing can be encrypted. echoes: None where no other host can be asked."""

    store: Store
    kernel: Kernel
    guard: PortGuard
    engine: Engine | None
    clock: Clock
    cluster: ClusterSetup | None = None
    wireguard: WireGuard | None = None
    echoes: Echoes | None = None


@dataclass(frozen=True, slots=True)
class Others:
    """Drivers of the library's user, by name, and where plugins are found."""

    drivers: Mapping[str, Driver] = field(default_factory=dict)
    ipam_drivers: Mapping[str, IpamDriver] = field(default_factory=dict)
    plugins: PluginFinder | None = None


@dataclass(frozen=True, slots=True)
class Networking:
    """The use cases of networks and addresses. restored_store: None where there is no engine."""

    cache: RecordCache
    endpoint_index: EndpointIndex
    ipam: Ipam
    port_allocator: PortAllocator
    networks: Networks
    endpoints: Endpoints
    repair: KernelReconciler
    drivers: Drivers
    records: Records
    releases: EngineReleases
    garbage_collector: GarbageCollector
    restored_store: RestoredStore | None
    host_follower: HostFollower
    vnics: Vnics
    cluster_runtime: ClusterRuntime
    overlay_feed: OverlayFeed
    host_overlays: HostOverlays
    ingress_ports: IngressPorts
    encrypted_underlay: EncryptedUnderlay
    published_networks: PublishedNetworks


def assemble_networking(
    world: World,
    policy: IpamPolicy,
    repair_period: float = 10.0,
    minimum_age: float = MINIMUM_AGE,
    others: Others | None = None,
    names: tuple[str, ...] = ("mooring",),
) -> Networking:
    """Services that know each other, over a cache that is still empty: `await networking.cache.load()` comes next.

    names: those that dockerd has for us; the first is that of the plugin socket's file.
    """
    kernel, clock, others = world.kernel, world.clock, others or Others()
    cache = RecordCache(world.store)
    ipam = Ipam(cache, clock, policy, kernel, lambda: view.elsewhere if (view := collector.view) is not None else ())
    index = ipam.index.endpoints
    releases = EngineReleases(cache)
    bridges = ForeignBridges(kernel, clock, world.engine is not None)

    def in_use(domain: int) -> bool:
        return any(network.domain == domain for network in cache.every(Network))

    bridge = BridgeDriver(kernel, releases.take_interface_names, bridges, in_use)
    builtin: dict[str, Driver] = {BRIDGE: bridge, NULL: BareDriver(), HOST: BareDriver()}
    if world.engine is not None:  # the library has no launcher beside it
        builtin[HANDOFF] = HandoffDriver(kernel, ipam.vnics.of_network, releases.take_interface_names)
    theirs = {name: CheckedDriver(name, driver) for name, driver in others.drivers.items()}
    drivers = Drivers({**theirs, **builtin}, {**others.ipam_drivers, OUR_IPAM: ipam}, others.plugins)
    ports = PortAllocator(index, world.guard, lambda ident: known.domain if (known := cache.network(ident)) else 0)
    records = Records(cache, index, KeyedLocks(), clock)
    overlaps = Overlaps(cache, kernel, policy.on_host_overlap, lambda: collector.view)
    shared = ClusterNetworks(records, ipam, world.engine, policy.vxlan_port)
    networks = Networks(records, drivers, ipam, ports, overlaps, shared, policy.separate_tenants, policy.serves_dns)
    subnets = OnDemandSubnets(records, drivers, ipam, overlaps)
    endpoints = Endpoints(records, drivers, ipam, ports, subnets)
    collector = GarbageCollector(records, ipam, networks, endpoints, world.engine, minimum_age)
    restored = None
    if world.engine is not None:
        rebuilt = RebuiltNetworks(records, networks, ipam, world.engine, lambda: collector.view, names)
        shown = ShownSubnets(records, ipam, overlaps, subnets)
        restored = RestoredStore(records, ipam, ports, kernel, policy, rebuilt, overlaps, shown)
    repair = KernelReconciler(records, kernel, ports, collector, bridges, bridge.guarding, repair_period, restored)
    bridge.shape = repair.overlays.shape
    vnics = Vnics(records, ipam, kernel)
    repair.vnics = VnicRepair(records, vnics, kernel) if world.engine is not None else None
    evictions, feed = Evictions(records, ipam, endpoints, kernel), OverlayFeed(repair.overlays, clock)
    runtime = ClusterRuntime(cache, ipam, clock, policy.boot, evictions)
    shared.is_member = lambda: runtime.membership is not None
    published = PublishedNetworks(records, ipam, shared)
    ipam.fixed_claims.nudge = runtime.nudge
    encrypted = EncryptedUnderlay(world.wireguard, kernel, clock, lambda: any(map(_encrypts, cache.every(Network))))
    networks.check_encryption = encrypted.require
    own = HostOverlays(records, ipam, repair.overlays, feed, world.cluster, policy.vxlan_port)
    own.listen(runtime.tell_soon)
    ingress = IngressPorts(records, repair.overlays, feed, ports, world.guard)
    runtime.add(shared, published, ipam.fixed_claims, ipam.new_claims, encrypted, own, ingress)
    return Networking(
        cache, index, ipam, ports, networks, endpoints, repair, drivers, records, releases, collector, restored,
        HostFollower(kernel, ipam.host, overlaps, repair), vnics, runtime, feed, own, ingress, encrypted, published,
    )  # fmt: skip


def _encrypts(network: Network) -> bool:
    return network.options.encrypted
