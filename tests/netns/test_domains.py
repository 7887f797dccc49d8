"""Two tenants with the same subnet and the same addresses on one host, with real packets."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import ExitStack
from ipaddress import ip_address
from typing import cast

import pytest

from mooring.adapters.netlink.sockets import NETLINK_NETFILTER, Message, Netlink
from mooring.core.datapath import endpoint_facts, own_facts
from mooring.core.domains import domain_facts, line, near_end
from mooring.core.networks import HostAccess, NetworkOptions
from mooring.core.plumbing import Bridge, Domain, Fact, Remove, Setting, Veth, plan
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.core.port_security import link_local
from tests.netns.rigs import PATIENCE, SILENCE, Namespace, Rig, is_cut_off, reach, serve, sh

pytestmark = pytest.mark.netns

OUTSIDE, OUTSIDE6 = "198.18.0.2", "fd00:198:18::2"
HOST, HOST6 = "198.18.0.1", "fd00:198:18::1"
RED, BLUE = 1, 2


@pytest.fixture(params=["0", "1"], ids=["", "strict rp_filter"])
def sources(host: Namespace, request: pytest.FixtureRequest) -> None:
    """Whether the host looks back where a packet came from."""
    del host
    sh(f"echo {request.param} | tee /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/default/rp_filter")


def published(port: int, protocol: Protocol = Protocol.TCP, host: str | None = None) -> list[PortBinding]:
    """Port 80 of the second address is the host's port, in both families, or at one address."""
    at = ip_address(host) if host else None
    targets = [each for each in ("10.1.0.2", "fd00:1::2") if at is None or ip_address(each).version == at.version]
    return [PortBinding(protocol, at, port, ip_address(target), 80) for target in targets]


async def told(space: Namespace, address: str, port: int, protocol: Protocol = Protocol.TCP, source: int = 0) -> str:
    """Who answers there, "" for nobody."""
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if protocol is Protocol.TCP else socket.SOCK_DGRAM
    with space.inside():
        client = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    loop = asyncio.get_running_loop()
    with client:
        if source:
            client.bind(("", source))
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(client, (address, port))
                if protocol is Protocol.UDP:
                    await loop.sock_sendall(client, b"?")
                return (await loop.sock_recv(client, 100)).decode()
        except (OSError, TimeoutError):
            return ""


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        del data
        self._transport.sendto(self.name.encode(), address)


async def answer(stack: ExitStack, space: Namespace, port: int, name: str) -> None:
    """Whoever connects to the port, by TCP or UDP over either family, is told the name."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode())
        await writer.drain()
        writer.close()

    for family, every in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with space.inside():
                made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((every, port))
            if kind == socket.SOCK_STREAM:
                server = await asyncio.start_server(tell, sock=made)
                stack.callback(server.close)
            else:
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_datagram_endpoint(lambda: _Answer(name), sock=made)
                stack.callback(transport.close)


class Tenants:
    """Two tenants whose networks and containers are equal; who serves port 80 says whose he is."""

    def __init__(self, world: Rig) -> None:
        self.world = world
        self.servers: dict[int, Namespace] = {}
        self.clients: dict[int, Namespace] = {}

    async def build(self, *ports: tuple[int, PortBinding]) -> None:
        """A server at .2 and a client at .3 for each. ports: what the server of a tenant publishes."""
        for domain, name in ((RED, "red"), (BLUE, "blue")):
            network = await self.world.network(name, 1, domain=domain)
            mine = [binding for whose, binding in ports if whose == domain]
            self.servers[domain] = await self.world.container(f"{name}s", network, 2, *mine)
            self.clients[domain] = await self.world.container(f"{name}c", network, 3)
            await answer(self.world.stack, self.servers[domain], 80, name)


@pytest.fixture
async def tenants(sources: None, world: Rig) -> Tenants:
    """Of a world."""
    del sources
    return Tenants(world)


async def test_equal_addresses_are_each_tenants_own(tenants: Tenants) -> None:
    """In both families, by TCP and UDP; the gateway answers, and the host has nothing of either."""
    await tenants.build()
    for domain, name in ((RED, "red"), (BLUE, "blue")):
        for address in ("10.1.0.2", "fd00:1::2"):
            for protocol in (Protocol.TCP, Protocol.UDP):
                assert await told(tenants.clients[domain], address, 80, protocol) == name
        gateway = next(link_local(each.mac) for each in tenants.world.networks.values() if each.domain == domain)
        for address in ("10.1.0.1", "fd00:1::1", f"{gateway}%eth0"):
            tenants.clients[domain].sh(f"ping -c 1 -W 3 {address}")
    assert "10.1.0." not in sh("ip route show table all", "ip neighbour", "ip address")
    assert "fd00:1:" not in sh("ip -6 route show table all", "ip -6 neighbour", "ip -6 address")
    assert await is_cut_off(tenants.world.host, "10.1.0.2", 80)


async def test_the_same_port_goes_out_of_both_at_once(tenants: Tenants) -> None:
    """Same source address, same source port, same destination: two connections of the host's."""
    await tenants.build()
    await serve(tenants.world.stack, tenants.world.outside, 80)
    for address, seen in ((OUTSIDE, HOST), (OUTSIDE6, HOST6)):
        for protocol in (Protocol.TCP, Protocol.UDP):
            found = await asyncio.gather(
                *(told(tenants.clients[domain], address, 80, protocol, source=5353) for domain in (RED, BLUE))
            )
            assert found == [seen, seen]


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
async def test_published_ports_lead_to_their_tenant(tenants: Tenants, protocol: Protocol) -> None:
    """From outside, from the host by loopback and address, from the container itself, its neighbour and the other
    tenant, in both families; a client's port is the same to both."""
    ports = [(RED, each) for each in published(8080, protocol)] + [(BLUE, each) for each in published(8081, protocol)]
    await tenants.build(*ports)
    places = [tenants.world.outside, *tenants.clients.values(), *tenants.servers.values()]
    for port, name in ((8080, "red"), (8081, "blue")):
        for place in places:
            assert await told(place, HOST, port, protocol, source=6000) == name
            assert await told(place, HOST6, port, protocol, source=6000) == name
        for address in ("127.0.0.1", HOST, HOST6):
            assert await told(tenants.world.host, address, port, protocol) == name
    assert await told(tenants.world.outside, HOST, 80, protocol) == ""


