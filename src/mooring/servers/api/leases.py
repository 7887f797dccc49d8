"""Leases: addresses that are not free, and what an operator does with them by hand."""

from __future__ import annotations

from mooring.core.addresses import parse_address
from mooring.core.filters import LeaseFilter, Page
from mooring.core.networks import Address
from mooring.core.views import LeaseRow
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import ChangesReply, Hold, MoveLease, Release, Reserve


class Leases:
    """The addresses that somebody has, or that are kept."""

    def __init__(self, operations: Operations) -> None:
        self._inspection = operations.inspection
        self._reservations = operations.reservations
        self._moves = operations.claim_moves
        self._names = operations.names

    @route("GET", "/v1/leases")
    async def leases(self, query: LeaseFilter) -> Page[LeaseRow]:
        """The leases that match everything given, by address space, family and address. A pool, network or address
        space that is not known is refused, but for a network that is gone and whose addresses are kept."""
        return await self._inspection.leases(query, await self._names())

    @route("GET", "/v1/leases/{address}")
    async def lease(self, address: Address) -> list[LeaseRow]:
        """The leases of the address, one for each address space that has one."""
        return self._inspection.lease(address, await self._names())

    @route("POST", "/v1/leases/reserve", first="10.32.0.9", whom="db")
    async def reserve(self, body: Reserve) -> ChangesReply:
        """Addresses are kept for somebody; all of them, or none if one is in use."""
        first = parse_address(body.first)
        last = parse_address(body.last) if body.last else first
        changes = await self._reservations.reserve(
            body.space or None, first, last, body.whom, body.note, body.until, body.dry_run
        )
        return ChangesReply(changes, body.dry_run)

    @route("POST", "/v1/leases/release", address="10.32.0.9")
    async def release(self, body: Release) -> ChangesReply:
        """Nobody has the address by a reservation, a cooldown, or a key without a container."""
        address = parse_address(body.address)
        changes = await self._reservations.release(body.space or None, address, body.force, body.dry_run)
        return ChangesReply(changes, body.dry_run)

    @route("POST", "/v1/leases/hold", address="10.32.0.2")
    async def hold(self, body: Hold) -> ChangesReply:
        """The address is fixed for the container that has it, or for the key."""
        address = parse_address(body.address)
        changes = await self._reservations.hold(body.space or None, address, body.key, body.hold, body.dry_run)
        return ChangesReply(changes, body.dry_run)

    @route("POST", "/v1/leases/move", what="db")
    async def move(self, body: MoveLease) -> ChangesReply:
        """The address, or what the key has, comes to this host from another one of the cluster."""
        changes = await self._moves.move(body.space or None, body.what, body.force, body.dry_run)
        return ChangesReply(changes, body.dry_run)
