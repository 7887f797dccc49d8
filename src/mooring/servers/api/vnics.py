"""VNICs: interfaces that a launcher has made before any container."""

from __future__ import annotations

from mooring.core.addresses import parse_address
from mooring.core.faults import NotFound
from mooring.core.filters import Page, VnicFilter, VnicOwner
from mooring.core.options import PARSERS, parse_subnet
from mooring.core.vnic_views import VnicDetail, VnicNetwork, VnicRow
from mooring.core.vnics import VnicSpec, check_group, usual_gateway
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import CreateVnic, RemoveVnic, VnicReply
from mooring.wire.remote_options import parse_mac


class Vnics:
    """Interfaces for containers to come, of networks of mode handoff."""

    def __init__(self, operations: Operations) -> None:
        self._rows = operations.vnic_rows
        self._names = operations.names

    @route("GET", "/v1/vnics")
    async def vnics(self, query: VnicFilter) -> Page[VnicRow]:
        """The VNICs that match everything given, by tenant, subnet and address."""
        return await self._rows.page(query, await self._names())

    @route("GET", "/v1/vnics/{vnic}")
    async def vnic(self, vnic: str, query: VnicOwner) -> VnicDetail:
        """The VNIC with that ID, address or interface, and what is to be done about its Docker network."""
        return self._rows.detail(self._rows.find(vnic, query.tenant), await self._names())

    @route("POST", "/v1/vnics/create", subnet="10.9.0.0/24", address="10.9.0.5", tenant="red")
    async def create_vnic(self, body: CreateVnic) -> VnicReply:
        """An interface for the container that gets the address is there. The same again changes nothing. The reply says
        whether the Docker network has to be made, with the command."""
        made, changed = await self._rows.vnics.create(_spec(body), body.wait)
        detail = self._rows.detail(made, await self._rows.names(made.group))
        return VnicReply(detail.vnic, changed, detail.network, detail.run)

    @route("POST", "/v1/vnics/remove", vnic="10.9.0.5")
    async def remove_vnic(self, body: RemoveVnic) -> VnicReply:
        """A VNIC is gone, and its interface, unless that was adopted; one that is not there is gone already. The reply
        says whether the Docker network may go, with the command."""
        try:
            known = self._rows.find(body.vnic, body.tenant)
        except NotFound:
            return VnicReply(None, False, VnicNetwork("none", "", ""), "")
        row = self._rows.row(known)
        changed = await self._rows.vnics.destroy(known, body.force, body.dry_run)
        return VnicReply(row, changed, self._rows.network(known.group, await self._rows.names(known.group)), "")


def _spec(body: CreateVnic) -> VnicSpec:
    group = check_group(body.tenant, parse_subnet("subnet", body.subnet))
    gateway = None
    if body.gateway != "none":
        gateway = parse_address(body.gateway, "gateway") if body.gateway else usual_gateway(group.subnet)
    return VnicSpec(
        group,
        parse_address(body.address, "address"),
        parse_mac("MAC", body.mac) if body.mac else "",
        body.mtu,
        gateway,
        PARSERS["routes"]("routes", ",".join(body.routes)) if body.routes else (),
        body.instance,
        body.adopt,
    )