async def test_a_published_port_sees_who_calls(world: Rig) -> None:
    """The source address is kept on the way in."""
    network = await world.network("red", 1, domain=RED)
    server = await world.container("s", network, 2, *published(8080))
    await serve(world.stack, server, 80)
    assert await reach(world.outside, HOST, 8080) == OUTSIDE
    assert await reach(world.outside, HOST6, 8080) == OUTSIDE6


async def test_a_port_at_one_address_is_at_no_other(world: Rig) -> None:
    """Also with a domain in between."""
    network = await world.network("red", 1, domain=RED)
    await answer(world.stack, await world.container("s", network, 2, *published(8080, host="127.0.0.1")), 80, "red")
    assert await told(world.host, "127.0.0.1", 8080) == "red"
    assert await told(world.outside, HOST, 8080) == ""


async def test_the_host_tracks_nothing_of_a_tenants_addresses(tenants: Tenants) -> None:
    """What it has are the lines' addresses, which are different."""
    await tenants.build((RED, published(8080)[0]), (BLUE, published(8081)[0]))
    await serve(tenants.world.stack, tenants.world.outside, 80)
    for domain, port in ((RED, 8080), (BLUE, 8081)):
        assert await told(tenants.clients[domain], OUTSIDE, 80) == HOST
        assert await told(tenants.world.outside, HOST, port)
    netlink = Netlink(NETLINK_NETFILTER)
    tracked = [payload for _, payload in netlink.dump(Message((1 << 8) | 1, 0, struct.pack(">BBH", 2, 0, 0)))]
    netlink.close()
    assert len(tracked) >= 4
    assert not any(ip_address(f"10.1.0.{number}").packed in payload for payload in tracked for number in (2, 3))
    assert all(any(line(domain, 4)[1].ip.packed in payload for payload in tracked) for domain in (RED, BLUE))


async def test_one_tenants_gateway_may_be_anothers_container(tenants: Tenants) -> None:
    """Which in one routing table would be the host's own address, and so no container's."""
    world = tenants.world
    red = await world.network("red", 1, domain=RED)
    blue = await world.network("blue", 1, domain=BLUE, gateway=254)
    await world.container("r", red, 2)
    first = await world.container("b", blue, 1, PortBinding(Protocol.TCP, None, 8081, ip_address("10.1.0.1"), 80))
    await answer(world.stack, first, 80, "blue")
    await serve(world.stack, world.outside, 80)
    assert await told(world.outside, HOST, 8081) == "blue"
    assert await told(first, OUTSIDE, 80) == HOST


