"""Names of two tenants that have the same subnets, addresses and names on one host, with real packets: each is told his
own, and the server in his domain is all that he gets by it."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address

import dns.message
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest

from mooring.adapters.dns.host_dns import HostDns
from mooring.core.dns_places import ADDRESS4, ADDRESS6, ADDRESSES
from mooring.core.domains import line, near_end
from mooring.core.endpoints import State
from mooring.core.networks import Address, Dns, NetworkOptions
from mooring.core.plumbing import Domain, Remove
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.services.containers.host_names import HostNames
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore
from tests.netns.frames import Ear, datagram, macs, packet
from tests.netns.rigs import PATIENCE, SILENCE, Namespace, Rig, reach, serve, sh, until
from tests.netns.test_domains import BLUE, HOST, OUTSIDE, RED, answer, told

pytestmark = pytest.mark.netns

AGAIN = 1.0  # seconds
SERVER, SERVER6 = str(ADDRESS4), str(ADDRESS6)
PLAIN, GOLD = 0, 3
WORDS = {RED: "red", BLUE: "blue", GOLD: "gold"}


async def ask(
    space: Namespace, name: str, kind: str = "A", server: str = SERVER, *, tcp: bool = False, patience: float = PATIENCE
) -> str:
    """What one in the namespace is told: records in order, or else the rcode; `silence`, or `refused`."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with space.inside():
        client = socket.socket(family, (socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK)
    loop, message = asyncio.get_running_loop(), dns.message.make_query(name, kind).to_wire()
    with client:
        try:
            async with asyncio.timeout(patience):
                await loop.sock_connect(client, (server, 53))
                heard = b""
                while not heard:
                    await loop.sock_sendall(client, struct.pack(">H", len(message)) * tcp + message)
                    with suppress(TimeoutError):  # a resolver asks again: a port of a bridge may just be coming up
                        heard = await asyncio.wait_for(loop.sock_recv(client, 4096), None if tcp else AGAIN)
                        break
        except TimeoutError:
            return "silence"
        except OSError:
            return "refused"
    if not heard:
        return "refused"
    reply = dns.message.from_wire(heard[2:] if tcp else heard)
    found = [str(each) for rrset in reply.answer for each in rrset if rrset.rdtype == dns.rdatatype.from_text(kind)]
    return " ".join(sorted(found)) or dns.rcode.to_text(reply.rcode())


class Scene:
    """Red and blue have a network `shop` each with `db`, also called `main`, at .2, who asks, at .3, and an internal
    network `inner` with `safe` at .2. In red's `shop` there is besides `rare` at .4, and at .5 somebody who may say
    what he likes; blue has `ware` at .6. Nobody of gold wants names. In `plain` of no tenant there is `db` at .2.
    wanted: as of HostDns."""

    def __init__(self, world: Rig) -> None:
        self.world = world
        self.cache = RecordCache(MemoryStore())
        self.names = HostNames(self.cache, EndpointIndex(self.cache))
        self.wanted = {PLAIN: True, RED: True, BLUE: True, GOLD: False}
        self.dns = HostDns(self.names, world.kernel, lambda: dict(self.wanted), self._holder, 0.05)
        self.spaces: dict[str, Namespace] = {}

    async def _holder(self, protocol: Protocol, _address: Address, _port: int) -> str:
        return f"dnsmasq ({protocol.label})"

    async def build(self) -> Scene:
        """All of it, and names are answered."""
        await self.cache.load()
        options = NetworkOptions(dns=Dns.ON, port_security=False)
        for domain in (RED, BLUE):
            for name, number, members in (("shop", 1, {"db": 2, "asks": 3}), ("inner", 2, {"safe": 2, "calm": 3})):
                await self._network(name, number, domain, members, options)
        await self._network("gold", 1, GOLD, {"asks": 3}, NetworkOptions())
        await self._network("plain", 3, PLAIN, {"db": 2}, NetworkOptions())
        for domain, name, number in ((RED, "rare", 4), (RED, "liar", 5), (BLUE, "ware", 6)):
            await self._container(f"{WORDS[domain]}-{name}", self._network_id("shop", domain), number, name)
        await self.dns.once()
        return self

    def _network_id(self, name: str, domain: int) -> str:
        return next(ident for ident in self.world.networks if ident.startswith(f"{WORDS.get(domain, '')}{name}"))

    async def _network(
        self, name: str, number: int, domain: int, members: dict[str, int], options: NetworkOptions
    ) -> None:
        made = await self.world.network(
            f"{WORDS.get(domain, '')}{name}", number, options, internal=name == "inner", domain=domain
        )
        await self.cache.commit(put=[replace(made, name=name)])
        for member, address in members.items():
            await self._container(f"{WORDS.get(domain, 'plain')}-{member}", made.id, address, member)

    async def _container(self, key: str, network_id: str, number: int, name: str, *published: PortBinding) -> None:
        world = self.world
        self.spaces[key] = await world.container(key, world.networks[network_id], number, *published)
        aliases = ("main",) if name == "db" else ()
        endpoint = replace(world.endpoints[key], state=State.ATTACHED, sandbox=f"/{key}", name=name, aliases=aliases)
        await self.cache.commit(put=[endpoint])

    @contextmanager
    def inside(self, domain: int) -> Iterator[None]:
        """The test is in the domain for the length of the block."""
        with open(f"{self.world.folder}/tenants/{domain}") as file, Namespace(file.fileno()).inside():
            yield

    def does(self, domain: int, *lines: str) -> str:
        """What they print in the domain."""
        with self.inside(domain):
            return sh(*lines)


@pytest.fixture
async def scene(world: Rig) -> AsyncIterator[Scene]:
    """Of a world."""
    made = Scene(world)
    try:
        yield await made.build()
    finally:
        await made.dns.close()


async def test_each_tenant_is_told_his_own_and_never_the_others(scene: Scene) -> None:
    """Short names, complete ones, aliases and addresses, by UDP and TCP, in both families, also in internal networks;
    equal ones are each his own, and those that only the other has are there for him alone."""
    spaces = scene.spaces
    back4, back6, lone = (str(dns.reversename.from_address(a)) for a in ("10.1.0.2", "fd00:1::2", "10.1.0.4"))
    for word in ("red", "blue"):
        space = spaces[f"{word}-asks"]
        for tcp in (False, True):
            for server in (SERVER, SERVER6):
                assert await ask(space, "db", server=server, tcp=tcp) == "10.1.0.2"
        for name, kind, known in (
            ("main.shop.mooring", "AAAA", "fd00:1::2"),
            (back4, "PTR", "db.shop.mooring."),
            (back6, "PTR", "db.shop.mooring."),
            ("rare", "A", "10.1.0.4" if word == "red" else "SERVFAIL"),  # to be forwarded, and nobody is there
            ("rare.shop.mooring", "A", "10.1.0.4" if word == "red" else "NXDOMAIN"),
            ("ware.shop.mooring", "A", "10.1.0.6" if word == "blue" else "NXDOMAIN"),
            (lone, "PTR", "rare.shop.mooring." if word == "red" else "NXDOMAIN"),
            ("db.plain.mooring", "A", "NXDOMAIN"),
            ("safe.inner.mooring", "A", "NXDOMAIN"),
        ):
            assert await ask(space, name, kind) == known, (word, name)
        inner = spaces[f"{word}-calm"]
        for server in (SERVER, SERVER6):
            assert await ask(inner, "safe", server=server) == "10.2.0.2"
            assert await ask(inner, "db.shop.mooring", server=server, tcp=True) == "NXDOMAIN"
    assert await ask(scene.world.host, "ware.shop.mooring") == "10.1.0.6"
    assert await ask(spaces["plain-db"], "db.shop.mooring") == "NXDOMAIN"
    assert await ask(spaces["plain-db"], "db") == "10.3.0.2"


async def test_nothing_else_is_there_for_who_has_the_server(scene: Scene) -> None:
    """No other port at its addresses, though the host and the domain's neighbours serve some; nobody asks it from the
    host, from outside, from a domain without names or with another's way; a port 53 that is published takes no question
    of others; and made-up sources are answered to nobody."""
    world, spaces = scene.world, scene.spaces
    await serve(world.stack, world.host, 90)
    for key in ("red-asks", "red-calm", "blue-asks"):
        for server in (SERVER, SERVER6):
            for protocol in (Protocol.TCP, Protocol.UDP):
                assert await reach(spaces[key], server, 90, protocol, SILENCE) is None
    # By the host's end of the line, as if somebody had led it there.
    world.outside.sh(f"ip route add {SERVER} via {HOST}")
    assert await ask(world.outside, "db.shop.mooring", patience=SILENCE) == "silence"
    far = line(RED, 4)[1].ip
    await scene.dns.close()  # the host's own would answer the host
    scene.wanted[PLAIN] = False
    await scene.dns.once()
    sh(f"ip route add {SERVER} via {far} dev {near_end(RED)}")
    for place in (world.host, world.outside, spaces["gold-asks"], spaces["plain-db"]):
        assert await ask(place, "db.shop.mooring", patience=SILENCE) == "silence"
        assert await ask(place, "db.shop.mooring", tcp=True, patience=SILENCE) != "10.1.0.2"
    sh(f"ip route del {SERVER}")
    scene.wanted[PLAIN] = True
    await scene.dns.once()
    assert await ask(spaces["gold-asks"], "db.shop.mooring", patience=SILENCE) == "silence"
    # Red's own port 53, at one address of the host.
    await answer(world.stack, spaces["red-rare"], 53, "mine")
    binding = PortBinding(Protocol.UDP, ip_address(HOST), 53, ip_address("10.1.0.4"), 53)
    world.endpoints["red-rare"] = replace(world.endpoints["red-rare"], published=(binding,))
    await world.build()
    assert await told(world.outside, HOST, 53, Protocol.UDP) == "mine"
    assert await ask(spaces["red-asks"], "db") == "10.1.0.2"


async def test_a_made_up_source_gets_nobody_an_answer(scene: Scene) -> None:
    """Of his neighbours' networks, the other tenant's line, the host and outside: who lies hears nothing, and nobody
    that he names does."""
    spaces, red = scene.spaces, scene.spaces["red-liar"]
    ears = [Ear(spaces["blue-asks"], "eth0"), Ear(scene.world.outside, "eth0"), Ear(scene.world.host, near_end(BLUE))]
    ears += [Ear(spaces["red-calm"], "eth0"), Ear(scene.world.host, near_end(RED)), Ear(red, "eth0")]
    for ear in ears:
        scene.world.stack.callback(ear.close)
    question = dns.message.make_query("db.shop.mooring", "A").to_wire()
    gateway = bytes.fromhex(scene.world.networks[scene._network_id("shop", RED)].mac.replace(":", ""))
    sources = ["10.2.0.3", "10.3.0.2", str(line(BLUE, 4)[1].ip), str(line(RED, 4)[1].ip), HOST, OUTSIDE, "127.0.0.1"]
    sources += ["fd00:2::3", str(line(BLUE, 6)[1].ip), "fd00:198:18::2", "::1", SERVER, SERVER6]
    with red.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth:
        mouth.bind(("eth0", 0))
        for source in sources:
            server = SERVER6 if ":" in source else SERVER
            mouth.send(packet(macs(red), gateway, source, server, 17, datagram(53000, 53, question)))
    assert await ask(red, "db") == "10.1.0.2"  # all of them were had before
    heard = [source for ear in ears for source, target in ear.heard() if target != "10.1.0.5"]
    assert not {SERVER, SERVER6} & {*heard}


async def test_what_is_lost_comes_back_and_what_ends_leaves_nothing(scene: Scene) -> None:
    """An address that somebody removes, a whole domain, the process; a domain that is not wanted any more, or gone, has
    neither addresses nor sockets, and ends with its last network although it was asked a moment ago."""
    world, red = scene.world, scene.spaces["red-asks"]
    assert "169.254.53.53" in scene.does(RED, "ip address show lo")
    scene.does(RED, "ip address flush dev lo to 169.254.53.53/32", "ip -6 address flush dev lo to fd6d::/16")
    assert await ask(red, "db", patience=SILENCE) in ("silence", "refused")
    await scene.dns.once()
    assert await ask(red, "db") == await ask(red, "db", server=SERVER6, tcp=True) == "10.1.0.2"
    # A daemon that ends leaves the address, so that who asks is refused at once; the next one serves again.
    await scene.dns.close()
    assert await ask(red, "db") == "refused"
    await scene.dns.once()
    assert await ask(red, "db") == "10.1.0.2"
    # A program that has the host's port is in the way on the host alone.
    await scene.dns.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 53))
        await scene.dns.once()
        assert scene.dns.trouble == "port 53/udp of 169.254.53.53 is in use by dnsmasq (udp)"
        assert await ask(red, "db") == "10.1.0.2"
    # Somebody who went in has the port.
    await scene.dns.close()
    with scene.inside(BLUE):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with other:
        other.bind(("0.0.0.0", 53))
        await scene.dns.once()
    assert scene.dns.trouble == "port 53/udp of 169.254.53.53 in routing domain 2 is in use by another program"
    await scene.dns.once()
    assert (scene.dns.trouble, set(scene.dns.serving(BLUE))) == ("", set(ADDRESSES))
    # A domain with the same number that is another one.
    await world.kernel.apply([Remove(Domain(RED))])
    await scene.dns.once()
    assert (scene.dns.serving(RED), scene.dns.trouble) == ((), "")
    await world.build()
    fresh = await world.container("again", world.networks[scene._network_id("shop", RED)], 3)
    await scene.dns.once()
    assert await ask(fresh, "rare") == "10.1.0.4"
    assert set(scene.dns.serving(RED)) == set(ADDRESSES)
    # What is not wanted has nothing, and a domain lives no longer than it is wanted.
    scene.wanted[BLUE] = False
    await scene.dns.once()
    assert "169.254.53.53" not in scene.does(BLUE, "ip address show lo")
    host = f"/proc/{os.getpid()}/fd/{world.host.fd}"
    scene.does(RED, f"ip link add inner type veth peer name canary netns {host}")
    assert "canary" in sh("ip link")
    for ident in [ident for ident, network in world.networks.items() if network.domain == RED]:
        del world.networks[ident]
    world.endpoints = {key: each for key, each in world.endpoints.items() if each.network in world.networks}
    del scene.wanted[RED]
    await scene.dns.once()
    await world.build()
    await world.kernel.observe()
    await until(lambda: "canary" not in sh("ip link"))


async def test_a_domain_that_is_awaited_is_served_when_it_is_there(world: Rig) -> None:
    """A record says so before the kernel has it: that is no trouble, and not the next period's business."""
    scene = Scene(world)
    await scene.cache.load()
    scene.wanted = {PLAIN: True, RED: True}
    scene.dns = HostDns(scene.names, world.kernel, lambda: dict(scene.wanted), scene._holder, 60)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.dns.run())
        await until(lambda: bool(scene.dns.serving()))
        assert (scene.dns.serving(RED), scene.dns.trouble) == ((), "")
        await scene._network("shop", 1, RED, {"db": 2, "asks": 3}, NetworkOptions(dns=Dns.ON))
        await until(lambda: bool(scene.dns.serving(RED)))
        assert await ask(scene.spaces["red-asks"], "db") == "10.1.0.2"
        running.cancel()
