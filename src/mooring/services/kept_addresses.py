"""Addresses that wait for a network to come back, as people see them: rows of a list, and sentences.

Rule: an address that a pool has is that pool's matter, whatever waits for it besides.
"""

from __future__ import annotations

from collections.abc import Iterator

from mooring.core.containers import key_in_words
from mooring.core.estates import Estate, Heirloom, living
from mooring.core.leases import State
from mooring.core.moments import moment
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.services.mirror import Mirror
from mooring.wire.api import LeaseRow, ListLeases, Reason


def kept(mirror: Mirror, now: float, address: Address | None = None) -> Iterator[tuple[Estate, Heirloom]]:
    """What waits now, of one address when that is given."""
    pools = list(mirror.every(Pool)) if any(mirror.every(Estate)) else []
    for estate in mirror.every(Estate):
        left = living(estate, now)
        for each in left.heirlooms if left is not None else ():
            inside = any(pool.space == estate.space and each.address in pool.subnet for pool in pools)
            if address in (None, each.address) and not inside:
                yield estate, each


def kept_rows(mirror: Mirror, now: float, wanted: ListLeases) -> list[LeaseRow]:
    """Those that a list of leases is to have."""
    if wanted.pool or wanted.network or wanted.state not in (None, State.FIXED):
        return []
    text = wanted.text.lower()
    return [
        _row(estate, each)
        for estate, each in kept(mirror, now)
        if wanted.space in ("", None, estate.space)
        and any(text in field.lower() for field in (str(each.address), each.mac, each.key, each.name, estate.name))
    ]


def kept_lease_rows(mirror: Mirror, now: float, address: Address) -> list[LeaseRow]:
    """Those of one address."""
    return [_row(estate, each) for estate, each in kept(mirror, now, address)]


def kept_reasons(mirror: Mirror, now: float, address: Address) -> list[Reason]:
    """What is true of an address that waits."""
    return [_reason(estate, each) for estate, each in kept(mirror, now, address)]


def kept_for(mirror: Mirror, now: float, what: str) -> list[Reason]:
    """What is true of the addresses that wait for the key, for the compose service, or for the network of the name."""
    keys = {what, f"key:{what}", f"name:{what}", f"compose:{what}"}
    return [
        _reason(estate, each)
        for estate, each in kept(mirror, now)
        if what == estate.name or each.key in keys or each.key.startswith(f"compose:{what}/")
    ]


def _reason(estate: Estate, each: Heirloom) -> Reason:
    return Reason("kept", estate.space, None, "", State.FIXED.value, [
        f"{each.address} is kept for {key_in_words(each.key)} of network {estate.name}, which is gone, "
        f"until {moment(each.until)}.",
        f"A network that is made again as {estate.name} in address space {estate.space} gives it back.",
        "No network is given its subnet by choice until then, unless there is no other; "
        f"`mooring lease release {each.address}` gives it up now.",
    ])  # fmt: skip


def _row(estate: Estate, each: Heirloom) -> LeaseRow:
    return LeaseRow(
        address=str(each.address), space=estate.space, subnet=None, pool="", network="", state=State.FIXED.value,
        holder=f"{key_in_words(each.key)} of network {estate.name}, which is gone",
        mac=each.mac, name=each.name, endpoint="",
        since=estate.since, until=each.until, key=each.key, network_name=estate.name,
    )  # fmt: skip
