"""Explanations: who has an address, since when and why, or why nobody has it."""

from __future__ import annotations

from mooring.core.views import Explanation
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations


class Explanations:
    """What is known of anything, in sentences."""

    def __init__(self, operations: Operations) -> None:
        self._lookup = operations.lookup

    @route("GET", "/v1/explain/{what:path}")
    async def explain(self, what: str) -> Explanation:
        """All that is known of any address, subnet or network, or of all that somebody holds. Somebody is a container
        by name or ID, a compose service, a key, or a MAC."""
        return await self._lookup.explain(what)
