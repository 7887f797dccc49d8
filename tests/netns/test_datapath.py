"""Bridge networks with real packets: what gets through, what does not, and under which address it is seen."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from mooring.core.networks import GatewayMode, NetworkOptions
from mooring.core.plumbing import plan
from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.frames import Ear, mac, macs, packet, utter
from tests.netns.rigs import Namespace, Rig, is_cut_off, reach, serve, sh

pytestmark = pytest.mark.netns

TCP, UDP = Protocol.TCP, Protocol.UDP
OUTSIDE, OUTSIDE6 = "198.18.0.2", "fd00:198:18::2"
HOST, HOST6 = "198.18.0.1", "fd00:198:18::1"


def at(port: int, target: str, host: str | None = None, protocol: Protocol = TCP) -> PortBinding:
    """The host's port leads to port 80 of the target."""
    return PortBinding(protocol, ip_address(host) if host else None, port, ip_address(target), 80)


@pytest.fixture(params=["bridged frames bypass the IP firewall", "bridged frames visit the IP firewall"])
def frames(request: pytest.FixtureRequest, world: Rig) -> None:
    """net.bridge.bridge-nf-call-iptables off and on: dockerd turns it on."""
    value = int(request.param == "bridged frames visit the IP firewall")
    sh(f"for tool in iptables ip6tables; do echo {value} >/proc/sys/net/bridge/bridge-nf-call-$tool; done")


async def test_containers_reach_each_other_and_the_outside(world: Rig, frames: None) -> None:
    """Inside the source is the container's, outside it is the host's, in both families."""
    network = await world.network("one", 1)
    first = await world.container("a", network, 2)
    second = await world.container("b", network, 3)
    for space in (second, world.outside):
        await serve(world.stack, space, 80)
    assert await reach(first, "10.1.0.3", 80) == "10.1.0.2"
    assert await reach(first, "fd00:1::3", 80) == "fd00:1::2"
    for protocol in (TCP, UDP):
        assert await reach(first, OUTSIDE, 80, protocol) == HOST
        assert await reach(first, OUTSIDE6, 80, protocol) == HOST6


async def test_what_is_not_tracked_shows_no_private_address_outside(world: Rig) -> None:
    """Neighbour discovery and what is said of groups, sent to somebody behind the router: with its own source, as a
    container may that says only what is its own."""
    network = await world.network("one", 1)
    space = await world.container("a", network, 2)
    assert await reach(space, OUTSIDE6, 80) is None
    outside = Ear(world.outside, "eth0")
    world.stack.callback(outside.close)
    gateway = mac(network.mac)
    bodies = [struct.pack(">BBHI", kind, 0, 0, 0) + bytes(16) for kind in (*range(128, 138), 143)]
    utter(space, *(packet(macs(space), gateway, "fd00:1::2", OUTSIDE6, 58, body) for body in bodies))
    space.sh(f"ping -c 1 -W 3 {OUTSIDE6}")
    assert {source for source, _ in outside.heard()} == {HOST6}


async def test_a_neighbour_s_mac_is_not_taken_by_frames_to_reserved_groups(world: Rig) -> None:
    """IEEE 802.1D, table 7-10: the bridge handles them before its firewall, and learns nothing from them."""
    network = await world.network("one", 1)
    hostile, victim = await world.container("a", network, 2), await world.container("b", network, 3)
    await serve(world.stack, victim, 80)
    assert await reach(hostile, "10.1.0.3", 80) is not None
    theirs = bytes.fromhex("020000000103")
    learnt = f"{theirs.hex(':')} dev mv-b"
    assert learnt in sh(f"bridge fdb show br {network.bridge}")
    with hostile.inside():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind(("eth0", 0))
    with sender:
        for last in (3, 14):  # IEEE 802.1X and LLDP: each way that the bridge has with such frames
            sender.send(bytes.fromhex("0180c20000") + bytes([last]) + theirs + b"\x88\xcc" + bytes(46))
            assert learnt in sh(f"bridge fdb show br {network.bridge}"), last


