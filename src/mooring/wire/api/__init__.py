"""The API: requests parsed into calls, replies as structs that are JSON on the wire; both sides import this package.

Rules: the path begins with the version; what is not known is refused with the list of what is; a reply may gain fields
within a version but never loses or changes one.
"""

from __future__ import annotations

from mooring.core.findings import Diagnosis, Finding
from mooring.core.views import (
    LARGEST,
    Change,
    EndpointView,
    Explanation,
    HostStatus,
    LeaseRow,
    NetworkDetail,
    NetworkRow,
    PoolDetail,
    PoolRow,
    Reason,
    SegmentView,
)
from mooring.wire.api.calls import (
    Backup,
    Call,
    Examine,
    Explain,
    Fasten,
    Fix,
    GetLease,
    GetNetwork,
    GetPool,
    GetStatus,
    GetVersion,
    Hold,
    ListLeases,
    ListNetworks,
    ListPools,
    Release,
    Reserve,
)
from mooring.wire.api.encodings import encode, error_of, fault_of
from mooring.wire.api.paths import ROUTES, parse, target_of
from mooring.wire.api.replies import VERSION, BackupReply, ChangesReply, ErrorReply, Reply, VersionReply

__all__ = [
    "LARGEST",
    "ROUTES",
    "VERSION",
    "Backup",
    "BackupReply",
    "Call",
    "Change",
    "ChangesReply",
    "Diagnosis",
    "EndpointView",
    "ErrorReply",
    "Examine",
    "Explain",
    "Explanation",
    "Fasten",
    "Finding",
    "Fix",
    "GetLease",
    "GetNetwork",
    "GetPool",
    "GetStatus",
    "GetVersion",
    "Hold",
    "HostStatus",
    "LeaseRow",
    "ListLeases",
    "ListNetworks",
    "ListPools",
    "NetworkDetail",
    "NetworkRow",
    "PoolDetail",
    "PoolRow",
    "Reason",
    "Release",
    "Reply",
    "Reserve",
    "SegmentView",
    "VersionReply",
    "encode",
    "error_of",
    "fault_of",
    "parse",
    "target_of",
]
