"""The drivers that make nothing: `null` keeps books only, `host` lets a sandbox use the host's own network.

Rule: neither has an interface to give, so nothing of theirs is ever in a kernel.
"""

from __future__ import annotations

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.networks import Network
from mooring.core.requests import JoinRequest
from mooring.ports import Driver


class BareDriver(Driver):
    """An endpoint without plumbing: it has a name and perhaps addresses, and no interface."""

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:  # noqa: ARG002
        """See Driver."""
        return Attachment("", network.options.interface_prefix, None, None)
