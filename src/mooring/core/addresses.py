"""Addresses as numbers: ranges, strict parsing, and which address of a pool is next: the first free one
after the last that was chosen; when none is free, the one that has cooled longest.

Rules: a range is half-open, [start, end), over integers; text is refused rather than guessed at; finding the next free
address costs the same in an empty and in a nearly full pool, for IPv4 and IPv6.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from mooring.core.faults import BadRequest
from mooring.core.networks import Address, Interface, Subnet

_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)

# The longest address with a prefix length is 43 characters; what is longer need not be shown whole.
_SHOWN = 60

# Children of a node of BitTree: a power of two, small enough that an operation on the int of so many bits costs about
# as much as one on a small int, large enough that a /16 has two levels only.
_BITS = 10
_LOW = (1 << _BITS) - 1
_ALL = (1 << (1 << _BITS)) - 1


def parse_address(text: str, what: str = "") -> Address:
    """The address that the text spells. what: whose value it is, for the error. Raises BadRequest, also for zones, for
    lengths and for IPv4-mapped IPv6 (RFC 4291, 2.5.5)."""
    name = f"{what} {_shown(text)}".lstrip()
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except (ValueError, TypeError) as error:
        # A subnet is the usual mistake.
        hint = "leave out the prefix length" if "/" in text else "write it as 10.32.0.2 or fd00::2"
        raise BadRequest(f"{name} is not an IP address", hint=hint) from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise BadRequest(f"{name} has a zone", hint="leave out everything from the % on")
    if unmapped(address) is not address:
        raise BadRequest(f"{name} is IPv4-mapped", hint=f"write {unmapped(address)}")
    return address


def unmapped(address: Address) -> Address:
    """The IPv4 address when it is written as IPv6 (`::ffff:127.0.0.1`), which the kernel takes for the same.

    Ask it first whether an address is a loopback one: Python says so of the mapped form from 3.13 on only.
    """
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def parse_subnet(text: str) -> Subnet:
    """The subnet that the text (`address/length`) spells. Raises BadRequest, also when host bits are set."""
    address, length = _split(text, "subnet")
    size = address.max_prefixlen
    start = int(address) >> (size - length) << (size - length)
    subnet = network(address.version, start, length)
    if start != int(address):
        raise BadRequest(f"subnet {text} has host bits set", hint=f"write {subnet}")
    return subnet


def parse_interface(text: str) -> Interface:
    """The address with prefix length that the text (`address/length`) spells. Raises BadRequest."""
    address, length = _split(text, "address with prefix length")
    return interface(address.version, int(address), length)


def _split(text: str, kind: str) -> tuple[Address, int]:
    head, slash, tail = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not slash or not _PREFIX_LENGTH.fullmatch(tail):
        article = "an" if kind.startswith("a") else "a"
        raise BadRequest(f"{_shown(text)} is not {article} {kind}", hint="write it as ADDRESS/LENGTH")
    address = parse_address(head)
    if int(tail) > address.max_prefixlen:
        raise BadRequest(f"{kind} {text}: a prefix length of IPv{address.version} is at most {address.max_prefixlen}")
    return address, int(tail)


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def address_of(version: int, number: int) -> Address:
    """The address of the family (4 or 6) with the number."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)


def interface(version: int, number: int, length: int) -> Interface:
    """The address of the family (4 or 6) with the number and the prefix length."""
    return IPv4Interface((number, length)) if version == 4 else IPv6Interface((number, length))


def network(version: int, start: int, length: int) -> Subnet:
    """The subnet of the family (4 or 6) that starts at the number, which has no host bits."""
    return IPv4Network((start, length)) if version == 4 else IPv6Network((start, length))


def span(subnet: Subnet) -> tuple[int, int]:
    """All numbers of the subnet, half-open."""
    start = int(subnet.network_address)
    return start, start + (1 << (subnet.max_prefixlen - subnet.prefixlen))


def usable(subnet: Subnet) -> tuple[int, int]:
    """The numbers that an interface may have, half-open.

    Not the network and broadcast address of IPv4 (RFC 1122, 3.2.1.3), nor the subnet-router anycast address of IPv6
    (RFC 4291, 2.6.1). Both addresses of an IPv4 /31 (RFC 3021) and an IPv6 /127 (RFC 6164), and a single address.
    """
    start, end = span(subnet)
    if end - start <= 2:
        return start, end
    return start + 1, end - 1 if subnet.version == 4 else end


