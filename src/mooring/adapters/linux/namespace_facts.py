"""Facts of a namespace read from the kernel, and ops carried out in it, one after another, in one thread.

Rules: a link of ours bears its endpoint in its alias, and no more: whoever is in the namespace may write what he likes
there, so where a link comes from and goes back to is what the ops say; what bears no sign of ours stays as it is;
whatever the kernel says becomes a fault in here.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mooring.adapters.linux.namespace_links import (
    ADVERTISED_PROTOCOL,
    KERNEL_PROTOCOL,
    OUR_PROTOCOL,
    Found,
    NamespaceLinks,
    Route,
)
from mooring.adapters.netlink.sockets import NetlinkError
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.networks import Subnet
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

# What priority a route gets that names none (net/ipv6/route.c, IP6_RT_PRIO_USER; IPv4 has none).
_PRIORITY = {4: 0, 6: 1024}
_IPV6_SWITCH = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


@dataclass(frozen=True, slots=True)
class Signs:
    """How links of ours are told from others. mark: how their aliases begin, without the colon."""

    mark: str

    def alias(self, link: NamespaceLink) -> str:
        """What the link bears."""
        return f"{self.mark}:endpoint:{link.endpoint}"

    def read(self, found: Found) -> NamespaceLink | None:
        """The fact that the link claims, None when it bears no sign. One that is down shows without its name, so that
        it is put right. Its source, IPv6 and way back are not told."""
        sign = f"{self.mark}:endpoint:"
        if not found.alias.startswith(sign):
            return None
        name = found.name if found.up else ""
        return NamespaceLink(found.alias.removeprefix(sign), name, source="", mac=found.mac, ipv6=True, returns=False)


def observe(links: NamespaceLinks, signs: Signs, identity: str = "") -> NamespaceState:
    """What is in the namespace. Raises NetlinkError."""
    found = links.links()
    names = {link.index: link.name for link in found}
    ours = {link.index: fact for link in found if (fact := signs.read(link)) is not None}
    facts: set[NamespaceFact] = set(ours.values())
    facts.update(
        NamespaceAddress(names[held.index], held.interface)
        for held in links.addresses()
        if held.ours and held.index in ours
    )
    routed: set[Subnet] = set()
    for route in links.routes():
        if route.index not in ours or route.protocol not in (OUR_PROTOCOL, KERNEL_PROTOCOL):
            routed.add(route.destination)
        elif route.protocol == OUR_PROTOCOL:
            facts.add(NamespaceRoute(route.destination, route.via, names[route.index]))
    return NamespaceState(frozenset(facts), frozenset(names.values()), identity, routed=frozenset(routed))


@dataclass(frozen=True, slots=True)
class Place:
    """Where ops are carried out. path: as people know it. namespace, host: file descriptors. inside: in the namespace.
    on_host: gives the same on the host, for the length of a block. visit: the thread is in the namespace meanwhile."""

    path: str
    namespace: int
    host: int
    inside: NamespaceLinks
    on_host: Callable[[], AbstractContextManager[NamespaceLinks]]
    visit: Callable[[], AbstractContextManager[None]]


class NamespaceWriter:
    """Makes facts true and untrue in one namespace. Raises Faults, and NetlinkError for what nobody expects."""

    def __init__(self, place: Place, signs: Signs, ops: Sequence[NamespaceOp]) -> None:
        self._place = place
        self._inside = place.inside
        self._signs = signs
        self._ops = ops
        self._links = self._inside.links()
        self._leaving = {
            op.fact.endpoint: op.fact
            for op in ops
            if isinstance(op, NamespaceRemove) and isinstance(op.fact, NamespaceLink)
        }

    def run(self) -> None:
        """The ops are carried out, in order, until one is refused."""
        for op in self._ops:
            match op:
                case NamespaceAdd(NamespaceLink() as link):
                    self._add_link(link)
                case NamespaceAdd(NamespaceAddress() as address):
                    self._add_address(address)
                case NamespaceAdd(NamespaceRoute() as route):
                    self._add_route(route)
                case NamespaceRemove(NamespaceLink() as link):
                    self._remove_link(link)
                case NamespaceRemove(NamespaceAddress() as address):
                    self._remove_address(address)
                case NamespaceRemove(NamespaceRoute() as route):
                    self._remove_route(route)

    def _add_link(self, link: NamespaceLink) -> None:
        with _said(f"interface {link.name} cannot be put into {self._place.path}"):
            there = self._choose(link)
            taken = self._named(link.name)
            if taken is not None and (there is None or taken.index != there.index):
                self._clear(taken, link.endpoint)
            index = self._fetch(link) if there is None else self._rename(there, link)
            if not link.ipv6:
                self._without_ipv6(link.name, index)
            self._inside.set_up(index, up=True)
        self._links = self._inside.links()

    def _rename(self, there: Found, link: NamespaceLink) -> int:
        """The link, which is in the namespace, has its name, sign and MAC."""
        alias = self._signs.alias(link)
        if (there.name, there.alias) != (link.name, alias) or (link.mac and there.mac != link.mac):
            if there.up:  # else Linux before 6.2 refuses a name
                self._inside.set_up(there.index, up=False)
            self._inside.name(there.index, link.name, alias, link.mac)
        return there.index

    def _fetch(self, link: NamespaceLink) -> int:
        """The link is in the namespace, come from the host; its index there."""
        with self._place.on_host() as host:
            found = host.find(link.source)
            if found is None:
                raise NotFound(f"interface {link.source!r} is neither in {self._place.path} nor on the host")
            host.name(found.index, link.name, self._signs.alias(link), link.mac, namespace=self._place.namespace)
        moved = self._inside.find(link.name)
        if moved is None:
            raise Unavailable(
                f"interface {link.name} was removed from {self._place.path}", hint="try again in a few seconds"
            )
        return moved.index

    def _clear(self, taken: Found, endpoint: str) -> None:
        """The link has made way, if its endpoint has left: its host end goes soon, and the name is wanted now; so has
        one that only claims to be the endpoint's."""
        fact = self._signs.read(taken)
        leaving = None if fact is None else self._leaving.get(fact.endpoint)
        if leaving is None and (fact is None or fact.endpoint != endpoint):
            raise Conflict(
                f"interface {taken.name} is already in {self._place.path}",
                holder=f"alias {taken.alias!r}" if taken.alias else f"device {taken.name}",
                hint="choose another name for the interface",
            )
        if leaving is not None and leaving.returns:
            self._return_to_host(taken, leaving.source)
        else:
            self._inside.delete(taken.index)

    def _remove_link(self, link: NamespaceLink) -> None:
        there = self._of_endpoint(link) if link.returns else None
        if there is not None:
            self._return_to_host(there, link.source)
            self._links = self._inside.links()

    def _return_to_host(self, there: Found, source: str) -> None:
        """The link is on the host, down, by its old name and without our sign; its addresses are gone."""
        # Asked first: where both names are free the kernel moves a link before it finds that it cannot rename it.
        if self._is_on_host(source):
            raise Conflict(
                f"interface {there.name} of {self._place.path} cannot go back to the host as {source}",
                holder=f"device {source}",
                hint=f"rename that interface with `ip link set {source} name`",
            )
        with _said(f"interface {there.name} of {self._place.path} cannot go back to the host"):
            self._inside.name(there.index, source, "", namespace=self._place.host)

    def _add_address(self, address: NamespaceAddress) -> None:
        index = self._ours(address.link).index
        with _said(f"address {address.interface} cannot be given to interface {address.link}"):
            for held in self._inside.addresses():
                other = self._by_index(held.index)
                local = held.interface.ip.is_link_local
                if held.interface.ip == address.interface.ip and other is not None and not local:
                    self._refuse_other(other, index, f"address {address.interface.ip}")
            try:
                self._inside.add_address(index, address.interface)
            except NetlinkError as error:
                if error.errno != errno.EACCES or address.interface.version == 4:
                    raise
                self._with_ipv6(address.link)  # somebody has switched it off, as sysctls of containers do
                self._inside.add_address(index, address.interface)

    def _remove_address(self, address: NamespaceAddress) -> None:
        link = self._named(address.link)
        if link is not None and self._signs.read(link) is not None:
            with _said(f"address {address.interface} cannot be taken from interface {address.link}"):
                self._inside.delete_address(link.index, address.interface)

    def _add_route(self, route: NamespaceRoute) -> None:
        index = self._ours(route.link).index
        what = f"a route to {route.destination}"
        with _said(f"{what} by interface {route.link} cannot be created"):
            for known in self._inside.routes():
                if known.destination != route.destination or known.priority != _PRIORITY[route.destination.version]:
                    continue
                if known.protocol == ADVERTISED_PROTOCOL or self._is_ours(known):
                    continue
                if (known.protocol, known.via, known.index) == (KERNEL_PROTOCOL, route.via, index):
                    return  # the link has an address in that subnet: nothing is missing
                self._refuse_other(self._by_index(known.index), 0, what)
            try:
                self._inside.put_route(route.destination, route.via, index)
            except NetlinkError as error:
                if route.via is None or error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL):
                    raise
                raise BadRequest(
                    f"gateway {route.via} of {what} is not reachable by interface {route.link}",
                    hint="choose one in a subnet of the interface",
                ) from error

    def _remove_route(self, route: NamespaceRoute) -> None:
        link = self._named(route.link)
        if link is not None:
            with _said(f"a route to {route.destination} by interface {route.link} cannot be removed"):
                self._inside.delete_route(route.destination, route.via, link.index)

    def _refuse_other(self, holder: Found | None, index: int, what: str) -> None:
        """Raises Conflict when somebody else has it: not the link of that index, nor one of ours that leaves."""
        if holder is not None:
            fact = self._signs.read(holder)
            if holder.index == index or (fact is not None and fact.endpoint in self._leaving):
                return
        name = "several interfaces" if holder is None else f"interface {holder.name}"
        raise Conflict(f"{what} is already in {self._place.path}", holder=name)

    def _is_ours(self, route: Route) -> bool:
        """Whether we made it, and no other owner."""
        link = self._by_index(route.index)
        return route.protocol == OUR_PROTOCOL and link is not None and self._signs.read(link) is not None

    def _without_ipv6(self, name: str, index: int) -> None:
        """The link, which is down, gets no IPv6 address by itself, not even a link-local one."""
        try:
            self._switch_ipv6(name, "1")
        except OSError:  # /proc/sys may be read-only
            self._inside.without_link_local(index)

    def _with_ipv6(self, name: str) -> None:
        try:
            self._switch_ipv6(name, "0")
        except OSError as error:
            raise Unavailable(
                f"IPv6 is off at interface {name} of {self._place.path}, and cannot be switched on: {error.strerror}",
                hint="leave IPv6 out of the network",
            ) from error

    def _switch_ipv6(self, name: str, off: str) -> None:
        with self._place.visit():
            Path(_IPV6_SWITCH.format(name)).write_text(off)

    def _ours(self, name: str) -> Found:
        """The link of that name. Raises Unavailable when there is none, Conflict when it is foreign."""
        link = self._named(name)
        if link is None:
            raise Unavailable(f"interface {name} is missing in {self._place.path}", hint="try again in a few seconds")
        if self._signs.read(link) is None:
            raise Conflict(f"interface {name} of {self._place.path} is not ours", holder=f"device {name}")
        return link

    def _named(self, name: str) -> Found | None:
        return next((link for link in self._links if link.name == name), None)

    def _by_index(self, index: int) -> Found | None:
        return next((link for link in self._links if link.index == index), None)

    def _of_endpoint(self, link: NamespaceLink) -> Found | None:
        """The link that bears the endpoint's sign; of several, since one may be forged, that which fits best."""

        def misfit(found: Found) -> tuple[bool, bool, int]:
            return found.name != link.name, found.mac != link.mac, found.index

        signed = [found for found in self._links if found.alias == self._signs.alias(link)]
        return min(signed, key=misfit, default=None)

    def _choose(self, link: NamespaceLink) -> Found | None:
        """The link that is here already, None when it is to be fetched: one that bears the sign and is as it should be,
        or is nowhere else, as the sign alone proves nothing."""
        signed = self._of_endpoint(link)
        if signed is not None and (signed.name, link.mac or signed.mac) == (link.name, signed.mac):
            return signed
        made = self._unclaimed(link)
        return signed if made is None and signed is not None and not self._is_on_host(link.source) else made

    def _is_on_host(self, name: str) -> bool:
        with self._place.on_host() as host:
            return host.find(name) is not None

    def _unclaimed(self, link: NamespaceLink) -> Found | None:
        """The link that its driver has made here, and that nobody has taken yet: with the MAC that the endpoint has,
        since any other by that name is somebody else's. What returns to the host is made there."""
        found = None if link.returns else self._named(link.source)
        if found is None or self._signs.read(found) is not None or link.mac not in ("", found.mac):
            return None
        return found


@contextmanager
def _said(what: str) -> Iterator[None]:
    """What the kernel refuses in the block becomes Unavailable, or BadRequest for what can never be a name."""
    try:
        yield
    except NetlinkError as error:
        if error.errno == errno.ERANGE:
            raise BadRequest(f"{what}: {error.strerror}") from error
        raise Unavailable(f"{what}: {error.strerror}") from error
    except UnicodeEncodeError:
        raise BadRequest(f"{what}: its name is not text") from None