async def test_nothing_crosses(tenants: Tenants) -> None:
    """Neither to the other's line, nor from a forged source, nor to what the host has of networks of no tenant."""
    await tenants.build((BLUE, published(8081)[0]))
    world = tenants.world
    plain = await world.network("plain", 3)
    await serve(world.stack, await world.container("p", plain, 2), 80)
    await serve(world.stack, world.host, 90)
    red = tenants.clients[RED]
    for address in (*(str(end.ip) for version in (4, 6) for end in line(BLUE, version)[1:]), "10.3.0.2", "fd00:3::2"):
        for port in (80, 8081):
            assert await is_cut_off(red, address, port)
    assert await is_cut_off(world.containers["p"], str(line(RED, 4)[1].ip), 80)
    assert await is_cut_off(world.outside, str(line(BLUE, 4)[1].ip), 8081)
    # Who takes the other tenant's line for his source gets nothing through, and nothing in there.
    heard = Listener(world.stack, tenants.servers[BLUE], 99)
    red.sh("ip address add 169.254.64.5/32 dev eth0", "ip address add 10.1.0.77/32 dev eth0")
    for source in ("169.254.64.5", "10.1.0.77"):
        red.sh(f"ping -c 1 -W 1 -I {source} {OUTSIDE} || true")
        with red.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forged:
            forged.bind((source, 0))
            for target in ("10.1.0.2", "169.254.64.5", HOST):
                forged.sendto(b"!", (target, 99))
    assert not await heard.hears(SILENCE)


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
async def test_the_host_alone_reaches_addresses_where_that_is_chosen(tenants: Tenants, protocol: Protocol) -> None:
    """Its programs are seen as the gateway, whatever address they take; nobody can send by it: not from outside, not
    from the other tenant, not from a network of none, nor from the tenant's other networks; ports and the way out are
    as they were."""
    await tenants.build((RED, published(8080, protocol)[0]))
    world = tenants.world
    asked = NetworkOptions(host_access=HostAccess.ADDRESSES)
    chosen = await world.network("more", 6, asked, domain=RED)
    reached, shy = await world.container("m", chosen, 2), await world.network("shy", 7, domain=RED)
    await serve(world.stack, reached, 80)
    await serve(world.stack, await world.container("s", shy, 2), 80)
    plain = await world.container("p", await world.network("plain", 3), 2)
    for address, gateway in (("10.6.0.2", "10.6.0.1"), ("fd00:6::2", "fd00:6::1")):
        assert await reach(world.host, address, 80, protocol) == gateway
        strangers = (world.outside, plain, tenants.clients[RED], tenants.clients[BLUE], world.containers["s"])
        for place in strangers:
            assert await is_cut_off(place, address, 80, protocol)
    sh("ping -c 1 -W 3 -I 198.18.0.1 10.6.0.2", "ping -c 1 -W 3 fd00:6::2", "ping -c 2 -W 3 -s 9000 10.6.0.2")
    assert await is_cut_off(world.host, "10.7.0.2", 80, protocol)
    assert await is_cut_off(world.host, "10.1.0.2", 80, protocol)
    await serve(world.stack, world.outside, 80)
    assert await reach(reached, OUTSIDE, 80, protocol) == HOST
    assert await told(world.outside, HOST, 8080, protocol) == "red"
    # Who has several networks answers by the one that he is asked in.
    reached.sh("ip route replace default dev lo", "ip -6 route replace default dev lo")
    assert await reach(world.host, "10.6.0.2", 80, protocol) == "10.6.0.1"
    assert await reach(world.host, "fd00:6::2", 80, protocol) == "fd00:6::1"


class Listener:
    """Hears datagrams."""

    def __init__(self, stack: ExitStack, space: Namespace, port: int) -> None:
        with space.inside():
            self._socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        self._socket.bind(("", port))

    async def hears(self, patience: float) -> bool:
        """Whether anything comes within that time."""
        try:
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().sock_recv(self._socket, 100)
        except TimeoutError:
            return False
        return True


async def test_internal_icc_and_peers_are_as_ever(world: Rig) -> None:
    """Within a tenant; a word of peers is a tenant's own."""
    for domain in (RED, BLUE):
        one = await world.network(f"a{domain}", 1, NetworkOptions(peers="word"), domain=domain)
        two = await world.network(f"b{domain}", 2, NetworkOptions(peers="word"), domain=domain)
        other = await world.network(f"c{domain}", 3, domain=domain)
        apart = await world.network(f"d{domain}", 4, NetworkOptions(icc=False), domain=domain)
        inner = await world.network(f"e{domain}", 5, internal=True, domain=domain)
        for name, network in (("a", one), ("b", two), ("c", other), ("d", apart), ("e", inner)):
            await answer(world.stack, await world.container(f"{name}{domain}", network, 2), 80, f"{name}{domain}")
        await world.container(f"x{domain}", apart, 3)
        await world.container(f"y{domain}", inner, 3)
    await serve(world.stack, world.outside, 80)
    for domain in (RED, BLUE):
        place = world.containers
        assert await told(place[f"a{domain}"], "10.2.0.2", 80) == f"b{domain}"
        assert await told(place[f"b{domain}"], "fd00:1::2", 80) == f"a{domain}"
        assert await is_cut_off(place[f"a{domain}"], "10.3.0.2", 80)
        assert await is_cut_off(place[f"x{domain}"], "10.4.0.2", 80)
        assert await told(place[f"x{domain}"], OUTSIDE, 80) == HOST
        assert await told(place[f"y{domain}"], "10.5.0.2", 80) == f"e{domain}"
        assert await is_cut_off(place[f"y{domain}"], OUTSIDE, 80)
        assert await is_cut_off(place[f"a{domain}"], "10.5.0.2", 80)


