"""What goes over the API's socket, as structs that are JSON on the wire; both sides import this package.

Rules: paths begin with the version; what is not known is refused with the list of what is; a reply may gain fields
within a version but never loses or changes one. The rows and details that most replies are made of are in
mooring.core.views, the parameters of lists in mooring.core.filters.
"""

from __future__ import annotations

from mooring.wire.api.problems import MEDIA_TYPE, Problem, fault_of, problem_for, problem_of
from mooring.wire.api.replies import (
    VERSION,
    BackupReply,
    ChangesReply,
    DenyReply,
    DnsReply,
    LiveReply,
    OwnersReply,
    PortReply,
    ProblemKind,
    SubnetPoolChangesReply,
    VersionReply,
    VnicReply,
)
from mooring.wire.api.requests import (
    AddDnsRecord,
    Allow,
    Attach,
    Backup,
    CreatePort,
    CreateSubnetPool,
    CreateVnic,
    Deny,
    Detach,
    FixContainer,
    FixFindings,
    Hold,
    Release,
    RemoveDnsRecord,
    RemovePort,
    RemoveSubnetPool,
    RemoveVnic,
    Reserve,
    SetPort,
    SetSubnetPool,
)

__all__ = [
    "MEDIA_TYPE",
    "VERSION",
    "AddDnsRecord",
    "Allow",
    "Attach",
    "Backup",
    "BackupReply",
    "ChangesReply",
    "CreatePort",
    "CreateSubnetPool",
    "CreateVnic",
    "Deny",
    "DenyReply",
    "Detach",
    "DnsReply",
    "FixContainer",
    "FixFindings",
    "Hold",
    "LiveReply",
    "OwnersReply",
    "PortReply",
    "Problem",
    "ProblemKind",
    "Release",
    "RemoveDnsRecord",
    "RemovePort",
    "RemoveSubnetPool",
    "RemoveVnic",
    "Reserve",
    "SetPort",
    "SetSubnetPool",
    "SubnetPoolChangesReply",
    "VersionReply",
    "VnicReply",
    "fault_of",
    "problem_for",
    "problem_of",
]
