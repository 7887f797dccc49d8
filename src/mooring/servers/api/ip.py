"""Addresses by id: what Weave Net's IPAM answered over HTTP, in its words."""

from __future__ import annotations

import asyncio

from mooring.core.addresses import parse_interface, parse_subnet
from mooring.core.filters import Allocating, Claiming, InSubnet, Releasing
from mooring.core.networks import Address, Interface, Subnet
from mooring.servers.api.routes import route
from mooring.services.operations.addresses_by_id import Where
from mooring.services.operations.operations import Operations
from mooring.wire.api import OwnersReply


class Ip:
    """Addresses of containers, and of whoever else has an id."""

    def __init__(self, operations: Operations) -> None:
        self._addresses = operations.addresses_by_id

    @route("GET", "/v1/ip")
    async def ips(self) -> OwnersReply:
        """Every id that has addresses."""
        return OwnersReply(self._addresses.owners())

    @route("POST", "/v1/ip/{ident}")
    async def allocate_ip(self, ident: str, query: Allocating, hung_up: asyncio.Event) -> str:
        """The id has an address, of the only network or of the one that is named: the one it had, or a free one."""
        return await self._allocate(ident, None, query, hung_up)

    @route("POST", "/v1/ip/{ident}/{address}/{length}")
    async def allocate_ip_in(
        self, ident: str, address: str, length: str, query: Allocating, hung_up: asyncio.Event
    ) -> str:
        """The id has an address of the subnet, which is a network's or a part of one: the one it had, or a free one."""
        return await self._allocate(ident, parse_subnet(f"{address}/{length}"), query, hung_up)

    async def _allocate(self, ident: str, subnet: Subnet | None, query: Allocating, hung_up: asyncio.Event) -> str:
        where = Where(subnet, query.network, query.space)
        got = await self._addresses.allocate(
            ident, where, check_alive=query.check_alive, wait=query.wait, hung_up=hung_up
        )
        return str(got)

    @route("PUT", "/v1/ip/{ident}/{address}/{length}")
    async def claim_ip(self, ident: str, address: str, length: str, query: Claiming) -> None:
        """The id has this address. It is refused while somebody else has it."""
        await self._addresses.claim(
            ident, parse_interface(f"{address}/{length}"), Where(space=query.space), check_alive=query.check_alive,
            no_error_on_unknown=query.no_error_on_unknown,
        )  # fmt: skip

    @route("GET", "/v1/ip/{ident}")
    async def look_up_ip(self, ident: str, query: InSubnet) -> str:
        """The addresses of the id, with spaces between them. 404 when it has none."""
        return _line(await self._addresses.look_up(ident, Where(None, query.network, query.space)))

    @route("GET", "/v1/ip/{ident}/{address}/{length}")
    async def look_up_ip_in(self, ident: str, address: str, length: str, query: InSubnet) -> str:
        """As above, of the subnet."""
        where = Where(parse_subnet(f"{address}/{length}"), query.network, query.space)
        return _line(await self._addresses.look_up(ident, where))

    @route("DELETE", "/v1/ip/{ident}")
    async def release_ips(self, ident: str, query: Releasing) -> None:
        """Nothing is reserved for the id any more. 404 when nothing was."""
        await self._addresses.release(ident, None, Where(space=query.space))

    @route("DELETE", "/v1/ip/{ident}/{address}")
    async def release_ip(self, ident: str, address: Address, query: Releasing) -> None:
        """The address is not reserved for the id any more. 404 when it was not."""
        await self._addresses.release(ident, address, Where(space=query.space))


def _line(found: list[Interface]) -> str:
    return " ".join(map(str, found))
