"""Addresses that wait for a network to come back, as people see them: rows of a list, and sentences.

Rule: an address that a pool has is that pool's matter, whatever waits for it besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from mooring.core.filters import LeaseFilter
from mooring.core.kept_networks import KeptAddress, KeptNetwork, living
from mooring.core.keys import is_ports, key_in_words
from mooring.core.leases import State
from mooring.core.networks import Address, Subnet, overlap
from mooring.core.pools import Pool
from mooring.core.times import moment
from mooring.core.views import LeaseRow, Reason
from mooring.services.records.record_cache import RecordCache


def kept(cache: RecordCache, now: float, address: Address | None = None) -> Iterator[tuple[KeptNetwork, KeptAddress]]:
    """What waits now, of one address when that is given."""
    pools = list(cache.every(Pool)) if any(cache.every(KeptNetwork)) else []
    for kept_network in cache.every(KeptNetwork):
        left = living(kept_network, now)
        for each in left.kept_addresses if left is not None else ():
            inside = any(pool.space == kept_network.space and each.address in pool.subnet for pool in pools)
            if address in (None, each.address) and not inside:
                yield kept_network, each


def kept_rows(cache: RecordCache, now: float, wanted: LeaseFilter) -> list[LeaseRow]:
    """Those that a list of leases is to have, by address space, family and address."""
    if wanted.state not in (None, State.FIXED) or wanted.container:
        return []
    text = wanted.text.lower()
    return [
        _row(kept_network, each)
        for kept_network, each in sorted(kept(cache, now), key=_place)
        if wanted.space in ("", None, kept_network.space)
        and wanted.network in ("", None, kept_network.name)
        and (not wanted.pool or _is_of(each, kept_network, wanted.pool))
        and (not wanted.key or wanted.key in (each.key, each.key.partition(":")[2]))
        and wanted.mac.lower() in ("", each.mac.lower())
        and any(
            text in field.lower() for field in (str(each.address), each.mac, each.key, each.name, kept_network.name)
        )
    ]


def kept_lease_rows(cache: RecordCache, now: float, address: Address) -> list[LeaseRow]:
    """Those of one address."""
    return [_row(kept_network, each) for kept_network, each in kept(cache, now, address)]


def kept_reasons(cache: RecordCache, now: float, address: Address) -> list[Reason]:
    """What is true of an address that waits."""
    return [_reason(kept_network, each) for kept_network, each in kept(cache, now, address)]


def kept_for(cache: RecordCache, now: float, what: str) -> list[Reason]:
    """What is true of the addresses that wait for the key, for the compose service, for the MAC, or for the network of
    the name."""
    keys = {what, *(f"{kind}:{what}" for kind in ("key", "name", "compose", "port"))}
    return [
        _reason(kept_network, each)
        for kept_network, each in kept(cache, now)
        if what in (kept_network.name, each.mac) or each.key in keys or _is_service(each.key, what)
    ]


def kept_subnets(cache: RecordCache, now: float, place: Address | Subnet) -> list[Reason]:
    """What is true of the subnets of networks that are gone which have the address, or share any with the subnet; of
    those that nobody has meanwhile."""
    pools = list(cache.every(Pool)) if any(cache.every(KeptNetwork)) else []
    found = []
    for kept_network in cache.every(KeptNetwork):
        left = living(kept_network, now)
        for subnet in left.subnets if left is not None else ():
            inside = overlap(place, subnet) if isinstance(place, IPv4Network | IPv6Network) else place in subnet
            taken = any(pool.space == kept_network.space and overlap(pool.subnet, subnet) for pool in pools)
            if left is not None and inside and not taken:
                found.append(_reason_of_subnet(left, subnet, place))
    return found


def is_waited_for(cache: RecordCache, now: float, reference: str) -> bool:
    """Whether the reference is the name, or a subnet, of a network that is gone and for which addresses wait."""
    return any(
        reference == kept_network.name or _is_of(each, kept_network, reference)
        for kept_network, each in kept(cache, now)
    )


def _place(pair: tuple[KeptNetwork, KeptAddress]) -> tuple[str, int, int]:
    """For the order of a list."""
    kept_network, each = pair
    return kept_network.space, each.address.version, int(each.address)


def _is_service(key: str, what: str) -> bool:
    """Whether the key is that of a compose service of the name, with its project or without."""
    kind, _, text = key.partition(":")
    project, service, number = (*text.split("/"), "", "")[:3]
    return kind == "compose" and bool(number) and what in (service, f"{project}/{service}")


def _is_of(each: KeptAddress, kept_network: KeptNetwork, pool: str) -> bool:
    """Whether the pool is meant by the network's name, or by the subnet that has the address."""
    return pool == kept_network.name or any(
        str(subnet) == pool and each.address in subnet for subnet in kept_network.subnets
    )


def _reason_of_subnet(kept_network: KeptNetwork, subnet: Subnet, place: Address | Subnet) -> Reason:
    waiting = sum(each.address in subnet for each in kept_network.kept_addresses)
    what = (
        f"{waiting} address{'es' if waiting != 1 else ''} of it {'are' if waiting != 1 else 'is'} kept for their keys"
    )
    if isinstance(place, IPv4Network | IPv6Network):
        first = f"Subnet {subnet} was that of the removed network {kept_network.name}"
    else:
        first = f"{place} is in subnet {subnet} of the removed network {kept_network.name}; no key has it"
    return Reason("kept", kept_network.space, str(subnet), "", State.FIXED.value, [
        f"{first}; {what} until {moment(kept_network.until)}.",
        f"A new network named {kept_network.name} in address space {kept_network.space} gets the subnet back.",
        "Until then Mooring picks it for another network only if none is left; a network with this --subnet gets it.",
        f"`mooring lease ls {kept_network.name}` lists them; "
        "releasing each of them (`mooring lease release ADDRESS`) frees the subnet.",
    ])  # fmt: skip


def _reason(kept_network: KeptNetwork, each: KeptAddress) -> Reason:
    if is_ports(each.key):
        name = each.key.partition(":")[2]
        return Reason("kept", kept_network.space, None, "", State.FIXED.value, [
            f"{each.address} belongs to port {name} of the removed network {kept_network.name}.",
            f"A new network named {kept_network.name} in address space {kept_network.space} gets it back.",
            f"Until then Mooring picks its subnet for another network only if none is left; `mooring port rm {name}` "
            "releases it.",
        ])  # fmt: skip
    return Reason("kept", kept_network.space, None, "", State.FIXED.value, [
        f"{each.address} is kept for {key_in_words(each.key)} of the removed network {kept_network.name} "
        f"until {moment(each.until)}.",
        f"A new network named {kept_network.name} in address space {kept_network.space} gets it back.",
        "Until then Mooring picks its subnet for another network only if none is left; "
        f"`mooring lease release {each.address}` releases it now.",
    ])  # fmt: skip


def _row(kept_network: KeptNetwork, each: KeptAddress) -> LeaseRow:
    return LeaseRow(
        address=str(each.address), space=kept_network.space, subnet=None, pool="", network="", state=State.FIXED.value,
        holder=f"{key_in_words(each.key)} of the removed network {kept_network.name}",
        mac=each.mac, name=each.name, endpoint="",
        since=kept_network.since, until=None if is_ports(each.key) else each.until,
        key=each.key, network_name=kept_network.name,
    )  # fmt: skip
