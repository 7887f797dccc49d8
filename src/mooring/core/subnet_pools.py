"""Subnet pools that are made, changed and looked at: which prefixes they have, what is in their way, and what is left.

Rules: a name is given once on a host, and the prefixes of one address space never overlap; where a declared subnet pool
and a stored one meet, the declared one counts; figures come from ranges of numbers, never from enumerating subnets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mooring.core.addresses import RangeSet, network, span
from mooring.core.faults import BadRequest, Conflict, Exhausted
from mooring.core.networks import Subnet, overlap
from mooring.core.pools import SPECIAL, Pool, SubnetPool, check_subnet

# Prefixes of one subnet pool: each is tried in turn whenever a subnet is carved.
MOST_PREFIXES = 256
# The last turn that a default subnet pool can have.
LAST_POSITION = 9999
# How many subnets that are in the way are named when nothing is left, and how many subnet pools are described.
_NAMED = 3
# Prefix lengths beyond the largest free block for which a subnet pool that is nearly full still has figures.
_FINER = 2
_SPACE = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,62}", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Busy:
    """A subnet in which nothing may be carved, and what it is, for a person."""

    subnet: Subnet
    what: str


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a subnet pool. size, carved, blocked: addresses, those of networks and those that something else
    than a network is in the way of. largest: the largest free block, None when nothing is left. left: how many subnets
    of a prefix length there is room for, each length taken alone."""

    size: int
    carved: int
    blocked: int
    largest: Subnet | None
    left: tuple[tuple[int, int], ...]

    @property
    def percent(self) -> float:
        """Of the addresses, how many are carved: 100 only when all are, 0 only when none is."""
        return percent_of(self.carved, self.size)

    def number(self, length: int) -> int:
        """How many subnets of the prefix length there is room for; 0 for one that there are no figures of."""
        return dict(self.left).get(length, 0)


@dataclass(frozen=True, slots=True)
class Alteration:
    """What is to be changed of a subnet pool; None and () leave it. position: 0 for one that is used by name only."""

    add: tuple[Subnet, ...] = ()
    remove: tuple[Subnet, ...] = ()
    name: str | None = None
    length: int | None = None
    shortest: int | None = None
    longest: int | None = None
    position: int | None = None
    note: str | None = None


