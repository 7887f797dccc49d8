"""Pools: subnets from which addresses are allocated, and how a subnet is carved from a subnet pool.

Rules: pools of one address space never overlap; a pool's id is unique, whatever it says of its subnet; everything here
is a pure function of values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_network

import msgspec

from mooring.core.addresses import RangeSet, network, span, usable
from mooring.core.faults import BadRequest, Exhausted
from mooring.core.networks import Address, Subnet
from mooring.core.subnet_index import Holdings

# Prefixes in which no network can be: "this network", loopback, multicast and broadcast (RFC 6890), and for IPv6 also
# the IPv4-mapped ones and link-local, because every interface has that subnet already.
_SPECIAL4 = ((0, 1 << 24), (127 << 24, 128 << 24), (224 << 24, 240 << 24), ((1 << 32) - 1, 1 << 32))
_SPECIAL6 = ((0, 2), (0xFFFF << 32, 0x10000 << 32), (0xFE80 << 112, 0xFEC0 << 112), (0xFF00 << 112, 1 << 128))
SPECIAL: dict[int, RangeSet] = {4: RangeSet(_SPECIAL4), 6: RangeSet(_SPECIAL6)}

# The turn of a default subnet pool that nobody gave another one.
POSITION = 100


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One subnet from which addresses are allocated, known to Docker by its id (the PoolID).

    range: where addresses are chosen automatically, None for the whole subnet. source: name of the subnet pool that it
    was carved from, "" when the subnet was typed by hand. gateway: the gateway's address, None when there is none.
    network: id of the network that uses it, "" until one is created. created: seconds since the epoch.
    """

    id: str
    space: str
    subnet: Subnet
    range: Subnet | None = None
    source: str = ""
    options: dict[str, str] = {}
    created: float = 0.0
    gateway: Address | None = None
    network: str = ""


def moves(pool: Pool) -> bool:
    """Whether fixed addresses of the pool come to another host by themselves when theirs is not heard (`move=auto`)."""
    return (pool.options.get("move") or pool.options.get("mooring.move")) == "auto"


# A token, subnet and space; without dots and colons, which people type for subnets.
_ID = re.compile(r"[0-9a-f]{12}-((?:[0-9a-f]{8}|[0-9a-f]{32}))p(\d{1,3})-(.+)", re.ASCII)


def pool_id(token: str, space: str, subnet: Subnet) -> str:
    """A PoolID that nobody had before, and that says what it means: an engine keeps it longer than a store may live."""
    return f"{token}-{subnet.network_address.packed.hex()}p{subnet.prefixlen}-{space}"


