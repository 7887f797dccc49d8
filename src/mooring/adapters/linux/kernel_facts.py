"""Facts read from the kernel and ops carried out in it, one after another, in one thread.

Rules: what bears the owner's mark is ours and all else is foreign; a step that changed nothing is not undone; whatever
the kernel says becomes a fault in here.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from mooring.adapters.linux.link_removal import Discards
from mooring.adapters.linux.link_settings import link_settings
from mooring.adapters.linux.links import Link, Links
from mooring.adapters.linux.namespace_files import opened
from mooring.adapters.linux.sysctls import read_setting, write_setting
from mooring.adapters.linux.tunnels import Tunnels
from mooring.adapters.netlink.batches import Batches
from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.sockets import NetlinkError
from mooring.adapters.nft.docker_chains import DockerChains
from mooring.adapters.nft.nft_command import nft
from mooring.adapters.nft.nft_tables import Table, tables_of
from mooring.core.datapath import HOST_SETTINGS, MARK, ROUTERS
from mooring.core.faults import Conflict, Exhausted, Fault, Unavailable
from mooring.core.plumbing import (
    Add,
    Alter,
    Bridge,
    DockerAccept,
    Fact,
    GuardedPort,
    HostFact,
    Inside,
    LinkAddress,
    Member,
    Op,
    RemoteFact,
    Remove,
    Ruleset,
    Setting,
    Veth,
    Vxlan,
    fact_of,
)
from mooring.core.port_security import PORT_SECURITY, guards_of, member_ops

Undo = Callable[[], object]

# How the alias of a domain's line begins (adapters/linux/domain_facts).
LINE_ALIAS = f"{MARK}domain:"


@dataclass(frozen=True, slots=True)
class Tools:
    """What one thread works with. Raises Unavailable when there can be none."""

    links: Links
    batches: Batches
    tables: tuple[Table, ...]
    docker: DockerChains
    tunnels: Tunnels

    @classmethod
    def open(cls, owner: Owner = DAEMON, make_links: Callable[[Owner], Links] = Links) -> Tools:
        """New sockets, in the network namespace of the calling thread, for what the owner has."""
        nft()
        with ExitStack() as stack:
            try:
                stack.callback((links := make_links(owner)).close)
                batches = Batches()
            except OSError as error:
                raise Unavailable(f"netlink cannot be used: {error.strerror}", hint="run Mooring as root") from error
            stack.pop_all()
        return cls(links, batches, tables_of(batches, owner), DockerChains(batches), Tunnels(links))

    def close(self) -> None:
        """Let go of the sockets."""
        self.links.close()
        self.batches.close()


def all_or_none(steps: Iterable[Undo]) -> None:
    """All of the steps are carried out; on a fault those that were are undone. Raises Conflict, Unavailable."""
    undo: list[Undo] = []

    def take_back(error: BaseException) -> None:
        for step in reversed(undo):
            try:
                step()
            except (Fault, NetlinkError) as another:
                error.add_note(f"and could not be undone: {another}")

    try:
        undo.extend(steps)  # those before a fault, too
    except NetlinkError as error:
        fault = Unavailable(f"the kernel refused a change: {error.strerror}")
        take_back(fault)
        raise fault from error
    except BaseException as error:
        take_back(error)
        raise


class FactReader:
    """Reads every fact of ours in one network namespace. domain: its number, 0 for the host's own."""

    def __init__(self, tools: Tools, discards: Discards, domain: int = 0) -> None:
        self._tools = tools
        self._discards = discards
        self._domain = domain

    def observe(self) -> frozenset[Fact]:
        """Every fact of ours that holds now; links on their way out do not count. Raises Unavailable.

        A bridge that is down shows with an MTU of 0, a veth that is down or no port with no bridge: so they differ from
        what they should be, and are put right.
        """
        doomed = self._discards.doomed()
        try:
            links = self._tools.links.ours()
            addresses = list(self._tools.links.addresses())
            names = {link.index: link.name for link in links}
            ours = [link for link in links if link.name not in doomed]
            facts: set[Fact] = set(self._tools.tunnels.facts(ours))
        except NetlinkError as error:
            raise Unavailable(f"the kernel's links cannot be read: {error.strerror}") from error
        bridges: dict[int, str] = {}
        for link in ours:
            if link.kind == "bridge":
                bridges[link.index] = link.name
                facts.add(_bridge(link))
                facts.update(Setting(path, value) for path, value in link_settings(link.name, link.families))
            elif link.kind == "veth" and not link.alias.startswith(LINE_ALIAS):
                facts.add(_veth(link, names))
        given = (each for each in addresses if each[0] in bridges)
        facts.update(LinkAddress(bridges[index], interface, spare=spare) for index, interface, spare in given)
        facts.update(_host_settings() if not self._domain else _forwarding())
        for table in self._tools.tables:
            ruleset, members = table.observe()
            if ruleset is not None:
                facts.add(ruleset)
                facts.update(guards_of(members) if table.family == PORT_SECURITY.family else members)
        if self._domain:
            return frozenset(moved(fact, self._domain) for fact in facts)
        facts.update(DockerAccept(version) for version in (4, 6) if self._tools.docker.accepts(version))
        return frozenset(facts)

    def insides(self, names: Collection[str]) -> dict[str, Inside]:
        """What the other ends of these links have. Raises Unavailable."""
        try:
            links = [link for name in names if (link := self._tools.links.find(name)) is not None and link.ours]
        except NetlinkError as error:
            raise Unavailable(f"the kernel's links cannot be read: {error.strerror}") from error
        return {link.name: inside for link in links if (inside := self._tools.links.inside(link)) is not None}


