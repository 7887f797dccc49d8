"""Replies of the API: what only its clients are told, and which values are replies.

Rule: as in mooring.core.views.
"""

from __future__ import annotations

import msgspec

from mooring.core.findings import Diagnosis
from mooring.core.views import Change, Explanation, HostStatus, LeaseRow, NetworkDetail, NetworkRow, PoolDetail, PoolRow

VERSION = "v1"


class VersionReply(msgspec.Struct, frozen=True):
    """What runs. api: the versions of this API that it serves."""

    version: str
    api: list[str]


class ChangesReply(msgspec.Struct, frozen=True):
    """What was changed; nothing when all was so already. dry_run: it was not done, only tried."""

    changes: list[Change]
    dry_run: bool


class BackupReply(msgspec.Struct, frozen=True):
    """A copy was written."""

    path: str


class ErrorReply(msgspec.Struct, frozen=True):
    """A refusal, in one line. kind: a value of core.faults.Kind."""

    message: str
    kind: str


Reply = (
    VersionReply
    | HostStatus
    | list[NetworkRow]
    | NetworkDetail
    | list[LeaseRow]
    | Explanation
    | list[PoolRow]
    | list[PoolDetail]
    | ChangesReply
    | Diagnosis
    | BackupReply
)
