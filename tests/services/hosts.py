"""A host in memory: all services over the doubles, with a restart that keeps store and kernel."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network

from mooring.core.endpoints import Attachment
from mooring.core.faults import Fault
from mooring.core.networks import Network
from mooring.core.plumbing import Fact, Op
from mooring.core.pools import SubnetPool
from mooring.core.port_bindings import PortRequest
from mooring.core.requests import (
    AddressRequest,
    EndpointGrant,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    PoolRequest,
    Role,
    SegmentRequest,
)
from mooring.services.assembly import Services, assemble
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import Others, World
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore

POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool(name="default4", space="default", prefixes=(ip_network("10.32.0.0/12"),), length=24),),
    subnet_pools6=(SubnetPool(name="default6", space="default", prefixes=(ip_network("fd00:32::/48"),), length=64),),
)


class MemoryHost:
    """Drives the services as dockerd would, call by call."""

    def __init__(
        self, others: Others | None = None, *, separate_tenants: bool = False, policy: IpamPolicy = POLICY
    ) -> None:
        self.others = others
        self.policy = replace(policy, separate_tenants=separate_tenants)
        self.store = MemoryStore()
        self.refusals: list[Fault] = []
        self.ops = 0
        self.kernel = MemoryKernel(before=self._before)
        self.guard = MemoryPortGuard()
        self.engine = MemoryEngine()
        self.clock = ManualClock()
        self.services: Services = self._assemble()

    def _assemble(self) -> Services:
        world = World(self.store, self.kernel, self.guard, self.engine, self.clock)
        return assemble(world, self.policy, others=self.others)

    async def _before(self, _op: Op) -> None:
        """Count the kernel's work, and refuse it as often as `refusals` says."""
        self.ops += 1
        if self.refusals:
            raise self.refusals.pop(0)

    @property
    def facts(self) -> frozenset[Fact]:
        """What holds in the kernel."""
        return frozenset(self.kernel.facts.values())

    async def start(self) -> MemoryHost:
        """Load what the store has."""
        await self.services.cache.load()
        return self

    async def restart(self) -> None:
        """The daemon died and is back; host ports that it held are free again until it holds them anew."""
        self.guard = MemoryPortGuard()
        self.services = self._assemble()
        await self.services.cache.load()

    async def network(self, name: str, *, v4: bool = True, v6: bool = False, internal: bool = False, **raw: str) -> str:
        """A network made as `docker network create` does it; returns its id."""
        ident = name.ljust(64, "0")
        parts: dict[int, tuple[SegmentRequest, ...]] = {4: (), 6: ()}
        for version in (4,) * v4 + (6,) * v6:
            grant = await self.services.ipam.request_pool(PoolRequest("default", version))
            parts[version] = (SegmentRequest("default", grant.subnet, grant.gateway),)
        await self.services.networks.create(NetworkRequest(ident, raw, internal, parts[4], parts[6]))
        return ident

    async def endpoint(
        self, network: str, name: str, *, ports: tuple[PortRequest, ...] = (), attach: bool = True
    ) -> EndpointGrant:
        """RequestAddress for each family, CreateEndpoint and Join."""
        known = self.services.cache.network(network)
        assert known is not None
        given: dict[int, IPv4Interface | IPv6Interface] = {}
        mac = "02:00:00:" + ":".join(f"{byte:02x}" for byte in name.encode()[:3].ljust(3, b"\0"))
        for segment in (*known.ipv4[:1], *known.ipv6[:1]):
            got = await self.services.ipam.request_address(AddressRequest(segment.pool, Role.ENDPOINT, mac=mac))
            given[got.version] = ip_interface(str(got))
        v4, v6 = given.get(4), given.get(6)
        assert v4 is None or isinstance(v4, IPv4Interface)
        assert v6 is None or isinstance(v6, IPv6Interface)
        grant = await self.services.endpoints.create(
            EndpointRequest(network, name.ljust(64, "0"), v4, v6, mac, ports=ports)
        )
        if attach:
            await self.attach(network, name)
        return grant

    async def reboot(self) -> None:
        """Nothing in the kernel survives, the store does."""
        self.kernel.reboot()
        await self.restart()

    async def attach(self, network: str, name: str) -> Attachment:
        """Join."""
        return await self.attach_to(network, name.ljust(64, "0"), f"/run/docker/netns/{name}")

    async def attach_to(self, network: str, endpoint: str, key: str) -> Attachment:
        """Join of the sandbox with the key."""
        return await self.services.endpoints.attach(network, endpoint, JoinRequest(key))


async def separate_network(
    host: MemoryHost, ident: str, tenant: str, subnet: str = "10.32.0.0/24", **raw: str
) -> Network:
    """A network of the tenant is there."""
    wanted = ip_network(subnet)
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, wanted, options={"tenant": tenant}))
    parts = (SegmentRequest("default", wanted, grant.gateway),)
    try:
        request = NetworkRequest(ident * 64, {"tenant": tenant} | raw, False, parts, ())
        await host.services.networks.create(request)
    except Fault:
        await host.services.ipam.release_pool(grant.pool)
        raise
    found = host.services.cache.network(ident * 64)
    assert found is not None
    return found
