"""Asking a Mooring daemon from a program: one method for each operation of its API, typed.

    from mooring.client import Client, NotFound

    mooring = Client()
    for lease in mooring.leases(network="web", fixed=True):
        print(lease.address, lease.key)
    try:
        mooring.reserve("10.32.0.9", whom="db", note="the licence is bound to it")
    except NotFound as refused:
        print(refused)

Rules: methods have the names of the API's operations (docs/api.md) and return what they answer; lists are whole,
however many pages they have; a refusal is the fault that the daemon raised, one line with what to do next. It is
synchronous, a connection is used for one method, and threads may share a client.
"""

from __future__ import annotations

from mooring.client.addresses import Leases, Pools
from mooring.client.asking import SOCKET, Asking
from mooring.client.attached_namespaces import AttachedNamespaces
from mooring.client.attachments import Attachments
from mooring.client.cluster import Cluster
from mooring.client.denials import DenyEntries
from mooring.client.dns import Dns
from mooring.client.hosts import Host
from mooring.client.ip import Ip
from mooring.client.network_ports import NetworkPorts
from mooring.client.networks import Networks
from mooring.client.subnet_pools import SubnetPools
from mooring.client.tenants import Tenants
from mooring.client.vnics import Vnics
from mooring.core.cluster_views import (
    CheckRow,
    ClusterHostRow,
    ClusterView,
    EverywhereHost,
    EverywhereView,
    NetworkMemberRow,
    NetworkPart,
    PublishedView,
)
from mooring.core.dns_views import DnsAnswer, DnsRow
from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, Forbidden, NotFound, Unavailable
from mooring.core.filters import SubnetPoolOrigin
from mooring.core.findings import Diagnosis, Finding, Report
from mooring.core.namespace_views import NamespaceView
from mooring.core.states import Mode, PortState, State
from mooring.core.views import (
    LARGEST,
    AddressOwner,
    AttachmentView,
    Change,
    DenyRow,
    EndpointView,
    Explanation,
    ExposureView,
    HostStatus,
    LeaseRow,
    NetworkDetail,
    NetworkRow,
    PoolDetail,
    PoolRow,
    PortDetail,
    PortRow,
    Reason,
    SegmentView,
    SizeLeft,
    SubnetPoolChange,
    SubnetPoolDetail,
    SubnetPoolRow,
    SubnetPoolUser,
    TenantDetail,
    TenantRow,
)
from mooring.core.vnic_views import VnicDetail, VnicNetwork, VnicRow
from mooring.wire.api import (
    BackupReply,
    ChangesReply,
    ClusterHostReply,
    ClusterJoinReply,
    ClusterLeaveReply,
    ClusterTokenReply,
    DenyReply,
    DnsReply,
    OwnersReply,
    PortReply,
    ProblemKind,
    SubnetPoolChangesReply,
    VersionReply,
    VnicReply,
)

__all__ = [
    "LARGEST",
    "SOCKET",
    "AddressOwner",
    "AttachmentView",
    "BackupReply",
    "BadRequest",
    "Change",
    "ChangesReply",
    "CheckRow",
    "Client",
    "ClusterHostReply",
    "ClusterHostRow",
    "ClusterJoinReply",
    "ClusterLeaveReply",
    "ClusterTokenReply",
    "ClusterView",
    "Conflict",
    "DenyReply",
    "DenyRow",
    "Diagnosis",
    "DnsAnswer",
    "DnsReply",
    "DnsRow",
    "EndpointView",
    "EverywhereHost",
    "EverywhereView",
    "Exhausted",
    "Explanation",
    "ExposureView",
    "Fault",
    "Finding",
    "Forbidden",
    "HostStatus",
    "LeaseRow",
    "Mode",
    "NamespaceView",
    "NetworkDetail",
    "NetworkMemberRow",
    "NetworkPart",
    "NetworkRow",
    "NotFound",
    "OwnersReply",
    "PoolDetail",
    "PoolRow",
    "PortDetail",
    "PortReply",
    "PortRow",
    "PortState",
    "ProblemKind",
    "PublishedView",
    "Reason",
    "Report",
    "SegmentView",
    "SizeLeft",
    "State",
    "SubnetPoolChange",
    "SubnetPoolChangesReply",
    "SubnetPoolDetail",
    "SubnetPoolOrigin",
    "SubnetPoolRow",
    "SubnetPoolUser",
    "TenantDetail",
    "TenantRow",
    "Unavailable",
    "VersionReply",
    "VnicDetail",
    "VnicNetwork",
    "VnicReply",
    "VnicRow",
]


class Client(
    Host,
    Networks,
    Pools,
    SubnetPools,
    Leases,
    NetworkPorts,
    Ip,
    Attachments,
    AttachedNamespaces,
    DenyEntries,
    Dns,
    Tenants,
    Vnics,
    Cluster,
    Asking,
):
    """The daemon at a socket. Nothing is dialled before the first question.

    socket: the path of its API socket. timeout: seconds that an answer may take; longer than the daemon's own start,
    during which questions wait. Methods raise the daemon's faults; Unavailable or Forbidden when it cannot be asked.
    """
