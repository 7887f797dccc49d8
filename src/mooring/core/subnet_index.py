"""Which subnets are held, and by whom, found by what overlaps, whatever their number.

Rule: of two subnets that overlap one lies in the other. So what a subnet lies in is found by trying the few prefix
lengths that there are, and what lies in it is one piece of the order by address.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator

from mooring.core.addresses import RangeSet, span
from mooring.core.networks import Address, Subnet

# First number and prefix length.
_Place = tuple[int, int]


# What most of a hundred thousand routes are held by.
_NOBODY = ("",)


class Holdings:
    """Subnets of both families with the names of their holders. Equal ones and those in one another are fine.

    To find, to add and to remove one takes O(log n), and what it has to do with others that overlap it.
    """

    __slots__ = ("_families",)

    def __init__(self, subnets: Iterable[Subnet] = ()) -> None:
        """Holds these, by nobody in particular ("")."""
        self._families = {4: _Family(), 6: _Family()}
        for subnet in subnets:
            self.add(subnet)

    def __len__(self) -> int:
        """How many different subnets are held."""
        return sum(len(family.order) for family in self._families.values())

    def __iter__(self) -> Iterator[Subnet]:
        """Each different subnet, IPv4 first, in order of address, the wider one first."""
        for family in self._families.values():
            yield from (family.held[place][0] for place in family.order)

    def singles(self) -> Iterator[Address]:
        """The single addresses that are held as such."""
        for version, family in self._families.items():
            most = 32 if version == 4 else 128
            if family.lengths[most]:
                yield from (held.network_address for (_, length), (held, _) in family.held.items() if length == most)

    def copy(self) -> Holdings:
        """The same, and its own from now on: some nanoseconds for each subnet."""
        other = Holdings()
        other._families = {version: family.copy() for version, family in self._families.items()}
        return other

    def ranges(self, version: int) -> RangeSet:
        """Every number that is held of the family. Not to be changed."""
        return self._families[version].ranges

    def add(self, subnet: Subnet, name: str = "") -> None:
        """The name holds the subnet, once more if it does already."""
        family, (start, end), place = self._families[subnet.version], span(subnet), _place(subnet)
        if place in family.held:
            family.held[place] = subnet, (*family.held[place][1], name)
            return
        family.held[place] = subnet, (name,) if name else _NOBODY
        family.lengths[subnet.prefixlen] += 1
        insort(family.order, place)
        family.ranges.add(start, end)

    def remove(self, subnet: Subnet, name: str = "") -> None:
        """The name holds the subnet once less. Not held is fine."""
        family, place = self._families[subnet.version], _place(subnet)
        names = list(family.held[place][1]) if place in family.held else []
        if name not in names:
            return
        names.remove(name)
        if names:
            family.held[place] = subnet, tuple(names)
            return
        del family.held[place], family.order[bisect_left(family.order, place)]
        family.lengths[subnet.prefixlen] -= 1
        others = self.overlapping(subnet)
        family.ranges.remove(*span(subnet))
        for other, _ in others:
            family.ranges.add(*span(other))

    def at(self, subnet: Subnet) -> tuple[str, ...]:
        """The holders of exactly this subnet."""
        found = self._families[subnet.version].held.get(_place(subnet))
        return found[1] if found is not None else ()

    def overlapping(self, subnet: Subnet) -> list[tuple[Subnet, str]]:
        """Everything that overlaps the subnet, with the holder, in order of address, the wider one first."""
        family, (start, end) = self._families[subnet.version], span(subnet)
        if not family.ranges.overlaps(start, end):
            return []
        wider = sorted(length for length, number in family.lengths.items() if number and length < subnet.prefixlen)
        most = subnet.max_prefixlen
        places = [(start >> (most - length) << (most - length), length) for length in wider]
        low = bisect_left(family.order, (start, subnet.prefixlen))
        places += family.order[low : bisect_left(family.order, (end, 0), low)]
        found = (family.held[place] for place in places if place in family.held)
        return [(held, name) for held, names in found for name in names]


class _Family:
    """What is held of one family. ranges: the union of it all."""

    __slots__ = ("held", "lengths", "order", "ranges")

    def __init__(self) -> None:
        self.held: dict[_Place, tuple[Subnet, tuple[str, ...]]] = {}
        self.order: list[_Place] = []
        self.lengths: Counter[int] = Counter()
        self.ranges = RangeSet()

    def copy(self) -> _Family:
        other = _Family()
        other.held, other.order = self.held.copy(), self.order.copy()
        other.lengths, other.ranges = self.lengths.copy(), self.ranges.copy()
        return other


def _place(subnet: Subnet) -> _Place:
    return int(subnet.network_address), subnet.prefixlen
