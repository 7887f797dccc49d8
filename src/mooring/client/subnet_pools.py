"""Subnet pools, asked for by a program, and made, changed and removed."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.filters import SubnetPoolOrigin
from mooring.core.views import SubnetPoolDetail, SubnetPoolRow
from mooring.wire.api import CreateSubnetPool, RemoveSubnetPool, SetSubnetPool, SubnetPoolChangesReply


class SubnetPools(Asking):
    """What networks that name no subnet get theirs from. dry_run: nothing is done, only tried."""

    def subnet_pools(
        self, *, space: str = "", family: int | None = None, origin: SubnetPoolOrigin | None = None
    ) -> list[SubnetPoolRow]:
        """The subnet pools that match everything given, by address space, family and name."""
        given = {"space": space, "family": str(family or ""), "origin": origin}
        return self._rows(SubnetPoolRow, "subnet-pools", given)

    def subnet_pool(self, name: str) -> list[SubnetPoolDetail]:
        """What is called so: one, or a declared and a stored one."""
        return self._get(list[SubnetPoolDetail], "subnet-pools", name)

    def create_subnet_pool(
        self, name: str, prefixes: tuple[str, ...], *, space: str = "", length: int | None = None,
        min_length: int | None = None, max_length: int | None = None, position: int = 0, note: str = "",
        dry_run: bool = False,
    ) -> SubnetPoolChangesReply:  # fmt: skip
        """A subnet pool is in the store.

        space: the address space that it belongs to, "" for `default`. length: prefix length of a network's subnet.
        min_length, max_length: what networks may ask for. position: its turn among the default ones, 0 for one that is
        used by name only.
        """
        body = CreateSubnetPool(
            name, prefixes, space, length, min_length, max_length, position, note, dry_run
        )  # fmt: skip
        return self._post(SubnetPoolChangesReply, "subnet-pools/create", body)

    def set_subnet_pool(
        self, name: str, *, new_name: str = "", add: tuple[str, ...] = (), remove: tuple[str, ...] = (),
        length: int | None = None, min_length: int | None = None, max_length: int | None = None,
        position: int | None = None, note: str | None = None, dry_run: bool = False,
    ) -> SubnetPoolChangesReply:  # fmt: skip
        """A stored subnet pool is as it says; what is None or empty stays. add, remove: subnets. The others: as in
        create_subnet_pool."""
        body = SetSubnetPool(
            name, new_name, add, remove, length, min_length, max_length, position, note, dry_run
        )  # fmt: skip
        return self._post(SubnetPoolChangesReply, "subnet-pools/set", body)

    def remove_subnet_pool(self, name: str, *, dry_run: bool = False) -> SubnetPoolChangesReply:
        """A stored subnet pool is gone; refused while a network has a subnet of it."""
        return self._post(SubnetPoolChangesReply, "subnet-pools/remove", RemoveSubnetPool(name, dry_run))
