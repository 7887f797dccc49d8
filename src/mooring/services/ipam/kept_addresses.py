"""Addresses that wait for a network to come back, as people see them: rows of a list, and sentences.

Rule: an address that a pool has is that pool's matter, whatever waits for it besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from mooring.core.containers import key_in_words
from mooring.core.estates import KeptAddress, KeptNetwork, living
from mooring.core.leases import State
from mooring.core.moments import moment
from mooring.core.networks import Address, Subnet, overlap
from mooring.core.pools import Pool
from mooring.services.records.record_cache import RecordCache
from mooring.wire.api import LeaseRow, ListLeases, Reason


def kept(mirror: RecordCache, now: float, address: Address | None = None) -> Iterator[tuple[KeptNetwork, KeptAddress]]:
    """What waits now, of one address when that is given."""
    pools = list(mirror.every(Pool)) if any(mirror.every(KeptNetwork)) else []
    for estate in mirror.every(KeptNetwork):
        left = living(estate, now)
        for each in left.heirlooms if left is not None else ():
            inside = any(pool.space == estate.space and each.address in pool.subnet for pool in pools)
            if address in (None, each.address) and not inside:
                yield estate, each


def kept_rows(mirror: RecordCache, now: float, wanted: ListLeases) -> list[LeaseRow]:
    """Those that a list of leases is to have, by address space, family and address."""
    if wanted.state not in (None, State.FIXED):
        return []
    text = wanted.text.lower()
    return [
        _row(estate, each)
        for estate, each in sorted(kept(mirror, now), key=_place)
        if wanted.space in ("", None, estate.space)
        and wanted.network in ("", None, estate.name)
        and (not wanted.pool or _is_of(each, estate, wanted.pool))
        and any(text in field.lower() for field in (str(each.address), each.mac, each.key, each.name, estate.name))
    ]


def kept_lease_rows(mirror: RecordCache, now: float, address: Address) -> list[LeaseRow]:
    """Those of one address."""
    return [_row(estate, each) for estate, each in kept(mirror, now, address)]


def kept_reasons(mirror: RecordCache, now: float, address: Address) -> list[Reason]:
    """What is true of an address that waits."""
    return [_reason(estate, each) for estate, each in kept(mirror, now, address)]


def kept_for(mirror: RecordCache, now: float, what: str) -> list[Reason]:
    """What is true of the addresses that wait for the key, for the compose service, for the MAC, or for the network of
    the name."""
    keys = {what, f"key:{what}", f"name:{what}", f"compose:{what}"}
    return [
        _reason(estate, each)
        for estate, each in kept(mirror, now)
        if what in (estate.name, each.mac) or each.key in keys or _is_service(each.key, what)
    ]


def kept_subnets(mirror: RecordCache, now: float, place: Address | Subnet) -> list[Reason]:
    """What is true of the subnets of networks that are gone which have the address, or share any with the subnet; of
    those that nobody has meanwhile."""
    pools = list(mirror.every(Pool)) if any(mirror.every(KeptNetwork)) else []
    found = []
    for estate in mirror.every(KeptNetwork):
        left = living(estate, now)
        for subnet in left.subnets if left is not None else ():
            inside = overlap(place, subnet) if isinstance(place, IPv4Network | IPv6Network) else place in subnet
            taken = any(pool.space == estate.space and overlap(pool.subnet, subnet) for pool in pools)
            if left is not None and inside and not taken:
                found.append(_reason_of_subnet(left, subnet, place))
    return found


def is_waited_for(mirror: RecordCache, now: float, reference: str) -> bool:
    """Whether the reference is the name, or a subnet, of a network that is gone and for which addresses wait."""
    return any(reference == estate.name or _is_of(each, estate, reference) for estate, each in kept(mirror, now))


def _place(pair: tuple[KeptNetwork, KeptAddress]) -> tuple[str, int, int]:
    """For the order of a list."""
    estate, each = pair
    return estate.space, each.address.version, int(each.address)


def _is_service(key: str, what: str) -> bool:
    """Whether the key is that of a compose service of the name, with its project or without."""
    kind, _, text = key.partition(":")
    project, service, number = (*text.split("/"), "", "")[:3]
    return kind == "compose" and bool(number) and what in (service, f"{project}/{service}")


def _is_of(each: KeptAddress, estate: KeptNetwork, pool: str) -> bool:
    """Whether the pool is meant by the network's name, or by the subnet that has the address."""
    return pool == estate.name or any(str(subnet) == pool and each.address in subnet for subnet in estate.subnets)


def _reason_of_subnet(estate: KeptNetwork, subnet: Subnet, place: Address | Subnet) -> Reason:
    waiting = sum(each.address in subnet for each in estate.heirlooms)
    what = (
        f"{waiting} address{'es' if waiting != 1 else ''} of it {'are' if waiting != 1 else 'is'} kept for their keys"
    )
    if isinstance(place, IPv4Network | IPv6Network):
        first = f"Subnet {subnet} was that of network {estate.name}, which is gone"
    else:
        first = f"{place} is in subnet {subnet} of network {estate.name}, which is gone; no key has it"
    return Reason("kept", estate.space, str(subnet), "", State.FIXED.value, [
        f"{first}; {what} until {moment(estate.until)}.",
        f"A network that is made again as {estate.name} in address space {estate.space} gets the subnet back.",
        "No other network is given it by choice until then, unless there is no other; whoever types it gets it.",
        f"`mooring lease ls {estate.name}` lists them; `mooring lease release ADDRESS`, of each, gives the subnet up.",
    ])  # fmt: skip


def _reason(estate: KeptNetwork, each: KeptAddress) -> Reason:
    return Reason("kept", estate.space, None, "", State.FIXED.value, [
        f"{each.address} is kept for {key_in_words(each.key)} of network {estate.name}, which is gone, "
        f"until {moment(each.until)}.",
        f"A network that is made again as {estate.name} in address space {estate.space} gives it back.",
        "No network is given its subnet by choice until then, unless there is no other; "
        f"`mooring lease release {each.address}` gives it up now.",
    ])  # fmt: skip


def _row(estate: KeptNetwork, each: KeptAddress) -> LeaseRow:
    return LeaseRow(
        address=str(each.address), space=estate.space, subnet=None, pool="", network="", state=State.FIXED.value,
        holder=f"{key_in_words(each.key)} of network {estate.name}, which is gone",
        mac=each.mac, name=each.name, endpoint="",
        since=estate.since, until=each.until, key=each.key, network_name=estate.name,
    )  # fmt: skip
