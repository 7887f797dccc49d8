"""The subnet pools of a host: those that were declared when it started, and those in the store, as one list.

Rules: a declared one is changed only where it is declared; a stored one that cannot be beside a declared one is kept,
and not used; nobody carves while one is changed, so that no network gets a part of what goes; who uses what is to be
taken away is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from mooring.core.faults import BadRequest, Conflict, Forbidden, NotFound, StaleRevision, Unavailable
from mooring.core.networks import Subnet, overlap
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import PoolRequest
from mooring.core.reservations import line
from mooring.core.subnet_pools import (
    Alteration,
    altered,
    bounds,
    check_beside,
    covers,
    holds,
    in_the_way,
    new_pool,
    origin_of,
)
from mooring.core.views import SubnetPoolChange
from mooring.ports import Clock
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache

ATTEMPTS = 8
# Stored ones: a list that people read, gone through whenever a subnet is carved.
MOST = 1024
_ROOM = "add the prefixes to one that is there (`mooring subnet-pool set NAME --add-prefix SUBNET`)"
# Users that are named in one line.
NAMED = 5


def subnet_pools_of(cache: RecordCache, declared: Sequence[SubnetPool]) -> list[SubnetPool]:
    """All that are used: the declared ones as they were declared, then the stored ones, oldest first."""
    return [*declared, *(pool for pool in stored_subnet_pools(cache) if unused_because(pool, declared) is None)]


def stored_subnet_pools(cache: RecordCache) -> list[SubnetPool]:
    """Those in the store, oldest first."""
    return sorted(cache.every(SubnetPool), key=lambda pool: (pool.since, pool.name))


def unused_because(pool: SubnetPool, declared: Sequence[SubnetPool]) -> tuple[SubnetPool, str] | None:
    """The declared subnet pool that a stored one cannot be beside, and why, in words; None for one that is used."""
    return None if pool.declared else in_the_way(pool, declared)


def users_of(pool: SubnetPool, cache: RecordCache, declared: Sequence[SubnetPool]) -> list[Pool]:
    """What is of it and is there, by address. Where a declared one has the name of a stored one, what lies in
    the declared one's prefixes is that one's."""
    namesakes = [each for each in declared if each.name == pool.name and not pool.declared]
    theirs = [prefix for each in namesakes for prefix in each.prefixes]
    found = [
        each
        for each in cache.every(Pool)
        if origin_of(each) == pool.name and not any(covers(prefix, each.subnet) for prefix in theirs)
    ]
    if namesakes:
        found = [each for each in found if any(covers(prefix, each.subnet) for prefix in pool.prefixes)]
    return sorted(found, key=lambda each: (each.subnet.version, int(each.subnet.network_address)))


class SubnetPools:
    """Choosing among them, and making, changing and removing the stored ones. turn: held by whoever carves."""

    def __init__(
        self, cache: RecordCache, declared: Callable[[], Sequence[SubnetPool]], clock: Clock, turn: asyncio.Lock
    ) -> None:
        self._cache = cache
        self.declared = declared
        self._clock = clock
        self._turn = turn

    def every(self) -> list[SubnetPool]:
        """All that are used: the declared ones, then the stored ones."""
        return subnet_pools_of(self._cache, self.declared())

    def defaults(self, version: int, space: str) -> list[SubnetPool]:
        """Those of the family that nobody has to name, in their turn: the space's own, else those of the space
        `default`, else all of the family."""
        every = [pool for pool in self.every() if pool.version == version and pool.position is not None]
        every.sort(key=lambda pool: pool.position or 0)  # stable: declared ones are before stored ones of the same turn
        own = [pool for pool in every if pool.space == space]
        return own or [pool for pool in every if pool.space == "default"] or every

    def source_of(self, subnet: Subnet, words: Mapping[str, str]) -> str:
        """The name of the subnet pool that the subnet was carved from, "" for none, as far as that can be told: nobody
        says any more whether a subnet was typed, and what was not must not be named to it. One that was named may be
        missing itself. words: the options of the subnet's pool."""
        six = "6" if subnet.version == 6 else ""
        named, length = words.get(f"pool{six}", ""), int(words.get(f"prefixlen{six}", "0"))
        pools = [pool for pool in self.every() if not named or pool.name == named]
        if named and not pools:
            return named
        for pool in pools:
            inside = any(overlap(prefix, subnet) for prefix in pool.prefixes if prefix.version == pool.version)
            if inside and subnet.prefixlen == (length or pool.length):
                return pool.name
        return ""

    def chosen(self, version: int, space: str, options: dict[str, str]) -> list[SubnetPool]:
        """Those from which a subnet of the family is carved: the one that the options name, else the default ones.

        Raises NotFound for a name that there is not, with those that there are, and BadRequest for one that cannot be
        meant: of another family, or of another tenant.
        """
        named = {4: options.get("pool", ""), 6: options.get("pool6", "")}
        found = {family: self._named(name, family, space) for family, name in named.items() if name}
        return [found[version]] if version in found else self.defaults(version, space)

    def check_typed(self, request: PoolRequest, space: str, subnet: Subnet) -> None:
        """Raises BadRequest when a subnet pool is named and the subnet that was typed by hand is not one of it, or is
        not of the length that is named; and as `chosen`."""
        wanted_length(request)
        found = self.chosen(subnet.version, space, request.options)
        if not request.options.get("pool" if subnet.version == 4 else "pool6"):
            return
        (pool,) = found
        if not holds(pool, subnet):
            low, high = bounds(pool)
            prefixes = ", ".join(str(prefix) for prefix in pool.prefixes[:NAMED])
            raise BadRequest(
                f"subnet {subnet} is not one of subnet pool {pool.name}, which has /{low} to /{high} of {prefixes}",
                hint="leave out --subnet, or name no subnet pool",
            )

    def _named(self, name: str, version: int, space: str) -> SubnetPool:
        pool = self.get(name)
        if pool.version != version:
            option = "pool" if pool.version == 4 else "pool6"
            raise BadRequest(
                f"subnet pool {name} is an IPv{pool.version} one", hint=f"name it with --ipam-opt {option}={name}"
            )
        if pool.space not in (space, "default"):
            raise BadRequest(
                f"subnet pool {name} belongs to tenant {pool.space}", hint=f"add --ipam-opt tenant={pool.space}"
            )
        return pool

    def get(self, name: str) -> SubnetPool:
        """The one with the name that is used. Raises NotFound with the names that there are, Conflict when a declared
        one is in its way."""
        every = self.every()
        found = next((pool for pool in every if pool.name == name), None)
        if found is None and (stored := self._cache.subnet_pool(name)) is not None:
            other, why = unused_because(stored, self.declared()) or (stored, "")
            raise Conflict(
                f"subnet pool {name} is not used: subnet pool {other.name} of the configuration {why}",
                hint="see `mooring doctor`",
            )
        if found is None:
            names = ", ".join(pool.name for pool in every[:20]) + (f" and {len(every) - 20} more" if every[20:] else "")
            raise NotFound(f"there is no subnet pool {name[:63]!r}", hint=f"there are {names}" if names else "")
        return found

    async def create(
        self, name: str, space: str, prefixes: Sequence[Subnet], change: Alteration, dry: bool
    ) -> list[SubnetPoolChange]:
        """The subnet pool is in the store; nothing when it was already, just so.

        Raises BadRequest for what none can be, Conflict for one of that name or with a prefix that overlaps,
        Unavailable.
        """
        change = replace(change, note=line(change.note or "", "a note"))
        wanted = new_pool(name, space, prefixes, change, self._clock.now())
        async with self._turn:
            for _ in range(ATTEMPTS):
                known = self._cache.subnet_pool(name)
                if known is not None and replace(wanted, since=known.since) == known:
                    return []
                if known is None and self._cache.count(SubnetPool) >= MOST:
                    raise Conflict(f"there are {MOST} subnet pools in the store, which is the most", hint=_ROOM)
                check_beside(wanted, [*self.declared(), *stored_subnet_pools(self._cache)])
                if dry or await self._commit(put=wanted):
                    return differences(None, wanted)
        raise _contended(name)

    async def alter(
        self, name: str, change: Alteration, dry: bool, names: EngineNames = NOBODY_ASKED
    ) -> list[SubnetPoolChange]:
        """The stored subnet pool is as wanted; nothing when it was already.

        Raises NotFound, Forbidden for a declared one, Conflict when a network has what goes or the new name or prefix
        is another's, BadRequest, Unavailable. names: for who uses it.
        """
        if change.note is not None:
            change = replace(change, note=line(change.note, "a note"))
        async with self._turn:
            for _ in range(ATTEMPTS):
                before = self._stored(name)
                after = altered(before, change)
                if after == before:
                    return []
                self._check_users(before, after, names)
                others = [each for each in stored_subnet_pools(self._cache) if each.name != name]
                check_beside(after, [*self.declared(), *others])
                if dry or await self._commit(after, before if after.name != before.name else None):
                    return differences(before, after)
        raise _contended(name)

    async def remove(self, name: str, dry: bool, names: EngineNames = NOBODY_ASKED) -> list[SubnetPoolChange]:
        """The stored subnet pool is gone. Raises NotFound, Forbidden for a declared one, Conflict while a network has a
        subnet of it, Unavailable. names: for who does."""
        async with self._turn:
            for _ in range(ATTEMPTS):
                pool = self._stored(name)
                if users := users_of(pool, self._cache, self.declared()):
                    raise self._used(f"subnet pool {name} cannot be removed: {_networks(users)} of it", users, names)
                if dry or await self._commit(gone=pool):
                    return differences(pool, None)
        raise _contended(name)

    async def _commit(self, put: SubnetPool | None = None, gone: SubnetPool | None = None) -> bool:
        """Whether it is written, in one go: not when another writer was first."""
        try:
            await self._cache.commit(put=[put] if put else [], delete=[gone] if gone else [])
        except StaleRevision:
            return False
        return True

    def _stored(self, name: str) -> SubnetPool:
        found = self._cache.subnet_pool(name)
        if found is None:
            self.get(name)
            raise Forbidden(
                f"subnet pool {name} is declared in the configuration, and is changed only there",
                hint="edit [[subnet_pools]] in the configuration file and restart the daemon",
            )
        return found

    def _check_users(self, before: SubnetPool, after: SubnetPool, names: EngineNames) -> None:
        """Raises Conflict when somebody uses what goes: the name, or a prefix."""
        users = users_of(before, self._cache, self.declared())
        if users and after.name != before.name:
            raise self._used(f"subnet pool {before.name} cannot be renamed: {_networks(users)} of it", users, names)
        inside = [each for each in users if any(overlap(prefix, each.subnet) for prefix in before.prefixes)]
        left = [each for each in inside if not any(covers(prefix, each.subnet) for prefix in after.prefixes)]
        if left:
            raise self._used(f"subnet pool {before.name} cannot shrink so far: {_networks(left)} there", left, names)

    def _used(self, what: str, users: Sequence[Pool], names: EngineNames) -> Conflict:
        return Conflict(
            what, holder=users_in_words(users, self._cache, names),
            hint="remove those networks first (`docker network rm`), or add prefixes instead",
        )  # fmt: skip


