"""The `[[subnet_pools]]` tables, and the subnet pools of a host that has none.

Rule: what is wrong with one pool does not hide what is wrong with another, or between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mooring.config.readers import collect, subnets, unknown
from mooring.core.networks import Subnet
from mooring.core.pools import SubnetPool

POOL_KEYS = ("name", "space", "prefixes", "length", "min_length", "max_length")


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
    return SubnetPool(
        name=str(names["name"]), space=str(names["space"]), prefixes=prefixes, length=length, shortest=low, longest=high
    )


def covered(default: SubnetPool, pools: Iterable[SubnetPool]) -> bool:
    """Somebody named a subnet pool of the default's family, which then stands in for it."""
    family = default.prefixes[0].version
    return any(pool.space == default.space and pool.prefixes[0].version == family for pool in pools)
