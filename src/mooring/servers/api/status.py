"""How the daemon is, and what a refusal means."""

from __future__ import annotations

from mooring.core.faults import HTTP_STATUS, NotFound
from mooring.core.views import HostStatus
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api.problems import FAULTS
from mooring.wire.api.replies import VERSION, ProblemKind, VersionReply


class Status:
    """The daemon itself."""

    def __init__(self, operations: Operations) -> None:
        self._inspection = operations.inspection
        self._notes = operations.notes
        self._readiness = operations.readiness

    @route("GET", "/v1/version")
    async def version(self) -> VersionReply:
        """What runs, and which versions of this API it serves."""
        return VersionReply(self._inspection.version, [VERSION])

    @route("GET", "/v1/status")
    async def status(self) -> HostStatus:
        """How the daemon is: counts, sockets, and the last look at the kernel with its findings. Refused while the
        records are being read."""
        self._readiness.must_be_loaded()
        ready = self._readiness.is_ready
        return self._inspection.status(self._notes(), ready, self._readiness.waits())

    @route("GET", "/v1/problems/{kind}")
    async def problem(self, kind: str) -> ProblemKind:
        """What a kind of refusal means: where the `type` of a problem leads."""
        known = {name.replace(" ", "-"): fault for name, fault in FAULTS.items()}
        if kind not in known:
            raise NotFound(f"there is no kind of problem {kind[:40]!r}", hint=f"known are {', '.join(known)}")
        fault = known[kind]
        return ProblemKind(fault.kind.value, HTTP_STATUS[fault.kind], " ".join((fault.__doc__ or "").split()))
