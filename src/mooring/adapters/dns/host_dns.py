"""The daemon's DNS server on the host and in routing domains: its addresses on the loopback interface of each, its
sockets, and when they are there.

Rules: a host that wants no names has nothing of it, and neither has a domain; in a domain there are sockets that were
made there and nothing else of the host's, so that it reaches no more of the host than before; what cannot be had (the
port is another program's, no right) is one line, and is tried again, while the daemon goes on; where containers have
the address already it stays when the daemon ends: without a server behind it they are refused at once and ask their
next one, without the address they would wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_interface

from mooring.adapters.dns.host_forwarding import HostForwarding, HostUpstreams
from mooring.adapters.dns.host_server import HostAnswers, HostServer, Names
from mooring.adapters.dns.host_sockets import PortTaken, host_sockets
from mooring.adapters.host.descriptor_shares import SharesOfLimit
from mooring.adapters.linux.host_bridges import ContainerBridges
from mooring.adapters.linux.namespace_links import NamespaceLinks
from mooring.core.dns_places import ADDRESSES, PORT
from mooring.core.faults import NotFound, Unavailable
from mooring.core.networks import Address
from mooring.core.port_bindings import Protocol
from mooring.ports import Kernel

log = logging.getLogger(__name__)

_LOOPBACK = 1
# Parts of the process's limit of open files, for questions that are forwarded and for connections.
_FOR_QUERIES, _FOR_CONNECTIONS = 16, 32
# What a kernel without IPv6 says.
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EACCES, errno.EOPNOTSUPP})
# Seconds until the next look, where a domain is on record and about to be made.
_SOON = 0.2

_FREE_THE_PORT = (
    "let a program that has the port listen at its own addresses alone (dnsmasq: `listen-address` with"
    " `bind-interfaces`), and a container publish it at one address (`-p ADDRESS:53:53`); the server tries again by"
    " itself"
)
_SWITCH_ON = 'set `dns` to "auto" and restart the daemon, or take it back: `mooring dns uninstall`'

Holder = Callable[[Protocol, Address, int], Awaitable[str]]


@dataclass(slots=True)
class _Site:
    """The server in one routing domain, 0 for the host. namespace: by its inode, the one that its sockets are in.
    opened: sockets there that nobody serves yet. cleared: nothing of an earlier run is left there."""

    domain: int
    namespace: int = 0
    servers: dict[Address, HostServer] = field(default_factory=dict)
    opened: dict[Address, tuple[socket.socket, socket.socket]] = field(default_factory=dict)
    cleared: bool = False


class HostDns:
    """`run` for as long as the daemon lives.

    wanted: every routing domain that networks are in, and 0 for the host, with whether there should be a server now.
    holder: who has a port at an address of the host's. period: seconds between two looks. busy: whether somebody else's
    work goes first. missed: who misses a server that is not wanted on the host, "" for nobody. trouble: why names are
    not answered somewhere, "" when nothing is wrong; remedy: what to do then.
    """

    def __init__(
        self,
        names: Names,
        kernel: Kernel,
        wanted: Callable[[], Mapping[int, bool]],
        holder: Holder,
        period: float,
        busy: Callable[[], bool] = lambda: False,
        missed: Callable[[], str] = lambda: "",
    ) -> None:
        self._kernel = kernel
        self._wanted = wanted
        self._missed = missed
        self._holder = holder
        self._period = period
        self._busy = busy
        self._names = names
        self._sites: dict[int, _Site] = {}
        self._forwarding: HostForwarding | None = None
        self._answers: HostAnswers | None = None
        self._connections = SharesOfLimit(_FOR_CONNECTIONS)
        self._nudged = asyncio.Event()
        self._awaited = False
        self._looked: asyncio.Future[None] | None = None
        self.trouble = self.remedy = ""

    def serving(self, domain: int = 0) -> tuple[Address, ...]:
        """Where questions are answered now, on the host or in the routing domain, IPv4 first."""
        site = self._sites.get(domain)
        return tuple(each for each in ADDRESSES if site is not None and each in site.servers)

    @property
    def domains(self) -> list[int]:
        """The routing domains in which questions are answered now."""
        return sorted(number for number, site in self._sites.items() if number and site.servers)

    def nudge(self) -> None:
        """It may be wanted somewhere now, or not any more."""
        self._nudged.set()

    async def settle(self) -> None:
        """It is as wanted now, as far as it can be, if it runs."""
        if self._looked is not None:
            self.nudge()
            await asyncio.shield(self._looked)

    async def run(self) -> None:
        """For ever; ends with its sockets closed."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._looked, looked = loop.create_future(), self._looked
                try:
                    await self.once()
                finally:
                    if looked is not None:
                        looked.set_result(None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(self._period, _SOON) if self._awaited else self._period):
                        await self._nudged.wait()
                self._nudged.clear()
        finally:
            if self._looked is not None:
                self._looked.set_result(None)
            self._looked = None
            await self.close()

    async def once(self) -> None:
        """It is as wanted everywhere, or the log says why not; the same is said once."""
        wanted = self._wanted()
        self._awaited = False
        for number in self._sites.keys() - wanted.keys():
            await _end(self._sites.pop(number))  # the domain goes, and what is in it
        if self._answers is not None:
            self._answers.look_again()
        troubles: list[str] = []
        for number, there in sorted(wanted.items()):
            site = self._sites.setdefault(number, _Site(number))
            try:
                troubles += await self._serve(site) if there else await self._clear(site)
            except NotFound:  # the domain is not made yet, or is lost, and repair makes it again
                await _end(site)
                self._awaited = self._awaited or there
            except Unavailable as fault:
                troubles.append(str(fault))
        self._stop_forwarding()
        self.remedy = _FREE_THE_PORT if any(wanted.values()) else _SWITCH_ON
        self._tell(next((each for each in troubles if each), ""))

    async def close(self) -> None:
        """Nobody is answered any more; the addresses stay."""
        with contextlib.suppress(Unavailable):
            await self._kernel.in_domain(0, lambda: None)  # a look that was under way is over
        while self._sites:
            await _end(self._sites.popitem()[1])
        self._stop_forwarding()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("names are not answered: %s", trouble)
        elif self.trouble and not trouble and self.serving():
            log.info("names are answered at %s", " and ".join(map(str, self.serving())))
        self.trouble = trouble

    async def _clear(self, site: _Site) -> Sequence[str]:
        """Nothing of it is there, but the address where it is missed on the host; who misses it."""
        await _end(site)
        missed = "" if site.domain else self._missed()
        if not site.cleared and not missed:
            await self._kernel.in_domain(site.domain, drop_addresses)
            site.cleared = True
        return [missed]

    async def _serve(self, site: _Site) -> Sequence[str]:
        """Why an address is not served. Raises NotFound, Unavailable."""
        site.cleared = False
        namespace, errors = await self._kernel.in_domain(site.domain, partial(_look, site))
        if namespace != site.namespace:  # a lost domain that was made again: what was served there is gone
            opened, site.opened = site.opened, {}
            await _end(site)
            site.namespace, site.opened = namespace, opened
        while site.opened:
            address, sockets = site.opened.popitem()
            server = HostServer(self._answering(), self._connections, self._busy, site.domain)
            try:
                await server.open(*sockets)
            except OSError as error:
                errors[address] = error
            else:
                site.servers[address] = server
        return [await self._in_words(site.domain, address, error) for address, error in errors.items()]

    async def _in_words(self, domain: int, address: Address, error: OSError) -> str:
        """Why the address is not served, "" where it cannot be of use."""
        if address.version == 6 and error.errno in _NO_FAMILY:
            return ""
        where = f" in routing domain {domain}" if domain else ""
        if isinstance(error, PortTaken):
            # Who is in a domain is no program of the host's, and nobody should be there.
            who = await self._holder(error.protocol, address, PORT) if not domain else "another program"
            return f"port {PORT}/{error.protocol.label} of {address}{where} is in use by {who}"
        return f"{address} port {PORT}{where}: {error.strerror}"

    def _answering(self) -> HostAnswers:
        if self._answers is None:
            clock = asyncio.get_running_loop().time
            upstreams = HostUpstreams(clock, ADDRESSES)
            self._forwarding = HostForwarding(upstreams, clock, SharesOfLimit(_FOR_QUERIES))
            self._answers = HostAnswers(self._names, self._forwarding, holds=ContainerBridges(clock).holds)
        return self._answers

    def _stop_forwarding(self) -> None:
        """Where nobody is served."""
        if self._forwarding is not None and not any(site.servers for site in self._sites.values()):
            self._forwarding.close()
            self._forwarding = self._answers = None


