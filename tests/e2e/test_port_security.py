"""A container says only what is its own, on a real engine: what it may do by default (NET_RAW) is enough to try."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.namespaces import in_network
from tests.e2e.lab.traffic import pings

DUAL = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")
GATEWAY, GATEWAY6 = "10.77.0.1", "fd77:1::1"
SPARE = "10.77.0.200"
LIST = ("nft", "list", "table", "bridge", "mooring")


def pair(host: Host, *options: str) -> tuple[str, str]:
    """A hostile container and its victim in one network; the paths of their network namespaces."""
    host.create_network("one", *DUAL, *options)
    for name in ("hostile", "victim"):
        host.run_container(name, "--network", "one")
    return host.container_network("hostile"), host.container_network("victim")


def claim(network: str, mac: str, address: str) -> None:
    """Tell everybody on the link by ARP that the address is at the MAC (RFC 5227, 2.3)."""
    source, packed = bytes.fromhex(mac.replace(":", "")), ip_address(address).packed
    packet = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + source + packed + b"\xff" * 6 + packed
    with in_network(network, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sender:
        sender.bind(("eth0", 0))
        for _ in range(3):
            sender.send(b"\xff" * 6 + source + b"\x08\x06" + packet)


def words(host: Host) -> list[str]:
    """Of the table as nft lists it: elements come in any order."""
    return sorted(host.namespace.run(*LIST, check=False).output.replace(",", " ").split())


def test_a_container_takes_no_traffic_of_the_gateway_or_of_a_neighbour(host: Host) -> None:
    """Neither its neighbour nor the host believes it; and everybody goes on to reach everybody."""
    hostile, victim = pair(host)
    seen = host.engine.inspect("hostile")["NetworkSettings"]["Networks"]["one"]["MacAddress"]
    neighbour = host.addresses("victim", "one")[0]
    assert pings(victim, GATEWAY)
    for address in (GATEWAY, neighbour):
        claim(hostile, seen, address)
    assert pings(host.network, neighbour)
    assert seen not in host.in_container("victim", "ip", "neighbour", "show", GATEWAY).output
    assert seen not in host.namespace.run("ip", "neighbour", "show", neighbour).output
    for address in (GATEWAY, GATEWAY6, *host.addresses("victim", "one")):
        assert pings(hostile, address)
    assert pings(victim, host.addresses("hostile", "one")[1])


def test_an_address_beside_its_own_needs_the_option(host: Host) -> None:
    """As keepalived adds one: mute by default, heard with `-o port_security=off`."""
    for option, heard in (("on", False), ("off", True)):
        _, victim = pair(host, "-o", f"port_security={option}")
        host.in_container("hostile", "ip", "address", "add", f"{SPARE}/24", "dev", "eth0")
        assert pings(victim, SPARE) is heard
        host.docker("rm", "-f", "hostile", "victim")
        host.docker("network", "rm", "one")


def test_what_a_port_may_say_is_kept_over_a_restart_and_goes_with_it(host: Host) -> None:
    """`nft flush ruleset` is mended, a new daemon leaves all as it is, an end of the container takes it away."""
    hostile, _ = pair(host)
    before = words(host)
    host.namespace.run("nft", "delete", "table", "bridge", "mooring")
    host.daemon.stop()
    host.daemon.start()
    eventually(lambda: words(host) == before, "the table is as it was", 30)
    assert pings(hostile, host.addresses("victim", "one")[0])
    host.docker("rm", "-f", "hostile", "victim")
    assert not [word for word in words(host) if word.startswith('"mv-')]