def wrong(rig: Rig, observed: frozenset[Fact]) -> list[Fact]:
    """What is missing or without a reason."""
    extra = {fact for fact in observed - rig.desired() if not isinstance(fact, Setting)}
    return [*(rig.desired() - observed), *(each for each in extra if each.key[0] != "docker-accept")]


@pytest.mark.parametrize(
    "damage",
    [
        "ip link delete mt-1",
        "ip link set mt-1 down",
        "ip address flush dev mt-1",
        "nsenter --net={0}/1 ip link set uplink down",
        "nsenter --net={0}/1 ip route flush default",
        "nsenter --net={0}/1 nft flush ruleset",
        "nsenter --net={0}/1 sysctl -qw net.ipv4.ip_forward=0",
        "nft flush ruleset",
        "umount {0}/1; rm {0}/1",
        "ip route flush proto 109; ip -6 route flush proto 109",
    ],
)
async def test_what_somebody_takes_away_comes_back(world: Rig, damage: str) -> None:
    """It is seen, put right by a plan, and then there is nothing to do; who lives there stays."""
    network = await world.network("red", 1, NetworkOptions(host_access=HostAccess.ADDRESSES), domain=RED)
    server = await world.container("s", network, 2, *published(8080))
    await answer(world.stack, server, 80, "red")
    assert not wrong(world, await world.kernel.observe())
    sh(damage.format(f"{world.folder}/tenants"))
    assert wrong(world, await world.kernel.observe())
    await world.build()
    assert not wrong(world, await world.kernel.observe())
    assert await told(world.outside, HOST, 8080) == "red"
    assert await told(world.outside, HOST6, 8080) == "red"
    for address in ("10.1.0.2", "fd00:1::2"):
        assert await told(world.host, address, 80) == "red"


async def test_a_restart_finds_everything_and_the_end_leaves_nothing(world: Rig) -> None:
    """The daemon's next process has the same domains; the last network's end is a domain's."""
    network = await world.network("red", 1, NetworkOptions(host_access=HostAccess.ADDRESSES), domain=RED)
    await world.container("s", network, 2, *published(8080))
    await world.kernel.close()
    world.kernel = type(world.kernel)(folder=f"{world.folder}/tenants")
    observed = await world.kernel.observe()
    assert not plan(world.desired(), observed)
    veth = next(fact for fact in observed if isinstance(fact, Veth))
    assert veth.living
    assert veth.domain == RED
    assert await world.kernel.is_lived_in(veth.name, RED) is False  # no process of a container's in this test
    assert (await world.kernel.insides([veth.name]))[veth.name].addresses
    await world.kernel.apply([Remove(Domain(RED))])
    assert not [fact for fact in await world.kernel.observe() if isinstance(fact, Domain | Bridge | Veth)]
    assert near_end(RED) not in sh("ip link")
    assert sh(f"ls {world.folder}/tenants 2>/dev/null || true") == ""


async def test_an_interface_that_nobody_has_fetched_lives_not(world: Rig) -> None:
    """Its other end is on the host, which is another namespace than its bridge's and nobody's sandbox."""
    network = await world.network("red", 1, domain=RED)
    await world.container("s", network, 2)
    endpoint = world.endpoints["t"] = type(world.endpoints["s"])(
        "t" * 12 + "0" * 20, network.id, None, None, "02:00:00:00:00:09", created=0.0
    )
    await world.build()
    name = next(fact.name for fact in endpoint_facts(network, endpoint) if isinstance(fact, Veth))
    veth = next(fact for fact in await world.kernel.observe() if isinstance(fact, Veth) and fact.name == name)
    assert not veth.living
    await world.kernel.discard([name], RED)
    for _ in range(100):
        await asyncio.sleep(0.02)
        if f"mp-{endpoint.id[:12]}" not in sh("ip link"):
            break
    assert f"mp-{endpoint.id[:12]}" not in sh("ip link")


async def test_a_fault_leaves_nothing_half_done(world: Rig) -> None:
    """Neither in the domain, nor on the host, nor the domain itself."""
    network = await world.network("red", 1)
    moved = type(network)(
        "f" * 32, NetworkOptions(bridge=network.bridge), False, network.ipv4, (), created=0.0, domain=RED
    )
    sh("ip link add mt-1 type veth peer name mt-other")
    with pytest.raises(Exception, match="mt-1 already exists and is not ours"):
        await world.kernel.apply(plan({*own_facts(moved), *domain_facts(RED, False)}, ()))
    assert not wrong(world, await world.kernel.observe())
    assert sh(f"ls {world.folder}/tenants 2>/dev/null || true") == ""
