"""The cluster of hosts that this one is in."""

from __future__ import annotations

from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.cluster_tokens import read_token, token_of
from mooring.core.cluster_views import CheckRow, ClusterHostRow, ClusterView, PublishedView
from mooring.core.faults import BadRequest
from mooring.core.filters import ClusterHostFilter, Page
from mooring.servers.api.routes import route
from mooring.services.cluster.membership import Joining
from mooring.services.operations.operations import Operations
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
)

# Printable, without a space or a control character in the middle of somebody's table.
LONGEST_NAME = 64


class Cluster:
    """Hosts that share one store, and what this one is in it."""

    def __init__(self, operations: Operations) -> None:
        self._member = operations.cluster
        self._rows = operations.cluster_rows
        self._publishing = operations.publishing

    @route("GET", "/v1/cluster")
    async def cluster(self) -> ClusterView:
        """The cluster that this host is in, what is wrong with its store, and how many hosts are heard."""
        return await self._rows.view()

    @route("POST", "/v1/cluster/init", endpoints=["https://10.0.0.1:2379"], dry_run=True)
    async def init_cluster(self, body: ClusterInit) -> ClusterJoinReply:
        """There is a cluster in that etcd, this host is in it, and there is a token for others. Refused where a cluster
        with other hosts is there already."""
        if not body.endpoints:
            raise BadRequest("a cluster needs an endpoint", hint="write https://HOST:PORT")
        access = ClusterAccess(
            cluster="", endpoints=tuple(body.endpoints), prefix=f"{body.prefix.rstrip('/')}/", ca=body.ca,
            certificate=body.certificate, key=body.key, user=body.user, password=body.password,
        )  # fmt: skip
        joining = await self._member.begin(access, checked(body.name), body.underlay, body.dry_run)
        return _reply(joining, body.dry_run, "" if body.dry_run else token_of(joining.membership.access))

    @route("POST", "/v1/cluster/join", token="mooring1.…")
    async def join_cluster(self, body: ClusterJoin) -> ClusterJoinReply:
        """This host is in the token's cluster. What is odd is among the checks; what is in the way refuses it."""
        access = read_token(body.token)
        return _reply(await self._member.join(access, checked(body.name), body.underlay, body.dry_run), body.dry_run)

    @route("GET", "/v1/cluster/token")
    async def cluster_token(self) -> ClusterTokenReply:
        """What other hosts join this host's cluster with: a secret."""
        return ClusterTokenReply(token_of(self._member.entered()[0].access))

    @route("POST", "/v1/cluster/leave")
    async def leave_cluster(self, body: ClusterLeave) -> ClusterLeaveReply:
        """This host is in no cluster. Refused while it has something there."""
        was = await self._member.leave(body.force, body.dry_run)
        return ClusterLeaveReply(was.access.cluster, was.host, was.name, body.dry_run)

    @route("GET", "/v1/cluster/hosts")
    async def cluster_hosts(self, query: ClusterHostFilter) -> Page[ClusterHostRow]:
        """The hosts of the cluster that match everything given, by name."""
        return await self._rows.page(query)

    @route("GET", "/v1/cluster/hosts/{host}")
    async def cluster_host(self, host: str) -> ClusterHostRow:
        """One host of the cluster, by name or id."""
        return await self._rows.host(host)

    @route("POST", "/v1/cluster/drain", host="web3")
    async def drain_cluster_host(self, body: ClusterDrain) -> ClusterHostReply:
        """A host takes no new addresses of the cluster's networks; what runs there goes on. Off: it does again."""
        return ClusterHostReply(await self._rows.drain(body.host, not body.off, body.dry_run), body.dry_run)

    @route("POST", "/v1/cluster/publish", network="web")
    async def publish_network(self, body: ClusterPublish) -> PublishedView:
        """A network of this host is one of the cluster. Its containers go on; each address that they have is claimed.
        Refused where something of it is another host's."""
        return await self._publishing.publish(body.network.strip(), body.dry_run)

    @route("POST", "/v1/cluster/forget", host="web3")
    async def forget_cluster_host(self, body: ClusterForget) -> ClusterHostReply:
        """A host that is gone for good is not in the cluster any more, nor has anything there. Refused while it is
        heard."""
        return ClusterHostReply(await self._rows.forget(body.host, body.dry_run), body.dry_run)


def checked(name: str) -> str:
    """The name for a host. Raises BadRequest for what would not fit into a table."""
    if len(name) > LONGEST_NAME or not name.isprintable() or any(each.isspace() for each in name):
        raise BadRequest(f"{name[:LONGEST_NAME]!r} is no name for a host", hint="use one word of letters and digits")
    return name


def _reply(joining: Joining, dry: bool, token: str = "") -> ClusterJoinReply:
    rows = [CheckRow(check.what, check.verdict.value, check.text) for check in joining.checks]
    now = joining.membership
    return ClusterJoinReply(now.access.cluster, now.host, now.name, rows, joining.changed, dry, token)
