"""What a hostile container says that is not its own, and what every container must be able to say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from ipaddress import ip_address, ip_network

import pytest

from mooring.core.networks import NetworkOptions, StaticRoute
from mooring.core.plumbing import plan
from mooring.core.port_bindings import Protocol
from mooring.core.port_security import link_local
from tests.netns.frames import EVERYBODY, advertisement, arp, icmp6, mac, macs, packed, udp, udp6, utter
from tests.netns.rigs import PATIENCE, SILENCE, Namespace, Rig, reach, serve, sh

pytestmark = pytest.mark.netns


async def heard(listener: Namespace, speaker: Namespace, *frames: bytes, tag: bytes = b"") -> list[bytes]:
    """Which of the frames come to eth0 of the listener, ahead of one that the speaker, 10.1.0.2, may say for certain.

    Each must differ. tag: of a VLAN; the kernel takes it off.
    """
    last = arp(macs(speaker), 1, "10.1.0.2", "10.1.0.99")
    got: list[bytes] = []
    with listener.inside():
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
        ear.bind(("eth0", 3))
    with ear:
        utter(speaker, *(frame[:12] + tag + frame[12:] for frame in frames))
        utter(speaker, last)
        async with asyncio.timeout(PATIENCE):
            while last not in got:
                got.append(await asyncio.get_running_loop().sock_recv(ear, 2000))
    return [frame for frame in frames if frame in got]


async def trio(world: Rig, **options: object) -> tuple[Namespace, Namespace, bytes]:
    """A hostile container 10.1.0.2, its victim 10.1.0.3, and the hostile one's MAC."""
    network = await world.network("one", 1, NetworkOptions(**options))  # type: ignore[arg-type]
    hostile = await world.container("h", network, 2)
    victim = await world.container("v", network, 3)
    await serve(world.stack, victim, 80)
    return hostile, victim, macs(hostile)


async def test_what_is_ones_own_is_said(world: Rig) -> None:
    """TCP, UDP, both families, ARP, neighbour discovery and link-local addresses; also with icc off nobody is mute."""
    hostile, victim, mine = await trio(world)
    for address in ("10.1.0.3", "fd00:1::3"):
        for protocol in (Protocol.TCP, Protocol.UDP):
            assert await reach(hostile, address, 80, protocol) is not None
    own = [
        arp(mine, 1, "10.1.0.2", "10.1.0.3"),
        arp(mine, 2, "10.1.0.2", "10.1.0.2"),
        arp(mine, 1, "0.0.0.0", "10.1.0.2"),
        advertisement(mine, "fd00:1::2", "fd00:1::2"),
        advertisement(mine, str(link_local(mine.hex(":"))), "fd00:1::2"),
        udp(mine, EVERYBODY, "0.0.0.0", "255.255.255.255", 67, origin=68),
        udp6(mine, str(link_local(mine.hex(":"))), "ff02::1:2", (546, 547)),
        *(icmp6(mine, "fd00:1::2", "ff02::1", kind, body + mine) for kind, body in links("fd00:1::2")),
        icmp6(mine, "fd00:1::2", "ff02::1:ff00:3", 135, bytes(4) + packed("fd00:1::3")),
        icmp6(mine, "::", "ff02::1:ff00:2", 135, bytes(4) + packed("fd00:1::2") + b"\x0e\x01nonce!"),
        icmp6(mine, "::", "ff02::2", 133, bytes(4)),
        udp(mine, EVERYBODY, "10.1.0.2", "10.1.0.255", 67, origin=67),
    ]
    assert await heard(victim, hostile, *own) == own
    assert str(link_local(mine.hex(":"))) in hostile.sh("ip -6 address show dev eth0 scope link")


def links(own: str) -> list[tuple[int, bytes]]:
    """Type and body, up to a MAC, of all messages that say where one's own address is: a neighbour's solicitation and
    advertisement, and a router's solicitation."""
    return [
        (135, bytes(4) + packed("fd00:1::3") + b"\x01\x01"),
        (136, struct.pack(">I", 0x20000000) + packed(own) + b"\x02\x01"),
        (133, bytes(4) + b"\x01\x01"),
    ]


