"""The deny list: subnets in which no network may be from now on."""

from __future__ import annotations

from mooring.core.filters import DenyFilter, Page
from mooring.core.options import parse_subnet
from mooring.core.views import DenyRow
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import Allow, Deny, DenyReply


class DenyEntries:
    """Subnets that no network may overlap from now on."""

    def __init__(self, operations: Operations) -> None:
        self._denials = operations.denials
        self._names = operations.names

    @route("GET", "/v1/deny")
    async def deny_entries(self, query: DenyFilter) -> Page[DenyRow]:
        """The deny list, the configuration's part and that of operators, by subnet. A row names the networks that are
        in it all the same."""
        return await self._denials.page(query, await self._names())

    @route("POST", "/v1/deny/add", subnet="10.8.0.0/16", note="VPN Berlin")
    async def deny(self, body: Deny) -> DenyReply:
        """No network gets an address in the subnet from now on; those that exist keep theirs, and are named in the
        reply. One that is denied already gets the new note."""
        subnet = parse_subnet("subnet", body.subnet)
        row, changed = await self._denials.add(subnet, body.note, body.dry_run, await self._names())
        return DenyReply(row, changed, body.dry_run)

    @route("POST", "/v1/deny/remove", subnet="10.8.0.0/16")
    async def allow(self, body: Allow) -> DenyReply:
        """The entry of exactly this subnet ends. One of the configuration is refused: it ends there."""
        subnet = parse_subnet("subnet", body.subnet)
        row = await self._denials.remove(subnet, body.dry_run, await self._names())
        return DenyReply(row, True, body.dry_run)