async def test_published_ports_from_everywhere(world: Rig, frames: None) -> None:
    """From outside the source is kept; host, loopback, own network and oneself get through as well."""
    one, two = await world.network("one", 1), await world.network("two", 2)
    published = [at(8080, target, protocol=protocol) for protocol in (TCP, UDP) for target in ("10.1.0.2", "fd00:1::2")]
    server = await world.container("a", one, 2, *published)
    neighbour, stranger = await world.container("b", one, 3), await world.container("c", two, 2)
    await serve(world.stack, server, 80)
    for protocol in (TCP, UDP):
        assert await reach(world.outside, HOST, 8080, protocol) == OUTSIDE
        assert await reach(world.outside, HOST6, 8080, protocol) == OUTSIDE6
        assert await reach(world.host, HOST, 8080, protocol) == HOST
        assert await reach(world.host, HOST6, 8080, protocol) == HOST6
        assert await reach(world.host, "127.0.0.1", 8080, protocol) == "10.1.0.1"
        assert await reach(stranger, HOST, 8080, protocol) == "10.2.0.2"
        assert await reach(stranger, HOST6, 8080, protocol) == "fd00:2::2"
        for inside in (neighbour, server):
            assert await reach(inside, HOST, 8080, protocol) == "10.1.0.1"
            assert await reach(inside, HOST6, 8080, protocol) == "fd00:1::1"


async def test_a_port_published_at_one_address_is_at_no_other(world: Rig) -> None:
    """127.0.0.1 is for the host alone, also against packets for 127.0.0.1 that come from a wire or a container."""
    network = await world.network("one", 1)
    published = (at(8081, "10.1.0.2", HOST), at(8082, "10.1.0.2", "127.0.0.1"), at(8083, "fd00:1::2", HOST6))
    server = await world.container("a", network, 2, *published)
    neighbour = await world.container("b", network, 3)
    await serve(world.stack, server, 80)
    assert await reach(world.outside, HOST, 8081) == OUTSIDE
    assert await reach(world.outside, HOST6, 8083) == OUTSIDE6
    assert await reach(world.host, "127.0.0.1", 8082) == "10.1.0.1"
    assert await is_cut_off(world.host, "127.0.0.1", 8081)
    assert await is_cut_off(world.outside, HOST, 8082)
    for space, via in ((world.outside, HOST), (neighbour, "10.1.0.1")):
        device = "eth0"
        space.sh(
            f"echo 1 >/proc/sys/net/ipv4/conf/{device}/route_localnet",
            "ip address delete 127.0.0.1/8 dev lo; ip rule add pref 0 table 7; ip rule add pref 1 table local",
            f"ip route add 127.0.0.1 via {via} dev {device} table 7",
        )
        assert await is_cut_off(space, "127.0.0.1", 8082)


async def test_nobody_gets_in_by_an_unpublished_way(world: Rig, frames: None) -> None:
    """Neither the outside nor another network reaches a container's own address, published port or not."""
    one, two = await world.network("one", 1), await world.network("two", 2)
    server = await world.container("a", one, 2, at(80, "10.1.0.2"))
    stranger = await world.container("c", two, 2)
    await serve(world.stack, server, 80)
    for space in (world.outside, stranger):
        assert await is_cut_off(space, "10.1.0.2", 80)
        assert await is_cut_off(space, "fd00:1::2", 80)
    assert await reach(world.host, "10.1.0.2", 80) == "10.1.0.1"


async def test_peers_reach_each_other(world: Rig) -> None:
    """Networks with the same word do, under their own addresses; another word does not."""
    red, blue = NetworkOptions(peers="red"), NetworkOptions(peers="blue")
    one, two = await world.network("one", 1, red), await world.network("two", 2, red)
    three = await world.network("tri", 3, blue)
    server = await world.container("a", one, 2)
    await serve(world.stack, server, 80)
    friend, stranger = await world.container("b", two, 2), await world.container("c", three, 2)
    assert await reach(friend, "10.1.0.2", 80) == "10.2.0.2"
    assert await reach(friend, "fd00:1::2", 80) == "fd00:2::2"
    assert await is_cut_off(stranger, "10.1.0.2", 80)


async def test_internal_networks_have_no_way_in_or_out(world: Rig, frames: None) -> None:
    """Its containers reach one another and the host's own address on the bridge; nothing else, no published port."""
    inner = await world.network("in", 1, internal=True)
    outer = await world.network("out", 2)
    first = await world.container("a", inner, 2, at(8080, "10.1.0.2"))
    second = await world.container("b", inner, 3)
    public = await world.container("c", outer, 2, at(8081, "10.2.0.2"))
    for space in (world.host, first, second, public, world.outside):
        await serve(world.stack, space, 80)
    assert await reach(first, "10.1.0.3", 80) == "10.1.0.2"
    assert await reach(first, "fd00:1::3", 80) == "fd00:1::2"
    assert await reach(world.host, "10.1.0.2", 80) == "10.1.0.1"
    assert await reach(first, "10.1.0.1", 80) == "10.1.0.2"
    for address, port in ((OUTSIDE, 80), (OUTSIDE6, 80), (HOST, 80), (HOST6, 80), (HOST, 8081), ("10.2.0.2", 80)):
        assert await is_cut_off(first, address, port), address
    assert await is_cut_off(world.outside, HOST, 8080)
    assert await is_cut_off(world.outside, "10.1.0.2", 80)
    assert await is_cut_off(public, "10.1.0.2", 80)