def forgeries(mine: bytes, theirs: bytes) -> list[bytes]:
    """Addresses, MACs, and a router's part."""
    foreign = mac("02:00:00:00:66:66")
    own6 = str(link_local(mine.hex(":")))
    return [
        arp(mine, 2, "10.1.0.1", "10.1.0.3"),
        arp(mine, 1, "10.1.0.3", "10.1.0.1"),
        arp(mine, 2, "10.1.0.2", "10.1.0.3", claimed=foreign),
        arp(foreign, 2, "10.1.0.2", "10.1.0.3"),
        udp(mine, theirs, "8.8.8.8", "10.1.0.3", 80),
        udp(mine, theirs, "10.1.0.1", "10.1.0.3", 80),
        udp(foreign, theirs, "10.1.0.2", "10.1.0.3", 80),
        advertisement(mine, "fd00:1::2", "fd00:1::3"),
        advertisement(mine, own6, "fd00:1::1"),
        icmp6(mine, own6, "ff02::1", 134, struct.pack(">BBHII", 64, 0, 1800, 0, 0)),
        icmp6(mine, own6, "ff02::1", 137, struct.pack(">I", 0) + bytes(32)),
        icmp6(mine, "::", "ff02::1", 135, struct.pack(">I", 0) + packed("fd00:1::3")),
        icmp6(mine, "2001:db8::1", "ff02::1", 128, bytes(8)),
        # One's own address at another's MAC, also behind what is one's own.
        *(icmp6(mine, "fd00:1::2", "ff02::1", kind, body + foreign) for kind, body in links("fd00:1::2")),
        icmp6(
            mine,
            "fd00:1::2",
            "ff02::1",
            136,
            bytes(4) + packed("fd00:1::2") + b"\x02\x01" + mine + b"\x02\x01" + foreign,
        ),
        # Answers of a DHCP server, whatever its own port: clients look at theirs only.
        udp(mine, theirs, "10.1.0.2", "10.1.0.3", 68, origin=67),
        udp(mine, EVERYBODY, "10.1.0.2", "255.255.255.255", 68, origin=6767),
        udp6(mine, own6, "ff02::1", (547, 546)),
        udp6(mine, "fd00:1::2", "ff02::1", (1547, 546)),
    ]


@pytest.mark.parametrize("secure", [True, False])
async def test_what_is_anothers_is_not_said(world: Rig, secure: bool) -> None:
    """Unless the network's option says so (keepalived): -o port_security=off."""
    hostile, victim, mine = await trio(world, port_security=secure)
    forged = forgeries(mine, macs(victim))
    assert await heard(victim, hostile, *forged) == ([] if secure else forged)


async def test_a_tag_hides_nothing(world: Rig) -> None:
    """What is in a frame of a VLAN is looked at, too."""
    hostile, victim, mine = await trio(world)
    with victim.inside():
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
        ear.bind(("eth0", 3))
    forged = [udp(mine, macs(victim), sender, "10.1.0.3", 80) for sender in ("8.8.8.8", "10.1.0.2")]
    tagged = [frame[:12] + b"\x81\x00\x00\x05" + frame[12:] for frame in forged]
    with ear:
        for frame, comes in zip(tagged, (False, True), strict=True):
            utter(hostile, frame)
            await asyncio.sleep(SILENCE)
            got = b""
            with contextlib.suppress(BlockingIOError):
                while True:
                    got += ear.recv(2000)
            assert (b"forge" in got) is comes


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("kind", [b"\x81\x00", b"\x88\xa8"])
async def test_a_priority_hides_nothing(world: Rig, kind: bytes, secure: bool) -> None:
    """A tag of VLAN 0 is none (IEEE 802.1Q, table 9-2): the receiver takes the frame for an untagged one."""
    hostile, victim, mine = await trio(world, port_security=secure)
    forged = forgeries(mine, macs(victim))
    assert await heard(victim, hostile, *forged, tag=kind + bytes(2)) == ([] if secure else forged)


