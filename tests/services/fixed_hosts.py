"""Hosts of a cluster whose containers have fixed addresses: all services, with the proxy's use cases, and a plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import TypeVar

from mooring.core.address_claims import AddressClaim, HostClaim
from mooring.core.faults import Fault
from mooring.core.networks import Address
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.core.sessions import SessionRule
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.shared_values import Member
from mooring.services.containers.admission import Admission
from mooring.services.containers.fixed_allocator import Grant
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from tests.services.holder_hosts import HolderHost, ident

RULE = SessionRule(ttl=15.0, margin=5.0, grace=5.0, refresh=4.0)
SPACE, WEB = "default", "web"
T = TypeVar("T")


class HostsClock(ManualClock):
    """The world's time, and tokens of the host's own."""

    def __init__(self, world: ManualClock, name: str) -> None:
        super().__init__()
        self._world, self._name = world, name

    def now(self) -> float:
        """See Clock."""
        return self._world.now()

    def boot(self) -> float:
        """See Clock."""
        return self._world.boot()

    def token(self) -> str:
        """See Clock."""
        return self._name[-1] + super().token()[1:]

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await self._world.sleep(seconds)


class FixedHost(HolderHost):
    """A host in the cluster. subnet: of its network `web`, which all have."""

    def __init__(self, world: FixedWorld, name: str, subnet: str) -> None:
        super().__init__()
        self.world, self.name, self.subnet = world, name, ip_network(subnet)
        self.boots = 0
        self.clock = HostsClock(world.clock, name)
        self.services = self._assemble()
        self.build()

    def build(self) -> None:
        """A plan over the services as they are; what has been loaded comes after it."""
        ipam, member = self.services.ipam, Member(self.name, f"boot{self.boots}")
        client = self.world.servers.client(self.name)
        self.plan = AddressPlan(self.services.cache, ipam.index, client, self.clock, member, RULE, sightings=5.0)
        ipam.shared.plan = self.plan

    async def join(self, **options: str) -> None:
        """The daemon runs, the network is there, and its subnet is the cluster's."""
        await self.start()
        await self.plan.begin()
        request = PoolRequest(SPACE, self.subnet.version, self.subnet, options=options)
        grant = await self.services.ipam.request_pool(request)
        await self.plan.share(SPACE, self.subnet)
        parts = (SegmentRequest(SPACE, grant.subnet, grant.gateway),)
        await self.services.networks.create(NetworkRequest(self.full(WEB), {}, False, parts, ()))
        self.engine.networks.add(self.full(WEB))
        await self.turn()

    async def restart(self) -> None:
        """See MemoryHost."""
        self.services = self._assemble()
        self.build()
        await self.services.cache.load()
        await self.plan.begin()

    async def turn(self) -> list[Fault]:
        """One of the plan's, and one of the fixed addresses'."""
        turn = await self.plan.turn()
        ipam = self.services.ipam
        return [*turn.faults, *await ipam.fixed_claims.turn(), *await ipam.new_claims.turn()]

    # What people do.

    async def create(
        self, name: str, key: str = "", ipv4: str = "", labels: dict[str, str] | None = None
    ) -> Grant:  # fmt: skip
        """`docker create` through the proxy, with `mooring.key` or `fixed-ip`."""
        admission = await self.admit(name, key, ipv4, labels)
        await self.keeping.controller.complete(admission.intent, ident(name))
        return admission.grants[WEB]

    async def admit(self, name: str, key: str, ipv4: str = "", labels: dict[str, str] | None = None) -> Admission:
        """The same as far as the engine, which makes it; the proxy has not heard of that yet."""
        labels = labels or ({"mooring.key": key} if key else {"fixed-ip": ""})
        spec = self.spec(WEB, labels=labels, ipv4=ipv4)
        admission = await self.keeping.controller.create(name, spec, (1, 44))
        assert admission is not None
        self.engine_creates(name, spec, admission)
        return admission

    @property
    def pool(self) -> str:
        """The id of the shared one."""
        return self.known(self.full(WEB)).ipv4[0].pool

    def claim(self, address: object) -> HostClaim | None:
        """What the host keeps of it."""
        return self.services.cache.host_claim(SPACE, self.subnet, ip_address(str(address)))

    async def seen(self, address: Address | None) -> AddressClaim | None:
        """What the cluster says of it."""
        assert address is not None
        return await self.plan.keys.at(SPACE, self.subnet, address)


class FixedWorld:
    """Hosts h1, h2, and so on."""

    def __init__(self, size: int, text: str = "10.0.0.0/25") -> None:
        self.clock = ManualClock()
        self.servers = MemoryCluster(self.clock)
        self.hosts = [FixedHost(self, f"h{number + 1}", text) for number in range(size)]

    async def turns(self, rounds: int = 3, seconds: float = 1.0) -> None:
        """Everybody has some, and time passes."""
        for _ in range(rounds):
            self.clock.advance(seconds)
            for host in self.hosts:
                await host.turn()

    async def answered(self, work: Coroutine[None, None, T]) -> T:
        """What it answers or raises, while time passes and everybody has turns."""

        async def outcome() -> T | Fault:
            try:
                return await work
            except Fault as fault:
                return fault

        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(outcome())
            while not asking.done():
                self.clock.advance(0.1)
                for host in self.hosts:
                    await host.turn()
                await asyncio.sleep(0)
        if isinstance(result := asking.result(), Fault):
            raise result
        return result


@asynccontextmanager
async def fixed_world(size: int = 2, text: str = "10.0.0.0/25", **options: str) -> AsyncIterator[FixedWorld]:
    """Hosts that have joined."""
    world = FixedWorld(size, text)
    for host in world.hosts:
        await host.join(**options)
    await world.turns()
    yield world