class FactWriter:
    """Makes facts true and untrue in one network namespace, whatever domain they name. host: where the other end of a
    veth is made, a file descriptor; None for beside it."""

    def __init__(self, tools: Tools, discards: Discards, host: int | None = None) -> None:
        self._host = host
        self._links = tools.links
        self._tables = tools.tables
        self._docker = tools.docker
        self._tunnels = tools.tunnels
        self._discards = discards

    def run(self, ops: Sequence[Op]) -> None:
        """All of the ops are carried out, or on a fault none. Raises Conflict, Unavailable."""
        all_or_none(self.carry_out(ops))

    def carry_out(self, ops: Sequence[Op]) -> Iterator[Undo]:
        """Yields what undoes the ops, as they are carried out. Raises Conflict, Unavailable, NetlinkError."""
        for steps in _steps(ops):
            yield from self._carry_out(steps)

    def _carry_out(self, steps: Sequence[Op]) -> Iterator[Undo]:
        """Yields what undoes the steps. Several steps are about members, otherwise it is one."""
        fact = fact_of(steps[0])
        if isinstance(fact, Member | GuardedPort):
            ops = [each for step in steps for each in member_ops(step)]
            for table in self._tables:
                back = table.change([each for each in ops if table.has(_member(each))])
                if back:
                    yield partial(table.change, back)
            return
        if isinstance(fact, RemoteFact):
            yield partial(self._tunnels.change, self._tunnels.change(steps))
            return
        match steps[0]:
            case Add(wanted):
                yield from self._add(wanted)
            case Remove(gone):
                yield from self._remove(gone)
            case Alter(before, after):
                yield from self._alter(before, after)

    def _add(self, fact: Fact) -> Iterator[Undo]:
        match fact:
            case Bridge():
                yield from self._add_bridge(fact)
            case Veth():
                yield from self._add_veth(fact)
            case Vxlan():
                self._discards.finish(fact.name, self._links)
                yield from self._tunnels.add(fact, self._ours(fact.bridge).index)
            case LinkAddress():
                index = self._ours(fact.link).index
                if self._links.add_address(index, fact.interface, fact.spare):
                    yield lambda: self._links.delete_address(index, fact.interface)
            case Setting():
                self._must_be_ours(fact)
                before = write_setting(fact.path, fact.value)
                if before is not None:
                    yield lambda: write_setting(fact.path, before)
            case Ruleset():
                table = self._table(fact)
                if not table.is_current():
                    existed = table.observe()[0] is not None
                    table.write()
                    if not existed:
                        yield table.remove
            case DockerAccept():
                if self._docker.accept(fact.version):
                    yield lambda: self._docker.withdraw(fact.version)

    def _must_be_ours(self, fact: Setting) -> None:
        """Raises Unavailable where forwarding is off and the engine would not switch it on either."""
        version = {path: version for version, path in zip((4, 6), HOST_SETTINGS, strict=True)}.get(fact.path)
        if version is None or read_setting(fact.path) == fact.value or not self._docker.leaves_forwarding(version):
            return
        name = fact.path.replace("/", ".")
        raise Unavailable(
            f"IPv{version} forwarding is off: with its nftables firewall Docker does not turn it on, "
            "because the host would then forward everything",
            hint=f"check the host's own firewall, then run `sysctl -w {name}={fact.value}`",
        )

    def _remove(self, fact: Fact) -> Iterator[Undo]:
        match fact:
            case Bridge() | Veth() | Vxlan():
                link = self._links.find(fact.name)
                if link is not None and link.ours:
                    self._links.delete(fact.name)
                    yield lambda: list(self._add(fact))
            case LinkAddress():
                found = self._links.find(fact.link)
                if found is not None and found.ours:
                    index = found.index
                    self._links.delete_address(index, fact.interface)
                    yield lambda: self._links.add_address(index, fact.interface, fact.spare)
            case Ruleset():
                self._table(fact).remove()
                yield self._table(fact).write
            case DockerAccept():
                self._docker.withdraw(fact.version)
                yield lambda: self._docker.accept(fact.version)
            case _:
                return  # settings are never removed, members have their own way

    def _alter(self, before: Fact, after: Fact) -> Iterator[Undo]:
        match before, after:
            case Bridge(), Bridge():
                self._ours(after.name)
                self._links.set_bridge(after)
                if before.mtu:
                    yield lambda: self._links.set_bridge(before)
            case Veth(), Veth():
                self._ours(after.name)
                self._links.set_veth(after, self._ours(after.bridge).index)
            case Vxlan(), Vxlan():
                self._ours(after.name)
                yield from self._tunnels.alter(before, after, self._ours(after.bridge).index)
            case LinkAddress(), LinkAddress():
                index = self._ours(after.link).index
                self._links.add_address(index, after.interface, after.spare, anew=False)
                yield lambda: self._links.add_address(index, before.interface, before.spare, anew=False)
            case Ruleset(), Ruleset():
                # No way back, and no need: the table is right now, and has the elements that it had.
                self._table(after).write()
            case _:
                yield from self._add(after)

    def _table(self, ruleset: Ruleset) -> Table:
        return next(table for table in self._tables if table.family == ruleset.family)

    def _add_bridge(self, bridge: Bridge) -> Iterator[Undo]:
        self._discards.finish(bridge.name, self._links)
        try:
            self._links.add_bridge(bridge)
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise Unavailable(f"bridge {bridge.name} cannot be created: {error.strerror}") from error
        else:
            yield lambda: self._discards.add([bridge.name])
            return
        link = self._ours(bridge.name)
        if link.kind != "bridge" or replace(_bridge(link), mtu=link.mtu, linklocal_learn=False) != bridge:
            raise _differs(link)
        if not link.up or link.linklocal_learn:
            self._links.set_bridge(bridge)

    def _add_veth(self, veth: Veth) -> Iterator[Undo]:
        self._discards.finish(veth.name, self._links)
        bridge = self._ours(veth.bridge).index
        try:
            with opened(veth.inside) as inside:
                self._links.add_veth(veth, bridge, self._host if inside is None else inside)
        except NetlinkError as error:
            if error.errno == errno.EXFULL:
                raise Exhausted(f"bridge {veth.bridge} is full", hint="use a second network") from error
            if error.errno != errno.EEXIST:
                raise Unavailable(f"interface {veth.name} cannot be created: {error.strerror}") from error
        else:
            yield lambda: self._discards.add([veth.name])
            return
        link = self._links.find(veth.name)
        if link is None:
            where = f" in {veth.inside}" if veth.inside else ""
            raise Conflict(f"interface {veth.peer} already exists{where}", hint=f"see `ip link show {veth.peer}`")
        self._ours(veth.name)
        if link.kind != "veth" or replace(_veth(link, {bridge: veth.bridge}), bridge=veth.bridge) != veth:
            raise _differs(link)
        if link.master != bridge or not link.up:
            self._links.set_veth(veth, bridge)

    def _ours(self, name: str) -> Link:
        """The link of that name. Raises Unavailable when there is none, Conflict when it is foreign."""
        link = self._links.find(name)
        if link is None:
            raise Unavailable(f"interface {name} is missing", hint="try again in a few seconds")
        if not link.ours:
            raise Conflict(
                f"interface {name} already exists and is not ours",
                holder=f"{link.kind or 'device'} {name}" + (f", alias {link.alias!r}" if link.alias else ""),
                hint="choose another name for the network's bridge with -o bridge=",
            )
        return link


