"""Networks of several hosts: what all hosts see of one, and what each keeps of its own part in it.

Rules: networks meet by address space and first subnet, whatever each host's Docker calls them; what must be the same on
each host is compared before a host takes part; a network that ends is never half one: it says so until it is gone, and
whoever makes it anew makes another one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mooring.core.networks import Address, Interface, Subnet


class ClusterNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A network of the cluster, as all hosts see it.

    id: drawn when it was made, never the same twice. subnets: one a family, the first names its key. gateways: the same
    on each host. options: what was asked for and must be the same everywhere, as text. vni: 0 for no overlay. ending:
    the last host has left, and what is left of it is being removed. since: seconds since the epoch.
    """

    id: str
    space: str
    subnets: tuple[Subnet, ...]
    gateways: tuple[Interface, ...] = ()
    options: Mapping[str, str] = {}
    vni: int = 0
    ending: bool = False
    since: float = 0.0


class NetworkMember(msgspec.Struct, frozen=True, kw_only=True):
    """A host takes part in a network. network: the id of the ClusterNetwork. name: what its Docker calls it, "" while
    that is not known. space, subnet: of the network's key."""

    space: str
    subnet: Subnet
    host: str
    network: str
    name: str = ""


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
