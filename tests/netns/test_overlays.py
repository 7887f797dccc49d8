"""Overlays of three hosts on the real kernel."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from mooring.core.networks import GatewayMode, NetworkOptions
from mooring.core.overlays import PORT, vxlan_name
from mooring.core.port_bindings import Protocol
from tests.netns.frames import EVERYBODY, Ear, arp, mac, macs, udp, utter
from tests.netns.overlay_rigs import Site, site
from tests.netns.rigs import Namespace, private_namespace, reach, serve

pytestmark = pytest.mark.netns


@pytest.fixture
async def three() -> AsyncIterator[Site]:
    """Three hosts, with no network yet."""
    with private_namespace():
        made = site()
        for _ in range(3):
            await made.machine()
        yield made
        await made.close()


async def pings(space: Namespace, address: str, *options: str, patience: str = "1") -> bool:
    """Whether the address answers one ping."""
    with space.inside():
        asking = await asyncio.create_subprocess_exec(
            "ping", "-n", "-q", "-c", "1", "-W", patience, *options, address,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    return await asking.wait() == 0


async def unreached(space: Namespace, *addresses: str, patience: str = "1") -> set[str]:
    """Those that do not answer."""
    answers = await asyncio.gather(*(pings(space, each, patience=patience) for each in addresses))
    return {address for address, answered in zip(addresses, answers, strict=True) if not answered}


async def test_containers_and_hosts_reach_each_other(three: Site) -> None:
    """By both families: containers of different hosts, hosts and containers of others, and each its own gateway; the
    outside by way of its own host. A host that speaks as the gateway gets no answer from elsewhere: hence its own."""
    one, two, _ = three.machines
    await three.network("web", 9, 100)
    a, b = await three.container(one, "web", 11), await three.container(two, "web", 12)
    await three.publish()
    others = ("10.9.0.12", "fd00:9::12", "10.9.0.202", "fd00:9::203")
    assert await unreached(a, *others, "10.9.0.1", "fd00:9::1", "192.0.2.254", "fd00:192::254") == set()
    assert await unreached(one.space, *others, "10.9.0.11", "fd00:9::11") == set()
    assert await unreached(b, "10.9.0.11", "fd00:9::11", "10.9.0.203") == set()
    assert not await pings(one.space, "10.9.0.12", "-I", "10.9.0.1", patience="0.3")
    for machine in three.machines:
        assert await machine.build() == 0


async def test_what_is_in_a_tunnel_is_tracked_once_and_the_tunnel_is_not(three: Site) -> None:
    """confidential-containers/cloud-api-adaptor#2015: each flow was a connection without an answer, on both hosts."""
    one, two, _ = three.machines
    await three.network("web", 9, 100)
    a = await three.container(one, "web", 11)
    assert await three.container(two, "web", 12)
    await three.publish()
    assert await pings(a, "10.9.0.12")
    for machine in (one, two):
        tracked = machine.space.sh("cat /proc/thread-self/net/nf_conntrack")
        assert "icmp" in tracked
        assert f"dport={PORT}" not in tracked


async def test_an_own_address_that_comes_later_outlives_the_gateways_prefix(three: Site) -> None:
    """The gateway's address loses its prefix length then, and the kernel takes all others of the subnet along with the
    first one (net/ipv4/devinet.c), unless it is told to keep them."""
    for machine in three.machines:
        machine.space.sh(
            "sysctl -qw net.ipv4.conf.default.promote_secondaries=0 net.ipv4.conf.all.promote_secondaries=0"
        )
    await three.network("web", 9, 100)
    one, two = three.machines[:2]
    server, network = await three.container(two, "web", 12), one.networks["web"]
    assert server
    await three.publish()
    overlay = one.overlays.of(network.id)
    assert overlay is not None
    one.overlays.open(network.id, replace(overlay, own=()))
    await one.overlays.settle()
    await one.build()
    one.overlays.open(network.id, overlay)
    await one.overlays.settle()
    await one.build()
    assert await unreached(one.space, "10.9.0.12") == set()
    assert await one.build() == 0


async def test_an_address_moves_while_a_client_keeps_asking(
    three: Site, record_property: Callable[[str, object], None]
) -> None:
    """From host to host, to the client's own host and away again, with its MAC: once the client's host has learnt of it
    answers come from there, whatever the client's neighbour cache says. What was asked in between is lost."""
    one, two, last = three.machines
    await three.network("web", 9, 100)
    client = await three.container(one, "web", 11)
    at = two
    server = await three.container(at, "web", 12)
    for number, to in enumerate((last, one, two)):
        await three.publish()
        await serve(three.stack, server, 7000)
        for address in ("10.9.0.12", "fd00:9::12"):
            lost = 0
            while await reach(client, address, 7000, Protocol.UDP, 0.2) is None:
                lost += 1
                assert lost < 10
            record_property(f"asked in vain at place {number}, {address}", lost)
            assert await reach(client, address, 7000) is not None
            assert await reach(one.space, address, 7000) is not None
        server.sh("ip link del eth0")
        await three.end(at, "web", 12)
        at, server = to, await three.container(to, "web", 12)


