"""A kernel in memory, with the promises of the real one.

Rules: it keeps facts and interprets them, so a test asks what is true and not which call was made; what the real kernel
refuses is refused here (a port without its bridge, an element without its table); a test may plant foreign links, let
an op fail, and look in before each op.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from mooring.core.domains import near_end
from mooring.core.faults import Conflict, NotFound, NotSupported, Unavailable
from mooring.core.host_filters import HostFilter
from mooring.core.networks import Address, Interface, Subnet
from mooring.core.plumbing import (
    Add,
    Alter,
    Bridge,
    DockerAccept,
    Domain,
    Fact,
    Flood,
    GuardedPort,
    HostLink,
    Inside,
    LinkAddress,
    LinkFact,
    Member,
    Op,
    RemoteFact,
    RemoteMac,
    Remove,
    Route,
    Ruleset,
    Setting,
    Veth,
    Vxlan,
    domain_of,
)
from mooring.core.port_bindings import Protocol
from mooring.core.subnet_index import Holdings
from mooring.ports import HostNet, Kernel

T = TypeVar("T")
Before = Callable[[Op], Awaitable[None]]


class MemoryKernel(Kernel):
    """facts: what holds. foreign: names of links that are not ours. routes: what `host_net` tells. own: the host's
    addresses. bridges: what `host_bridges` tells. filters: what `dropping_filters` does. filters_bridges: whether there
    can be a table of that family.

    fail_on: ops that are refused with Unavailable. before: called before each op, also while undoing.
    links: interfaces that are not ours, by name, as `link` tells of them.
    inside: name of a veth -> what its other end has, which is in another namespace then. lived_in: names of veths whose
    other end is in a sandbox where a process runs.
    underlay: what `underlay_mtu` tells, by address; of all others 1500, and None is no route.
    announced, forgotten: what was asked for, in order. made: how often each fact was, so that a link which is there
    again can be told from the one that was there before.
    """

    def __init__(
        self,
        facts: Iterable[Fact] = (),
        *,
        foreign: Iterable[str] = (),
        routes: Iterable[Subnet] = (),
        own: Mapping[Interface, str] | None = None,
        fail_on: Iterable[Op] = (),
        before: Before | None = None,
    ) -> None:
        self.facts: dict[tuple[str, ...], Fact] = {f.key: f for f in (DockerAccept(4), DockerAccept(6), *facts)}
        self.made = Counter(self.facts.keys())
        self.foreign = set(foreign)
        self.links: dict[str, HostLink] = {}
        self.lived_in: set[str] = set()
        self.routes = list(routes)
        self.own = dict(own or {})
        self._told: object = None
        self._shown: object = (dict(self.own), tuple(self.routes))
        self.bridges: dict[str, bool] = {}
        self.filters: list[HostFilter] = []
        self.filters_bridges = True
        self.fail_on = list(fail_on)
        self.before = before
        self.inside: dict[str, Inside] = {}
        self.underlay: dict[Address, int | None] = {}
        self.announced: list[tuple[str, Address, str]] = []
        self.forgotten: list[Address] = []
        self._turn = asyncio.Lock()
        self._closed = False

    async def observe(self) -> frozenset[Fact]:
        """See Kernel."""
        self._check_open()
        return frozenset(
            replace(fact, living=fact.name in self.inside) if isinstance(fact, Veth) else fact
            for fact in self.facts.values()
        )

    async def insides(self, links: Collection[str]) -> Mapping[str, Inside]:
        """See Kernel."""
        self._check_open()
        return {name: self.inside[name] for name in links if name in self.inside and ("veth", name) in self.facts}

    async def apply(self, ops: Sequence[Op]) -> None:
        """See Kernel."""
        self._check_open()
        async with self._turn:
            # Facts that stand alone leave the others be, of which there may be many thousand.
            facts = [op.after if isinstance(op, Alter) else op.fact for op in ops]
            keys = {each.key for each in facts} if all(isinstance(each, RemoteFact) for each in facts) else None
            earlier = dict(self.facts) if keys is None else {key: self.facts.get(key) for key in keys}
            try:
                for op in ops:
                    if self.before is not None:
                        await self.before(op)
                    if op in self.fail_on:
                        raise Unavailable(f"the kernel refused a change: {op}")
                    self._carry_out(op)
            except BaseException:
                others = self.facts if keys is not None else {}
                self.facts = {key: each for key, each in (others | earlier).items() if each is not None}
                raise

    async def discard(self, links: Sequence[str], domain: int = 0) -> None:  # noqa: ARG002 - names are unique
        """See Kernel. In here they are gone at once."""
        self._check_open()
        for name in links:
            self._drop_link(name)

    async def link(self, name: str) -> HostLink | None:
        """See Kernel."""
        self._check_open()
        for fact in self.facts.values():
            if isinstance(fact, Bridge) and fact.name == name:
                return HostLink(name, "bridge", fact.mac, fact.mtu, False, True)
            if isinstance(fact, Veth) and fact.name == name:
                return HostLink(name, "veth", "", fact.mtu, True, True)
            if isinstance(fact, Veth) and fact.peer == name and fact.name not in self.inside:
                return HostLink(name, "veth", fact.peer_mac, fact.mtu, False, True)
        if name in self.foreign and name not in self.links:
            return HostLink(name, "dummy", "", 1500, False, False)
        return self.links.get(name)

    async def is_lived_in(self, link: str, domain: int = 0) -> bool:  # noqa: ARG002
        """See Kernel. lived_in says so."""
        self._check_open()
        return link in self.lived_in

    async def host_net(self) -> HostNet:
        """See Kernel."""
        self._check_open()
        ours = [fact.interface.network for fact in self.facts.values() if isinstance(fact, LinkAddress)]
        ours += [fact.subnet for fact in self.facts.values() if isinstance(fact, Route)]
        occupied = (*self.routes, *(each.network for each in self.own), *ours)
        return HostNet(dict(self.own), Holdings(self.routes), Holdings(occupied))

    def host_moved(self) -> bool:
        """See Kernel."""
        before, self._told = self._told, (dict(self.own), tuple(self.routes))
        return before != self._told

    async def host_changed(self) -> None:
        """See Kernel. Told apart from what `host_moved` has told."""
        while self._shown == (shown := (dict(self.own), tuple(self.routes))):  # noqa: ASYNC110 - tests set attributes
            await asyncio.sleep(0.001)
        self._shown = shown

    async def underlay_mtu(self, local: Address, hosts: Collection[Address]) -> int:
        """See Kernel."""
        self._check_open()
        found = [mtu for each in hosts or (local,) if (mtu := self.underlay.get(each, 1500)) is not None]
        if not found or self.underlay.get(local, 1500) is None:
            raise Unavailable(f"this host does not have the underlay address {local}, or no route from it")
        return min(found)

    async def host_bridges(self) -> Mapping[str, bool]:
        """See Kernel."""
        self._check_open()
        return dict(self.bridges)

    async def dropping_filters(self, bridges: Collection[str]) -> Sequence[HostFilter]:
        """See Kernel."""
        self._check_open()
        return [each for each in self.filters if not set(bridges).isdisjoint(each.bridges)]

    async def announce(self, link: str, address: Address, mac: str, domain: int = 0) -> None:  # noqa: ARG002
        """See Kernel."""
        self.announced.append((link, address, mac))

    async def flush_connections(self, address: Address, domain: int = 0) -> None:  # noqa: ARG002
        """See Kernel."""
        self.forgotten.append(address)

    async def in_domain(self, domain: int, work: Callable[[], T]) -> T:
        """See Kernel. In here it is done where the caller is."""
        self._check_open()
        if domain and ("domain", str(domain)) not in self.facts:
            raise NotFound(f"routing domain {domain} is missing")
        return work()

    async def close(self) -> None:
        """See Kernel."""
        self._closed = True

    def reboot(self) -> None:
        """Everything of ours is gone, settings are the kernel's own again."""
        self.facts = {fact.key: fact for fact in (DockerAccept(4), DockerAccept(6))}
        self.inside.clear()

    def flush_ruleset(self) -> None:
        """As `nft flush ruleset` does."""
        rules = Ruleset | Member | GuardedPort
        self.facts = {key: fact for key, fact in self.facts.items() if not isinstance(fact, rules)}

    def lose(self, name: str) -> None:
        """The link is gone without our doing, as when its container's namespace ends."""
        self._drop_link(name)

    def members(self, container: str, domain: int = 0) -> dict[str, str]:
        """The elements of one set or map of our table, with their values."""
        found = (fact for fact in self.facts.values() if isinstance(fact, Member) and fact.container == container)
        return {member.element: member.value for member in found if member.domain == domain}

    def published(self, protocol: Protocol, host: Address, port: int) -> str:
        """Where a connection to the host's address and port ends, as `address . port`, "" for nowhere."""
        at = self.members(f"published{host.version}").get(f"{int(protocol)} . {host} . {port}", "")
        return at or self.members(f"wildcard{host.version}").get(f"{int(protocol)} . {port}", "")

    def forwards(self, source: str, target: str, *, published: bool = False) -> bool:
        """Whether a new connection gets from one bridge of ours to another; "" is the outside, in IPv4.

        published: it came to a published port of the target and was translated.
        """
        if Ruleset not in {type(fact) for fact in self.facts.values()}:
            return True
        ours = self.members("bridges")
        one, other = f'"{source}"', f'"{target}"'
        internal = self.members("internal")
        if other not in ours:
            return one not in internal
        if f"{one} . {other}" in self.members("within"):
            return True
        if one in internal or other in internal:
            return False
        if published:
            return True
        if one in ours:
            group = self.members("groups").get(one, "")
            apart = f"{one} . {other}" in self.members("apart")
            return not apart and f"{group} . {other}" in self.members("members")
        return other in self.members("open4")

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the kernel adapter is closed")

    def _carry_out(self, op: Op) -> None:
        match op:
            case Add(fact):
                self._add(fact)
            case Remove(fact):
                self._remove(fact)
            case Alter(_, after):
                self._check_ground(after)
                self.facts[after.key] = after

    def _add(self, fact: Fact) -> None:
        if isinstance(fact, LinkFact):
            peer = fact.peer if isinstance(fact, Veth) else fact.name
            for name in (fact.name, peer):
                if name in self.foreign:
                    raise Conflict(f"interface {name} already exists and is not ours", holder=f"device {name}")
        self._check_ground(fact)
        known = self.facts.get(fact.key)
        replaceable = isinstance(fact, Setting | Ruleset | DockerAccept | RemoteFact)
        if known is not None and known != fact and not replaceable:
            raise Conflict(f"{' '.join(fact.key)} is there already and differs from what is wanted")
        if known is None or replaceable:
            self.facts[fact.key] = fact
            self.made[fact.key] += 1

    def _remove(self, fact: Fact) -> None:
        if isinstance(fact, LinkFact):
            self._drop_link(fact.name)
        elif isinstance(fact, Ruleset):
            where = fact.family, fact.domain
            self.facts = {key: each for key, each in self.facts.items() if (_table(each), domain_of(each)) != where}
        elif isinstance(fact, Domain):
            self.facts = {key: each for key, each in self.facts.items() if domain_of(each) != fact.number}
            self.facts.pop(fact.key, None)
            self._drop_routes(near_end(fact.number))
        elif not isinstance(fact, Setting):
            self.facts.pop(fact.key, None)

    def _check_ground(self, fact: Fact) -> None:
        """What the fact stands on must be there, and ours. Raises Unavailable, Conflict."""
        number = domain_of(fact)
        if number and Domain(number).key not in self.facts:
            raise Unavailable(f"routing domain {number} is missing", hint="try again in a few seconds")
        if isinstance(fact, Ruleset) and fact.family == "bridge" and not self.filters_bridges:
            raise NotSupported("this kernel cannot filter in bridges", hint="make networks with -o port_security=off")
        self._check_link(fact)
        if isinstance(fact, Route):
            if not any(isinstance(each, Domain) and near_end(each.number) == fact.link for each in self.facts.values()):
                raise Unavailable(f"interface {fact.link} is missing", hint="try again in a few seconds")
            if fact.subnet in self.routes:
                raise Conflict(f"this host has a route to {fact.subnet} already")
        if isinstance(fact, Setting):
            name = fact.path.split("/")[3] if fact.path.count("/") > 3 else "all"
            if name not in ("all", "*") and ("bridge", name) not in self.facts:
                raise Unavailable(f"cannot set {fact.path.replace('/', '.')} to {fact.value}: no such file")
        if isinstance(fact, Member | GuardedPort) and Ruleset("", _table(fact), number).key not in self.facts:
            text = f"the table {_table(fact)} mooring cannot be changed: it is missing"
            raise Unavailable(text, hint="try again in a few seconds")

    def _check_link(self, fact: Fact) -> None:
        """The link that the fact stands on must be there, and ours. Raises Unavailable, Conflict."""
        if not isinstance(fact, Veth | Vxlan | LinkAddress | RemoteFact):
            return
        name = fact.bridge if isinstance(fact, Veth | Vxlan) else fact.link
        if name in self.foreign:
            raise Conflict(f"interface {name} already exists and is not ours", holder=f"device {name}")
        if ("vxlan" if isinstance(fact, RemoteMac | Flood) else "bridge", name) not in self.facts:
            raise Unavailable(f"interface {name} is missing", hint="try again in a few seconds")
        if isinstance(fact, Vxlan):
            others = (each for each in self.facts.values() if isinstance(each, Vxlan) and each.name != fact.name)
            if (fact.vni, fact.port) in {(each.vni, each.port) for each in others}:
                raise Conflict(f"VNI {fact.vni} at UDP port {fact.port} is in use by another interface of this host")

    def _drop_routes(self, link: str) -> None:
        self.facts = {k: each for k, each in self.facts.items() if not isinstance(each, Route) or each.link != link}

    def _drop_link(self, name: str) -> None:
        self.facts.pop(("veth", name), None)
        self.inside.pop(name, None)
        self.facts.pop(("vxlan", name), None)
        for key in [key for key, each in self.facts.items() if isinstance(each, RemoteFact) and each.link == name]:
            del self.facts[key]
        if self.facts.pop(("bridge", name), None) is None:
            return
        devices = {fact.name for fact in self.facts.values() if isinstance(fact, Vxlan) and fact.bridge == name}
        for key, fact in list(self.facts.items()):
            address = isinstance(fact, LinkAddress) and fact.link == name
            if address or (isinstance(fact, Setting) and f"/{name}/" in fact.path):
                del self.facts[key]
            elif isinstance(fact, Veth | Vxlan) and fact.bridge == name:
                self.facts[key] = replace(fact, bridge="")
            elif isinstance(fact, RemoteMac) and fact.link in devices:
                self.facts[key] = replace(fact, host=None)


def _table(fact: Fact) -> str:
    """The family of the table that the fact is, or is in; "" for others."""
    if isinstance(fact, Member):
        return "inet"
    if isinstance(fact, GuardedPort):
        return "bridge"
    return fact.family if isinstance(fact, Ruleset) else ""
