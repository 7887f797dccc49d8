"""What a hostile container of one tenant gets of another one, that has the same subnets, addresses and MACs: nothing.

It is root and may say what it likes: its network has no port security. Ears are in the other tenant's domain, in its
containers, on the hosts' end of the hostile tenant's line, on the host's loopback and outside.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.adapters.netlink.sockets import NETLINK_NETFILTER, Message, Netlink, attributes
from mooring.core.domains import line, near_end
from mooring.core.networks import NetworkOptions
from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.frames import ACK, RST, SYN, Ear, advertisement, arp, datagram, macs, packed, packet, tcp
from tests.netns.rigs import PATIENCE, Namespace, Rig, serve, sh
from tests.netns.test_domains import BLUE, HOST, HOST6, OUTSIDE, OUTSIDE6, RED, answer, told

pytestmark = pytest.mark.netns

PORTS = (*range(1, 1200), 2375, 3306, 5432, 6379, 8080, 8081, 9100, 27017)
NEAR, FAR = ({version: str(line(BLUE, version)[end].ip) for version in (4, 6)} for end in (0, 1))
OWN = {version: str(line(RED, version)[1].ip) for version in (4, 6)}
_ESTABLISHED = 3  # linux/netfilter/nf_conntrack_tcp.h


class Scene:
    """Red's hostile container, and blue's server and client, whose addresses, and even MACs, are those of red's. Blue
    publishes port 8081; the host serves port 90 to everybody and port 91 to itself; a network of no tenant serves."""

    def __init__(self, world: Rig) -> None:
        self.world = world

    async def build(self) -> Scene:
        """All of it."""
        world = self.world
        red = await world.network("red", 1, NetworkOptions(port_security=False), domain=RED)
        blue = await world.network("blue", 1, domain=BLUE)
        port = PortBinding(Protocol.TCP, None, 8081, ip_address("10.1.0.2"), 80)
        self.red, self.calm = await world.container("rh", red, 2), await world.container("rc", red, 4)
        self.server, self.client = await world.container("bs", blue, 2, port), await world.container("bc", blue, 3)
        self.plain = await world.container("p", await world.network("plain", 3), 2)
        for space, name in ((self.server, "blue"), (self.client, "blue client"), (self.plain, "plain")):
            await answer(world.stack, space, 80, name)
        await serve(world.stack, world.host, 90)
        loopback = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 91)
        world.stack.callback(loopback.close)
        self.domain = Namespace(os.open(f"{world.folder}/tenants/{BLUE}", os.O_RDONLY | os.O_CLOEXEC))
        world.stack.callback(self.domain.close)
        self.mac = macs(self.red)
        self.gateway = bytes.fromhex(red.mac.replace(":", ""))
        for address in ("10.1.0.1", "fd00:1::1"):  # he believes nobody, least of all who shares his network
            self.calm.sh(f"ip neighbour replace {address} lladdr {red.mac} dev eth0 nud permanent")
        # Neighbours that everybody needs are known before anybody listens.
        for place in (self.red, self.calm, self.client):
            assert await told(place, OUTSIDE, 80) == ""
            assert await told(place, OUTSIDE6, 80) == ""
        assert await told(self.client, "10.1.0.2", 80) == "blue"
        assert await told(world.outside, HOST, 8081) == "blue"
        return self

    def ears(self, *places: tuple[Namespace, str]) -> list[Ear]:
        """At these interfaces."""
        made = [Ear(*place) for place in places]
        for ear in made:
            self.world.stack.callback(ear.close)
        return made

    def victims(self) -> list[Ear]:
        """Where nothing of red's may be heard."""
        bridge = next(network.bridge for network in self.world.networks.values() if network.domain == BLUE)
        return self.ears(
            (self.domain, "uplink"),
            (self.domain, bridge),
            (self.server, "eth0"),
            (self.client, "eth0"),
            (self.plain, "eth0"),
            (self.world.host, "lo"),
        )

    def packet(self, sender: str, to: str, protocol: int, body: bytes) -> bytes:
        """To the gateway, for it to carry on."""
        return packet(self.mac, self.gateway, sender, to, protocol, body)

    async def says(self, frames: Iterable[bytes]) -> None:
        """Red says all of this, and everybody has had it when this returns: a ping of his neighbour's is answered."""
        with self.red.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth:
            mouth.bind(("eth0", 0))
            for number, frame in enumerate(frames):
                mouth.send(frame)
                if number % 200 == 199:
                    await asyncio.sleep(0)
        self.calm.sh(f"ping -q -c 1 -W {PATIENCE:.0f} {OUTSIDE}", f"ping -q -c 1 -W {PATIENCE:.0f} {OUTSIDE6}")