def percent_of(part: int, whole: int) -> float:
    """With one digit behind the point: 100 only for all of it, 0 only for nothing."""
    if not whole or part in (0, whole):
        return 100.0 if whole and part else 0.0
    return min(max(part * 1000 // whole / 10, 0.1), 99.9)


def covers(outer: Subnet, inner: Subnet) -> bool:
    """Whether all of the inner one lies in the outer one."""
    return outer.prefixlen <= inner.prefixlen and overlap(outer, inner)


def bounds(pool: SubnetPool) -> tuple[int, int]:
    """The prefix lengths that may be asked for, as far as the prefixes can hold them."""
    widest = min(prefix.prefixlen for prefix in pool.prefixes)
    return max(pool.shortest, widest), min(pool.longest, pool.prefixes[0].max_prefixlen)


def holds(pool: SubnetPool, subnet: Subnet) -> bool:
    """Whether a network may have the subnet as one of the subnet pool."""
    low, high = bounds(pool)
    return low <= subnet.prefixlen <= high and any(covers(prefix, subnet) for prefix in pool.prefixes)


def origin_of(pool: Pool) -> str:
    """The name of the subnet pool that the pool is of: carved from it, or typed by hand within it; "" for none."""
    return pool.source or pool.options.get("pool" if pool.subnet.version == 4 else "pool6", "")


def new_pool(
    name: str, space: str, prefixes: Iterable[Subnet], change: Alteration = Alteration(), since: float = 0.0
) -> SubnetPool:
    """A subnet pool for the store. change: what differs from the usual: subnets of /24 or /64, or of the widest prefix
    where none is so wide; any length that leaves a network two addresses; used by name only. Raises BadRequest."""
    _check_name(name)
    if not _SPACE.fullmatch(space):
        raise BadRequest(f"{space[:60]!r} cannot be the name of an address space")
    whole = grown((), prefixes)
    if not whole:
        raise BadRequest(f"subnet pool {name} needs a prefix", hint="give one with --prefix, as 10.64.0.0/16")
    most = whole[0].max_prefixlen
    usual = max(24 if most == 32 else 64, min(prefix.prefixlen for prefix in whole))
    length = change.length if change.length is not None else usual
    longest = change.longest if change.longest is not None else max(most - 2, length)
    shortest = change.shortest if change.shortest is not None else 1
    return _checked(
        SubnetPool(
            name,
            space,
            whole,
            length,
            shortest,
            longest,
            change.position or None,
            change.note or "",
            since,
            declared=False,
        )
    )


def altered(pool: SubnetPool, change: Alteration) -> SubnetPool:
    """The subnet pool as it is wanted. Raises BadRequest for what none can be."""
    for mine in change.add:
        for other in change.remove:
            if overlap(mine, other):
                raise BadRequest(f"{mine} is to be added and {other} to be removed, which overlap")
    prefixes = shrunk(grown(pool.prefixes, change.add), change.remove)
    if not prefixes:
        raise BadRequest(
            f"subnet pool {pool.name} would have no prefix left",
            hint=f"`mooring subnet-pool rm {pool.name}` removes it as a whole",
        )
    if change.name is not None:
        _check_name(change.name)
    given = {"name": change.name, "length": change.length, "shortest": change.shortest, "longest": change.longest,
             "note": change.note}  # fmt: skip
    changes = {field: value for field, value in given.items() if value is not None}
    position = pool.position if change.position is None else change.position or None
    return _checked(replace(pool, prefixes=prefixes, position=position, **changes))  # type: ignore[arg-type]


def grown(prefixes: Iterable[Subnet], more: Iterable[Subnet]) -> tuple[Subnet, ...]:
    """Both together, in the order given: one that lies in another is left out, two halves become the whole."""
    result = list(prefixes)
    for prefix in more:
        if any(covers(each, prefix) for each in result):
            continue
        result = _replaced(result, [each for each in result if covers(prefix, each)], prefix)
        while prefix.prefixlen and (sibling := _sibling(prefix)) in result:
            whole = prefix.supernet()
            result, prefix = _replaced(result, [prefix, sibling], whole), whole
    return tuple(result)


def shrunk(prefixes: Iterable[Subnet], less: Iterable[Subnet]) -> tuple[Subnet, ...]:
    """Without those: of a prefix in which one lies its other parts stay, in order of address. Not there is fine."""
    result = list(prefixes)
    for gone in less:
        left: list[Subnet] = []
        for each in result:
            if covers(each, gone) and each != gone:
                left += sorted(each.address_exclude(gone))  # type: ignore[arg-type]
            elif not covers(gone, each):
                left.append(each)
        result = left
    return tuple(result)


def in_the_way(pool: SubnetPool, others: Iterable[SubnetPool]) -> tuple[SubnetPool, str] | None:
    """One that the subnet pool cannot be beside, and why not, in words; None when there is none."""
    for other in others:
        if other.name == pool.name:
            return other, "has the same name"
        for prefix in pool.prefixes if other.space == pool.space else ():
            for theirs in other.prefixes:
                if overlap(prefix, theirs):
                    return other, f"has {theirs}, which overlaps {prefix}"
    return None


def check_beside(pool: SubnetPool, others: Iterable[SubnetPool]) -> None:
    """Raises Conflict when the subnet pool cannot be beside the others, naming the one in its way."""
    if (found := in_the_way(pool, others)) is not None:
        other, why = found
        where = "the configuration" if other.declared else "the store"
        raise Conflict(
            f"subnet pool {pool.name} cannot be: subnet pool {other.name} of {where} {why}",
            hint="choose another name" if other.name == pool.name else "see `mooring subnet-pool ls`",
        )


def room_of(pool: SubnetPool, carved: RangeSet, others: Sequence[RangeSet]) -> Room:
    """What is left of the subnet pool. carved: what networks have. others: what else is in the way; they may overlap
    each other and what is carved. Costs what lies within the prefixes, whatever its size."""
    size = used = free_size = 0
    free: list[tuple[int, int]] = []
    for prefix in pool.prefixes:
        start, end = span(prefix)
        mine = list(carved.within(start, end))
        ways = (part for each in (SPECIAL[pool.version], *others) for part in each.within(start, end))
        left = RangeSet([(start, end)])
        for low, high in RangeSet([*mine, *ways]):
            left.remove(low, high)
        size, used = size + end - start, used + sum(high - low for low, high in mine)
        free_size += sum(high - low for low, high in left)
        free += left
    largest = max((_largest(*each) for each in free), key=lambda block: (block[1], -block[0]), default=None)
    if largest is None:
        return Room(size, used, size - used - free_size, None, ())
    start, bits = largest
    most = pool.prefixes[0].max_prefixlen
    low, high = bounds(pool)
    first = most - bits
    last = min(max(pool.length, first + _FINER), high)
    left_over = ((length, _number(free, most - length)) for length in range(max(first, low), last + 1))
    block = network(pool.version, start, first)
    return Room(size, used, size - used - free_size, block, tuple(left_over))


def in_words(room: Room) -> str:
    """`75% carved; largest free block 10.9.3.128/25; left: 1 /25, 2 /26`."""
    blocked = f", {percent_of(room.blocked, room.size):g}% blocked" if room.blocked else ""
    if room.largest is None:
        return f"{room.percent:g}% carved{blocked}, nothing left"
    left = ", ".join(f"{number} /{length}" for length, number in room.left[:_NAMED])
    text = f"{room.percent:g}% carved{blocked}; largest free block {room.largest}"
    return text + (f"; left: {left}" if left else "")


def no_room(rooms: Sequence[tuple[SubnetPool, Room]], length: int | None, holders: Iterable[Busy]) -> Exhausted:
    """The fault that says how full the subnet pools are, and what is in the way of a subnet of the length."""
    pools = [pool for pool, _ in rooms]
    prefixes = [prefix for pool in pools for prefix in pool.prefixes]
    within = [each for each in holders if any(overlap(each.subnet, prefix) for prefix in prefixes)]
    named = ", ".join(f"{each.subnet} by {each.what}" for each in within[:_NAMED])
    more = f" and {len(within) - _NAMED} more" if len(within) > _NAMED else ""
    wanted = " or ".join(dict.fromkeys(f"/{length or pool.length}" for pool in pools))
    whose = len(pools) > 1
    state = "; ".join(f"{pool.name}: {in_words(room)}" if whose else in_words(room) for pool, room in rooms[:_NAMED])
    name = next((pool.name for pool in pools if not pool.declared), "")
    add = f"`mooring subnet-pool set {name} --add-prefix SUBNET`" if name else "add prefixes to the configuration"
    smaller = min((room.left[0][0] for _, room in rooms if room.left), default=0)
    ask = f"ask for a smaller subnet (--ipam-opt prefixlen{'6' if pools[0].version == 6 else ''}={smaller}), "
    return Exhausted(
        f"subnet pool {', '.join(pool.name for pool in pools)} is full: it has no free {wanted} ({state}"
        + (f"; in use: {named}{more}" if within else "")
        + ")",
        hint=f"remove a network, {ask if smaller else ''}give a subnet with --subnet, or {add}",
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name[:60]!r} cannot be the name of a subnet pool",
            hint="a name is 1 to 63 letters, digits, hyphens or underscores, the first one a letter or a digit",
        )


def _checked(pool: SubnetPool) -> SubnetPool:
    """The subnet pool. Raises BadRequest for one that nothing could be carved from, or that is too much of it."""
    for prefix in pool.prefixes:
        check_subnet(prefix)
    most = pool.prefixes[0].max_prefixlen
    if pool.longest > most or pool.shortest > pool.longest:
        raise BadRequest(
            f"subnet pool {pool.name}: the bounds /{pool.shortest} to /{pool.longest} are none within /1 to /{most}"
        )
    if pool.position is not None and not 1 <= pool.position <= LAST_POSITION:
        raise BadRequest(f"subnet pool {pool.name}: the position {pool.position} is not within 1 to {LAST_POSITION}")
    if len(pool.prefixes) > MOST_PREFIXES:
        raise BadRequest(
            f"subnet pool {pool.name} would have {len(pool.prefixes)} prefixes, and may have {MOST_PREFIXES}",
            hint="remove larger parts, or make a second subnet pool",
        )
    return pool


def _replaced(prefixes: list[Subnet], old: Sequence[Subnet], new: Subnet) -> list[Subnet]:
    """The new one stands where the first of the old ones stood, or at the end."""
    if not old:
        return [*prefixes, new]
    at = min(prefixes.index(each) for each in old)
    return [*(each for each in prefixes[:at]), new, *(each for each in prefixes[at:] if each not in old)]


def _sibling(prefix: Subnet) -> Subnet:
    """The other half of what the prefix is a half of."""
    size = 1 << (prefix.max_prefixlen - prefix.prefixlen)
    return network(prefix.version, int(prefix.network_address) ^ size, prefix.prefixlen)


def _largest(start: int, end: int) -> tuple[int, int]:
    """Of the numbers [start, end): where the first largest aligned block begins, and the bits of its size."""
    bits = (end - start).bit_length() - 1
    while (low := -(-start >> bits) << bits) + (1 << bits) > end:
        bits -= 1
    return low, bits


def _number(ranges: Iterable[tuple[int, int]], bits: int) -> int:
    """How many aligned blocks of that many bits lie in the ranges."""
    return sum(max((end >> bits) - -(-start >> bits), 0) for start, end in ranges)