def described(text: str) -> tuple[str, Subnet] | None:
    """Space and subnet that a PoolID says, None for one that says nothing."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    try:
        return match[3], ip_network((bytes.fromhex(match[1]), int(match[2])))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class SubnetPool:
    """Prefixes of one family from which subnets are carved, each tried in turn.

    length: prefix length of a subnet when none is asked for. shortest, longest: the prefix lengths that may be asked
    for. position: when its turn comes among those that nobody has to name, lower ones first; None for one that is used
    by name only. declared: by whoever started us, and changed by him alone; the others are in the store. since: seconds
    since the epoch, 0 for a declared one. Raises BadRequest when the prefixes are of two families, or cannot hold a
    subnet of these lengths.
    """

    name: str
    space: str
    prefixes: tuple[Subnet, ...]
    length: int
    shortest: int = 1
    longest: int = 128
    position: int | None = POSITION
    note: str = ""
    since: float = 0.0
    declared: bool = True

    def __post_init__(self) -> None:
        if len({prefix.version for prefix in self.prefixes}) != 1:
            raise BadRequest(f"subnet pool {self.name} needs prefixes, all of one family")
        most = self.prefixes[0].max_prefixlen
        if not 1 <= self.shortest <= self.length <= min(self.longest, most):
            raise BadRequest(
                f"subnet pool {self.name}: prefix length {self.length} is not within {self.shortest} to "
                f"{min(self.longest, most)}"
            )
        if all(self.length < prefix.prefixlen for prefix in self.prefixes):
            raise BadRequest(f"subnet pool {self.name}: no prefix is large enough for a /{self.length}")

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.prefixes[0].version


def default_pools(machine_id: str) -> tuple[SubnetPool, SubnetPool]:
    """The subnet pools of a host without configuration: 10.32.0.0/12 into /24, and a ULA /48 of its own into /64.

    The ULA's 40-bit global id is a hash of the machine id (RFC 4193, 3.2.2, asks for a pseudo-random one): the same on
    each start, another on each host, and the machine id cannot be told from it.
    """
    digest = sha256(b"mooring subnet pool:" + machine_id.strip().encode()).digest()
    ula = IPv6Network((IPv6Address(b"\xfd" + digest[:5] + bytes(10)), 48))
    return (
        SubnetPool(name="default-v4", space="default", prefixes=(ip_network("10.32.0.0/12"),), length=24),
        SubnetPool(name="default-v6", space="default", prefixes=(ula,), length=64),
    )


def carve(
    subnet_pools: Sequence[SubnetPool], length: int | None, taken: Sequence[Holdings]
) -> tuple[SubnetPool, Subnet] | None:
    """The first subnet of the length (None: each subnet pool's own) that overlaps nothing taken, and where it is from;
    None when there is no room (`subnet_pools.no_room` is the fault for that).

    Prefixes are tried in the order given. What is taken without a gap costs one step, however many subnets that are.
    Raises BadRequest when no subnet pool allows the length, Exhausted when there is no subnet pool.
    """
    for pool in _fitting(subnet_pools, length):
        wanted = pool.length if length is None else length
        ranges = [SPECIAL[pool.version], *(each.ranges(pool.version) for each in taken)]
        for prefix in pool.prefixes:
            if wanted >= prefix.prefixlen and (start := _first_aligned(ranges, prefix, wanted)) is not None:
                return pool, network(pool.version, start, wanted)
    return None


def _fitting(subnet_pools: Sequence[SubnetPool], length: int | None) -> list[SubnetPool]:
    if not subnet_pools:
        raise Exhausted("there is no subnet pool to choose from", hint="give a subnet with --subnet")
    fitting = [pool for pool in subnet_pools if length is None or pool.shortest <= length <= pool.longest]
    if not fitting:
        bounds = ", ".join(f"{pool.name}: /{pool.shortest} to /{pool.longest}" for pool in subnet_pools)
        raise BadRequest(f"no subnet pool has subnets of prefix length {length}", hint=f"allowed are {bounds}")
    return fitting


def _first_aligned(taken: Sequence[RangeSet], prefix: Subnet, length: int) -> int | None:
    size = 1 << (prefix.max_prefixlen - length)
    start, end = span(prefix)
    while start + size <= end:
        ends = [last for ranges in taken if (last := ranges.end_of_last(start, start + size)) is not None]
        if not ends:
            return start
        start = -(-max(ends) // size) * size
    return None


def check_subnet(subnet: Subnet) -> None:
    """Raises BadRequest when no network can have the subnet, whoever asks."""
    start, end = span(subnet)
    if SPECIAL[subnet.version].overlaps(start, end):
        raise BadRequest(
            f"subnet {subnet} has addresses that no network can have (loopback, multicast, link-local or reserved)"
        )


def check_range(subnet: Subnet, limit: Subnet) -> None:
    """Raises BadRequest unless the range lies within the subnet and has an address in it that can be given."""
    (start, end), (low, high) = span(subnet), span(limit)
    if subnet.version != limit.version or low < start or high > end:
        raise BadRequest(f"range {limit} is not within subnet {subnet}")
    first, last = candidates(subnet, limit)
    if first >= last:
        raise BadRequest(f"range {limit} of subnet {subnet} has no address that can be given")


def candidates(subnet: Subnet, limit: Subnet | None) -> tuple[int, int]:
    """The numbers that may be chosen automatically, half-open; empty (start >= end) if there are none."""
    start, end = usable(subnet)
    if limit is None:
        return start, end
    low, high = span(limit)
    return max(start, low), min(end, high)


def check_address(subnet: Subnet, address: Address) -> None:
    """Raises BadRequest when no interface in the subnet can have the address."""
    if address.version != subnet.version or address not in subnet:
        raise BadRequest(f"address {address} is not in subnet {subnet}")
    start, end = usable(subnet)
    if not start <= int(address) < end:
        names = "the network or broadcast address" if subnet.version == 4 else "the subnet-router anycast address"
        raise BadRequest(f"address {address} is {names} of subnet {subnet}", hint="choose another address")
