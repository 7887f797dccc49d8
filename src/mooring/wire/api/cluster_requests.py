"""Bodies of the API's requests about the cluster.

Rule: as in mooring.wire.api.requests.
"""

from __future__ import annotations

import msgspec


class ClusterInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A cluster is made in the etcd at these endpoints, and this host is in it.

    endpoints: https://HOST:PORT of each member. ca, certificate, key: PEM. user, password: of an account of etcd's.
    prefix: of all keys. name, underlay: as in ClusterJoin. dry_run: as in Reserve.
    """

    endpoints: list[str]
    ca: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    password: str = ""
    prefix: str = "mooring/"
    name: str = ""
    underlay: str = ""
    dry_run: bool = False


class ClusterJoin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """This host joins the cluster of the token. name: the host's in the cluster, "" for its own. underlay: an
    interface, or an address of the host, where the others reach it; "" for the one that leads to the cluster's store.
    dry_run: as in Reserve, and what would be in the way is told as well."""

    token: str
    name: str = ""
    underlay: str = ""
    dry_run: bool = False


class ClusterLeave(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """This host is in no cluster any more. force: also when the cluster cannot be reached. dry_run: as in Reserve."""

    force: bool = False
    dry_run: bool = False


class ClusterPublish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A network of this host is one of the cluster. network: as people name it. dry_run: as in Reserve."""

    network: str
    dry_run: bool = False


class ClusterDrain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A host takes no new addresses of the cluster's networks. host: its name or id. off: it does again. dry_run: as in
    Reserve."""

    host: str
    off: bool = False
    dry_run: bool = False


class ClusterForget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A host that is gone is not in the cluster any more. host: its name or id. dry_run: as in Reserve."""

    host: str
    dry_run: bool = False


class CreateEverywhere(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every host of the cluster is to have a network of that name.

    subnets: one a family. gateways, ranges: each in one of them. auxiliary: addresses that no container gets, by name.
    options, ipam_options, internal, labels: as of `docker network create`. dry_run: as in Reserve.
    """

    name: str
    subnets: list[str]
    gateways: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    auxiliary: dict[str, str] | None = None
    options: dict[str, str] | None = None
    ipam_options: dict[str, str] | None = None
    internal: bool = False
    labels: dict[str, str] | None = None
    dry_run: bool = False


class RemoveEverywhere(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """No host of the cluster is to have the network of that name any more. dry_run: as in Reserve."""

    name: str
    dry_run: bool = False
