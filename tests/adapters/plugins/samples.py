"""A network and an endpoint for the drivers' tests."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.port_bindings import PortRequest, Protocol

N, E = "n" * 64, "e" * 64
MAC = "02:00:00:00:00:aa"
KEY = "/run/netns/s"
IPV4 = Segment(ip_network("10.9.0.0/24"), ip_interface("10.9.0.1/24"), "s", "p4", {"printer": ip_address("10.9.0.5")})
IPV6 = Segment(ip_network("fd09::/64"), None, "s", "p6")
PORTS = (PortRequest(Protocol.TCP, 80, None, 8080, 8081), PortRequest(Protocol.UDP, 53, ip_address("127.0.0.1")))
# What the ports are on the wire.
PORT_MAP = [
    {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8081},
    {"Proto": 17, "IP": "", "Port": 53, "HostIP": "127.0.0.1", "HostPort": 0, "HostPortEnd": 0},
]
EXPOSED = [{"Proto": 6, "Port": 80}, {"Proto": 17, "Port": 53}]


def network(*, internal: bool = False, segments: bool = True, ipam: str = "p") -> Network:
    """A network of the plugin's."""
    ipv4, ipv6 = ((IPV4,), (IPV6,)) if segments else ((), ())
    return Network(N, NetworkOptions(), internal, ipv4, ipv6, 1.0, {"parent": "eth1"}, "p", name="web", ipam=ipam)


def endpoint(
    ipv4: str | None = "10.9.0.2/24",
    ipv6: str | None = "fd09::2/64",
    mac: str = MAC,
    ports: tuple[PortRequest, ...] = (),
    options: dict[str, str] | None = None,
) -> Endpoint:
    """An endpoint of the network."""
    return Endpoint(
        E,
        N,
        IPv4Interface(ipv4) if ipv4 else None,
        IPv6Interface(ipv6) if ipv6 else None,
        mac,
        1.0,
        ports=ports,
        options=options or {},
    )


BARE = endpoint(None, None, "")
