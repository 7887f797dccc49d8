"""Networks of several hosts: what all hosts see of one, and what each keeps of its own part in it.

Rules: networks meet by address space and first subnet, whatever each host's Docker calls them; what must be the same on
each host is compared before a host takes part; a network that ends is never half one: it says so until it is gone, and
whoever makes it anew makes another one. Between `ending` and `closed` it may come back, after that it may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from mooring.core.cluster_options import VXLAN
from mooring.core.networks import Address, Ingress, Interface, Mode, Network, Subnet

# The VNIs that are drawn from: small ones are what people write by hand, and what other overlays begin with.
DRAWN = (4096, 2**24)


class ClusterNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A network of the cluster, as all hosts see it.

    id: drawn when it was made, never the same twice. subnets: one a family, the first names its key. gateways: the same
    on each host. options: what was asked for and must be the same everywhere, as text. vni: 0 for no overlay. ending:
    the last host has left, unless another has come meanwhile. closed: that is sure, and what is left of it is being
    removed. since: seconds since the epoch.
    """

    id: str
    space: str
    subnets: tuple[Subnet, ...]
    gateways: tuple[Interface, ...] = ()
    options: Mapping[str, str] = {}
    vni: int = 0
    ending: bool = False
    closed: bool = False
    since: float = 0.0

    @property
    def subnet(self) -> Subnet:
        """Which names its key."""
        return self.subnets[0]

    @property
    def overlay(self) -> bool:
        """Whether there are tunnels between its hosts."""
        return self.options.get("mode") == VXLAN


class VniHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Which network has a VNI. network: the id of the ClusterNetwork. space, subnet: of that one's key."""

    vni: int
    network: str
    space: str
    subnet: Subnet


class NetworkMember(msgspec.Struct, frozen=True, kw_only=True):
    """A host takes part in a network. network: the id of the ClusterNetwork. name: what its Docker calls it, "" while
    that is not known. published: Docker's full id of it, where Docker's own options do not say that it is the
    cluster's, "" where they do. space, subnet: of the network's key."""

    space: str
    subnet: Subnet
    host: str
    network: str
    name: str = ""
    published: str = ""


class HostNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What a host keeps of its part in a cluster network, in its own store, from before it says so to the cluster until
    after it has left.

    network: Docker's full id here. shared: the network as all see it. own: this host's own addresses in it, at most one
    a family; none where there is no overlay. leaving: Docker's network is gone, and the cluster has to be told.
    """

    network: str
    shared: ClusterNetwork
    own: tuple[Address, ...] = ()
    leaving: bool = False


def is_left(parts: Iterable[HostNetwork], space: str, subnet: Subnet) -> bool:
    """Whether the host of these parts is leaving the network of the subnet, or has not come in yet."""
    return any(part.leaving and part.shared.space == space and subnet in part.shared.subnets for part in parts)


def as_shared(network: Network, since: float = 0.0) -> ClusterNetwork:
    """What this host's network would be in the cluster, without an id and a VNI. It has a subnet."""
    gateways = tuple(segment.gateway for segment in network.segments if segment.gateway is not None)
    return ClusterNetwork(
        id="", space=network.segments[0].space, subnets=tuple(segment.subnet for segment in network.segments),
        gateways=gateways, options=agreed_options(network), since=since,
    )  # fmt: skip


def agreed_options(network: Network) -> Mapping[str, str]:
    """What must be the same on each host, by Docker's or our words; what is as usual is left out. What a host may
    settle for itself is not in here: the bridge's name, address translation, the ports that are published."""
    options = network.options
    auxiliary = {
        name: str(address) for segment in network.segments for name, address in sorted(segment.auxiliary.items())
    }
    words = {
        "mode": VXLAN if options.overlay else Mode.BRIDGE.value,
        "internal": "on" if network.internal else "",
        "icc": "" if options.icc else "off",
        "mtu": str(options.mtu or ""),
        "encrypted": "on" if options.encrypted else "",
        "multicast": "on" if options.multicast else "",
        "ingress": options.ingress.value if options.ingress is not Ingress.HOST else "",
        "aux-address": ",".join(f"{name}={text}" for name, text in auxiliary.items()),
    }
    return {word: text for word, text in words.items() if text}


def disagreements(known: ClusterNetwork, wanted: ClusterNetwork, vni: int = 0) -> Iterator[tuple[str, str, str]]:
    """What is not as the network has it: what, the network's, and what is wanted. vni: the one that was asked for."""
    yield from _unlike("subnet", known.subnets, wanted.subnets)
    yield from _unlike("gateway", known.gateways, wanted.gateways)
    for word in sorted(known.options.keys() | wanted.options.keys()):
        usual = "none" if word == "aux-address" else "at its default"
        theirs, ours = (each.options.get(word) or usual for each in (known, wanted))
        yield from _unlike(word, (theirs,), (ours,))
    if vni and known.vni and vni != known.vni:
        yield "vni", str(known.vni), str(vni)


def _unlike(what: str, known: tuple[object, ...], wanted: tuple[object, ...]) -> Iterator[tuple[str, str, str]]:
    theirs, ours = (", ".join(sorted(map(str, each))) or "none" for each in (known, wanted))
    if theirs != ours:
        yield what, theirs, ours
