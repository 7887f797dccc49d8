"""Network ports: addresses that are made before any container."""

from __future__ import annotations

from mooring.core.addresses import parse_address, parse_subnet
from mooring.core.filters import Page, PortFilter
from mooring.core.views import PortDetail, PortRow
from mooring.servers.api.routes import route
from mooring.services.operations.network_ports import PortSpec
from mooring.services.operations.operations import Operations
from mooring.wire.api import CreatePort, PortReply, RemovePort, SetPort
from mooring.wire.remote_options import parse_mac


class NetworkPorts:
    """What endpoints may have that an operator made for them."""

    def __init__(self, operations: Operations) -> None:
        self._ports = operations.network_ports
        self._rows = operations.network_port_rows
        self._names = operations.names

    @route("GET", "/v1/ports")
    async def ports(self, query: PortFilter) -> Page[PortRow]:
        """The ports that match everything given, by network and name: whether an endpoint has them, and which."""
        return await self._rows.page(query, await self._names())

    @route("GET", "/v1/ports/{port}")
    async def port(self, port: str) -> PortDetail:
        """The port with the id or the name: who has it, who names it, and how a container asks for it."""
        return self._rows.detail(port, await self._names())

    @route("POST", "/v1/ports/create", network="web", name="db", addresses=["10.32.0.9"])
    async def create_port(self, body: CreatePort) -> PortReply:
        """A port exists in the network, and nobody else is given its addresses."""
        names = await self._names()
        spec = PortSpec(
            body.network,
            tuple(parse_subnet(each) for each in body.subnets),
            tuple(parse_address(each, "address") for each in body.addresses),
            parse_mac("mac", body.mac) if body.mac else "",
            body.name,
            body.tenant,
            body.note,
        )
        port = await self._ports.create(spec, body.dry_run, names)
        return PortReply(self._rows.row(port, names), body.dry_run)

    @route("POST", "/v1/ports/set", port="db", note="the licence is bound to it")
    async def set_port(self, body: SetPort) -> PortReply:
        """A port has another note."""
        port = await self._ports.note(body.port, body.note, body.dry_run)
        return PortReply(self._rows.row(port, await self._names()), body.dry_run)

    @route("POST", "/v1/ports/remove", port="db")
    async def remove_port(self, body: RemovePort) -> PortReply:
        """A port is gone; refused while an endpoint has it. What it was."""
        port = await self._ports.remove(body.port, body.force, body.dry_run)
        return PortReply(self._rows.row(port, await self._names()), body.dry_run)