async def test_icc_off_keeps_containers_of_a_network_apart(world: Rig, frames: None) -> None:
    """Neither directly nor through the gateway; the outside and the host are reached all the same."""
    network = await world.network("one", 1, NetworkOptions(icc=False, peers="red"))
    first, second = await world.container("a", network, 2), await world.container("b", network, 3)
    for space in (second, world.outside):
        await serve(world.stack, space, 80)
    assert await is_cut_off(first, "10.1.0.3", 80)
    assert await is_cut_off(first, "fd00:1::3", 80)
    first.sh("ip route add 10.1.0.3 via 10.1.0.1; ip -6 route add fd00:1::3 via fd00:1::1")
    second.sh("ip route add 10.1.0.2 via 10.1.0.1; ip -6 route add fd00:1::2 via fd00:1::1")
    assert await is_cut_off(first, "10.1.0.3", 80)
    assert await is_cut_off(first, "fd00:1::3", 80)
    assert await reach(first, OUTSIDE, 80) == HOST
    assert await reach(world.host, "10.1.0.3", 80) == "10.1.0.1"


async def test_routed_networks_are_open_at_published_ports_only(world: Rig) -> None:
    """No translation either way: outside and other networks reach the published port at the container's address."""
    routed = NetworkOptions(gateway_mode4=GatewayMode.ROUTED, gateway_mode6=GatewayMode.ROUTED)
    one, two = await world.network("one", 1, routed), await world.network("two", 2)
    published = (at(0, "10.1.0.2"), at(0, "fd00:1::2"))
    server = await world.container("a", one, 2, *published)
    stranger = await world.container("c", two, 2)
    for space in (server, world.outside):
        await serve(world.stack, space, 80)
    await serve(world.stack, server, 81)
    assert await reach(world.outside, "10.1.0.2", 80) == OUTSIDE
    assert await reach(world.outside, "fd00:1::2", 80) == OUTSIDE6
    assert await reach(stranger, "10.1.0.2", 80) == "10.2.0.2"
    assert await is_cut_off(world.outside, "10.1.0.2", 81)
    assert await is_cut_off(world.outside, "fd00:1::2", 81)
    assert await reach(server, OUTSIDE, 80) == "10.1.0.2"
    assert await reach(server, OUTSIDE6, 80) == "fd00:1::2"
    world.outside.sh("ping -c 1 -W 2 10.1.0.2")


async def test_unprotected_networks_are_open_to_the_outside_only(world: Rig) -> None:
    """Every port is reached from outside; other networks stay outside the wall, and outgoing traffic is translated."""
    open_ = NetworkOptions(gateway_mode4=GatewayMode.NAT_UNPROTECTED, gateway_mode6=GatewayMode.NAT_UNPROTECTED)
    one, two = await world.network("one", 1, open_), await world.network("two", 2)
    server, stranger = await world.container("a", one, 2), await world.container("c", two, 2)
    for space in (server, world.outside):
        await serve(world.stack, space, 80)
    assert await reach(world.outside, "10.1.0.2", 80) == OUTSIDE
    assert await reach(world.outside, "fd00:1::2", 80) == OUTSIDE6
    assert await is_cut_off(stranger, "10.1.0.2", 80)
    assert await reach(server, OUTSIDE, 80) == HOST


async def test_outgoing_traffic_can_have_a_given_source(world: Rig) -> None:
    """The option for the host's source address decides, and without masquerading the container's own is kept."""
    sh("ip address add 198.18.0.77/24 dev up0; ip -6 address add fd00:198:18::77/64 dev up0 nodad")
    chosen = NetworkOptions(source4=IPv4Address("198.18.0.77"), source6=IPv6Address("fd00:198:18::77"))
    one = await world.network("one", 1, chosen)
    two = await world.network("two", 2, NetworkOptions(masquerade=False))
    await serve(world.stack, world.outside, 80)
    first, second = await world.container("a", one, 2), await world.container("b", two, 2)
    assert await reach(first, OUTSIDE, 80) == "198.18.0.77"
    assert await reach(first, OUTSIDE6, 80) == "fd00:198:18::77"
    assert await reach(second, OUTSIDE, 80) == "10.2.0.2"


