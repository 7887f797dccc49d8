"""Namespaces of others in networks, in a real kernel: both halves, a death at every step, hostile and dead ones."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import cast

import pytest

from mooring.adapters.linux.namespaces import LinuxNamespaces
from mooring.attaching import MARK, Attaching, Target
from mooring.client import Client, NamespaceView
from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease, State
from mooring.core.plumbing import Domain, Remove, Veth
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.core.sandboxes import NamespaceOp
from mooring.services.assembly import Services, assemble
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.networking.assembly import World
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from mooring.services.operations.attached_namespaces import Namespace as Asked
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import operations
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from tests.netns.rigs import Namespace, Rig, is_cut_off, reach, serve, sh
from tests.services.hosts import POLICY

pytestmark = pytest.mark.netns

WEB = "web".ljust(64, "0")


class Killed(BaseException):
    """SIGKILL: nothing is undone."""


class Dying(LinuxNamespaces):
    """Those of a program that is killed after so many steps in a namespace. The boot is that of the tests' policy."""

    left = 1000

    async def apply(self, path: str, ops: Sequence[NamespaceOp]) -> None:
        """See Namespaces."""
        await super().apply(path, ops[: self.left])
        if self.left < len(ops):
            raise Killed


class Daemon:
    """All services over a rig's kernel, asked from another thread as a client asks."""

    def __init__(self, rig: Rig, policy: IpamPolicy = POLICY) -> None:
        self.rig, self.clock = rig, ManualClock()
        world = World(MemoryStore(), rig.kernel, MemoryPortGuard(), MemoryEngine(), self.clock)
        self.services: Services = assemble(world, policy)
        self.namespaces = Dying(f"{rig.folder}/netns", MARK)
        self.namespaces._boot = POLICY.boot
        self._asked = operations(self.services, world, DaemonFacts("0", 0.0, "", "", "", policy=policy))
        self._loop = asyncio.get_running_loop()

    def _run(self, work: Awaitable[NamespaceView]) -> NamespaceView:
        async def done() -> NamespaceView:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(20)

    def attach_namespace(
        self, namespace: str, name: str, network: str, addresses: object, taken: Sequence[str], containers: object
    ) -> NamespaceView:  # fmt: skip
        """See Client."""
        assert (addresses, containers) == ((), ())
        return self._run(
            self._asked.attached_namespaces.attach(Asked(namespace, name, frozenset(taken)), network, [])
        )  # fmt: skip

    def confirm_namespace(self, namespace: str, network: str) -> NamespaceView:
        """See Client."""
        if self.namespaces.left == 999:
            raise Killed
        return self._run(self._asked.attached_namespaces.confirm(namespace, network))

    def detach_namespace(
        self, name: str, network: str, namespace: str = "", dry_run: bool = False, unconfirmed: bool = False
    ) -> NamespaceView:
        """See Client. Who was killed asks nothing any more."""
        if self.namespaces.left < 1000:
            raise Killed
        asked = Asked(namespace, name)
        return self._run(self._asked.attached_namespaces.detach(asked, network, dry=dry_run, unconfirmed=unconfirmed))

    async def attach(self, target: Target, left: int = 1000) -> tuple[NamespaceView, list[str]]:
        """What the command does, killed after so many steps inside; 999: before it confirms."""
        self.namespaces.left = left
        attaching = Attaching(cast(Client, self), self.namespaces)
        try:
            return await asyncio.to_thread(lambda: asyncio.run(attaching.attach(target, WEB)))
        finally:
            self.namespaces.left = 1000

    async def detach(self, target: Target) -> NamespaceView:
        """What the command does."""
        attaching = Attaching(cast(Client, self), self.namespaces)
        return await asyncio.to_thread(lambda: asyncio.run(attaching.detach(target, WEB)))

    async def veths(self) -> set[str]:
        """Host ends of ours."""
        return {fact.name for fact in await self.rig.kernel.observe() if isinstance(fact, Veth)}

    async def passes(self) -> None:
        """Two passes of repair, an age apart."""
        for _ in range(2):
            await self.services.repair.once()
            self.clock.advance(MINIMUM_AGE + 1)

    async def start(self, tenant: str = "") -> Daemon:
        """With a network 10.32.0.0/24, MTU 1400."""
        await self.services.cache.load()
        subnet, gateway = ip_network("10.32.0.0/24"), ip_interface("10.32.0.1/24")
        options = {"tenant": tenant} if tenant else {}
        grant = await self.services.ipam.request_pool(PoolRequest(tenant or "default", 4, subnet, options=options))
        part = SegmentRequest(tenant or "default", subnet, gateway, pool=grant.pool)
        raw = {"com.docker.network.driver.mtu": "1400", **options}
        await self.services.networks.create(NetworkRequest(WEB, raw, False, (part,), ()))
        return self


@pytest.fixture
async def daemon(world: Rig) -> AsyncIterator[Daemon]:
    """See Daemon."""
    made = await Daemon(world).start()
    yield made
    await made.namespaces.close()