async def test_a_peer_that_already_tries_is_answered_when_the_address_is_learnt(three: Site) -> None:
    """Its ARP and neighbour discovery have failed by then; neither waits for its timer, as it is told."""
    one, two, _ = three.machines
    await three.network("web", 9, 100)
    client = await three.container(one, "web", 11)
    await three.publish()
    assert await unreached(client, "10.9.0.12", "fd00:9::12", patience="0.2") == {"10.9.0.12", "fd00:9::12"}
    await three.container(two, "web", 12)
    with closing(Ear(client, "eth0")) as ear:
        await three.publish()
        await one.kernel.observe()
        assert await unreached(client, "10.9.0.12", "fd00:9::12") == set()
        assert mac("02:00:00:00:09:0c") in ear.arps()


async def test_a_full_packet_passes_and_a_longer_one_is_refused(three: Site) -> None:
    """Inside the tunnel there are 1450 bytes; a router that has more for a container says so. When the underlay's MTU
    changes, new containers have another, and those that run are told. IPv6 fits whatever the underlay."""
    one, two, _ = three.machines
    options = NetworkOptions(gateway_mode4=GatewayMode.ROUTED)
    await three.network("web", 9, 100, options)
    a, _b = await three.container(one, "web", 11), await three.container(two, "web", 12)
    await three.publish()
    assert await pings(a, "10.9.0.12", "-M", "do", "-s", "1422")
    assert await pings(a, "fd00:9::12", "-M", "do", "-s", "1402")
    assert not await pings(a, "10.9.0.12", "-M", "do", "-s", "1423")
    three.switch.sh("ip route add 10.9.0.0/24 via 192.0.2.1")
    with closing(Ear(three.switch, "switch")) as ear:
        assert not await pings(three.switch, "10.9.0.11", "-M", "do", "-s", "1472", patience="0.3")
        assert ("192.0.2.1", "192.0.2.254") in ear.heard()
    assert "mtu 1450" in three.switch.sh("ip route get 10.9.0.11")
    for machine in three.machines:
        machine.space.sh("ip link set under0 mtu 1420")
        assert await machine.overlays.follow_underlay() == []
        assert await machine.build() > 0
        assert await machine.build() == 0
    # Who runs with the MTU of before is told by the kernel, of both families.
    for address, size in (("10.9.0.12", "1422"), ("fd00:9::12", "1402")):
        assert not await pings(a, address, "-M", "do", "-s", size, patience="0.3")
        assert "mtu 1370" in a.sh(f"ip route get {address}")
    c = await three.container(three.machines[2], "web", 13)
    await three.publish()
    assert "mtu 1370" in c.sh("ip link show eth0")
    assert await pings(c, "10.9.0.12", "-M", "do", "-s", "1342")
    for machine in three.machines:
        machine.space.sh("ip link set under0 mtu 1280")  # as Tailscale's
        assert await machine.overlays.follow_underlay() == []
        await machine.build()
    d = await three.container(three.machines[2], "web", 14)
    await three.publish()
    assert "mtu 1280" in d.sh("ip link show eth0")
    assert await pings(d, "fd00:9::12", "-s", "1232")
    assert await unreached(d, "10.9.0.12", "10.9.0.202", "fd00:9::201") == set()


async def test_networks_of_tenants_with_the_same_addresses_are_apart(three: Site) -> None:
    """Each has a VNI and, on every host, a routing domain; what is internal has no way out, but its own across hosts.
    Where containers must not meet they do not across hosts either."""
    one, two, _ = three.machines
    await three.network("red", 9, 100, domain=1)
    await three.network("blue", 9, 200, domain=2)
    await three.network("inner", 8, 300, internal=True)
    await three.network("alone", 7, 400, NetworkOptions(icc=False))
    red, blue, inner, alone = [await three.container(one, name, 11) for name in ("red", "blue", "inner", "alone")]
    for name in ("red", "inner", "alone"):
        await three.container(two, name, 12)
    await three.publish()
    assert await unreached(red, "10.9.0.12", "fd00:9::12", "192.0.2.254", "10.9.0.1") == set()
    assert await unreached(blue, "192.0.2.254", "10.9.0.1") == set()
    assert await unreached(inner, "10.8.0.12", "fd00:8::12", "10.8.0.202") == set()
    assert await unreached(two.space, "10.8.0.11", "fd00:8::11", "10.7.0.12") == set()
    cut = {"10.9.0.12", "fd00:9::12"}
    assert await unreached(blue, *cut, patience="0.3") == cut
    assert await unreached(inner, "192.0.2.254", "10.9.0.12", patience="0.3") == {"192.0.2.254", "10.9.0.12"}
    assert await unreached(alone, "10.7.0.12", patience="0.3") == {"10.7.0.12"}
    for machine in three.machines:
        assert await machine.build() == 0