def wanted_length(request: PoolRequest) -> int | None:
    """The prefix length that is asked for, in the subnet (`0.0.0.0/26`) or as `prefixlen`; None for the usual one.

    Raises BadRequest when both say it, and not alike.
    """
    option = "prefixlen" if request.version == 4 else "prefixlen6"
    asked = int(request.options[option]) if option in request.options else None
    said = request.subnet.prefixlen if request.subnet is not None else request.length
    if asked is not None and said is not None and asked != said:
        raise BadRequest(f"--subnet asks for a /{said}, and --ipam-opt {option}={asked} for another length")
    return said if asked is None else asked


def users_in_words(users: Sequence[Pool], cache: RecordCache, names: EngineNames) -> str:
    """`network web (10.64.0.0/24), network db (10.64.1.0/24) and 3 more`."""
    text = ", ".join(_user(pool, cache, names) for pool in users[:NAMED])
    return text + (f" and {len(users) - NAMED} more" if len(users) > NAMED else "")


def _user(pool: Pool, cache: RecordCache, names: EngineNames) -> str:
    network = cache.network(pool.network) if pool.network else None
    if network is None:
        return f"pool {pool.id} ({pool.subnet})"
    return f"network {names.of_network(network) or network.id[:12]} ({pool.subnet})"


