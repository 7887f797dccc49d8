"""The daemon's DNS server on the host: its addresses on the loopback interface, its sockets, and when they are there.

Rules: a host that wants no names has nothing of it; what cannot be had (the port is another program's, no right) is one
line, and is tried again, while the daemon goes on; where containers have the address already it stays when the daemon
ends: without a server behind it they are refused at once and ask their next one, without the address they would wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from ipaddress import ip_interface

from mooring.adapters.dns.host_forwarding import HostForwarding, HostUpstreams
from mooring.adapters.dns.host_server import HostAnswers, HostServer, Names, PortTaken
from mooring.adapters.host.descriptor_shares import SharesOfLimit
from mooring.adapters.linux.host_bridges import ContainerBridges
from mooring.adapters.linux.namespace_links import NamespaceLinks
from mooring.core.dns_places import ADDRESSES, PORT
from mooring.core.networks import Address
from mooring.core.port_bindings import Protocol

log = logging.getLogger(__name__)

_LOOPBACK = 1
# Parts of the process's limit of open files, for questions that are forwarded and for connections.
_FOR_QUERIES, _FOR_CONNECTIONS = 16, 32
# What a kernel without IPv6 says.
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EACCES, errno.EOPNOTSUPP})

_FREE_THE_PORT = (
    "let a program that has the port listen at its own addresses alone (dnsmasq: `listen-address` with"
    " `bind-interfaces`), and a container publish it at one address (`-p ADDRESS:53:53`); the server tries again by"
    " itself"
)
_SWITCH_ON = 'set `dns` to "auto" and restart the daemon, or take it back: `mooring dns uninstall`'

Holder = Callable[[Protocol, Address, int], Awaitable[str]]


class HostDns:
    """`run` for as long as the daemon lives.

    wanted: whether there should be a server now. holder: who has a port at an address of the host's. period: seconds
    between two looks. busy: whether somebody else's work goes first. missed: who misses a server that is not wanted, ""
    for nobody. serving: the addresses that are served. trouble: why one is not, "" when nothing is wrong; remedy: what
    to do then.
    """

    def __init__(
        self,
        names: Names,
        wanted: Callable[[], bool],
        holder: Holder,
        period: float,
        busy: Callable[[], bool] = lambda: False,
        missed: Callable[[], str] = lambda: "",
    ) -> None:
        self._wanted = wanted
        self._missed = missed
        self._holder = holder
        self._period = period
        self._busy = busy
        self._names = names
        self._servers: dict[Address, HostServer] = {}
        self._forwarding: HostForwarding | None = None
        self._answers: HostAnswers | None = None
        self._connections = SharesOfLimit(_FOR_CONNECTIONS)
        self._nudged = asyncio.Event()
        self._cleared = False
        self._looked: asyncio.Future[None] | None = None
        self.trouble = self.remedy = ""

    @property
    def serving(self) -> tuple[Address, ...]:
        """Where questions are answered now."""
        return tuple(self._servers)

    def nudge(self) -> None:
        """It may be wanted now, or not any more."""
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
                    async with asyncio.timeout(self._period):
                        await self._nudged.wait()
                self._nudged.clear()
        finally:
            if self._looked is not None:
                self._looked.set_result(None)
            self._looked = None
            await self._close()

    async def once(self) -> None:
        """It is as wanted, or the log says why not; the same is said once."""
        wanted = self._wanted()
        trouble = await self._begin() if wanted else await self._end()
        self.remedy = _FREE_THE_PORT if wanted else _SWITCH_ON
        if trouble and trouble != self.trouble:
            log.warning("names are not answered: %s", trouble)
        elif self.trouble and not trouble and self._servers:
            log.info("names are answered at %s", " and ".join(map(str, self._servers)))
        self.trouble = trouble

    async def _begin(self) -> str:
        """Why it is not there, "" when it is."""
        self._cleared = False
        if self._answers is not None:
            self._answers.look_again()
        troubles = [await self._serve(address) for address in ADDRESSES]
        return next((each for each in troubles if each), "")

    async def _end(self) -> str:
        """Who misses it, "" for nobody."""
        await self._close()
        if not self._cleared:
            await asyncio.to_thread(drop_addresses, ADDRESSES)
            self._cleared = True
        return self._missed()

    async def _serve(self, address: Address) -> str:
        """Why it is not, "" when it is or cannot be of use."""
        try:
            await asyncio.to_thread(_hold, address)
            if address not in self._servers:
                server = HostServer(self._answering(), self._connections, self._busy)
                await server.open(address, PORT)
                self._servers[address] = server
        except OSError as error:
            if address.version == 6 and error.errno in _NO_FAMILY:
                return ""
            if isinstance(error, PortTaken):
                who = await self._holder(error.protocol, address, PORT)
                return f"port {PORT}/{error.protocol.label} of {address} is in use by {who}"
            return f"{address} port {PORT}: {error.strerror}"
        return ""

    def _answering(self) -> HostAnswers:
        if self._answers is None:
            clock = asyncio.get_running_loop().time
            upstreams = HostUpstreams(clock, ADDRESSES)
            self._forwarding = HostForwarding(upstreams, clock, SharesOfLimit(_FOR_QUERIES))
            self._answers = HostAnswers(self._names, self._forwarding, holds=ContainerBridges(clock).holds)
        return self._answers

    async def _close(self) -> None:
        while self._servers:
            _, server = self._servers.popitem()
            await server.close()
        if self._forwarding is not None:
            self._forwarding.close()
            self._forwarding = self._answers = None


def _hold(address: Address) -> None:
    """The loopback interface has the address. Raises OSError."""
    with closing(NamespaceLinks()) as links:
        links.add_address(_LOOPBACK, ip_interface(address))


def drop_addresses(addresses: Sequence[Address] = ADDRESSES) -> None:
    """The host's loopback interface has none of them."""
    with contextlib.suppress(OSError), closing(NamespaceLinks()) as links:
        for address in addresses:
            with contextlib.suppress(OSError):
                links.delete_address(_LOOPBACK, ip_interface(address))
