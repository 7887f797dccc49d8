"""Subnet pools as people are shown them: how full they are, what is left, who has what, and what is odd about them.

Rules: figures are those by which a subnet would be carved now; a subnet pool that is gone is shown as long as a network
has a subnet of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from mooring.core.filters import Page, SubnetPoolFilter, SubnetPoolOrigin
from mooring.core.findings import Finding
from mooring.core.pools import Pool, SubnetPool
from mooring.core.subnet_pools import Room, bounds, covers, origin_of, percent_of
from mooring.core.views import LARGEST, SizeLeft, SubnetPoolDetail, SubnetPoolRow, SubnetPoolUser
from mooring.services.ipam.allocator import Ipam
from mooring.services.ipam.pools import Around
from mooring.services.ipam.subnet_pools import (
    stored_subnet_pools,
    subnet_pools_of,
    unused_because,
    users_in_words,
    users_of,
)
from mooring.services.operations.pages import Place, page_of
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache

CONFIGURATION, STORED, DROPPED = (each.value for each in SubnetPoolOrigin)
# What else is in the prefixes, as far as it is told.
MOST_OTHERS = 20


class SubnetPoolRows:
    """`ls` and `inspect`."""

    def __init__(self, cache: RecordCache, ipam: Ipam) -> None:
        self._cache = cache
        self._ipam = ipam

    async def page(self, wanted: SubnetPoolFilter, names: EngineNames = NOBODY_ASKED) -> Page[SubnetPoolRow]:
        """Those that match, by address space, family, name and origin. Raises Unavailable, BadRequest."""

        def place(row: SubnetPoolRow) -> Place:
            return row.family, row.space, 0, b"", f"{row.name} {row.origin}"

        def matches(row: SubnetPoolRow) -> bool:
            return (
                wanted.space in ("", row.space)
                and wanted.family in (None, row.family)
                and (wanted.origin is None or wanted.origin.value == row.origin)
            )

        return await page_of(await self.rows(names), wanted, place, lambda row: row, matches)

    async def rows(self, names: EngineNames = NOBODY_ASKED) -> list[SubnetPoolRow]:
        """Every subnet pool: the declared ones, the stored ones, and those that only networks remember.

        Raises Unavailable when the host cannot be read.
        """
        around = await self._ipam.around()
        pools = [*self._ipam.subnet_pools.declared(), *stored_subnet_pools(self._cache)]
        return [self._row(pool, around, names) for pool in pools] + self._dropped()

    async def detail(self, name: str, names: EngineNames = NOBODY_ASKED) -> list[SubnetPoolDetail]:
        """What is called so: one, or two where a declared one has the name of a stored one. Raises NotFound,
        Unavailable."""
        around = await self._ipam.around()
        declared = self._ipam.subnet_pools.declared()
        found = [pool for pool in (*declared, *stored_subnet_pools(self._cache)) if pool.name == name]
        details = [
            SubnetPoolDetail(
                self._row(pool, around, names),
                [self._user(each, pool, names) for each in users_of(pool, self._cache, declared)],
                [f"{busy.subnet} by {busy.what}" for busy in islice(around.in_the_way(pool), MOST_OTHERS)],
            )
            for pool in found
        ]
        for row in self._dropped():
            if row.name == name:
                its = [pool for pool in self._cache.every(Pool) if origin_of(pool) == name]
                details.append(SubnetPoolDetail(row, [self._user(each, None, names) for each in its], []))
        if not details:
            self._ipam.subnet_pools.get(name)
        return details

    def _row(self, pool: SubnetPool, around: Around, names: EngineNames) -> SubnetPoolRow:
        declared = self._ipam.subnet_pools.declared()
        users = users_of(pool, self._cache, declared)
        room = around.room(pool)
        low, high = bounds(pool)
        unused = unused_because(pool, declared)
        warnings = []
        if unused is not None:
            warnings.append(f"not used: subnet pool {unused[0].name} of the configuration {unused[1]}")
        if outside := _outside(pool, users):
            warnings.append(f"outside its prefixes: {users_in_words(outside, self._cache, names)}")
        return SubnetPoolRow(
            name=pool.name,
            space=pool.space,
            family=pool.version,
            origin=CONFIGURATION if pool.declared else STORED,
            default=self._rank(pool) if unused is None else 0,
            prefixes=[str(prefix) for prefix in pool.prefixes],
            length=pool.length,
            min_length=low,
            max_length=high,
            size=min(room.size, LARGEST),
            percent=room.percent,
            blocked=percent_of(room.blocked, room.size),
            largest=str(room.largest) if room.largest is not None else None,
            left=_left(room),
            networks=len(users),
            note=pool.note,
            since=None if pool.declared else pool.since,
            warning="; ".join(warnings),
            position=pool.position or 0,
        )

    def _rank(self, pool: SubnetPool) -> int:
        turn = self._ipam.subnet_pools.defaults(pool.version, pool.space)
        return turn.index(pool) + 1 if pool in turn else 0

    def _dropped(self) -> list[SubnetPoolRow]:
        declared = self._ipam.subnet_pools.declared()
        return [
            SubnetPoolRow(
                name=name, space=users[0].space, family=users[0].subnet.version, origin=DROPPED, default=0, prefixes=[],
                length=users[0].subnet.prefixlen, min_length=0, max_length=0, size=0, percent=0.0, blocked=0.0,
                largest=None, left=[], networks=len(users),
                warning="networks have subnets of it, and it is in neither the configuration nor the store",
            )
            for name, users in sorted(_gone(self._cache, declared).items())
        ]  # fmt: skip

    def _user(self, pool: Pool, subnet_pool: SubnetPool | None, names: EngineNames) -> SubnetPoolUser:
        network = self._cache.network(pool.network) if pool.network else None
        return SubnetPoolUser(
            subnet=str(pool.subnet),
            pool=pool.id,
            network=pool.network,
            network_name=names.of_network(network) if network is not None else "",
            created=pool.created,
            outside=subnet_pool is None or bool(_outside(subnet_pool, [pool])),
        )


def unused_subnet_pools(cache: RecordCache, declared: Sequence[SubnetPool], now: float) -> Iterator[Finding]:
    """Stored subnet pools that the configuration has no room for any more."""
    for pool in stored_subnet_pools(cache):
        if (found := unused_because(pool, declared)) is not None:
            other, why = found
            same = f" (the stored one; {other.name} of the configuration stays)" if other.name == pool.name else ""
            yield Finding(
                f"subnet-pool {pool.name}",
                f"stored subnet pool {pool.name} is not used: subnet pool {other.name} of the configuration {why}",
                "the configuration and the records",
                now,
                f"`mooring subnet-pool rm {pool.name}`{same}, or remove [[subnet_pools]] {other.name}",
            )


def strayed_networks(cache: RecordCache, declared: Sequence[SubnetPool]) -> Iterator[Finding]:
    """A note for each subnet pool that networks have subnets of, and that is gone or does not have those prefixes."""
    for name, users in sorted(_gone(cache, declared).items()):
        yield Finding(
            f"subnet-pool-gone {name}",
            f"subnet pool {name} is gone, its networks remain: {users_in_words(users, cache, NOBODY_ASKED)}",
            "neither the configuration nor the store has it",
            min(pool.created for pool in users),
            "nothing has to be done; to carve from it again, "
            f"declare it or `mooring subnet-pool create {name} --prefix SUBNET`",
        )
    for pool in subnet_pools_of(cache, declared):
        if outside := _outside(pool, users_of(pool, cache, declared)):
            yield Finding(
                f"subnet-pool-outside {pool.name}",
                f"networks of subnet pool {pool.name} are outside its prefixes: "
                + users_in_words(outside, cache, NOBODY_ASKED),
                "the subnet pool has become smaller",
                min(each.created for each in outside),
                "nothing has to be done: they keep their subnets until they are removed",
            )


def _gone(cache: RecordCache, declared: Sequence[SubnetPool]) -> dict[str, list[Pool]]:
    """By the name of a subnet pool that there is not: what is of it, by address."""
    known = {pool.name for pool in (*declared, *cache.every(SubnetPool))}
    found: dict[str, list[Pool]] = {}
    for pool in sorted(cache.every(Pool), key=lambda each: (each.subnet.version, int(each.subnet.network_address))):
        if (name := origin_of(pool)) and name not in known:
            found.setdefault(name, []).append(pool)
    return found


def _outside(pool: SubnetPool, users: Sequence[Pool]) -> list[Pool]:
    return [each for each in users if not any(covers(prefix, each.subnet) for prefix in pool.prefixes)]


def _left(room: Room) -> list[SizeLeft]:
    return [SizeLeft(length, min(number, LARGEST)) for length, number in room.left]
