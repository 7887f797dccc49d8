"""VNICs in a real kernel: what their bridge lets through, many at once, and what comes back."""

from __future__ import annotations

import asyncio
import os
import random
from ipaddress import ip_address, ip_network

import pytest

from mooring.core.plumbing import Bridge, Fact, Member, Veth
from mooring.core.vnics import Group, Vnic, VnicSpec, all_facts
from mooring.services.assembly import Services, assemble
from mooring.services.networking.assembly import World
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from tests.netns.rigs import Namespace, Rig, is_cut_off, reach, serve, sh
from tests.services.hosts import POLICY

pytestmark = pytest.mark.netns

V4 = ip_network("10.5.0.0/24")


class Launcher:
    """All services over a rig's kernel, and containers in its VNICs."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.kernel = rig, rig.kernel
        world = World(MemoryStore(), rig.kernel, MemoryPortGuard(), MemoryEngine(), ManualClock())
        self.services: Services = assemble(world, POLICY)

    async def vnic(self, tenant: str, address: str, mtu: int = 1400) -> Vnic:
        """It is there, whoever waits for a network of the subnet."""
        spec = VnicSpec(Group(tenant, V4), ip_address(address), mtu=mtu)
        made, _ = await self.services.vnics.create(spec, 0.0)
        return made

    def container(self, vnic: Vnic) -> Namespace:
        """A namespace with the VNIC in it, as dockerd does it."""
        space = Namespace.new()
        self.rig.stack.callback(space.close)
        sh(f"ip link set {vnic.link} netns /proc/{os.getpid()}/fd/{space.fd}")
        space.sh(
            f"ip link set {vnic.link} name eth0; ip link set eth0 up; ip address add {vnic.address}/24 dev eth0",
            "ip route add default via 10.5.0.1",
        )
        return space

    async def ours(self) -> set[Fact]:
        """What VNICs have in the kernel."""
        found = await self.kernel.observe()
        return {
            fact
            for fact in found
            if isinstance(fact, Bridge | Veth) or (isinstance(fact, Member) and "mb-" in str(fact))
        }


@pytest.fixture
async def launcher(world: Rig) -> Launcher:
    made = Launcher(world)
    await made.services.cache.load()
    return made


@pytest.mark.parametrize("filtered", [False, True])
async def test_ports_of_a_bridge_reach_each_other_and_nothing_else(
    launcher: Launcher, world: Rig, filtered: bool
) -> None:
    """Two tenants with one subnet, a host that has the gateway's address, and a gateway of the launcher's as a port;
    filtered: bridged frames visit the IP firewall, as dockerd has it."""
    sh(f"for each in iptables ip6tables; do echo {int(filtered)} >/proc/sys/net/bridge/bridge-nf-call-$each; done")
    red5, red6 = await launcher.vnic("red", "10.5.0.5"), await launcher.vnic("red", "10.5.0.6")
    blue5 = Vnic("blue", V4, red5.address, "02:00:00:00:00:55", 1400, 0.0)
    await launcher.services.cache.commit(put=[blue5])
    await launcher.services.repair.once()
    spaces = [launcher.container(vnic) for vnic in (red5, red6, blue5)]
    assert "mtu 1400" in spaces[0].sh("ip link show eth0")
    assert red5.mac in spaces[0].sh("ip link show eth0")
    # The host has the gateway's address elsewhere: it must not answer for it here.
    sh("ip link add away type bridge; ip address add 10.5.0.1/24 dev away; ip link set away up")
    await serve(world.stack, world.host, 80)
    await serve(world.stack, spaces[1], 80)
    assert await reach(spaces[0], "10.5.0.6", 80) == "10.5.0.5"
    assert await is_cut_off(spaces[2], "10.5.0.6", 80)
    for address in ("10.5.0.1", "198.18.0.1", "198.18.0.2"):
        assert await is_cut_off(spaces[0], address, 80)
    # By the bridge's own MAC, as who wants to be routed all the same.
    mac = sh(f"cat /sys/class/net/{red5.group.bridge}/address 2>/dev/null || ip -o link show {red5.group.bridge}")
    mac = mac.split("link/ether ")[-1].split()[0]
    spaces[0].sh(f"ip neighbour replace 10.5.0.1 lladdr {mac} dev eth0 nud permanent")
    for address in ("10.5.0.1", "198.18.0.1", "198.18.0.2"):
        assert await is_cut_off(spaces[0], address, 80)
    # A gateway of the launcher's: any link as a port.
    gateway = Namespace.new()
    world.stack.callback(gateway.close)
    sh(
        f"ip link add gre0 type veth peer name eth0 netns /proc/{os.getpid()}/fd/{gateway.fd}",
        f"ip link set gre0 master {red5.group.bridge}; ip link set gre0 up",
    )
    gateway.sh("ip address add 10.5.0.1/24 dev eth0; ip address add 203.0.113.1/32 dev eth0; ip link set eth0 up")
    await serve(world.stack, gateway, 80)
    spaces[0].sh("ip neighbour del 10.5.0.1 dev eth0")
    assert await reach(spaces[0], "203.0.113.1", 80) == "10.5.0.5"
    await launcher.services.repair.once()
    assert "master" in sh("ip -o link show gre0")


async def test_an_interface_that_died_or_a_bridge_that_was_deleted_is_made_again(launcher: Launcher) -> None:
    """With the same MAC, and the bridge's other ports are in it again."""
    one, two = await launcher.vnic("red", "10.5.0.5"), await launcher.vnic("red", "10.5.0.6")
    space = launcher.container(one)
    sh(f"ip link del {one.group.bridge}")
    await launcher.services.repair.once()
    assert f"master {one.group.bridge}" in sh(f"ip -o link show {two.host_end}")
    space.sh("ip link del eth0")
    await launcher.services.repair.once()
    assert one.mac in sh(f"ip link show {one.link}")
    assert (await launcher.services.repair.once()).repaired == ()


async def test_128_calls_at_once_with_random_cancellation_leave_each_whole_or_not_at_all(launcher: Launcher) -> None:
    """ciao's tests/parallel/parallel_test.go, on real links: creations and ends of the same ones among each other."""
    dice, vnics = random.Random(12), launcher.services.vnics

    async def call(number: int) -> None:
        made, _ = await vnics.create(VnicSpec(Group("red", V4), ip_address(f"10.5.0.{number}")))
        if dice.random() < 0.5:
            await vnics.destroy(made)

    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(call(dice.randrange(5, 45))) for _ in range(128)]
        for each in calls:
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() / 100)
                each.cancel()
    await launcher.services.repair.once(alone=True)
    wanted = {fact.key for fact in all_facts(launcher.services.cache.every(Vnic))}
    have = {fact.key for fact in await launcher.ours()}
    assert have == {key for key in wanted if key[0] in ("bridge", "veth", "member")}
    for vnic in launcher.services.cache.every(Vnic):
        assert vnic.mac in sh(f"ip link show {vnic.link}")