async def test_nothing_is_flooded_and_no_gateway_is_told_of(three: Site) -> None:
    """Of what a container says to everybody, to groups, to unknown MACs and addresses, no other host hears; of what it
    says to a container there, only that host."""
    one, two, last = three.machines
    await three.network("web", 9, 100, NetworkOptions(port_security=False))
    a = await three.container(one, "web", 11)
    await three.container(two, "web", 12)
    await three.publish()
    own, unknown = macs(a), b"\x02\x00\x00\x00\x00\x99"
    with closing(Ear(two.space, "under0")) as ear, closing(Ear(last.space, "under0")) as other:
        await unreached(a, "10.9.0.1", "fd00:9::1", "10.9.0.99", "fd00:9::99", "ff02::1%eth0", patience="0.2")
        utter(
            a, arp(own, 1, "10.9.0.11", "10.9.0.12"), arp(own, 1, "10.9.0.11", "10.9.0.11"),
            udp(own, EVERYBODY, "10.9.0.11", "10.9.0.255", 9), udp(own, unknown, "10.9.0.11", "10.9.0.99", 9),
            udp(own, b"\x01\x00\x5e\x00\x00\xfb", "10.9.0.11", "224.0.0.251", 5353),
        )  # fmt: skip
        tunnelled = ("192.0.2.1", "192.0.2.2")
        assert tunnelled not in ear.heard()
        assert await pings(a, "10.9.0.12")
        assert tunnelled in ear.heard()
        assert ("192.0.2.1", "192.0.2.3") not in other.heard()
    gateways = {machine.networks["web"].mac for machine in three.machines}
    assert len(gateways) == 3
    assert f"10.9.0.1 dev {one.networks['web'].bridge}" not in one.space.sh("ip neigh")


async def test_an_overlay_outlives_its_underlay_and_what_is_lost_comes_back(three: Site) -> None:
    """The interface of the underlay goes and comes: nothing is to be repaired. Lost devices, entries and rules, a wrong
    MTU, and entries of others are put right in one pass, or in two where a device had to be made."""
    one, two, _ = three.machines
    await three.network("web", 9, 100, offload=False)
    a, _b = await three.container(one, "web", 11), await three.container(two, "web", 12)
    await three.publish()
    one.space.sh("ip link del under0")
    assert ["192.0.2.1" in each for each in await one.overlays.follow_underlay()] == [True]
    assert await one.build() == 0
    three.plug_in(1, one.space)
    assert await one.overlays.follow_underlay() == []
    assert await unreached(a, "10.9.0.12", "fd00:9::12") == set()
    network = one.networks["web"]
    device, bridge = vxlan_name(network), network.bridge
    for damage in (
        f"ip link del {device}",
        f"bridge fdb del 02:00:00:00:09:0c dev {device} self; bridge fdb del 02:00:00:00:09:0c dev {device} master",
        f"bridge fdb replace 02:00:00:00:09:0c dev {device} dst 192.0.2.3 self static",
        f"ip neigh del 10.9.0.12 dev {bridge}",
        f"ip neigh replace fd00:9::12 lladdr 02:00:00:00:00:99 dev {bridge} nud permanent",
        f"ip link set {device} mtu 1500; bridge fdb append 00:00:00:00:00:00 dev {device} dst 192.0.2.3",
        "nft flush ruleset",
        f"ip link set {device} nomaster",
    ):
        one.space.sh(damage)
        while await one.build():
            pass
        assert await unreached(a, "10.9.0.12", "fd00:9::12") == set(), damage


async def test_only_hosts_of_the_overlay_speak_in_it(three: Site) -> None:
    """A machine of the underlay that is none of them is not heard, nor is a container: neither at its own host, nor at
    another, where its packet would come from a host's address."""
    one, two, _ = three.machines
    await three.network("web", 9, 100)
    await three.network("other", 8, 200)
    a, victim = await three.container(one, "web", 11), await three.container(two, "web", 12)
    intruder = await three.container(one, "other", 11)
    await three.publish()
    forged = udp(macs(a), macs(victim), "10.9.0.11", "10.9.0.12", 9)
    encapsulated = struct.pack(">II", 0x08000000, 100 << 8) + forged
    with closing(Ear(victim, "eth0")) as ear:
        for space, address in ((three.switch, "192.0.2.2"), (intruder, "192.0.2.2"), (a, "192.0.2.2")):
            say(space, address, encapsulated)
        say(await three.container(two, "other", 13), "192.0.2.2", encapsulated)
        await asyncio.sleep(0.1)
        assert ("10.9.0.11", "10.9.0.12") not in ear.heard()
        one.space.sh("nft flush chain inet mooring smuggled")  # as it would be without
        say(intruder, "192.0.2.2", encapsulated)
        await asyncio.sleep(0.1)
        assert ("10.9.0.11", "10.9.0.12") in ear.heard()


