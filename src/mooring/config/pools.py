"""The `[[subnet_pools]]` tables, and the subnet pools of a host that has none.

Rule: what is wrong with one pool does not hide what is wrong with another, or between the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mooring.config.readers import collect, subnets, unknown
from mooring.core.networks import Subnet
from mooring.core.pools import POSITION, SubnetPool
from mooring.core.reservations import LONGEST
from mooring.core.subnet_pools import LAST_POSITION, shrunk

POOL_KEYS = ("name", "space", "prefixes", "length", "min_length", "max_length", "default", "position", "note")


def subnet_pools(where: str, raw: object, problems: list[str]) -> tuple[SubnetPool, ...]:
    """The subnet pools of the tables; what is wrong with them goes to the problems. where: the file."""
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        problems.append(f"{where}: subnet_pools: must be written as [[subnet_pools]] tables")
        return ()
    pools: list[SubnetPool] = []
    taken: list[tuple[object, object, Subnet]] = []
    for number, table in enumerate(raw, 1):
        name, space = table.get("name"), table.get("space", "default")
        label = f"{where}: subnet_pools {name or number}"
        unknown(problems, label, table, POOL_KEYS)
        pool = _subnet_pool(label, table, problems)
        if pool is not None:
            pools.append(pool)
        # What is wrong with a pool in itself does not hide that it is in the way of another.
        if name is not None and name in [before.get("name") for before in raw[: number - 1]]:
            problems.append(f"{label}: name: is given twice")
        for mine in collect([], label, table.get("prefixes"), subnets) or ():
            others = [(theirs, owner) for owner, its, theirs in taken if its == space and mine.overlaps(theirs)]
            problems += [f"{label}: prefixes: {mine} overlaps {theirs} of {owner}" for theirs, owner in others]
            taken.append((name or number, space, mine))
    return tuple(pools)


def _subnet_pool(label: str, table: Mapping[str, object], problems: list[str]) -> SubnetPool | None:
    before = len(problems)
    names = {"name": table.get("name"), "space": table.get("space", "default")}
    for key, value in names.items():
        if not isinstance(value, str) or not value or not value.replace("-", "").replace("_", "").isalnum():
            problems.append(f"{label}: {key}: must be a word of letters, digits, - and _, got {value!r}")
    prefixes = collect(problems, f"{label}: prefixes", table.get("prefixes", []), subnets) or ()
    if not prefixes and len(problems) == before:
        problems.append(f"{label}: prefixes: must name at least one subnet")
    if len({prefix.version for prefix in prefixes}) > 1:
        problems.append(f"{label}: prefixes: must be of one family; make a second subnet pool for the other")
    if len(problems) > before:
        return None
    shortest, bits = max(prefix.prefixlen for prefix in prefixes), prefixes[0].max_prefixlen
    lengths = {
        "length": table.get("length", max(24 if bits == 32 else 64, shortest)),
        "min_length": table.get("min_length", min(prefix.prefixlen for prefix in prefixes)),
        "max_length": table.get("max_length", bits - 2),
    }
    for key, value in lengths.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= bits:
            problems.append(f"{label}: {key}: must be a prefix length from 1 to {bits}, got {value!r}")
    if len(problems) > before:
        return None
    length, low, high = (int(str(value)) for value in lengths.values())
    if length < shortest:
        problems.append(f"{label}: length: a /{length} does not fit into a /{shortest}")
    elif not low <= length <= high:
        problems.append(f"{label}: length: /{length} is not between min_length /{low} and max_length /{high}")
    if len(problems) > before:
        return None
    position, note = _turn(label, table, problems)
    if len(problems) > before:
        return None
    return SubnetPool(
        str(names["name"]), str(names["space"]), prefixes, length, shortest=low, longest=high, position=position,
        note=note,
    )  # fmt: skip


def _turn(label: str, table: Mapping[str, object], problems: list[str]) -> tuple[int | None, str]:
    """Its turn among the default ones, None for one that is used by name only; and the note."""
    default, position, note = table.get("default", True), table.get("position", POSITION), table.get("note", "")
    if not isinstance(default, bool):
        problems.append(f"{label}: default: must be true or false, got {default!r}")
    if isinstance(position, bool) or not isinstance(position, int) or not 1 <= position <= LAST_POSITION:
        problems.append(f"{label}: position: must be a number from 1 to {LAST_POSITION}, got {position!r}")
    elif default is False and "position" in table:
        problems.append(f"{label}: position: has no meaning with default = false")
    if not isinstance(note, str) or not note.isprintable() or len(note) > LONGEST:
        problems.append(f"{label}: note: must be one line of at most {LONGEST} characters")
    return (position if default and isinstance(position, int) else None), str(note).strip()


def beside(default: SubnetPool, pools: Sequence[SubnetPool]) -> SubnetPool | None:
    """What stays of the default beside the subnet pools that somebody named: None where one of them stands in for it
    (of its space and family, and a default one) or has its name; else without the prefixes that they have."""
    own = [pool for pool in pools if pool.space == default.space and pool.version == default.version]
    prefixes = shrunk(default.prefixes, [prefix for pool in own for prefix in pool.prefixes])
    if any(pool.position is not None for pool in own) or any(pool.name == default.name for pool in pools):
        return None
    return replace(default, prefixes=prefixes) if prefixes else None