async def _end(site: _Site) -> None:
    """It has no sockets any more. A domain that is removed would live on in them."""
    while site.opened:
        for each in site.opened.popitem()[1]:
            each.close()
    while site.servers:
        _, server = site.servers.popitem()
        await server.close()
    site.namespace = 0


def _look(site: _Site) -> tuple[int, dict[Address, OSError]]:
    """The thread's namespace, by its inode, whose loopback interface has the addresses, with sockets in site.opened for
    those that are not served; and what was in the way."""
    namespace, errors = os.stat("/proc/thread-self/ns/net").st_ino, dict[Address, OSError]()
    for address in ADDRESSES:
        try:
            _hold(address)
            if namespace != site.namespace or address not in site.servers:
                site.opened[address] = host_sockets(address, PORT)
        except OSError as error:
            errors[address] = error
    return namespace, errors


def _hold(address: Address) -> None:
    """The loopback interface has the address. Raises OSError."""
    with closing(NamespaceLinks()) as links:
        links.add_address(_LOOPBACK, ip_interface(address))


def drop_addresses(addresses: Sequence[Address] = ADDRESSES) -> None:
    """The loopback interface, where the thread is, has none of them."""
    with contextlib.suppress(OSError), closing(NamespaceLinks()) as links:
        for address in addresses:
            with contextlib.suppress(OSError):
                links.delete_address(_LOOPBACK, ip_interface(address))