async def test_docker_dropping_all_forwarding_does_not_stop_us(world: Rig, frames: None) -> None:
    """One accept in DOCKER-USER is enough, it comes back after a flush, and iptables still reads its tables."""
    lines = ["-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"]
    sh(*(f"{tool} {line}" for tool in ("iptables", "ip6tables") for line in lines))
    network = await world.network("one", 1)
    first = await world.container("a", network, 2, at(8080, "10.1.0.2"), at(8080, "fd00:1::2"))
    second = await world.container("b", network, 3)
    for space in (first, second, world.outside):
        await serve(world.stack, space, 80)

    async def check() -> None:
        assert await reach(first, "10.1.0.3", 80) == "10.1.0.2"
        assert await reach(first, "fd00:1::3", 80) == "fd00:1::2"
        assert await reach(first, OUTSIDE, 80) == HOST
        assert await reach(first, OUTSIDE6, 80) == HOST6
        assert await reach(world.outside, HOST, 8080) == OUTSIDE
        assert await reach(world.outside, HOST6, 8080) == OUTSIDE6

    await check()
    assert plan(world.desired(), await world.kernel.observe()) == []
    sh("iptables -F DOCKER-USER", "ip6tables -F DOCKER-USER")
    assert len(plan(world.desired(), await world.kernel.observe())) == 2
    await world.build()
    await check()
    assert sh("iptables -S DOCKER-USER").count("ACCEPT") == 1
    # As ufw-docker has it: what comes from private addresses is for Docker to judge.
    sh("iptables -I DOCKER-USER -s 10.0.0.0/8 -j RETURN", "ip6tables -I DOCKER-USER -s fc00::/7 -j RETURN")
    await world.build()
    await check()
    assert "Chain FORWARD (policy DROP" in sh("iptables -vnL")


@pytest.mark.parametrize("ending", ["", "drop"])
async def test_a_filter_of_the_host_that_cuts_containers_off_is_told_with_the_rule_that_lets_them_out(
    world: Rig, ending: str
) -> None:
    """By its policy or a rule at its end; the rule is enough, in both families, and what is published is reached."""
    network = await world.network("one", 1)
    container = await world.container("a", network, 2, at(8080, "10.1.0.2"))
    for space in (container, world.outside):
        await serve(world.stack, space, 80)
    assert await world.kernel.dropping_filters([network.bridge]) == []
    policy = "accept" if ending else "drop"
    sh("nft add table inet filter")
    sh(f"nft 'add chain inet filter forward {{ type filter hook forward priority 0; policy {policy}; }}'")
    sh(*(f"nft add rule inet filter forward {rule}" for rule in ("ct state established accept", ending) if rule))
    assert await is_cut_off(container, OUTSIDE, 80)
    (found,) = await world.kernel.dropping_filters([network.bridge])
    sh(found.remedy.split("`")[1])
    assert await reach(container, OUTSIDE, 80) == HOST
    assert await reach(container, OUTSIDE6, 80) == HOST6
    assert await reach(world.outside, HOST, 8080) == OUTSIDE
    assert await world.kernel.dropping_filters([network.bridge]) == []


def dockers(world: Rig, bridge: str) -> Namespace:
    """A container at 172.17.0.2 in a network of Docker's own, as an engine that drops by default makes it."""
    rules = ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", f"-A FORWARD -i {bridge} -j ACCEPT")
    sh(*(f"iptables {line}" for line in (*rules, "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT")))
    sh(f"ip link add {bridge} type bridge; ip address add 172.17.0.1/16 dev {bridge}; ip link set {bridge} up")
    inside = world.containers["docker"] = Namespace.new()
    world.stack.callback(inside.close)
    sh(f"ip link add veth0 master {bridge} type veth peer name eth0", "ip link set veth0 up")
    sh(f"ip link set eth0 netns /proc/{os.getpid()}/fd/{inside.fd}")
    inside.sh("ip address add 172.17.0.2/16 dev eth0; ip link set eth0 up; ip route add default via 172.17.0.1")
    return inside