def _networks(users: Sequence[Pool]) -> str:
    return "a network has a subnet" if len(users) == 1 else f"{len(users)} networks have subnets"


def _contended(name: str) -> Unavailable:
    return Unavailable(f"subnet pool {name} was changed by other requests {ATTEMPTS} times in a row", hint="try again")


def differences(before: SubnetPool | None, after: SubnetPool | None) -> list[SubnetPoolChange]:
    """What became of the subnet pool, in words; None where it is not there."""
    name = (after or before).name  # type: ignore[union-attr]
    old, new = _facts(before), _facts(after)
    return [
        SubnetPoolChange(name, what, old.get(what, ""), new.get(what, ""))
        for what in dict.fromkeys([*old, *new])
        if old.get(what, "") != new.get(what, "")
    ]


def _facts(pool: SubnetPool | None) -> dict[str, str]:
    if pool is None:
        return {}
    return {
        "name": pool.name,
        "space": pool.space,
        "prefixes": _texts(pool.prefixes),
        "length": f"/{pool.length}",
        "min_length": f"/{pool.shortest}",
        "max_length": f"/{pool.longest}",
        "default": str(pool.position) if pool.position is not None else "",
        "note": pool.note,
    }


def _texts(prefixes: Iterable[Subnet]) -> str:
    return ", ".join(str(prefix) for prefix in prefixes)
