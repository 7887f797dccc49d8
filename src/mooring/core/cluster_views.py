"""What people are shown of a cluster. Rules: as in views."""

from __future__ import annotations

import msgspec


class ClusterHostRow(msgspec.Struct, frozen=True):
    """A host of the cluster.

    address, link, mtu: where the others reach it. joined: seconds since the epoch. heard: it has a session. here: it is
    this one. drained: it takes no new addresses of the cluster's networks.
    """

    id: str
    name: str
    address: str
    link: str
    mtu: int
    version: str
    joined: float
    heard: bool
    here: bool
    drained: bool = False


class ClusterView(msgspec.Struct, frozen=True):
    """The cluster that this host is in, and how the host is doing there.

    id: "" where it is in none. made: seconds since the epoch, with by, the host's name; None when the cluster was not
    reached. confirmed: seconds since this host's session was last confirmed, None for not since the daemon's start, or
    since another machine was heard as this host. unreached: why the last try failed, "" when it did not; unreached_for:
    seconds since the first of those that failed. waiting: what the cluster is to be told, a line each. drained: this
    host takes no new addresses of the cluster's networks. complaints: what is wrong with the cluster's store. hosts,
    heard: how many there are, None when the cluster was not reached.
    """

    id: str
    host: str = ""
    name: str = ""
    endpoints: list[str] = []
    prefix: str = ""
    made: float | None = None
    by: str = ""
    confirmed: float | None = None
    unreached: str = ""
    unreached_for: float | None = None
    waiting: list[str] = []
    drained: bool = False
    complaints: list[str] = []
    hosts: int | None = None
    heard: int | None = None


class CheckRow(msgspec.Struct, frozen=True):
    """One thing that was looked at before joining. verdict: `ok`, `note`, or `refused` for what is in the way."""

    what: str
    verdict: str
    text: str


class EverywhereHost(msgspec.Struct, frozen=True):
    """What a host says of a network that every host is to have. state: `waiting` for a host that has not said anything
    since it was asked for last, `made`, `removed`, or `refused`, with `why` then."""

    id: str
    name: str
    heard: bool
    state: str
    why: str = ""


class EverywhereView(msgspec.Struct, frozen=True):
    """A network that every host of the cluster is to have. ending: none is to have it any more. by: the host that was
    told, `since` when (seconds since the epoch). dry_run: as in PublishedView."""

    name: str
    subnets: list[str]
    options: dict[str, str]
    ending: bool
    by: str
    since: float
    hosts: list[EverywhereHost]
    dry_run: bool = False


class PublishedView(msgspec.Struct, frozen=True):
    """A network that was made one of the cluster, or that would be. name: what Docker calls it, "" while that is not
    known. addresses: how many of it are claimed, as they are in use or kept. hosts: names of the other hosts that take
    part. asked: addresses that another host gives, which is asked for them. changed: False where it was the cluster's
    already. dry_run: it was not done, only tried."""

    network: str
    name: str
    subnets: list[str]
    addresses: int
    hosts: list[str]
    asked: list[str]
    changed: bool
    dry_run: bool


class NetworkMemberRow(msgspec.Struct, frozen=True):
    """A host that takes part in a network of the cluster. network: what Docker calls it there, "" while that is not
    known."""

    host: str
    name: str
    network: str


class NetworkPart(msgspec.Struct, frozen=True):
    """A host's part in a network of the cluster. id: of the network, in the cluster; "" while that has not been asked.
    vni: 0 for none. own: this host's own addresses in it. hosts: who takes part; None while the cluster does not
    answer, and why that is, is in `unreached`. ingress: which ports of this host lead to containers of other hosts,
    a line each. prefixes: what of the network is behind this host, of one without tunnels."""

    id: str
    vni: int
    own: list[str]
    hosts: list[NetworkMemberRow] | None = None
    unreached: str = ""
    ingress: list[str] = []
    prefixes: list[str] = []