async def test_the_host_hears_nothing_forged_either(world: Rig) -> None:
    """Its services, its neighbour table and the flows of other networks."""
    hostile, _, mine = await trio(world)
    bridge = next(iter(world.networks.values())).bridge
    gateway = mac(json.loads(sh(f"ip -j link show {bridge}"))[0]["address"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("0.0.0.0", 5353))
        service.settimeout(SILENCE)
        utter(hostile, udp(mine, gateway, "8.8.8.8", "10.1.0.1", 5353), arp(mine, 2, "10.1.0.3", "10.1.0.1"))
        with pytest.raises(TimeoutError):
            service.recv(100)
        utter(hostile, udp(mine, gateway, "10.1.0.2", "10.1.0.1", 5353))
        assert service.recv(100) == b"forge"
    assert mine.hex(":") not in sh(f"ip neighbour show 10.1.0.3 dev {bridge}")


async def test_nothing_forged_reaches_the_hosts_neighbours(world: Rig) -> None:
    """Whatever a container says that names another's address, or another's MAC for its own: nobody answers for a
    neighbour, there or not, and the host's entries stay. So there need not be permanent ones."""
    hostile, victim, mine = await trio(world)
    bridge = next(iter(world.networks.values())).bridge
    theirs, foreign = macs(victim).hex(":"), mac("02:00:00:00:66:66")
    sh("ping -c1 -W3 10.1.0.3; ping -c1 -W3 fd00:1::3; ping -c1 -W3 fd00:1::2; ping -c1 -W3 10.1.0.2")

    def entries() -> dict[str, str]:
        found = json.loads(sh(f"ip -j neighbour show dev {bridge}"))
        return {each["dst"]: each.get("lladdr", "") for each in found if not each["dst"].startswith("fe80")}

    before = entries()
    assert (before["10.1.0.3"], before["fd00:1::3"], before["fd00:1::2"]) == (theirs, theirs, mine.hex(":"))
    gateways = "10.1.0.1", "fd00:1::1"
    forged = [arp(each, op, "10.1.0.3", gateways[0]) for each in (mine, foreign) for op in (1, 2)]
    forged += [arp(mine, op, "10.1.0.2", gateways[0], claimed=foreign) for op in (1, 2)]
    for source in ("fd00:1::2", "fd00:1::3", str(link_local(mine.hex(":")))):
        forged += [icmp6(mine, source, to, kind, body + lladdr) for kind, body in links("fd00:1::3")
                   for to in ("ff02::1", gateways[1]) for lladdr in (mine, foreign)]  # fmt: skip
    forged += [icmp6(mine, "fd00:1::2", "ff02::1", kind, body + foreign) for kind, body in links("fd00:1::2")]
    utter(hostile, *forged)
    victim.sh("ip link set eth0 down")  # as one that has stopped
    sh(f"ip neighbour flush dev {bridge}")
    utter(hostile, *forged)
    with contextlib.suppress(AssertionError):
        sh("ping -c1 -W1 10.1.0.3")
    with contextlib.suppress(AssertionError):
        sh("ping -c1 -W1 fd00:1::3")
    utter(hostile, *forged)
    sh("ping -c1 -W3 fd00:1::2")
    after = entries()
    assert {after.get("10.1.0.3", ""), after.get("fd00:1::3", "")} == {""}
    assert after["fd00:1::2"] == mine.hex(":")


async def test_a_next_hop_passes_on_what_is_others(world: Rig) -> None:
    """It is a router: what it sends has other addresses than its own."""
    route = StaticRoute(ip_network("192.0.2.0/24"), ip_address("10.1.0.2"))
    hostile, victim, mine = await trio(world, routes=(route,))
    passed = udp(mine, macs(victim), "192.0.2.7", "10.1.0.3", 80)
    assert await heard(victim, hostile, passed) == [passed]


async def test_it_is_kept_and_goes_with_the_endpoint(world: Rig) -> None:
    """What was flushed comes back, and a port that is not ours any more has no elements."""
    hostile, victim, mine = await trio(world)
    sh("nft delete table bridge mooring")
    forged = arp(mine, 2, "10.1.0.1", "10.1.0.3")
    assert await heard(victim, hostile, forged) == [forged]
    await world.build()
    assert plan(world.desired(), await world.kernel.observe()) == []
    assert await heard(victim, hostile, forged) == []
    del world.endpoints["h"]
    await world.build()
    assert "mv-h" not in sh("nft list table bridge mooring")
