"""The ClusterSetup port in memory: a host, as a cluster in memory knows it."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.core.cluster_hosts import ClusterAccess, Membership, Underlay
from mooring.core.faults import BadRequest, Unavailable
from mooring.ports import Cluster
from mooring.testing.memory_cluster import MemoryCluster


class MemoryClusterSetup:
    """kept_one: what is kept; links: what `underlay` finds by name, the first one for "", none while no name
    can be resolved. address: what MemoryCluster.cut knows the host by. ahead: of the servers' clock.

    servers: by endpoint; what is none of them cannot be reached.
    """

    def __init__(self, servers: dict[str, MemoryCluster], address: str, mtu: int = 1500) -> None:
        self.servers, self.address = servers, address
        self.links = {"eth0": Underlay(address, "eth0", mtu)}
        self.kept_one: Membership | None = None
        self.ahead: float | None = 0.0

    def kept(self) -> Membership | None:
        """See the port."""
        return self.kept_one

    def keep(self, membership: Membership | None) -> None:
        """See the port."""
        self.kept_one = membership

    async def underlay(self, given: str, endpoints: Sequence[str]) -> Underlay:  # noqa: ARG002
        """See the port."""
        if not self.links:
            raise Unavailable("a name cannot be resolved")
        for link in self.links.values():
            if given in ("", link.link, link.address):
                return link
        raise BadRequest(f"this host has neither an interface nor an address {given!r}")

    def connect(self, access: ClusterAccess) -> Cluster:
        """See the port."""
        for endpoint in access.endpoints:
            if endpoint in self.servers:
                return self.servers[endpoint].client(self.address)
        if not access.endpoints:
            raise BadRequest("a cluster needs an endpoint")
        raise Unavailable(f"etcd at {access.endpoints[0]} cannot be reached")

    async def offset(self, access: ClusterAccess) -> float | None:  # noqa: ARG002
        """See the port."""
        return self.ahead
