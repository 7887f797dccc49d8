"""Facts of the host and of every routing domain of it, read and made true in one thread.

Rules: what a thread works with in a domain it opens there once, and anew when the domain is another one; a domain is
whole when it has its file, both ends of its line with their addresses, and the way out; the line's end on the host
bears the owner's mark; ops of several domains are all carried out, or none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv6Interface
from itertools import groupby

from mooring.adapters.linux.domain_links import DomainLinks
from mooring.adapters.linux.domains import Domains, Held
from mooring.adapters.linux.host_links import HostLinks
from mooring.adapters.linux.kernel_facts import LINE_ALIAS, FactReader, FactWriter, Tools, Undo, all_or_none, moved
from mooring.adapters.linux.links import Links
from mooring.adapters.linux.seen_links import host_link
from mooring.adapters.linux.sysctls import write_setting
from mooring.adapters.netlink.ownership import Owner
from mooring.adapters.netlink.sockets import NetlinkError
from mooring.core.domains import FAR_END, line, near_end
from mooring.core.faults import Conflict, Unavailable
from mooring.core.networks import Interface
from mooring.core.plumbing import Add, Alter, Domain, Fact, HostLink, Inside, Op, Remove, Route, domain_of, fact_of

# Of the line's end on the host: connections from 127.0.0.1 go there, and no router is heard or address probed for.
_NEAR_SETTINGS = (
    ("net/ipv4/conf/{}/route_localnet", "1"),
    ("net/ipv6/conf/{}/accept_ra", "0"),
    ("net/ipv6/conf/{}/accept_dad", "0"),
)
# Who has none on a link asks for no neighbour there (net/ipv6/ndisc.c); the kernel's own go when somebody flushes.
_NEAR_LINK_LOCAL, _FAR_LINK_LOCAL = IPv6Interface("fe80::1/64"), IPv6Interface("fe80::2/64")


class DomainTools:
    """What one thread works with on the host and in each domain. Made in the host's namespace. Raises Unavailable."""

    def __init__(self, domains: Domains, owner: Owner) -> None:
        self.domains = domains
        self.host = Tools.open(owner, HostLinks)
        self._owner = owner
        self._opened: dict[int, tuple[Held, Tools]] = {}

    def at(self, number: int) -> Tools:
        """What works there. The thread is in the domain. Raises Unavailable."""
        if number == 0:
            return self.host
        held = self.domains.held(number)
        known = self._opened.get(number)
        if known is not None and known[0] is held:
            return known[1]
        self.forget_gone()
        if held is None:
            raise Unavailable(f"routing domain {number} is missing", hint="try again in a few seconds")
        made = Tools.open(self._owner, lambda owner: DomainLinks(self.domains.host, owner))
        self._opened[number] = held, made
        return made

    def forget_gone(self) -> None:
        """Nothing is open in a domain that is not there any more, or is another one: it would live on in it."""
        for number, (held, tools) in list(self._opened.items()):
            if self.domains.held(number) is not held:
                tools.close()
                del self._opened[number]

    def domain_links(self, number: int) -> DomainLinks:
        """The links in there. The thread is in the domain. Raises Unavailable."""
        links = self.at(number).links
        assert isinstance(links, DomainLinks)
        return links

    @property
    def host_links(self) -> HostLinks:
        """The links of the host."""
        assert isinstance(self.host.links, HostLinks)
        return self.host.links

    def close(self) -> None:
        """Let go of all sockets."""
        self.host.close()
        for _, tools in self._opened.values():
            tools.close()
        self._opened.clear()


class DomainReader:
    """Reads every fact of ours."""

    def __init__(self, tools: DomainTools) -> None:
        self._tools = tools
        self._domains = tools.domains

    def observe(self) -> frozenset[Fact]:
        """Those of the host and of every domain. Raises Unavailable."""
        self._tools.forget_gone()
        of_host = FactReader(self._tools.host, self._domains.host_discards).observe()
        numbers = self._domains.numbers()
        if not numbers:
            return of_host
        facts = set(of_host)
        try:
            given = _by_link(self._tools.host.links)
            for number in numbers:
                held = self._domains.held(number)
                if held is None:
                    continue
                with self._domains.inside(number):
                    facts |= FactReader(self._tools.at(number), held.discards, number).observe()
                facts.add(Domain(number, is_whole(self._tools, number, given)))
            facts |= self._tools.host_links.routes()
        except NetlinkError as error:
            raise Unavailable(f"the routing domains cannot be read: {error.strerror}") from error
        return frozenset(facts)

    def insides(self, names: Collection[str]) -> dict[str, Inside]:
        """What the other ends of these links have, wherever the links are. Raises Unavailable."""
        found: dict[str, Inside] = {}
        for number in (0, *self._domains.numbers()):
            discards = self._domains.discards(number)
            if discards is not None:
                with self._domains.inside(number):
                    found |= FactReader(self._tools.at(number), discards, number).insides(names)
        return found


