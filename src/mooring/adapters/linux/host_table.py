"""What of links, addresses and routes says where the host is, kept so that one more or less of a hundred thousand
routes costs what one costs.

Rules: a route that is wider than any private network is a part of a default route, as VPNs write it (0.0.0.0/1 and
128.0.0.0/1), and says of no subnet that it is in use; so is each of several that lead the same way and are more than
half of all there is, as they are written to spare a LAN; what the host has itself is found by its addresses, of which
many are in no route of the main table; what is ours is not told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from itertools import takewhile
from typing import TypeVar

from mooring.core.networks import Address, Interface, Subnet, overlap
from mooring.core.subnet_index import Holdings
from mooring.ports import HostNet

# The longest prefix of a part of a default route: the widest private networks are 10.0.0.0/8 and fc00::/7.
DEFAULT_PART = {4: 7, 6: 6}
# Of all addresses: who leads more of them one way leads all that way that he does not lead another.
_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Route:
    """subnet: the destination, None for one that is no subnet, as a default route's. links: by which it leaves, none
    for one that leads nowhere. routers: its next hops. source: the address that it makes packets come from, of which
    the kernel takes the route along untold. nexthop: id of the nexthop object, 0 for none."""

    subnet: Subnet | None
    links: tuple[int, ...]
    routers: tuple[Address, ...]
    source: Address | None = None
    nexthop: int = 0


# Version, links and routers: what has these in common leads the same way.
_Way = tuple[int, tuple[int, ...], tuple[Address, ...]]
K = TypeVar("K")
# Where a route is in the kernel's tables, and what tells it from others there.
Place = bytes
Hops = bytes


class HostTable:
    """Links, addresses and routes as they are told, and what follows from them."""

    def __init__(self) -> None:
        self._links: dict[int, tuple[str, bool]] = {}
        self._given: dict[int, dict[Interface, None]] = {}
        self._routes: dict[Place, dict[Hops, Route]] = {}
        self._of_link: dict[int, dict[tuple[Place, Hops], None]] = {}
        self._of_way: dict[_Way, dict[tuple[Place, Hops], None]] = {}
        # Of each way the subnets that are parts of a default route, as of the last judgement, and ways to judge anew.
        self._parts: dict[_Way, frozenset[Subnet]] = {}
        self._doubtful: set[_Way] = set()
        self._sources: Counter[Address] = Counter()
        self._nexthops: Counter[int] = Counter()
        self._routers: Counter[tuple[Address, tuple[int, ...]]] = Counter()
        # Destinations: all of them, and those of routes that are not ours.
        self._occupied = Holdings()
        self._away = Holdings()
        self._nameservers: tuple[Address, ...] = ()
        self._known: HostNet | None = None

    def host_net(self, nameservers: tuple[Address, ...]) -> HostNet:
        """What follows; the same object until something of it changes."""
        while self._doubtful:
            self._judge(self._doubtful.pop())
        known = self._known
        if known is None or self._nameservers != nameservers:
            addresses = self._addresses()
            occupied = self._occupied.copy()
            for subnet in {interface.network for interface in addresses}:
                occupied.add(subnet)
            for nameserver in nameservers:
                occupied.add(ip_network(nameserver))
            known = self._known = HostNet(addresses, self._away.copy(), occupied)
            self._nameservers = nameservers
        return known

    def _addresses(self) -> dict[Interface, str]:
        names = {index: name for index, (name, ours) in self._links.items() if not ours}
        addresses = {
            interface: f"interface {names[index]} of this host"
            for index, interfaces in self._given.items()
            if index in names
            for interface in interfaces
        }
        # Of several ways to a router the one by a single link names it, whichever was told of first.
        for router, links in sorted(self._routers, key=lambda each: (len(each[1]) != 1, each[1])):
            if not self._are_ours(links):
                name = self._links.get(links[0], ("", False))[0] if len(links) == 1 else ""
                addresses.setdefault(ip_interface(router), f"a router of this host on {name or 'no interface'}")
        return addresses

    # Links.

    def note_link(self, index: int, name: str, ours: bool) -> None:
        """The link is there, with this name."""
        before = self._links.get(index)
        if before == (name, ours):
            return
        routes = self._of_link.get(index, {})
        for key in routes:
            self._show(key, False)
        self._links[index] = name, ours
        for key in routes:
            self._show(key, True)
        if index in self._given or routes:
            self._known = None

    def drop_link(self, index: int) -> None:
        """The link is not there, nor are its addresses. Its routes are another matter."""
        self._links.pop(index, None)
        if self._given.pop(index, None):
            self._known = None

    def drop_routes(self, index: int, version: int | None = None) -> bool:
        """The routes that leave by this link alone are not there; False when there are some that leave by others, too,
        of which the kernel may have left something."""
        whole = True
        for place, hops in list(self._of_link.get(index, ())):
            route = self._routes[place][hops]
            if version is not None and _version(route) != version:
                continue
            if route.links == (index,):
                self._remove(place, hops)
            else:
                whole = False
        return whole

    def has_routes(self, index: int) -> bool:
        """Whether a route leaves by the link."""
        return index in self._of_link

    def _are_ours(self, links: tuple[int, ...]) -> bool:
        return bool(links) and all(self._links.get(link, ("", False))[1] for link in links)

    def is_ours(self, index: int) -> bool:
        """Whether the link is one of ours."""
        return self._are_ours((index,))

    # Addresses.

    def note_address(self, index: int, interface: Interface) -> None:
        """The link has the address."""
        given = self._given.setdefault(index, {})
        if interface not in given:
            given[interface] = None
            if not self.is_ours(index):
                self._known = None

    def drop_address(self, index: int, interface: Interface) -> bool:
        """The link does not have the address; False when the kernel may have dropped routes that are known here, since
        it says nothing of those (net/ipv4/fib_frontend.c)."""
        given = self._given.get(index, {})
        if interface in given:
            del given[interface]
            self._known = self._known if self.is_ours(index) else None
        if not given:
            self._given.pop(index, None)
        if interface.version == 6:
            return True
        whole = not self._sources[interface.ip]
        if not any(each.version == 4 for each in given):
            whole = self.drop_routes(index, 4) and whole
        return whole

    # Routes.

    def note_route(self, place: Place, hops: Hops, route: Route | None, alone: bool) -> bool:
        """The route is there. alone: in place of the one that was there before. None says nothing of subnets. False
        when it cannot be told which of several went."""
        there = self._routes.get(place, {})
        whole = not alone or len(there) <= 1 or hops in there
        if alone:
            for other in [each for each in there if each != hops]:
                self._remove(place, other)
        if route is not None and hops not in self._routes.get(place, {}):
            self._add(place, hops, route)
        return whole

    def drop_route(self, place: Place, hops: Hops) -> bool:
        """The route is not there; False when another one is that has its place."""
        there = self._routes.get(place)
        if there is None:
            return True
        if hops not in there:
            return False
        self._remove(place, hops)
        return True

    def uses_nexthop(self, ident: int) -> bool:
        """Whether a route has the nexthop object."""
        return self._nexthops[ident] > 0

    def _add(self, place: Place, hops: Hops, route: Route) -> None:
        self._routes.setdefault(place, {})[hops] = route
        self._count(route, 1)
        key = place, hops
        for link in route.links:
            self._of_link.setdefault(link, {})[key] = None
        way = _way(route)
        if way is not None:
            self._of_way.setdefault(way, {})[key] = None
            self._doubt(way, route)
        self._show(key, True)

    def _remove(self, place: Place, hops: Hops) -> None:
        key, route = (place, hops), self._routes[place][hops]
        self._show(key, False)
        del self._routes[place][hops]
        if not self._routes[place]:
            del self._routes[place]
        self._count(route, -1)
        for link in route.links:
            _forget(self._of_link, link, key)
        way = _way(route)
        if way is not None:
            _forget(self._of_way, way, key)
            self._doubt(way, route)

    def _count(self, route: Route, by: int) -> None:
        for router in route.routers:
            self._routers[router, route.links] += by
            if not self._routers[router, route.links]:
                del self._routers[router, route.links]
                self._known = None
            elif by > 0 and self._routers[router, route.links] == 1:
                self._known = None
        if route.source is not None:
            self._sources[route.source] += by
        if route.nexthop:
            self._nexthops[route.nexthop] += by

    def _show(self, key: tuple[Place, Hops], there: bool) -> None:
        """What the route is in the way of, as long as it is there."""
        route = self._routes[key[0]][key[1]]
        way = _way(route)
        if route.subnet is None or (way is not None and route.subnet in self._parts.get(way, ())):
            return
        self._known = None
        for holdings in (self._occupied,) if self._are_ours(route.links) else (self._occupied, self._away):
            if there:
                holdings.add(route.subnet)
            else:
                holdings.remove(route.subnet)

    def _doubt(self, way: _Way, changed: Route) -> None:
        """One route of the way more or less: others may be parts of a default route now, or none any more."""
        if way in self._parts or (changed.subnet is not None and changed.subnet.prefixlen <= DEFAULT_PART[way[0]]):
            self._doubtful.add(way)

    def _judge(self, way: _Way) -> None:
        routes = {(place, hops): self._routes[place][hops] for place, hops in self._of_way.get(way, ())}
        after = frozenset(_parts_of_default(way[0], {each.subnet for each in routes.values() if each.subnet}))
        moved = after ^ self._parts.get(way, frozenset())
        keys = [key for key, route in routes.items() if route.subnet in moved]
        for key in keys:
            self._show(key, False)
        self._parts[way] = after
        if not after:
            del self._parts[way]
        for key in keys:
            self._show(key, True)


def _forget(index: dict[K, dict[tuple[Place, Hops], None]], at: K, key: tuple[Place, Hops]) -> None:
    found = index.get(at, {})
    found.pop(key, None)
    if not found:
        index.pop(at, None)


def _version(route: Route) -> int:
    return route.subnet.version if route.subnet is not None else next((each.version for each in route.routers), 4)


def _way(route: Route) -> _Way | None:
    return (route.subnet.version, route.links, route.routers) if route.subnet is not None else None


def _parts_of_default(version: int, subnets: Iterable[Subnet]) -> Iterator[Subnet]:
    """Those of the destinations of one way that are parts of a default route. What is inside of such a part is none."""
    every = sorted(subnets, key=_place)
    wide = [subnet for subnet in every if subnet.prefixlen <= DEFAULT_PART[version]]
    if not wide:
        return
    outermost: list[Subnet] = []
    for subnet in every:
        if not outermost or not overlap(outermost[-1], subnet):
            outermost.append(subnet)
    yield from wide
    if sum(0.5**subnet.prefixlen for subnet in outermost) > _MOST:
        yield from (subnet for subnet in outermost if _covers_most(outermost, subnet))


def _covers_most(parts: Sequence[Subnet], part: Subnet) -> bool:
    """Whether most of what is around the part is in the parts, which are sorted: what is left out is the exception."""
    around = part.supernet(min(2, part.prefixlen))
    begin = bisect_left(parts, _place(around), key=_place)
    inside = takewhile(lambda each: overlap(each, around), parts[begin:])
    return sum(0.5 ** (each.prefixlen - around.prefixlen) for each in inside) > _MOST


def _place(subnet: Subnet) -> tuple[int, int, int]:
    return subnet.version, int(subnet.network_address), subnet.prefixlen
