"""Subnet pools: those of the configuration and of the store, and what an operator does with the latter."""

from __future__ import annotations

from mooring.core.addresses import parse_subnet
from mooring.core.filters import Page, SubnetPoolFilter
from mooring.core.subnet_pools import Alteration
from mooring.core.views import SubnetPoolDetail, SubnetPoolRow
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import CreateSubnetPool, RemoveSubnetPool, SetSubnetPool, SubnetPoolChangesReply


class SubnetPools:
    """What networks that name no subnet get theirs from."""

    def __init__(self, operations: Operations) -> None:
        self._subnet_pools = operations.subnet_pools
        self._rows = operations.subnet_pool_rows
        self._names = operations.names

    @route("GET", "/v1/subnet-pools")
    async def subnet_pools(self, query: SubnetPoolFilter) -> Page[SubnetPoolRow]:
        """The subnet pools that match everything given, by address space, family and name: how full they are, and what
        is left."""
        return await self._rows.page(query, await self._names())

    @route("GET", "/v1/subnet-pools/{name}")
    async def subnet_pool(self, name: str) -> list[SubnetPoolDetail]:
        """What is called so, with the networks that have subnets of it: one, or a declared and a stored one."""
        return await self._rows.detail(name, await self._names())

    @route("POST", "/v1/subnet-pools/create", name="lab", prefixes=["10.64.0.0/16"])
    async def create_subnet_pool(self, body: CreateSubnetPool) -> SubnetPoolChangesReply:
        """A subnet pool is in the store, beside those of the configuration."""
        wanted = Alteration(
            length=body.length,
            shortest=body.min_length,
            longest=body.max_length,
            position=body.position,
            note=body.note,
        )
        prefixes = [parse_subnet(each) for each in body.prefixes]
        space = body.space or "default"
        changes = await self._subnet_pools.create(body.name, space, prefixes, wanted, body.dry_run)
        return SubnetPoolChangesReply(changes, body.dry_run)

    @route("POST", "/v1/subnet-pools/set", name="lab", add=["10.65.0.0/16"])
    async def set_subnet_pool(self, body: SetSubnetPool) -> SubnetPoolChangesReply:
        """A stored subnet pool grows, shrinks by what is free, or has another name, length, bounds, turn or note."""
        wanted = Alteration(
            tuple(parse_subnet(each) for each in body.add),
            tuple(parse_subnet(each) for each in body.remove),
            body.new_name or None,
            body.length,
            body.min_length,
            body.max_length,
            body.position,
            body.note,
        )
        changes = await self._subnet_pools.alter(body.name, wanted, body.dry_run, await self._names())
        return SubnetPoolChangesReply(changes, body.dry_run)

    @route("POST", "/v1/subnet-pools/remove", name="lab")
    async def remove_subnet_pool(self, body: RemoveSubnetPool) -> SubnetPoolChangesReply:
        """A stored subnet pool is gone; refused while a network has a subnet of it."""
        changes = await self._subnet_pools.remove(body.name, body.dry_run, await self._names())
        return SubnetPoolChangesReply(changes, body.dry_run)
