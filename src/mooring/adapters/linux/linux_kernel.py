"""The Kernel port on Linux.

Rules: the loop never waits for the kernel: one thread writes, in the order of the calls, one reads, one deletes links,
one forgets connections, one does what others want done in a domain; each has sockets of its own; all of them work in
the network namespace in which the object was made and used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from mooring.adapters.linux import conntrack
from mooring.adapters.linux.domain_facts import DomainReader, DomainTools, DomainWriter
from mooring.adapters.linux.domains import FOLDER, Domains, Held
from mooring.adapters.linux.gratuitous_arp import Announcer
from mooring.adapters.linux.host_bridges import host_bridges
from mooring.adapters.linux.host_events import HostNews
from mooring.adapters.linux.host_networks import HostNetworks
from mooring.adapters.linux.link_removal import Discards
from mooring.adapters.linux.links import Links
from mooring.adapters.linux.namespace_processes import is_lived_in
from mooring.adapters.linux.underlay import underlay_mtu
from mooring.adapters.netlink.ownership import Owner
from mooring.adapters.netlink.sockets import Netlink, NetlinkError
from mooring.adapters.nft import host_filters
from mooring.core.faults import NotFound, Unavailable
from mooring.core.firewall import port_changes
from mooring.core.host_filters import HostFilter
from mooring.core.plumbing import Fact, HostLink, Inside, Op, domain_of, fact_of
from mooring.ports import HostNet, Kernel

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LinuxKernel(Kernel):
    """Made in the namespace that it works in.

    owner: "" for the daemon; another owner has links and a table of his own and sees only those (netlink/ownership).
    folder: where the routing domains' files are, of which no other kernel has the same.
    What all owners of a namespace share: the rule in Docker's chain, and the settings of the host.
    Raises BadRequest for what is no owner's name, Unavailable when netlink or nftables cannot be used.
    """

    def __init__(self, owner: str = "", folder: str = "") -> None:
        whose = self._owner = Owner(owner)
        with ExitStack() as opened:
            try:
                domains = self._domains = Domains(folder or (f"{FOLDER}.{owner}" if owner else FOLDER))
            except OSError as error:
                raise Unavailable(f"network namespaces cannot be used: {error.strerror}") from error
            opened.callback(domains.close)
            self._writing = DomainTools(domains, whose)
            opened.callback(self._writing.close)
            self._reading = DomainTools(domains, whose)
            opened.callback(self._reading.close)
            try:
                self._deleting = Links(whose)
                opened.callback(self._deleting.close)
                self._deleting.delete_newborn()
                self._asking = Netlink()
                opened.callback(self._asking.close)
                self._looking = Netlink()
                opened.callback(self._looking.close)
                self._host_networks = HostNetworks(whose)
                opened.callback(self._host_networks.close)
                self._news = HostNews()
                opened.callback(self._news.close)
                self._changes = HostNews(all_routes=True)
                opened.callback(self._changes.close)
                self._announcer = Announcer()
            except OSError as error:
                raise Unavailable(f"sockets cannot be used: {error.strerror}", hint="run Mooring as root") from error
            opened.pop_all()
        self._facts = DomainWriter(self._writing)
        self._reader_of_facts = DomainReader(self._reading)
        self._writer, self._reader, self._deleter, self._forgetter, self._visitor = self._threads = tuple(
            ThreadPoolExecutor(1, thread_name_prefix=f"kernel-{name}")
            for name in ("write", "read", "delete", "forget", "visit")
        )
        self._announcers: dict[int, tuple[Held, Announcer]] = {}
        self._closed = False

    async def observe(self) -> frozenset[Fact]:
        """See Kernel."""
        return await self._in(self._reader, self._reader_of_facts.observe)

    async def insides(self, links: Collection[str]) -> Mapping[str, Inside]:
        """See Kernel."""
        names = tuple(links)
        return await self._in(self._reader, lambda: self._reader_of_facts.insides(names)) if names else {}

    async def apply(self, ops: Sequence[Op]) -> None:
        """See Kernel. A caller that is cancelled leaves the ops to be finished, or not begun."""
        if not ops:
            return
        todo = list(ops)
        try:
            await self._in(self._writer, lambda: self._carry_out(todo))
        finally:
            self._schedule()

    def _carry_out(self, todo: Sequence[Op]) -> None:
        self._facts.run(todo)
        self._forget_announcers()
        for domain in sorted({domain_of(fact_of(op)) for op in todo}):
            opened, closed = port_changes(op for op in todo if domain_of(fact_of(op)) == domain)
            if opened or closed:
                # After the rules, so that what is forgotten begins anew by them.
                self._forget(domain, partial(conntrack.forget_misled, opened, closed), "forgetting flows to ports")

    def _forget(self, domain: int, work: Callable[[], None], what: str) -> None:
        def there() -> None:
            with self._domains.inside(domain):
                work()

        self._forgetter.submit(_attempt(there, what))

    async def discard(self, links: Sequence[str], domain: int = 0) -> None:
        """See Kernel."""
        discards = self._domains.discards(domain)
        if discards is not None:
            discards.add(links)
            self._schedule()

    async def link(self, name: str) -> HostLink | None:
        """See Kernel."""
        return await self._in(self._writer, lambda: self._facts.link(name))

    async def is_lived_in(self, link: str, domain: int = 0) -> bool:
        """See Kernel."""

        def look() -> bool:
            try:
                if domain == 0:
                    return is_lived_in(self._asking, link)
                if self._domains.held(domain) is None:
                    return False
                with self._domains.inside(domain), closing(Netlink()) as asking:
                    return is_lived_in(asking, link, home=self._writing.domain_links(domain).home())
            except OSError as error:
                _log.warning("cannot find out whether %s is in a running sandbox: %s", link, error)
                return True

        return await self._in(self._writer, look)

    async def host_net(self) -> HostNet:
        """See Kernel."""

        def look() -> HostNet:
            try:
                return self._host_networks.host_net()
            except NetlinkError as error:
                raise Unavailable(f"the kernel's addresses and routes cannot be read: {error.strerror}") from error

        return await self._in(self._reader, look)

    def host_moved(self) -> bool:
        """See Kernel."""
        return not self._closed and self._news.any()

    async def host_changed(self) -> None:
        """See Kernel."""
        await self._changes.come()

    async def underlay_mtu(self, local: IPv4Address | IPv6Address, hosts: Collection[IPv4Address | IPv6Address]) -> int:
        """See Kernel."""

        def look() -> int:
            try:
                found = underlay_mtu(self._looking, local, hosts)
            except NetlinkError as error:
                raise Unavailable(f"the kernel's routes cannot be read: {error.strerror}") from error
            if found is None:
                raise Unavailable(f"this host does not have the underlay address {local}, or no route from it")
            return found

        return await self._in(self._reader, look)

    async def host_bridges(self) -> Mapping[str, bool]:
        """See Kernel."""

        def look() -> Mapping[str, bool]:
            try:
                return host_bridges(self._looking, self._owner)
            except NetlinkError as error:
                raise Unavailable(f"the kernel's bridges cannot be read: {error.strerror}") from error

        return await self._in(self._reader, look)

    async def dropping_filters(self, bridges: Collection[str]) -> Sequence[HostFilter]:
        """See Kernel."""
        wanted = tuple(bridges)
        return await self._in(self._reader, lambda: host_filters.dropping(wanted))

    async def announce(self, link: str, address: IPv4Address | IPv6Address, mac: str, domain: int = 0) -> None:
        """See Kernel."""

        def tell() -> None:
            with self._domains.inside(domain):
                tools = self._writing.at(domain)
                found = tools.links.find(link)
                if found is None:
                    return
                tools.tunnels.neighbours.forget(found.index, address)
                self._announcer_of(domain).announce(link, address, mac, found.mac)

        self._soon(_attempt(tell, f"announcing {address} on {link}"))

    def _announcer_of(self, domain: int) -> Announcer:
        """The one that was made in the domain. The writer is there."""
        if domain == 0:
            return self._announcer
        held = self._domains.held(domain)
        known = self._announcers.get(domain)
        if known is not None and known[0] is held:
            return known[1]
        self._forget_announcers()
        assert held is not None
        self._announcers[domain] = held, Announcer()
        return self._announcers[domain][1]

    def _forget_announcers(self) -> None:
        """Of domains that are gone: these would live on in them."""
        for domain, (held, announcer) in list(self._announcers.items()):
            if self._domains.held(domain) is not held:
                announcer.close()
                del self._announcers[domain]

    async def flush_connections(self, address: IPv4Address | IPv6Address, domain: int = 0) -> None:
        """See Kernel."""
        # Reading all that is tracked takes long, and the next container must not wait: the writer only says when.
        what = f"forgetting the connections of {address}"
        self._soon(lambda: self._forget(domain, lambda: conntrack.flush(address), what))

    async def in_domain(self, domain: int, work: Callable[[], T]) -> T:
        """See Kernel."""

        def there() -> T:
            if domain and self._domains.held(domain) is None:
                raise NotFound(f"routing domain {domain} is missing", hint="try again in a few seconds")
            with self._domains.inside(domain):
                return work()

        return await self._in(self._visitor, there)

    async def close(self) -> None:
        """See Kernel. Closing twice is fine."""
        if self._closed:
            return
        await self._in(self._writer, lambda: None)
        await self._in(self._forgetter, lambda: None)
        await self._in(self._deleter, self._delete)
        await self._in(self._reader, lambda: None)
        await self._in(self._visitor, lambda: None)
        self._closed = True
        for pool in self._threads:
            pool.shutdown()
        self._writing.close()
        self._reading.close()
        self._deleting.close()
        self._asking.close()
        self._looking.close()
        self._host_networks.close()
        self._news.close()
        self._changes.close()
        self._announcer.close()
        for _, announcer in self._announcers.values():
            announcer.close()
        self._domains.close()

    def _soon(self, work: Callable[[], object]) -> None:
        """Do it after the writes that were asked for before, with nobody waiting."""
        if not self._closed:
            self._writer.submit(work)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise Unavailable("the kernel adapter is closed")
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _schedule(self) -> None:
        """Begin to delete what was discarded. While the deleter is busy, more gathers, and goes together with its next.

        At once, since dockerd is about to move the interface out of the container, which takes longer than to find it
        gone.
        """
        if not self._closed and any(each.pending() for _, each in self._leaving()):
            self._deleter.submit(self._delete)

    def _leaving(self) -> Iterator[tuple[int, Discards]]:
        """What is on its way out, by domain."""
        for number in (0, *self._domains.numbers()):
            if (discards := self._domains.discards(number)) is not None:
                yield number, discards

    def _delete(self) -> None:
        for number, discards in self._leaving():
            try:
                if number == 0:
                    discards.flush(self._deleting)
                elif discards.pending():
                    with self._domains.inside(number), closing(Links(self._owner)) as links:
                        discards.flush(links)
            except (NetlinkError, Unavailable) as error:
                _log.warning("links could not be deleted, repair will try again: %s", error)


def _attempt(work: Callable[[], None], what: str) -> Callable[[], None]:
    """The same, where nobody would hear of it when it fails."""

    def attempt() -> None:
        try:
            work()
        except (OSError, Unavailable) as error:
            _log.debug("%s failed: %s", what, error)

    return attempt