@pytest.mark.parametrize("bridge", ["docker0", "br-0123456789ab", "own-name"])
async def test_containers_do_not_get_into_a_bridge_that_nobody_has_told_us_of(world: Rig, bridge: str) -> None:
    """Our mark does not open what Docker keeps closed, from the first packet on: it is for Docker to guard."""
    container = await world.container("a", await world.network("one", 1), 2)
    inside = dockers(world, bridge)
    await world.build()
    await serve(world.stack, inside, 80)
    await serve(world.stack, container, 80)
    assert await is_cut_off(container, "172.17.0.2", 80)
    # As engines before 28 do for a published port, and as it is where forwarding was on before dockerd came.
    for opened in ("-A FORWARD -d 172.17.0.2 -p tcp --dport 80 -j ACCEPT", "-P FORWARD ACCEPT"):
        sh(f"iptables {opened}")
        await world.build()
        assert await is_cut_off(container, "172.17.0.2", 80)
    sh("iptables -t nat -A PREROUTING -p tcp --dport 8078 -j DNAT --to 172.17.0.2:80")
    assert await reach(container, HOST, 8078) is not None
    sh("iptables -I DOCKER-USER -d 172.17.0.2 -j ACCEPT")
    assert await reach(container, "172.17.0.2", 80) is not None


async def test_dockers_containers_do_not_get_into_our_open_networks(world: Rig) -> None:
    """What is open to the outside is closed to the host's other networks; published ports are not."""
    open_ = NetworkOptions(gateway_mode4=GatewayMode.NAT_UNPROTECTED, gateway_mode6=GatewayMode.NAT_UNPROTECTED)
    container = await world.container("a", await world.network("one", 1, open_), 2, at(8080, "10.1.0.2"))
    inside = dockers(world, "own-name")
    await world.build()
    await serve(world.stack, container, 80)
    assert await is_cut_off(inside, "10.1.0.2", 80)
    assert await reach(inside, HOST, 8080) == "172.17.0.2"
    assert await reach(world.outside, "10.1.0.2", 80) == OUTSIDE


async def test_an_uplink_that_is_a_bridge_is_a_way_out(world: Rig) -> None:
    """A host whose LAN is at br0 loses nothing where Docker drops by default, in both directions."""
    sh(
        *(f"{tool} {line}" for tool in ("iptables", "ip6tables") for line in
          ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER")),
        "ip link add br0 type bridge; ip link set br0 up; ip link set up0 master br0",
        "ip address flush dev up0; ip address add 198.18.0.1/24 dev br0",
        "ip -6 address add fd00:198:18::1/64 dev br0 nodad",
    )  # fmt: skip
    world.foreign_bridges.add("br0")
    open_ = NetworkOptions(gateway_mode4=GatewayMode.NAT_UNPROTECTED)
    published = at(8080, "10.1.0.2"), at(8080, "fd00:1::2")
    container = await world.container("a", await world.network("one", 1, open_), 2, *published)
    for space in (container, world.outside):
        await serve(world.stack, space, 80)
    assert await reach(container, OUTSIDE, 80) == HOST
    assert await reach(container, OUTSIDE6, 80) == HOST6
    assert await reach(world.outside, HOST, 8080) == OUTSIDE
    assert await reach(world.outside, "10.1.0.2", 80) == OUTSIDE


async def test_an_uplink_with_the_name_of_a_bridge_of_dockers_is_no_bridge_of_dockers(world: Rig) -> None:
    """Only what the engine names is Docker's: a host that leaves by br-lan gets our mark like any other."""
    lines = ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER")
    sh(
        *(f"iptables {line}" for line in lines),
        "ip link set up0 down; ip link set up0 name br-lan; ip link set br-lan up",
    )
    await serve(world.stack, world.outside, 80)
    container = await world.container("a", await world.network("one", 1), 2)
    assert await reach(container, OUTSIDE, 80) == HOST


async def test_a_port_is_published_at_an_address_only_while_the_host_has_it(world: Rig) -> None:
    """When another machine took the address over, its own service answers."""
    addresses = (("198.18.0.77", 24, "10.1.0.2"), ("fd00:198:18::77", 64, "fd00:1::2"))
    sh(*(f"ip address add {address}/{length} dev up0 nodad" for address, length, _ in addresses))
    published = [at(8081, target, address) for address, _, target in addresses]
    server = await world.container("a", await world.network("one", 1), 2, *published)
    stranger = await world.container("c", await world.network("two", 2), 2)
    await serve(world.stack, server, 80)
    assert await reach(world.outside, "198.18.0.77", 8081) == OUTSIDE
    assert await reach(world.outside, "fd00:198:18::77", 8081) == OUTSIDE6
    for address, length, _ in addresses:
        sh(f"ip address delete {address}/{length} dev up0")
        world.outside.sh(f"ip address add {address}/{length} dev eth0 nodad")
    await serve(world.stack, world.outside, 8081)
    assert await reach(stranger, "198.18.0.77", 8081) == HOST
    assert await reach(stranger, "fd00:198:18::77", 8081) == HOST6