class RangeSet:
    """A set of integers as sorted ranges [start, end) that neither overlap nor touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Holds the union of the ranges, which may overlap: O(n log n)."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(ranges):
            if start >= end:
                continue
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._starts)

    def copy(self) -> RangeSet:
        """The same, and its own from now on."""
        other = RangeSet()
        other._starts, other._ends = self._starts.copy(), self._ends.copy()
        return other

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    def add(self, start: int, end: int) -> None:
        """Every number of [start, end) is in the set."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def remove(self, start: int, end: int) -> None:
        """No number of [start, end) is in the set."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        kept = [(self._starts[first], start), (end, self._ends[last - 1])]
        kept = [(low, high) for low, high in kept if low < high]
        self._starts[first:last] = [low for low, _ in kept]
        self._ends[first:last] = [high for _, high in kept]

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any number of [start, end) is in the set."""
        at = bisect_right(self._ends, start)
        return start < end and at < len(self._starts) and self._starts[at] < end

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of the set that lie in [start, end), in order."""
        at = bisect_right(self._ends, start)
        while at < len(self._starts) and self._starts[at] < end:
            yield max(start, self._starts[at]), min(end, self._ends[at])
            at += 1

    def end_of_last(self, start: int, end: int) -> int | None:
        """Where the last range ends that has a number of [start, end), None if there is none."""
        at = bisect_left(self._starts, end) - 1
        return self._ends[at] if start < end and at >= 0 and self._ends[at] > start else None


class BitTree:
    """A sparse set of integers >= 0 that finds the lowest absent number at or after a given one in O(log) time.

    Level 0 maps a block of 1024 numbers to an int with a bit for each that is present; level n + 1 has a bit for each
    block of level n that is full. Only blocks with something in them are kept.
    """

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[dict[int, int]] = [{}]

    def __contains__(self, number: int) -> bool:
        return bool(self._levels[0].get(number >> _BITS, 0) >> (number & _LOW) & 1)

    def add(self, number: int) -> None:
        """The number is present."""
        for level in self._levels:
            block = number >> _BITS
            bits = level[block] = level.get(block, 0) | 1 << (number & _LOW)
            if bits != _ALL:
                return
            number = block
        self._levels.append({number >> _BITS: 1 << (number & _LOW)})

    def discard(self, number: int) -> None:
        """The number is absent."""
        for level in self._levels:
            block = number >> _BITS
            before = level.get(block, 0)
            after = before & ~(1 << (number & _LOW))
            if after:
                level[block] = after
            else:
                level.pop(block, None)
            if before != _ALL:
                return
            number = block

    def next_absent(self, number: int) -> int:
        """The lowest number >= `number` that is absent."""
        levels = self._levels
        height = 0
        while height < len(levels):
            block = number >> _BITS
            absent = (_ALL ^ levels[height].get(block, 0)) >> (number & _LOW)
            if absent:
                number += (absent & -absent).bit_length() - 1
                break
            number = block + 1
            height += 1
        while height:
            height -= 1
            absent = _ALL ^ levels[height].get(number, 0)
            number = (number << _BITS) + (absent & -absent).bit_length() - 1
        return number


class Occupancy:
    """Which addresses of one pool are taken, as numbers, and which is the next to be given.

    Taken is what has a record, and what a request in flight holds. Chosen is the next free number after the last one
    chosen, around to the start; when there is none, the cooling address that was released longest ago
    (docs/adr/0003-cooling-is-an-order.md).
    """

    __slots__ = ("_cooling", "_cursor", "_held", "_oldest", "_recorded", "_taken")

    def __init__(self) -> None:
        self._taken = BitTree()
        self._recorded = BitTree()
        self._held: dict[int, int] = {}
        self._cooling: dict[int, float] = {}
        self._oldest: list[tuple[float, int]] = []
        self._cursor = 0

    def record(self, number: int, cooling_since: float | None = None) -> None:
        """The address has a record; it cools if that is given (seconds since the epoch)."""
        self._recorded.add(number)
        if number not in self._held:
            self._taken.add(number)
        if cooling_since is None:
            self._cooling.pop(number, None)
        elif self._cooling.get(number) != cooling_since:
            self._cooling[number] = cooling_since
            self._queue(cooling_since, number)

    def delete(self, number: int) -> None:
        """The address has no record."""
        self._recorded.discard(number)
        self._cooling.pop(number, None)
        if number not in self._held:
            self._taken.discard(number)

    def hold(self, number: int) -> None:
        """A request in flight wants the address, so no other is given it."""
        self._held[number] = self._held.get(number, 0) + 1
        self._taken.add(number)

    def unhold(self, number: int) -> None:
        """The request is over; only a record, and whoever else holds it, keeps the address from now on."""
        if (others := self._held.pop(number, 0) - 1) > 0:
            self._held[number] = others
            return
        if number not in self._recorded:
            self._taken.discard(number)
        elif number in self._cooling:
            self._queue(self._cooling[number], number)

    def is_held(self, number: int) -> bool:
        """Whether a request in flight wants the address."""
        return number in self._held

    def choose(self, start: int, end: int) -> int | None:
        """The next address in [start, end), held from now on, or None when all are taken and none cools."""
        number = self._taken.next_absent(max(self._cursor, start))
        if number >= end:
            number = self._taken.next_absent(start)
        if number >= end:
            return self._choose_cooling([(start, end)])
        self._cursor = number + 1
        self.hold(number)
        return number

    def choose_among(self, ranges: Sequence[tuple[int, int]]) -> int | None:
        """As `choose`, but in several ranges, and always the first: so that those behind become empty."""
        for start, end in ranges:
            if (number := self._taken.next_absent(start)) < end:
                self.hold(number)
                return number
        return self._choose_cooling(ranges)

    def is_free(self, number: int) -> bool:
        """Whether the address is free or cools, so that it may be given."""
        return number not in self._taken or (number in self._cooling and number not in self._held)

    def is_taken(self, number: int) -> bool:
        """Whether the address has a record, or a request in flight holds it."""
        return number in self._taken

    def _queue(self, since: float, number: int) -> None:
        heappush(self._oldest, (since, number))
        # Entries are left in the heap when they become untrue; here they are thrown out before they are many.
        if len(self._oldest) > 2 * len(self._cooling) + 64:
            self._oldest = sorted((since, number) for number, since in self._cooling.items())

    def _choose_cooling(self, ranges: Sequence[tuple[int, int]]) -> int | None:
        outside: list[tuple[float, int]] = []
        chosen = None
        while self._oldest and chosen is None:
            since, number = heappop(self._oldest)
            # What a request holds is queued again when that lets go.
            if self._cooling.get(number) != since or number in self._held:
                continue
            if any(start <= number < end for start, end in ranges):
                self.hold(number)
                chosen = number
            else:
                outside.append((since, number))
        for each in outside:
            heappush(self._oldest, each)
        return chosen