def _differs(link: Link) -> Conflict:
    return Conflict(
        f"interface {link.name} already exists and is different", holder=link.alias, hint="try again in a few seconds"
    )


def _steps(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """Consecutive member ops together: they are one transaction. So are those about other hosts. All others alone."""

    def kind(op: Op) -> int:
        fact = fact_of(op)
        return 1 if isinstance(fact, Member | GuardedPort) else 2 if isinstance(fact, RemoteFact) else 0

    for together, run in groupby(ops, kind):
        if together:
            yield list(run)
        else:
            yield from ([op] for op in run)


def _member(op: Op) -> Member:
    fact = fact_of(op)
    assert isinstance(fact, Member)
    return fact


def _bridge(link: Link) -> Bridge:
    return Bridge(link.name, link.alias, link.mtu if link.up else 0, link.mac, link.linklocal_learn)


def _veth(link: Link, names: dict[int, str]) -> Veth:
    bridge = names.get(link.master, "") if link.up else ""
    living = link.beyond is not None
    return Veth(link.name, link.alias, bridge, link.isolated, peer="", peer_mac="", mtu=link.mtu, living=living)


def moved(fact: Fact, domain: int) -> Fact:
    """The same in that domain."""
    return fact if isinstance(fact, HostFact) else replace(fact, domain=domain)


def _forwarding() -> Iterator[Setting]:
    for path in HOST_SETTINGS:
        if (value := read_setting(path)) is not None:
            yield Setting(path, value)


def _host_settings() -> Iterator[Setting]:
    for path in (*HOST_SETTINGS, ROUTERS):
        value = read_setting(path)
        if value is not None:
            yield Setting(path, value)
