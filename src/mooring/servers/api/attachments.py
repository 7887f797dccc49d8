"""Running containers, and the host, put into networks and taken out of them."""

from __future__ import annotations

from mooring.core.addresses import parse_address
from mooring.core.views import AttachmentView, ExposureView
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import Attach, Detach, Expose, Hide


class Attachments:
    """Who is in which network."""

    def __init__(self, operations: Operations) -> None:
        self._attachments = operations.attachments
        self._exposing = operations.exposing

    @route("POST", "/v1/containers/attach", container="db", network="web")
    async def attach(self, body: Attach) -> AttachmentView:
        """The container is in the network, with these addresses, or those that are reserved for it there, or any."""
        return await self._attachments.attach(body.container, body.network, [*map(parse_address, body.addresses)])

    @route("POST", "/v1/containers/detach", container="db", network="web")
    async def detach(self, body: Detach) -> AttachmentView:
        """The container is not in the network, and no address is kept for it there."""
        return await self._attachments.detach(body.container, body.network, dry=body.dry_run)

    @route("POST", "/v1/networks/expose", network="web")
    async def expose(self, body: Expose) -> ExposureView:
        """The host has these addresses in the network, or one of each family, if none is given and it has none."""
        return await self._exposing.expose(body.network, [*map(parse_address, body.addresses)])

    @route("POST", "/v1/networks/hide", network="web")
    async def hide(self, body: Hide) -> ExposureView:
        """The host does not have these addresses in the network any more, or none but the network's gateways."""
        return await self._exposing.hide(body.network, [*map(parse_address, body.addresses)])
