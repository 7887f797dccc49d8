"""A host with one network, written straight into a store: what the readers of records are tested with."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network

from mooring.core.endpoints import Endpoint
from mooring.core.endpoints import State as EndpointState
from mooring.core.findings import Report
from mooring.core.leases import Lease, State
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.pools import Pool, SubnetPool
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.services.assembly import Services, assemble
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import World
from mooring.services.operations.inspection import DaemonFacts, Inspection
from mooring.services.operations.operations import Operations, operations
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_cluster_setup import MemoryClusterSetup
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore

START = 1_750_000_000.0
ETCD = "https://etcd:2379"
WEB, LAB, ALIEN = "1f6b2c" + "0" * 58, "1fffff" + "0" * 58, "aaaaaa" + "0" * 58
DB, APP = "e1" + "0" * 62, "e2" + "0" * 62
MAC = "02:42:0a:20:00:02"
SUBNET_POOLS = (SubnetPool("default-v4", "default", (ip_network("10.32.0.0/12"),), 24),)
DENY = (ip_network("192.168.0.0/16"),)


@dataclass(slots=True)
class Sample:
    """The host. report: what the last pass of repair said."""

    store: MemoryStore
    cache: RecordCache
    endpoint_index: EndpointIndex
    clock: ManualClock
    inspection: Inspection
    engine: MemoryEngine
    services: Services
    operations: Operations
    report: Report | None = None
    kernel: MemoryKernel = field(default_factory=MemoryKernel)


def leased(address: str, state: State, pool: str = "p4", **more: object) -> Lease:
    """A lease of the pool's space, since START."""
    return Lease(
        space=str(more.pop("space", "default")), address=ip_address(address), pool=pool, state=state,
        **{"since": START} | more,  # type: ignore[arg-type]
    )  # fmt: skip


def records() -> list[Pool | Lease | Network | Endpoint]:
    """A dual-stack network with three endpoints' worth of leases, a pool of a tenant, a network of another IPAM."""
    four, six = IPv4Network("10.32.0.0/24"), IPv6Network("fd00:32::/64")
    segments4 = (
        Segment(four, IPv4Interface("10.32.0.1/24"), "default", "p4", {"printer": ip_address("10.32.0.9")}),
    )  # fmt: skip
    segments6 = (Segment(six, IPv6Interface("fd00:32::1/64"), "default", "p6"),)
    alien = (Segment(ip_network("172.30.0.0/24"), ip_interface("172.30.0.1/24"), "other", ""),)
    published = (PortBinding(Protocol.TCP, None, 8080, ip_address("10.32.0.2"), 80),)
    return [
        Pool(id="p4", space="default", subnet=four, range=IPv4Network("10.32.0.0/25"), source="default-v4",
             created=START, network=WEB),
        Pool(id="p6", space="default", subnet=six, created=START, network=WEB),
        Pool(id="t4", space="tenant", subnet=four, created=START),
        Network(WEB, NetworkOptions(), False, segments4, segments6, START, {"com.docker.network.driver.mtu": "1500"}),
        Network(ALIEN, NetworkOptions(), True, alien, (), START + 5),
        Endpoint(DB, WEB, IPv4Interface("10.32.0.2/24"), IPv6Interface("fd00:32::2/64"), MAC, START + 60,
                 EndpointState.ATTACHED, "/run/docker/netns/db", published=published),
        Endpoint(APP, ALIEN, IPv4Interface("172.30.0.2/24"), None, "02:00:00:00:00:99", START + 60),
        leased("10.32.0.1", State.GATEWAY),
        leased("fd00:32::1", State.GATEWAY, "p6"),
        leased("10.32.0.9", State.AUXILIARY),
        leased("10.32.0.2", State.DYNAMIC, since=START + 60, name="db", mac=MAC),
        leased("fd00:32::2", State.DYNAMIC, "p6", since=START + 60, mac=MAC),
        leased("10.32.0.3", State.DYNAMIC, mac="02:00:00:00:00:03"),
        leased("10.32.0.4", State.COOLING, until=START + 400),
        leased("10.32.0.5", State.FIXED, key="db-0", holders=frozenset({"c" * 64})),
        leased("10.32.0.6", State.RESERVED, whom="printer", note="ask Ann", until=START + 9000),
        leased("10.32.0.2", State.DYNAMIC, "t4", space="tenant", name="db"),
    ]  # fmt: skip


async def sample(*more: Pool | Lease | Network | Endpoint) -> Sample:
    """The host, loaded, five minutes after START."""
    store = MemoryStore()
    await RecordCache(store).commit(put=[*records(), *more])
    clock = ManualClock(START + 300)
    engine = MemoryEngine()
    host: Sample
    policy = IpamPolicy(SUBNET_POOLS, deny=DENY)
    kernel = MemoryKernel()
    setup = MemoryClusterSetup({ETCD: MemoryCluster(clock)}, "192.0.2.1")
    world = World(store, kernel, MemoryPortGuard(), engine, clock, setup)
    services = assemble(world, policy)
    daemon = DaemonFacts("0.0.1", START, "/s/mooring.db", "/p.sock", "/a.sock", policy)
    operated = operations(services, world, daemon, lambda: host.report)
    cache, endpoint_index = services.cache, services.endpoint_index
    host = Sample(store, cache, endpoint_index, clock, operated.inspection, engine, services, operated, kernel=kernel)
    await cache.load()
    operated.readiness.note_loaded()
    return host