class DomainWriter:
    """Makes facts true and untrue."""

    def __init__(self, tools: DomainTools) -> None:
        self._tools = tools
        self._domains = tools.domains

    def run(self, ops: Sequence[Op]) -> None:
        """All of the ops are carried out, or on a fault none. Raises Conflict, Unavailable."""
        all_or_none(self._steps(ops))

    def link(self, name: str) -> HostLink | None:
        """The link of the host's, unless it is on its way out. Raises Unavailable."""
        try:
            return host_link(self._tools.host.links, name, self._domains.host_discards.doomed())
        except NetlinkError as error:
            raise Unavailable(f"interface {name} cannot be read: {error.strerror}") from error

    def _steps(self, ops: Sequence[Op]) -> Iterator[Undo]:
        def place(op: Op) -> int:
            fact = fact_of(op)
            return -1 if isinstance(fact, Domain | Route) else domain_of(fact)

        for number, group in groupby(ops, place):
            run = list(group)
            if number < 0:
                for op in run:
                    yield from self._route(op) if isinstance(fact_of(op), Route) else self._domain(op)
                continue
            if self._domains.discards(number) is None and all(isinstance(op, Remove) for op in run):
                continue  # what is not there is removed
            discards = self._domains.discards(number)
            with self._domains.inside(number):
                tools = self._tools.at(number)
                assert discards is not None
                writer = FactWriter(tools, discards, self._domains.host if number else None)
                if number == 0:
                    yield from writer.carry_out(run)
                    continue
                for step in writer.carry_out([_here(op) for op in run]):
                    yield self._back(number, step)

    def _back(self, number: int, step: Undo) -> Undo:
        def undo() -> None:
            with self._domains.inside(number):
                step()

        return undo

    def _route(self, op: Op) -> Iterator[Undo]:
        fact, links = fact_of(op), self._tools.host_links
        assert isinstance(fact, Route)
        if isinstance(op, Remove):
            links.delete_route(fact)
            yield lambda: links.add_route(fact)
        elif links.add_route(fact):
            yield lambda: links.delete_route(fact)

    def _domain(self, op: Op) -> Iterator[Undo]:
        fact = fact_of(op)
        assert isinstance(fact, Domain)
        try:
            if isinstance(op, Remove):
                self._remove(fact.number)
                return
            if self._domains.make(fact.number):
                yield lambda: self._remove(fact.number)
            self._join(fact.number)
        except NetlinkError as error:
            raise Unavailable(f"routing domain {fact.number} cannot be set up: {error.strerror}") from error
        except OSError as error:
            raise Unavailable(f"routing domain {fact.number} cannot be made: {error.strerror}") from error

    def _join(self, number: int) -> None:
        """The line is there, with its addresses, and the way out. Raises Conflict, Unavailable, OSError."""
        host, name, held = self._tools.host.links, near_end(number), self._domains.held(number)
        assert held is not None
        found = host.find(name)
        if found is not None and not found.ours:
            holder = f"{found.kind or 'device'} {name}"
            raise Conflict(f"interface {name} already exists and is not ours", holder=holder)
        with self._domains.inside(number):
            inside = self._tools.domain_links(number)
            far = inside.find(FAR_END)
        if found is None or far is None or found.beyond is None:
            if found is not None:
                host.delete(name)
            host.add_line(name, f"{LINE_ALIAS}{number}", FAR_END, held.namespace)
        host.raise_link(name)
        for path, value in _NEAR_SETTINGS:
            write_setting_if_there(path.format(name), value)
        with self._domains.inside(number):
            inside.raise_link("lo")
            inside.raise_link(FAR_END)
            for path, value in _NEAR_SETTINGS[1:]:
                write_setting_if_there(path.format(FAR_END), value)
        self._address(host, name, [line(number, 4)[0], line(number, 6)[0], _NEAR_LINK_LOCAL])
        with self._domains.inside(number):
            index = self._address(inside, FAR_END, [line(number, 4)[1], line(number, 6)[1], _FAR_LINK_LOCAL])
            for version in (4, 6):
                try:
                    inside.set_default_route(index, line(number, version)[0].ip)
                except NetlinkError:
                    if version == 4:
                        raise

    def _address(self, links: Links, name: str, interfaces: Iterable[Interface]) -> int:
        """The link has the addresses; its index. Raises Unavailable, NetlinkError."""
        found = links.find(name)
        if found is None:
            raise Unavailable(f"interface {name} is missing", hint="try again in a few seconds")
        for interface in interfaces:
            try:
                links.add_address(found.index, interface)
            except NetlinkError:
                if interface.version == 4:
                    raise  # a kernel may be without IPv6
        return found.index

    def _remove(self, number: int) -> None:
        link = self._tools.host.links.find(near_end(number))
        if link is not None and link.ours:
            self._tools.host.links.delete(link.name)
        self._domains.drop(number)
        self._tools.forget_gone()


def _by_link(links: Links) -> dict[int, set[Interface]]:
    """The addresses of each link, by its index."""
    found: dict[int, set[Interface]] = {}
    for index, interface, _ in links.addresses():
        found.setdefault(index, set()).add(interface)
    return found


def is_whole(tools: DomainTools, number: int, given: Mapping[int, set[Interface]]) -> bool:
    """Whether nothing of the domain is missing. given: addresses of the host's links. Raises NetlinkError,
    Unavailable."""
    near = tools.host.links.find(near_end(number))
    if near is None or not near.ours or not near.up or not tools.domains.has_file(number):
        return False
    with tools.domains.inside(number):
        inside = tools.domain_links(number)
        far = inside.find(FAR_END)
        if far is None or not far.up or near.other != far.index:
            return False
        there, routers = _by_link(inside).get(far.index, set()), inside.routers()
    here = given.get(near.index, set())
    for version in (4, 6):
        near_address, far_address = line(number, version)
        some = version == 4 or any(each.version == 6 for each in here | there)
        if some and not (near_address in here and far_address in there and (far.index, near_address.ip) in routers):
            return False
    return True


def write_setting_if_there(path: str, value: str) -> None:
    """The sysctl has the value, where the kernel has the sysctl."""
    try:
        write_setting(path, value)
    except Unavailable:
        return


def _here(op: Op) -> Op:
    """The op as whoever is in the domain says it."""
    if isinstance(op, Alter):
        return Alter(moved(op.before, 0), moved(op.after, 0))
    return Add(moved(op.fact, 0)) if isinstance(op, Add) else Remove(moved(op.fact, 0))
