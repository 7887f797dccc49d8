"""Overlays: networks that several hosts share, over VXLAN (RFC 7348), as facts.

Rules: where every endpoint of another host is, is a fact: nothing is learnt from traffic and nothing is flooded for
want of knowledge, so what is not known is not reached; each host has the network's gateway for its own containers, and
neither its MAC nor its address is known to any other host; the host itself speaks from an address of its own in the
network, whose MAC is its bridge's and which the others know as they know a container's. What comes from another host
was checked there, at its container's port (core/port_security).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface

from mooring.core.cluster_options import VNI_MOST
from mooring.core.datapath import BRIDGE_SETTINGS, LEAST_MTU6, MARK
from mooring.core.faults import BadRequest
from mooring.core.networks import Address, Interface, Network
from mooring.core.plumbing import Bridge, Fact, Flood, LinkAddress, Member, Neighbour, RemoteMac, Setting, Veth, Vxlan

PROMOTE = BRIDGE_SETTINGS[-1]
# Of UDP. 4789 is Docker swarm's, 8472 flannel's and Cilium's, either of which may be on the host as well.
PORT = 4790
# Bytes around a container's packet: outer IP header, UDP, VXLAN and inner Ethernet header (RFC 7348, section 5).
OVERHEAD = {4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14}
LEAST_MTU = 68  # RFC 791, 3.2
# Of the device: more than any packet has. Who sends a longer one than fits is told so by the kernel (ICMP), which knows
# the route; a shorter device would pass over it in silence, as bridges do (net/bridge/br_forward.c).
DEVICE_MTU = 65535 - max(OVERHEAD.values())


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a network is on this host beside what every network is.

    vni: 1 to 2**24 - 1, the same on every host and no other network's. local: the host's address in the underlay.
    underlay_mtu: bytes, the least of the routes to the other hosts. own: the host's own addresses in the network, at
    most one a family. offload: see Vxlan. multicast: what is for a group or for all goes to every host.
    """

    vni: int
    local: Address
    underlay_mtu: int
    own: tuple[Interface, ...] = ()
    port: int = PORT
    offload: bool = True
    multicast: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.vni <= VNI_MOST:
            raise BadRequest(f"VNI {self.vni} is not 1 to {VNI_MOST}")
        if self.underlay_mtu - OVERHEAD[self.local.version] < LEAST_MTU:
            raise BadRequest(f"an underlay with an MTU of {self.underlay_mtu} has no room for VXLAN")

    @property
    def room(self) -> int:
        """The longest packet of a container that fits, bytes."""
        return self.underlay_mtu - OVERHEAD[self.local.version]


@dataclass(frozen=True, slots=True)
class Remote:
    """An endpoint of another host, or that host itself. host: its address in the underlay, of the family of
    `Overlay.local`."""

    mac: str
    addresses: tuple[Address, ...]
    host: Address


def vxlan_name(network: Network) -> str:
    """The name of the VXLAN device, 15 bytes."""
    return f"mx-{network.id[:12]}"


def fitted_mtu(network: Network, overlay: Overlay) -> int:
    """The MTU of the network's interfaces on this host: what was asked for, as far as there is room. Where IPv6 would
    not fit it is IPv6's least, and the tunnel's own packets are in fragments (RFC 8200, 5)."""
    room = max(overlay.room, LEAST_MTU6) if network.ipv6 else overlay.room
    return min(network.options.mtu or room, room)


def fitted(network: Network, overlay: Overlay, facts: Iterable[Fact]) -> Iterator[Fact]:
    """The network's facts, or an endpoint's, as they are on a host that has an own address in it.

    The gateway's address is for the containers alone: the host speaks from its own one, which brings the route to the
    subnet. For IPv4 that is told by the prefix lengths, for IPv6 by the gateway being spare.
    """
    mtu, own = fitted_mtu(network, overlay), {each.version for each in overlay.own}
    gateways = {segment.gateway for segment in network.segments}
    for fact in facts:
        match fact:
            case Bridge() | Veth():
                yield replace(fact, mtu=mtu)
            case LinkAddress(interface=gateway) if gateway in gateways and gateway.version in own:
                if isinstance(gateway, IPv4Interface):
                    yield replace(fact, interface=IPv4Interface(gateway.ip))
                else:
                    yield replace(fact, spare=True)
            case _:
                yield fact


def overlay_facts(network: Network, overlay: Overlay) -> frozenset[Fact]:
    """The device, the host's own addresses, and that tunnels are guarded. The kernel takes an IPv4 address along with
    another one of its subnet that was there before, unless it is told not to: as the gateway's when that is fitted."""
    device = Vxlan(
        vxlan_name(network),
        f"{MARK}overlay:{network.id}",
        network.bridge,
        overlay.vni,
        overlay.local,
        overlay.port,
        DEVICE_MTU,
        isolated=not network.options.icc,
        offload=overlay.offload,
        domain=network.domain,
        floods=overlay.multicast,
    )
    own = {LinkAddress(network.bridge, each, network.domain) for each in overlay.own}
    kept = {Setting(PROMOTE.format(network.bridge), "1", network.domain)} if network.ipv4 else set()
    return frozenset({device, *own, *kept, Member("tunnel_ports", str(overlay.port))})


def remote_facts(network: Network, remote: Remote) -> tuple[Fact, ...]:
    """Where the endpoint is."""
    mac = RemoteMac(vxlan_name(network), remote.mac, remote.host, network.domain)
    return (mac, *(Neighbour(network.bridge, each, remote.mac, network.domain) for each in remote.addresses))


def flood(network: Network, host: Address) -> Flood:
    """The host gets what is for a group or for all."""
    return Flood(vxlan_name(network), host, network.domain)


def host_member(overlay: Overlay, host: Address) -> Member:
    """The host, which has its endpoints in the overlay, may send to the tunnel."""
    return Member(f"tunnels{host.version}", f"{host} . {overlay.port}")
