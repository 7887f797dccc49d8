"""Containers, as far as their addresses go."""

from __future__ import annotations

from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import ChangesReply, FixContainer


class Containers:
    """Containers of this host's engine."""

    def __init__(self, operations: Operations) -> None:
        self._holds = operations.holds

    @route("POST", "/v1/containers/fix", container="db")
    async def fix_container(self, body: FixContainer) -> ChangesReply:
        """The container asks for its fixed addresses at its next start. One that runs is off a network for a moment."""
        return ChangesReply(await self._holds.fix(body.container, body.dry_run), body.dry_run)
