"""The cluster that the daemon's host is in, asked about and changed by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.cluster_views import ClusterHostRow, ClusterView, EverywhereView, PublishedView
from mooring.wire.api import (
    ClusterDrain,
    ClusterForget,
    ClusterHostReply,
    ClusterInit,
    ClusterJoin,
    ClusterJoinReply,
    ClusterLeave,
    ClusterLeaveReply,
    ClusterPublish,
    ClusterTokenReply,
    CreateEverywhere,
    RemoveEverywhere,
)


class Cluster(Asking):
    """Hosts that share one store. dry_run: nothing is done, only tried."""

    def cluster(self) -> ClusterView:
        """The cluster that the host is in, what is wrong with its store, and how many hosts are heard."""
        return self._get(ClusterView, "cluster")

    def init_cluster(
        self,
        endpoints: list[str],
        *,
        ca: str = "",
        certificate: str = "",
        key: str = "",
        user: str = "",
        password: str = "",
        prefix: str = "mooring/",
        name: str = "",
        underlay: str = "",
        dry_run: bool = False,
    ) -> ClusterJoinReply:
        """There is a cluster in that etcd, the host is in it, and there is a token for others."""
        body = ClusterInit(endpoints, ca, certificate, key, user, password, prefix, name, underlay, dry_run)
        return self._post(ClusterJoinReply, "cluster/init", body)

    def join_cluster(
        self, token: str, *, name: str = "", underlay: str = "", dry_run: bool = False
    ) -> ClusterJoinReply:
        """The host is in the token's cluster."""
        return self._post(ClusterJoinReply, "cluster/join", ClusterJoin(token, name, underlay, dry_run))

    def cluster_token(self) -> ClusterTokenReply:
        """What other hosts join the cluster with: a secret."""
        return self._get(ClusterTokenReply, "cluster/token")

    def leave_cluster(self, *, force: bool = False, dry_run: bool = False) -> ClusterLeaveReply:
        """The host is in no cluster. force: also when the cluster cannot be reached."""
        return self._post(ClusterLeaveReply, "cluster/leave", ClusterLeave(force, dry_run))

    def cluster_hosts(self, *, heard: bool | None = None) -> list[ClusterHostRow]:
        """The hosts of the cluster that match everything given, by name."""
        told = "" if heard is None else str(heard).lower()
        return self._rows(ClusterHostRow, "cluster/hosts", {"heard": told})

    def cluster_host(self, host: str) -> ClusterHostRow:
        """One host of the cluster, by name or id."""
        return self._get(ClusterHostRow, "cluster/hosts", host)

    def drain_cluster_host(self, host: str, *, off: bool = False, dry_run: bool = False) -> ClusterHostReply:
        """The host takes no new addresses of the cluster's networks; off: it does again."""
        return self._post(ClusterHostReply, "cluster/drain", ClusterDrain(host, off, dry_run))

    def publish_network(self, network: str, *, dry_run: bool = False) -> PublishedView:
        """A network of the host is one of the cluster; its containers go on."""
        return self._post(PublishedView, "cluster/publish", ClusterPublish(network, dry_run))

    def forget_cluster_host(self, host: str, *, dry_run: bool = False) -> ClusterHostReply:
        """A host that is gone for good is not in the cluster any more."""
        return self._post(ClusterHostReply, "cluster/forget", ClusterForget(host, dry_run))

    def networks_everywhere(self) -> list[EverywhereView]:
        """The networks that every host is to have, by name."""
        return self._rows(EverywhereView, "cluster/networks", {})

    def network_everywhere(self, name: str) -> EverywhereView:
        """One of them, and which hosts have it, refuse it, or have not answered."""
        return self._get(EverywhereView, "cluster/networks", name)

    def create_everywhere(
        self, name: str, subnets: list[str], *, gateways: tuple[str, ...] = (), ranges: tuple[str, ...] = (),
        auxiliary: dict[str, str] | None = None, options: dict[str, str] | None = None,
        ipam_options: dict[str, str] | None = None, internal: bool = False, labels: dict[str, str] | None = None,
        dry_run: bool = False,
    ) -> EverywhereView:  # fmt: skip
        """Every host is to have the network, and makes it soon after."""
        body = CreateEverywhere(
            name, subnets, gateways, ranges, auxiliary, options, ipam_options, internal, labels, dry_run
        )  # fmt: skip
        return self._post(EverywhereView, "cluster/networks", body)

    def remove_everywhere(self, name: str, *, dry_run: bool = False) -> EverywhereView:
        """No host is to have the network, and removes it soon after, unless a container is in it."""
        return self._post(EverywhereView, "cluster/networks/remove", RemoveEverywhere(name, dry_run))