@pytest.fixture
async def scene(world: Rig) -> Scene:
    """Of a world."""
    return await Scene(world).build()


def family(address: str) -> int:
    """4 or 6."""
    return 6 if ":" in address else 4


def own(address: str) -> str:
    """Red's own address of the family."""
    return "10.1.0.2" if family(address) == 4 else "fd00:1::2"


async def test_a_scan_of_all_ports_finds_nothing_of_the_other(scene: Scene) -> None:
    """By TCP and UDP at the other's end of its line, at what the host has of networks of no tenant, at the host's
    loopback: none is heard there, and nothing comes back, not even that a port is closed."""
    victims = scene.victims()
    (answers,) = scene.ears((scene.red, "eth0"))
    targets = (FAR[4], FAR[6], "10.3.0.2", "fd00:3::2", "127.0.0.1", "::1")
    await scene.says(
        scene.packet(own(target), target, protocol, message)
        for target in targets
        for port in PORTS
        for protocol, message in ((6, tcp(40000, port, SYN)), (17, datagram(40000, port)))
    )
    assert [ear.heard() for ear in victims] == [set()] * len(victims)
    assert not {source for source, _ in answers.heard()} & {*targets}


async def test_no_source_that_it_makes_up_leaves_its_domain(scene: Scene) -> None:
    """Whatever it says to whomever, by TCP, UDP, ICMP and what nobody knows: the host hears its domain's own address
    only, outside there is the host's only, and the other tenant, who is asked as if by his own, hears nothing."""
    victims = scene.victims()
    host, outside = scene.ears((scene.world.host, near_end(RED)), (scene.world.outside, "eth0"))
    line4, line6 = (str(line(RED, version)[0].ip) for version in (4, 6))
    sources = (
        *("10.1.0.3", "10.1.0.1", "10.3.0.2", FAR[4], NEAR[4], line4, HOST, OUTSIDE),
        *("127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),
        *("fd00:1::3", "fd00:3::2", FAR[6], NEAR[6], line6, HOST6, OUTSIDE6),
        *("::1", "::", "::ffff:10.1.0.3", "ff02::1", "fe80::1"),
    )
    targets = (
        *("10.1.0.1", "10.1.0.255", FAR[4], line4, HOST, OUTSIDE, "10.3.0.2"),
        *("255.255.255.255", "224.0.0.1", "127.0.0.1"),
        *("fd00:1::1", FAR[6], line6, HOST6, OUTSIDE6, "fd00:3::2", "::1", "ff02::1", "fe80::1"),
    )
    messages = [
        *((6, tcp(40001, port, flags)) for port in (80, 90, 91) for flags in (SYN, SYN | ACK, ACK, RST, 0)),
        *((17, datagram(origin, port)) for origin, port in ((40001, 80), (53, 53), (67, 68), (80, 90))),
        (1, struct.pack(">BBHHH", 8, 0, 0, 7, 1)),
        (1, struct.pack(">BBHHH", 0, 0, 0, 7, 1)),
        (1, struct.pack(">BBHI", 5, 1, 0, 0x0A010003) + bytes(28)),
        (58, struct.pack(">BBHHH", 128, 0, 0, 7, 1)),
        *((58, struct.pack(">BBHI", kind, 0, 0, 0) + packed(FAR[6])) for kind in (*range(130, 138), 143)),
        (253, b"nobody knows what this is"),
        (4, packet(self_mac := bytes(6), self_mac, "10.1.0.3", FAR[4], 17, datagram(1, 80))[14:]),
    ]
    await scene.says(
        scene.packet(source, target, protocol, body)
        for source, target in itertools.product(sources, targets)
        if family(source) == family(target)
        for protocol, body in messages
        if protocol not in ((58,) if family(source) == 4 else (1, 4))
    )
    assert [ear.heard() for ear in victims] == [set()] * len(victims)
    assert {source for source, _ in host.heard()} == set(OWN.values())
    assert {source for source, _ in outside.heard()} == {HOST, HOST6}


async def test_a_connection_of_the_others_is_not_touched(scene: Scene) -> None:
    """Resets, data and errors that mirror it, from either end of it and from each leg of its way: it goes on, and host
    and domain hold it for what it is."""
    world = scene.world
    loop = asyncio.get_running_loop()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    with scene.server.inside():
        listening = socket.create_server(("0.0.0.0", 81))
    server = await asyncio.start_server(echo, sock=listening)
    world.stack.callback(server.close)
    endpoint = world.endpoints["bs"]
    port = PortBinding(Protocol.TCP, None, 8082, endpoint.published[0].target, 81)
    world.endpoints["bs"] = replace(endpoint, published=(*endpoint.published, port))
    await world.build()
    with world.outside.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with client:
        client.bind(("", 45555))
        await loop.sock_connect(client, (HOST, 8082))
        await loop.sock_sendall(client, b"one")
        assert await loop.sock_recv(client, 100) == b"one"
        ends = [(OUTSIDE, 45555), (HOST, 8082), (FAR[4], 8082), (FAR[4], 81), ("10.1.0.2", 81), ("10.1.0.2", 8082)]
        inner = packet(bytes(6), bytes(6), OUTSIDE, HOST, 6, tcp(45555, 8082, ACK))[14:42]
        frames = [
            scene.packet(source, target, 6, tcp(origin, port, flags, said=said))
            for (source, origin), (target, port) in itertools.permutations(ends, 2)
            for flags, said in ((RST, b""), (RST | ACK, b""), (ACK, b"evil"), (SYN, b""), (0x01 | ACK, b""))
            if target != "10.1.0.2"
        ]
        frames += [
            scene.packet(source, target, 1, struct.pack(">BBHI", 3, code, 0, 0) + inner)
            for source, target in itertools.permutations((OUTSIDE, HOST, FAR[4], "10.1.0.2"), 2)
            for code in (1, 3, 13)
            if target != "10.1.0.2"
        ]
        await scene.says(frames)
        for word in (b"two", b"three"):
            await loop.sock_sendall(client, word)
            assert await loop.sock_recv(client, 100) == word
        assert states(world.host, OUTSIDE, 45555) == [_ESTABLISHED]
        assert states(scene.domain, OUTSIDE, 45555) == [_ESTABLISHED]


def states(space: Namespace, address: str, port: int) -> list[int]:
    """The states of TCP connections that begin there, as they are tracked in the namespace (CTA_* in
    linux/netfilter/nfnetlink_conntrack.h)."""
    with space.inside():
        netlink = Netlink(NETLINK_NETFILTER)
    found = []
    for _, payload in netlink.dump(Message((1 << 8) | 1, 0, struct.pack(">BBH", 2, 0, 0))):
        told = attributes(payload[4:])
        begun = attributes(told[1])
        ends, protocol = attributes(begun[1]), attributes(begun[2])
        if ends[1] == packed(address) and protocol.get(2) == struct.pack(">H", port) and protocol[1] == b"\x06":
            found.append(attributes(attributes(told[4])[1])[1][0])
    netlink.close()
    return found


async def test_who_has_which_address_is_told_to_nobody_else(scene: Scene) -> None:
    """Claims and questions, by ARP and neighbour discovery, for the other's containers, gateway and line, the host and
    what is outside: nobody but its own hears them, nobody believes them, and nobody answers for another link."""
    world = scene.world
    victims = scene.victims()
    (answers,) = scene.ears((scene.red, "eth0"))
    names4 = ("10.1.0.1", "10.1.0.2", "10.1.0.3", FAR[4], NEAR[4], HOST, OUTSIDE, "10.3.0.2", "10.3.0.1")
    names6 = ("fd00:1::1", "fd00:1::3", FAR[6], NEAR[6], HOST6, OUTSIDE6, "fd00:3::2")
    lie = b"\x02\xde\xad\xbe\xef\x01"
    claims = [arp(lie, operation, name, name) for name in names4 for operation in (1, 2)]
    claims += [advertisement(lie, "fe80::66", name) for name in names6]
    questions = [arp(scene.mac, 1, "10.1.0.2", name) for name in names4[3:]]
    await scene.says([*questions, *claims])
    told_by = answers.arps()
    assert scene.gateway not in told_by
    assert [ear.arps() for ear in victims] == [[]] * len(victims)
    for space in (world.host, scene.domain, scene.client, scene.server, scene.plain, world.outside):
        assert "02:de:ad:be:ef:01" not in space.sh("ip neighbour; ip -6 neighbour").lower()
    assert await told(scene.client, "10.1.0.2", 80) == "blue"
    assert await told(scene.client, "fd00:1::2", 80) == "blue"
    assert await told(world.outside, HOST, 8081) == "blue"
    assert "mt-" not in sh("ip neighbour show nud failed")
