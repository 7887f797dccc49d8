"""What was lost comes back, what is right is left alone: plan and apply against a real kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.plumbing import Add, Alter, GuardedPort, Member, Remove, Ruleset, plan
from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.rigs import PATIENCE, Namespace, Rig, is_cut_off, plug, reach, serve, sh

pytestmark = pytest.mark.netns

OUTSIDE, HOST = "198.18.0.2", "198.18.0.1"


async def published(world: Rig) -> None:
    """A network with one container whose port 80 is the host's 8080, with a service on it."""
    network = await world.network("one", 1)
    port_binding = PortBinding(Protocol.TCP, None, 8080, ip_address("10.1.0.2"), 80)
    server = await world.container("a", network, 2, port_binding)
    await serve(world.stack, server, 80)


async def test_a_restart_finds_nothing_to_do(world: Rig) -> None:
    """A new adapter in the same namespace observes exactly what is desired."""
    await published(world)
    again = LinuxKernel()
    try:
        assert plan(world.desired(), await again.observe()) == []
    finally:
        await again.close()


async def test_a_flushed_ruleset_is_written_anew(world: Rig) -> None:
    """After `nft flush ruleset` the plan has rules and elements only, and the port is reachable again."""
    await published(world)
    sh("nft flush ruleset")
    assert await is_cut_off(world.outside, HOST, 8080)
    ops = plan(world.desired(), await world.kernel.observe())
    assert {type(op.fact) for op in ops if isinstance(op, Add)} == {Ruleset, Member, GuardedPort}
    await world.kernel.apply(ops)
    assert await reach(world.outside, HOST, 8080) == OUTSIDE
    assert plan(world.desired(), await world.kernel.observe()) == []


@pytest.mark.parametrize(
    "damage",
    [
        "flush chain inet mooring inward",
        "add rule inet mooring forward drop",
        "delete chain inet mooring forward",
        "add element inet mooring hairpin4 '{ 10.8.0.5-10.8.0.9 . mr-b }'",
    ],
)
async def test_a_damaged_table_is_written_anew_and_keeps_its_elements(world: Rig, damage: str) -> None:
    """One op mends it; elements and connections go on."""
    await published(world)
    sh(f"nft {damage}")
    ops = plan(world.desired(), await world.kernel.observe())
    assert [type(op) for op in ops] == [Alter]
    await world.kernel.apply(ops)
    assert plan(world.desired(), await world.kernel.observe()) == []
    assert await reach(world.outside, HOST, 8080) == OUTSIDE


async def test_a_table_of_another_version_is_replaced(world: Rig) -> None:
    """What an older version left behind is ours to replace: elements that fit stay, foreign tables are not touched."""
    await published(world)
    sh(
        "nft delete table inet mooring",
        'nft add table inet mooring; nft add chain inet mooring version_0123; nft "add set inet mooring bridges '
        '{ type ifname; elements = { mr-old }; }"; nft add set inet mooring strange "{ type mark; elements = { 7 }; }"',
        "nft add table inet others",
    )
    await world.build()
    assert await reach(world.outside, HOST, 8080) == OUTSIDE
    assert plan(world.desired(), await world.kernel.observe()) == []
    assert "table inet others" in sh("nft list tables")


async def test_everything_comes_back_after_a_reboot(world: Rig) -> None:
    """Links and rules are built from nothing, under the same names and MACs."""
    await published(world)
    mac = sh("cat /proc/net/arp; ip -br link show type bridge")
    for link in ("mr-one000100000", "mv-a00020000000"):
        sh(f"ip link delete {link}")
    sh("nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward")
    await world.build()
    assert plan(world.desired(), await world.kernel.observe()) == []
    assert sh("cat /proc/net/arp; ip -br link show type bridge").split()[-2:-1] == mac.split()[-2:-1]
    endpoint = world.endpoints["a"]
    plug(endpoint, world.networks[endpoint.network], world.host, world.containers["a"])
    assert await reach(world.outside, HOST, 8080) == OUTSIDE