def say(space: Namespace, address: str, data: bytes) -> None:
    """A datagram to the tunnel."""
    with space.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(data, (address, 4790))


async def test_an_underlay_of_ipv6_has_twenty_bytes_less() -> None:
    """All else is the same."""
    with private_namespace():
        made = site()
        try:
            one, two = await made.machine(6), await made.machine(6)
            await made.network("web", 9, 100)
            a, _b = await made.container(one, "web", 11), await made.container(two, "web", 12)
            await made.publish()
            assert await unreached(a, "10.9.0.12", "fd00:9::12", "10.9.0.202") == set()
            assert await pings(a, "10.9.0.12", "-M", "do", "-s", "1402")
            assert not await pings(a, "10.9.0.12", "-M", "do", "-s", "1403")
            assert await one.build() == 0
        finally:
            await made.close()


@pytest.mark.parametrize("multicast", [True, False])
async def test_what_is_for_all_crosses_where_the_network_says_so(three: Site, multicast: bool) -> None:
    """Groups of both families and the broadcast address reach containers of every other host, once each; without the
    option nothing does. What is asked of all for the sake of an address stays on the host, with what hosts say."""
    one, two, last = three.machines
    await three.network("web", 9, 100, multicast=multicast)
    sender, near = await three.container(one, "web", 11), await three.container(one, "web", 14)
    far = [await three.container(two, "web", 12), await three.container(last, "web", 13)]
    await three.publish()
    groups = ("239.1.2.3", "ff05::1:3", "10.9.0.255")
    ears = [listener(space, groups) for space in (near, *far)]
    for group in groups:
        speak(sender, group, b"container")
        speak(one.space, group, b"host", "10.9.0.201", one.networks["web"].bridge)
    await asyncio.sleep(0.3)
    heard = [drained(ear) for ear in ears]
    assert sorted(heard[0]) == [b"container"] * 3 + [b"host"] * 3
    assert heard[1:] == [[b"container"] * 3 * multicast] * 2
    with closing(Ear(far[0], "eth0")) as ear:
        sender.sh("ip neigh flush dev eth0; ping -c 1 -W 0.2 10.9.0.77 || true; ping -c 1 -W 0.2 fd00:9::77 || true")
        sender.sh("ping -c 1 -W 1 10.9.0.1; ping -c 1 -W 1 fd00:9::1")
        one.space.sh("ping -c 1 -W 0.2 10.9.0.78 || true; ping -c 1 -W 0.2 -b -I 10.9.0.1 10.9.0.255 || true")
        assert ear.arps() == []
        assert not {pair for pair in ear.heard() if pair[0] in ("10.9.0.1", "10.9.0.201")}
    assert await unreached(sender, "10.9.0.12", "fd00:9::13", "10.9.0.202", "10.9.0.1") == set()
    for machine in three.machines:
        assert await machine.build() == 0
    if multicast:
        device = vxlan_name(one.networks["web"])
        one.space.sh(f"bridge fdb del 00:00:00:00:00:00 dev {device} dst 192.0.2.2")
        one.space.sh(f"bridge fdb append 00:00:00:00:00:00 dev {device} dst 192.0.2.77")
        assert await one.build() == 2
        assert await one.build() == 0


def listener(space: Namespace, groups: tuple[str, ...]) -> socket.socket:
    """A socket at port 7777 that is in the groups."""
    with space.inside():
        ear = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        index = socket.if_nametoindex("eth0")
    ear.bind(("::", 7777))
    ear.setblocking(False)
    for group in groups:
        if ":" in group:
            joined = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=I", index)
            ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined)
        elif not group.startswith("10."):
            joined = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index)
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    return ear


def speak(space: Namespace, group: str, data: bytes, source: str = "", link: str = "eth0") -> None:
    """A datagram to all of the group."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with space.inside(), socket.socket(family, socket.SOCK_DGRAM) as mouth:
        index = socket.if_nametoindex(link)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if family == socket.AF_INET6:
            mouth.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            mouth.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index)
            )
            if source:
                mouth.bind((source, 0))
        mouth.sendto(data, (group, 7777))


def drained(ear: socket.socket) -> list[bytes]:
    """What it has heard."""
    found = []
    with closing(ear), suppress(BlockingIOError):
        while True:
            found.append(ear.recv(100))
    return found
