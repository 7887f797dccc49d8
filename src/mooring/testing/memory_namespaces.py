"""Namespaces in memory, with the promises of the real ones.

Rules: a link is somewhere, on the host or in one namespace, and is there as long as the kernel in memory has its veth
pair; what the real kernel refuses is refused here (a name that is taken, a next hop out of reach); a test may make
foreign links and namespaces, let an op fail, and look in before each step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.networks import Interface, Subnet
from mooring.core.plumbing import Veth
from mooring.core.sandboxes import (
    NamespaceAdd,
    NamespaceAddress,
    NamespaceFact,
    NamespaceLink,
    NamespaceOp,
    NamespaceRemove,
    NamespaceRoute,
    NamespaceState,
)
from mooring.ports import Counters, Namespaces
from mooring.services.records.locks import KeyedLocks
from mooring.testing.memory_kernel import MemoryKernel

# An op, or ("create", id) and ("remove", path).
Step = NamespaceOp | tuple[str, str]
Before = Callable[[Step], Awaitable[None]]

HOST = ""
_FOLDER = "/run/mooring-memory"
_LINK_LOCAL = ip_network("fe80::/10")


@dataclass(slots=True, eq=False)
class MemoryLink:
    """A link: where it is (HOST or a namespace's path), its name there, and the fact that it bears if it is ours.

    origin: the veth pair it is an end of, and which of those that had the name; None for a link of others. mac: as it
    was made, "" for none that anybody chose.
    """

    place: str
    name: str
    origin: tuple[str, int] | None = None
    fact: NamespaceLink | None = None
    addresses: set[Interface] = field(default_factory=set)
    mac: str = ""


class MemoryNamespaces(Namespaces):
    """kernel: whose veth pairs have their other ends here.

    fail_on: ops that are refused with Unavailable. before: called before each step of create, remove and apply.
    """

    def __init__(
        self, kernel: MemoryKernel, *, fail_on: Iterable[NamespaceOp] = (), before: Before | None = None
    ) -> None:
        self.kernel = kernel
        self.fail_on = list(fail_on)
        self.before = before
        self._made: dict[str, str] = {}
        self._external: set[str] = set()
        self._age: dict[str, int] = {}
        self._links: list[MemoryLink] = []
        self._routes: dict[tuple[str, Subnet], NamespaceRoute] = {}
        self._turns = KeyedLocks()
        self._closed = False

    def plant(self, name: str, place: str = HOST, *, sign: str = "") -> None:
        """There is a link of somebody else's, on the host or in the namespace, as a remote plugin makes one. sign: the
        mark of the endpoint whose it claims to be."""
        fact = NamespaceLink(sign, name, source="", mac="", ipv6=True, returns=False) if sign else None
        self._links.append(MemoryLink(place, name, fact=fact))

    def external(self, path: str) -> str:
        """There is a namespace of somebody else's at the path, and it is another one than that which was there."""
        self._external.add(path)
        self._age[path] = self._age.get(path, 0) + 1
        return path

    def on_host(self) -> set[str]:
        """The names of the links on the host that could be fetched into a namespace."""
        return {link.name for link in self._in(HOST)}

    def reboot(self) -> None:
        """Every namespace and link is gone. The kernel has a reboot of its own."""
        self._made, self._external, self._links, self._routes = {}, set(), [], {}

    async def create(self, ident: str) -> str:
        """See Namespaces."""
        if not ident or "/" in ident or ident in (".", ".."):
            raise BadRequest(f"{ident!r} cannot name a namespace")
        path = f"{_FOLDER}/{ident}"
        await self._step(("create", ident))
        if ident not in self._made:
            self._age[path] = self._age.get(path, 0) + 1
        self._made[ident] = path
        return path

    async def remove(self, path: str) -> None:
        """See Namespaces. In here, what was in it is gone at once, with the other ends."""
        folder, _, ident = path.rpartition("/")
        if folder != _FOLDER:
            raise BadRequest(f"namespace {path!r} is not one of {_FOLDER}")
        await self._step(("remove", path))
        for link in self._in(path):
            self._end(link)
        self._made.pop(ident, None)

    async def made(self) -> Mapping[str, str]:
        """See Namespaces."""
        self._check_open()
        return dict(self._made)

    async def exists(self, path: str) -> bool:
        """See Namespaces."""
        self._check_open()
        return self._there(path)

    async def identify(self, path: str) -> str:
        """See Namespaces."""
        if path:
            self._check(path)
        return self._identity(path)

    def _identity(self, path: str) -> str:
        return f"{path}#{self._age.get(path, 0)}"

    async def observe(self, path: str) -> NamespaceState:
        """See Namespaces."""
        self._check(path)
        facts: set[NamespaceFact] = set()
        for link in self._in(path):
            if link.fact is not None:
                facts.add(replace(link.fact, source="", returns=False))
                facts.update(NamespaceAddress(link.name, interface) for interface in link.addresses)
        facts.update(route for (place, _), route in self._routes.items() if place == path)
        return NamespaceState(
            frozenset(facts), frozenset({"lo", *(link.name for link in self._in(path))}), self._identity(path)
        )

    async def apply(self, path: str, ops: Sequence[NamespaceOp]) -> None:
        """See Namespaces."""
        self._check(path)
        async with self._turns.hold(path):
            removed = [op.fact for op in ops if isinstance(op, NamespaceRemove)]
            leaving = {fact.endpoint: fact for fact in removed if isinstance(fact, NamespaceLink)}
            for op in ops:
                await self._step(op)
                self._check(path)
                self._carry_out(path, op, leaving)

    async def statistics(self, path: str) -> Mapping[str, Counters]:
        """See Namespaces. In here nothing is ever carried."""
        self._check(path)
        return {link.name: Counters(0, 0, 0, 0, 0, 0, 0, 0) for link in self._in(path)}

    async def close(self) -> None:
        """See Namespaces."""
        self._closed = True

    async def _step(self, step: Step) -> None:
        self._check_open()
        if self.before is not None:
            await self.before(step)
        if step in self.fail_on:
            raise Unavailable(f"the kernel refused a change: {step}")

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the namespaces adapter is closed")

    def _there(self, path: str) -> bool:
        return path in self._external or path in self._made.values()

    def _check(self, path: str) -> None:
        self._check_open()
        if not self._there(path):
            raise NotFound(f"{path!r} is not a network namespace")

    def _in(self, place: str) -> list[MemoryLink]:
        """The links that are there now, after what became of the veth pairs meanwhile."""
        veths = {
            (fact.name, self.kernel.made[fact.key]): fact
            for fact in self.kernel.facts.values()
            if isinstance(fact, Veth)
        }
        for link in list(self._links):
            if link.origin is not None and link.origin not in veths:
                self._end(link)
        known = {link.origin for link in self._links}
        for origin, veth in veths.items():
            if origin not in known and (veth.inside == HOST or self._there(veth.inside)):
                self._links.append(MemoryLink(veth.inside, veth.peer, origin, mac=veth.peer_mac))
        return [link for link in self._links if link.place == place]

    def _end(self, link: MemoryLink) -> None:
        """The link is gone, and its other end."""
        self._bare(link)
        self._links.remove(link)
        if link.origin is not None and self.kernel.made["veth", link.origin[0]] == link.origin[1]:
            self.kernel.lose(link.origin[0])

    def _bare(self, link: MemoryLink) -> None:
        """The link has no addresses and no routes."""
        link.addresses.clear()
        self._routes = {
            key: route for key, route in self._routes.items() if (key[0], route.link) != (link.place, link.name)
        }

    def _named(self, place: str, name: str) -> MemoryLink | None:
        return next((link for link in self._in(place) if link.name == name), None)

    def _of_endpoint(self, path: str, fact: NamespaceLink) -> MemoryLink | None:
        """The link that bears the endpoint's sign; of several that which fits best."""
        signed = [link for link in self._in(path) if link.fact is not None and link.fact.endpoint == fact.endpoint]
        return min(signed, key=lambda link: (link.name != fact.name, link.mac != fact.mac), default=None)

    def _carry_out(self, path: str, op: NamespaceOp, leaving: Mapping[str, NamespaceLink]) -> None:
        match op:
            case NamespaceAdd(NamespaceLink() as link):
                self._add_link(path, link, leaving)
            case NamespaceAdd(NamespaceAddress() as address):
                self._add_address(path, address, leaving)
            case NamespaceAdd(NamespaceRoute() as route):
                self._add_route(path, route)
            case NamespaceRemove(NamespaceLink() as link):
                there = self._of_endpoint(path, link)
                if there is not None and link.returns:
                    self._return_to_host(there, link.source)
            case NamespaceRemove(NamespaceAddress() as address):
                holder = self._named(path, address.link)
                if holder is not None and holder.fact is not None:
                    holder.addresses.discard(address.interface)
            case NamespaceRemove(NamespaceRoute() as route):
                if self._routes.get((path, route.destination)) == route:
                    del self._routes[path, route.destination]

    def _add_link(self, path: str, fact: NamespaceLink, leaving: Mapping[str, NamespaceLink]) -> None:
        signed = self._of_endpoint(path, fact)
        made = self._unclaimed(path, fact) or self._named(HOST, fact.source)
        fits = signed is not None and signed.name == fact.name and fact.mac in ("", signed.mac)
        link = signed if fits else made or signed
        taken = self._named(path, fact.name)
        if taken is not None and taken is not link:
            gone = leaving.get(taken.fact.endpoint) if taken.fact is not None else None
            if gone is None and (taken.fact is None or taken.fact.endpoint != fact.endpoint):
                raise Conflict(f"interface {fact.name} is in {path} already", holder=f"device {fact.name}")
            if gone is not None and gone.returns:
                self._return_to_host(taken, gone.source)
            else:
                self._end(taken)
        if link is None:
            raise NotFound(f"interface {fact.source!r} is neither in {path} nor on the host")
        if (link.place, link.name) != (path, fact.name):
            self._bare(link)
        link.place, link.name, link.fact, link.mac = path, fact.name, fact, fact.mac or link.mac

    def _unclaimed(self, path: str, fact: NamespaceLink) -> MemoryLink | None:
        """The link that the endpoint's driver has made here, and nobody has taken yet."""
        found = None if fact.returns else self._named(path, fact.source)
        return found if found is not None and found.fact is None and fact.mac in ("", found.mac) else None

    def _return_to_host(self, link: MemoryLink, source: str) -> None:
        """The link is on the host again, by that name."""
        if self._named(HOST, source) is not None:
            raise Conflict(
                f"interface {link.name} of {link.place} cannot go back to the host as {source}",
                holder=f"device {source}",
            )
        self._bare(link)
        link.place, link.name, link.fact = HOST, source, None

    def _add_address(self, path: str, address: NamespaceAddress, leaving: Mapping[str, NamespaceLink]) -> None:
        link = self._ours(path, address.link)
        wanted = address.interface.ip
        for other in self._in(path):
            away = other.fact is not None and other.fact.endpoint in leaving
            if other is link or away or wanted.is_link_local:
                continue
            if wanted in {interface.ip for interface in other.addresses}:
                raise Conflict(f"address {wanted} is in {path} already", holder=f"interface {other.name}")
        link.addresses.add(address.interface)

    def _add_route(self, path: str, route: NamespaceRoute) -> None:
        link = self._ours(path, route.link)
        connected = {interface.network for interface in link.addresses}
        if route.via is None and route.destination in connected and route.destination.version == 4:
            return  # the kernel has it already
        reached = route.via is None or route.via in _LINK_LOCAL or any(route.via in subnet for subnet in connected)
        if not reached:
            raise BadRequest(
                f"gateway {route.via} of a route to {route.destination} is not reachable by interface {route.link}"
            )
        self._routes[path, route.destination] = route

    def _ours(self, path: str, name: str) -> MemoryLink:
        link = self._named(path, name)
        if link is None:
            raise Unavailable(f"interface {name} is missing in {path}", hint="try again in a few seconds")
        if link.fact is None:
            raise Conflict(f"interface {name} of {path} is not ours", holder=f"device {name}")
        return link