async def test_links_that_were_changed_by_hand_are_put_right(world: Rig) -> None:
    """A bridge or a port that is down, disconnected or of another MTU, a lost address, a changed setting."""
    await published(world)
    bridge, port = "mr-one000100000", "mv-a00020000000"
    for change in (
        f"ip link set {bridge} down",
        f"ip link set {bridge} mtu 1300",
        f"ip link set {port} down",
        f"ip link set {port} nomaster",
        f"ip link set {port} type bridge_slave isolated on",
        f"ip address delete 10.1.0.1/24 dev {bridge}",
        f"echo 0 >/proc/sys/net/ipv4/conf/{bridge}/route_localnet",
    ):
        sh(change)
        assert plan(world.desired(), await world.kernel.observe()), change
        await world.build()
        assert plan(world.desired(), await world.kernel.observe()) == [], change
    assert await reach(world.outside, HOST, 8080) == OUTSIDE


async def test_flushing_an_address_cuts_its_connections(world: Rig) -> None:
    """A UDP flow that is tracked towards an old container does not go on to be translated to it."""
    network = await world.network("one", 1)
    await serve(world.stack, await world.container("a", network, 2), 80)
    await serve(world.stack, await world.container("b", network, 3), 80)
    element = Member("wildcard4", "17 . 8080", "10.1.0.2 . 80")
    await world.kernel.apply([Add(element)])
    assert await reach(world.outside, HOST, 8080, Protocol.UDP) == OUTSIDE
    tracked = "cat /proc/net/nf_conntrack 2>/dev/null || conntrack -L"
    await world.kernel.apply([Remove(element)])
    await world.kernel.flush_connections(ip_address("10.1.0.2"))
    await world.kernel.flush_connections(ip_address("fd00:1::2"))
    try:
        for _ in range(int(PATIENCE / 0.02)):  # it is done soon, with nobody waiting
            if "10.1.0.2" not in sh(tracked):
                break
            await asyncio.sleep(0.02)
        assert "10.1.0.2" not in sh(tracked)
    except AssertionError as error:
        if "not found" not in str(error):
            raise
    assert await is_cut_off(world.outside, HOST, 8080, Protocol.UDP)


async def test_a_host_that_listens_to_routers_goes_on_to(world: Rig) -> None:
    """Before IPv6 forwarding is turned on, accept_ra becomes 2 where it was 1, and only there."""
    sh("ip link add w0 type veth peer name w1; echo 0 >/proc/sys/net/ipv6/conf/w1/accept_ra")
    await world.build()
    assert sh("cd /proc/sys/net/ipv6/conf; cat all/forwarding w0/accept_ra w1/accept_ra").split() == ["1", "2", "0"]


ADVERTISEMENT = (
    struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    + struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0)
    + ip_address("2001:db8:5::").packed
)


async def test_an_uplink_that_comes_later_listens_to_its_router(world: Rig) -> None:
    """RFC 4861, 4.2: it gets an address and a default route, although the host forwards by then."""
    await world.network("one", 1)
    router = Namespace.new()
    world.stack.callback(router.close)
    sh(
        f"ip link add wan type veth peer name lan netns /proc/{os.getpid()}/fd/{router.fd}",
        "echo 0 >/proc/sys/net/ipv6/conf/wan/accept_dad; ip link set wan up",
    )
    router.sh("echo 0 >/proc/sys/net/ipv6/conf/lan/accept_dad; ip link set lan up")
    with router.inside(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        there = ("ff02::1", 0, 0, socket.if_nametoindex("lan"))
        for _ in range(60):
            with contextlib.suppress(OSError):
                sender.sendto(ADVERTISEMENT, there)
            with world.host.inside():
                if "via fe80" in sh("ip -6 route show default dev wan") and "2001:db8:5:" in sh(
                    "ip -6 address show wan"
                ):
                    break
            await asyncio.sleep(0.1)
    assert "via fe80" in sh("ip -6 route show default dev wan")
    assert "2001:db8:5:" in sh("ip -6 address show wan")