def lab(daemon: Daemon, name: str = "lab-1") -> tuple[Namespace, Target]:
    """A namespace, and how it is meant."""
    space = Namespace.new()
    return space, Target(f"/proc/{os.getpid()}/fd/{space.fd}", name, name)


async def test_it_has_what_a_container_has_and_no_more(daemon: Daemon, world: Rig) -> None:
    """Traffic both ways and out; the MTU; no other address or MAC is let through; its own way out stays."""
    one, target = lab(daemon)
    two, other = lab(daemon, "lab-2")
    for space in (one, two):
        world.stack.callback(space.close)
    two.sh("ip link add own type bridge; ip link set own up; ip addr add 192.0.2.2/24 dev own")
    two.sh("ip route add default via 192.0.2.1")
    (view, own) = await daemon.attach(target)
    assert (view.addresses, own) == (["10.32.0.2"], [])
    assert (await daemon.attach(other))[1] == ["0.0.0.0/0"]
    assert "mtu 1400" in one.sh("ip link show eth0")
    assert "default via 192.0.2.1 dev own" in two.sh("ip route")
    world.outside.sh("ip route replace 10.32.0.0/24 via 198.18.0.1")
    await serve(world.stack, two, 80)
    await serve(world.stack, world.outside, 80)
    assert await reach(one, "10.32.0.3", 80) == "10.32.0.2"
    assert await reach(one, "198.18.0.2", 80) is not None
    one.sh("ip addr del 10.32.0.2/24 dev eth0; ip addr add 10.32.0.77/24 dev eth0")
    assert await is_cut_off(one, "10.32.0.3", 80)
    assert not (await daemon.attach(target))[0].changed
    one.sh("ip addr del 10.32.0.77/24 dev eth0 || true")
    await daemon.attach(target)
    assert await reach(one, "10.32.0.3", 80) == "10.32.0.2"


async def test_killed_at_every_step_it_is_whole_the_next_time_or_gone(daemon: Daemon, world: Rig) -> None:
    """Nothing half done is left: neither interface, nor address, nor record; a half in a namespace is mended."""
    for steps in (0, 1, 2, 999):
        space, target = lab(daemon)
        for again in (True, False):
            with pytest.raises(Killed):
                await daemon.attach(target, steps)
            if again:
                (view, _) = await daemon.attach(target)
                assert f"inet {view.addresses[0]}/24" in space.sh("ip addr show eth0")
                assert "default via 10.32.0.1 dev eth0" in space.sh("ip route")
                await daemon.passes()
                assert len(await daemon.veths()) == 1
                assert (await daemon.detach(target)).changed
        await daemon.passes()
        await world.kernel.link("lo")  # what was discarded before is done
        assert (await daemon.veths(), daemon.services.cache.count(Endpoint)) == (set(), 0), steps
        assert not [each for each in daemon.services.cache.every(Lease) if each.state is State.DYNAMIC]
        assert "eth0" not in space.sh("ip link")
        space.close()


async def test_one_without_a_process_lives_and_one_that_is_gone_is_noticed(daemon: Daemon) -> None:
    """By its interface on the host, which ends with it."""
    space, target = lab(daemon)
    await daemon.attach(target)
    await daemon.passes()
    await daemon.passes()
    (name,) = await daemon.veths()
    sh(f"ip link set {name} nomaster")
    await daemon.services.repair.once()
    assert "master" in sh(f"ip -o link show {name}")
    space.close()
    async with asyncio.timeout(10):
        while await daemon.veths():  # noqa: ASYNC110 - the kernel says nothing
            await asyncio.sleep(0.01)
    await daemon.passes()
    assert daemon.services.cache.count(Endpoint) == 0


async def test_a_network_in_a_routing_domain_is_as_any(world: Rig) -> None:
    """Its bridge is elsewhere, and the interface comes from the host all the same."""
    daemon = await Daemon(world, replace(POLICY, separate_tenants=True)).start("red")
    one, target = lab(daemon)
    two, other = lab(daemon, "lab-2")
    world.stack.callback(two.close)
    assert [(await daemon.attach(each))[0].addresses for each in (target, other)] == [["10.32.0.2"], ["10.32.0.3"]]
    await serve(world.stack, two, 80)
    assert await reach(one, "10.32.0.3", 80) == "10.32.0.2"
    one.sh("ping -c1 -W3 10.32.0.1")
    await daemon.passes()
    assert len(await daemon.veths()) == 2
    one.close()
    assert (await daemon.detach(other)).changed
    async with asyncio.timeout(10):
        while await daemon.veths():  # noqa: ASYNC110 - the kernel says nothing
            await asyncio.sleep(0.01)
    await daemon.passes()
    assert daemon.services.cache.count(Endpoint) == 0
    await daemon.namespaces.close()
    await world.kernel.apply([Remove(fact) for fact in await world.kernel.observe() if isinstance(fact, Domain)])
