"""Whether the daemon lives and is ready, for scripts and supervisors: answered at once, whatever is under way."""

from __future__ import annotations

from mooring.core.readiness import Readiness
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api.replies import LiveReply


class ReadinessProbes:
    """Two answers: 200 or 503."""

    def __init__(self, operations: Operations) -> None:
        self._readiness = operations.readiness

    @route("GET", "/v1/live")
    async def live(self) -> LiveReply:
        """The daemon answers: a restart would mend nothing. It may still be reading its records."""
        return LiveReply(True)

    @route("GET", "/v1/ready")
    async def ready(self) -> Readiness:
        """What is ready, and since when. Refused with what is waited for until the records are read and the kernel was
        compared with them."""
        return self._readiness.ready()
