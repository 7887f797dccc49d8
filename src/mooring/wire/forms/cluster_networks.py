"""The forms of networks that several hosts take part in, and of what a host keeps of its part.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from msgspec import field

from mooring.core.cluster_networks import ClusterNetwork, HostNetwork
from mooring.core.networks import Subnet
from mooring.wire.forms.elements import Stored, id_of


class ClusterNetworkV1(Stored, tag="ClusterNetworkV1"):
    """A network of the cluster, but for its place. more: its other subnets."""

    id: str
    more: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    vni: int = 0
    ending: bool = False
    closed: bool = False
    since: float = 0.0

    def value(self, space: str, subnet: Subnet) -> ClusterNetwork:
        """The network that has this place."""
        return ClusterNetwork(
            id=self.id, space=space, subnets=(subnet, *map(ip_network, self.more)),
            gateways=tuple(map(ip_interface, self.gateways)), options=self.options, vni=self.vni, ending=self.ending,
            closed=self.closed, since=self.since,
        )  # fmt: skip


class HostNetworkV1(Stored, tag=1):
    """A host's part in a network of the cluster; Docker's id of it is in the key."""

    space: str
    subnet: str
    shared: ClusterNetworkV1
    own: tuple[str, ...] = ()
    leaving: bool = False

    def record(self, key: str) -> HostNetwork:
        """See stored.Form."""
        shared = self.shared.value(self.space, ip_network(self.subnet))
        own = tuple(map(ip_address, self.own))
        return HostNetwork(network=id_of(key), shared=shared, own=own, leaving=self.leaving)


def cluster_network_form(network: ClusterNetwork) -> ClusterNetworkV1:
    """The newest form of a network of the cluster."""
    return ClusterNetworkV1(
        id=network.id, more=tuple(map(str, network.subnets[1:])), gateways=tuple(map(str, network.gateways)),
        options=dict(network.options), vni=network.vni, ending=network.ending, closed=network.closed,
        since=network.since,
    )  # fmt: skip


def host_network_form(part: HostNetwork) -> HostNetworkV1:
    """The newest form of a host's part in one."""
    return HostNetworkV1(
        space=part.shared.space, subnet=str(part.shared.subnet), shared=cluster_network_form(part.shared),
        own=tuple(map(str, part.own)), leaving=part.leaving,
    )  # fmt: skip
