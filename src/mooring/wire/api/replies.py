"""Replies of the API: what only its clients are told.

Rule: as in mooring.core.views.
"""

from __future__ import annotations

import msgspec

from mooring.core.cluster_views import CheckRow, ClusterHostRow
from mooring.core.dns_views import DnsRow
from mooring.core.views import AddressOwner, Change, DenyRow, PortRow, SubnetPoolChange
from mooring.core.vnic_views import VnicNetwork, VnicRow

VERSION = "v1"


class VersionReply(msgspec.Struct, frozen=True):
    """What runs. api: the versions of this API that it serves."""

    version: str
    api: list[str]


class LiveReply(msgspec.Struct, frozen=True):
    """The daemon answers. live: always so."""

    live: bool


class ChangesReply(msgspec.Struct, frozen=True):
    """What was changed; nothing when all was so already. dry_run: it was not done, only tried."""

    changes: list[Change]
    dry_run: bool


class SubnetPoolChangesReply(msgspec.Struct, frozen=True):
    """What was changed of a subnet pool; nothing when all was so already. dry_run: it was not done, only tried."""

    changes: list[SubnetPoolChange]
    dry_run: bool


class OwnersReply(msgspec.Struct, frozen=True):
    """Every id that has addresses."""

    owned: list[AddressOwner]


class BackupReply(msgspec.Struct, frozen=True):
    """A copy was written."""

    path: str


class ProblemKind(msgspec.Struct, frozen=True):
    """What a kind of refusal means. kind, status: as in a refusal of this kind. text: for people."""

    kind: str
    status: int
    text: str


class DenyReply(msgspec.Struct, frozen=True):
    """The entry of the deny list that was added, changed or ended. changed: False when all was so already. dry_run: it
    was not done, only tried."""

    entry: DenyRow
    changed: bool
    dry_run: bool


class DnsReply(msgspec.Struct, frozen=True):
    """The DNS record that was added, changed or ended. changed, dry_run: as in DenyReply."""

    record: DnsRow
    changed: bool
    dry_run: bool


class PortReply(msgspec.Struct, frozen=True):
    """The network port as it is now; of one that was removed, as it was. dry_run: it was not done, only tried."""

    port: PortRow
    dry_run: bool


class VnicReply(msgspec.Struct, frozen=True):
    """The VNIC that was asked for, null for one to remove that was not there. changed: False when all was so already.
    network, run: as in VnicDetail."""

    vnic: VnicRow | None
    changed: bool
    network: VnicNetwork
    run: str


class ClusterJoinReply(msgspec.Struct, frozen=True):
    """The cluster that this host is in now, and what was looked at. cluster: its id, "" where it would be made
    yet. host: this host's id there. token: for the next hosts, where the cluster was made. changed, dry_run: as in
    DenyReply."""

    cluster: str
    host: str
    name: str
    checks: list[CheckRow]
    changed: bool
    dry_run: bool
    token: str = ""


class ClusterTokenReply(msgspec.Struct, frozen=True):
    """What other hosts join this host's cluster with. It is a secret: it has the key of a certificate in it."""

    token: str


class ClusterLeaveReply(msgspec.Struct, frozen=True):
    """The cluster that this host was in. dry_run: as in DenyReply."""

    cluster: str
    host: str
    name: str
    dry_run: bool


class ClusterHostReply(msgspec.Struct, frozen=True):
    """The host that was forgotten, or as it is after it was drained. dry_run: as in DenyReply."""

    host: ClusterHostRow
    dry_run: bool
