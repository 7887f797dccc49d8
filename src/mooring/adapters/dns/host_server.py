"""The daemon's DNS server: names of the host's containers, by UDP and TCP, and everything else by forwarding.

Rules: callbacks of the loop and no tasks; who asks is known by the interface that a question came in by and its source
address, and who is neither a container of this host nor the host itself is not answered, so that nobody else is either
served or flooded through us; a socket serves the namespace that it was made in, and what is equal in two of them (an
interface's index, an address) is told apart by the socket; in each turn of the loop no more is answered than takes a
fraction of a millisecond, whatever is sent; an answer that was made is kept as bytes for as long as no name changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Any, Protocol

from mooring.adapters.dns.dns_answering import AT_ONCE, Connections, Send
from mooring.adapters.dns.dns_forwarding import Asked
from mooring.adapters.dns.host_forwarding import HostForwarding
from mooring.adapters.dns.host_sockets import ANCILLARY, arrival_interface, interface_name, stream_interface
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.dns_places import ADDRESSES, LINK
from mooring.core.host_names import Asker
from mooring.core.names import Answer, Question, Verdict
from mooring.core.networks import Address
from mooring.wire.dns import (
    READ_BYTES,
    STREAM_BYTES,
    Query,
    Rcode,
    encode_cut,
    encode_failure,
    encode_reply,
    read_query,
)

# Seconds that names may be remembered by who asks: they follow their containers.
TTL = 1
# Bytes of our own answers over UDP at the most, whatever the client says that it takes (dnsflagday.net, 2020).
UDP_BYTES = 1232
# Seconds after which a turn of the loop ends, if it did not end before; and for which nothing is read while somebody
# waits for something that matters more: what comes meanwhile waits in the socket.
TURN, PAUSE = 0.0003, 0.001
# Askers that are remembered, and bytes of answers to all of them, with what Python needs for each.
MOST_ASKERS, MOST_BYTES, OVERHEAD = 4096, 1 << 25, 200

HOST = Asker()
# A container of this host that is in no network of ours: it sees everybody's names, and no network's.
STRANGER = Asker(open=frozenset())

_LOOPBACK = 1  # its index in every namespace (net/core/dev.c)


class Names(Protocol):
    """What the server needs to know."""

    zone: str

    @property
    def changes(self) -> int:
        """What was looked up is true as long as it stays the same."""
        ...

    def asker(self, bridge: str, source: Address, domain: int = 0) -> Asker | None:
        """Who asks from the address by the bridge; None where no network of ours is behind it. domain: the routing
        domain that the bridge is in, 0 for the host."""
        ...

    def lookup(self, question: Question, asker: Asker) -> Answer:
        """What he is told."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """Where a server's sockets are. domain: the number of the routing domain, 0 for the host. interface_name: of an
    index there; raises OSError for none."""

    domain: int
    interface_name: Callable[[int], str]


@dataclass(slots=True)
class _Client:
    """Who asks from one address by one interface; name: both, and where. answers: to questions as bytes without their
    ids; those that ask for the same have the same ones."""

    asker: Asker
    name: str
    answers: dict[bytes, bytes] = field(default_factory=dict)


class HostAnswers:
    """Answers whoever may ask, wherever. holds: whether the address is that of a container behind the host's interface,
    which is none of ours."""

    def __init__(
        self,
        names: Names,
        forwarding: HostForwarding,
        holds: Callable[[int, Address], bool] = lambda _index, _source: False,
    ) -> None:
        self._names = names
        self._forwarding = forwarding
        self._holds = holds
        self._changes = -1
        self._clients: dict[tuple[Place, int, str], _Client | None] = {}
        self._answers: dict[Asker, dict[bytes, bytes]] = {}
        self._bytes = 0

    def client(self, place: Place, interface: int, source: str) -> _Client | None:
        """Who asks from there; None for who is not answered. interface: its index in the place."""
        if self._changes != self._names.changes or self._bytes >= MOST_BYTES or len(self._clients) >= MOST_ASKERS:
            self._forget()
        whence = (place, interface, source)
        known = self._clients.get(whence)
        if known is None and whence not in self._clients:
            known = self._clients[whence] = self._find(place, interface, source)
        return known

    def answer(self, client: _Client, message: bytes, send: Send, *, stream: bool) -> bool:
        """Calls `send` with the reply, now or later; False when the message gets none."""
        known = client.answers.get(message[2:]) if not stream else None
        if known is not None:
            send(message[:2] + known)
            return True
        query = read_query(message)
        if query is None:
            return False
        if isinstance(query, bytes):
            send(query)
            return True
        answer = self._names.lookup(query.question, client.asker)
        if answer.verdict is Verdict.FORWARD:
            self._forward(client, Asked(message, query, stream), send)
            return True
        limit = STREAM_BYTES if stream else min(query.udp_limit, UDP_BYTES)
        if len(answer.addresses) > 1:
            # Clients take the first: so they spread over those that have the same name.
            answer = replace(answer, addresses=_shuffled(answer))
            send(encode_reply(query, answer, limit, TTL, self._names.zone))
            return True
        # The zone's SOA says nothing about the reverse zones, which are none of ours.
        zone = "" if query.question.name.endswith(".arpa") else self._names.zone
        reply = encode_reply(query, answer, limit, TTL, zone)
        if not stream:
            client.answers[message[2:]] = reply[2:]
            self._bytes += len(message) + len(reply) + OVERHEAD
        send(reply)
        return True

    def _forward(self, client: _Client, asked: Asked, send: Send) -> None:
        query: Query = asked.query

        def done(reply: bytes | None) -> None:
            if reply is None:
                reply = encode_failure(query, Rcode.SERVFAIL)
            elif not asked.stream and len(reply) > query.udp_limit:
                reply = encode_cut(query)  # a nameserver that heeds no limit is not ours to pass on
            send(reply)

        self._forwarding.ask(asked, client.name, done)

    def look_again(self) -> None:
        """Who is in no network of ours is looked for anew: what is behind a bridge changes."""
        for whence, client in list(self._clients.items()):
            if client is None or client.asker is STRANGER:
                del self._clients[whence]

    def _forget(self) -> None:
        self._changes = self._names.changes
        self._clients.clear()
        self._answers.clear()
        self._bytes = 0

    def _find(self, place: Place, interface: int, source: str) -> _Client | None:
        if interface == _LOOPBACK:
            # In a domain nobody lives.
            asker = None if place.domain else HOST
        else:
            try:
                address, name = ip_address(source), place.interface_name(interface)
            except (OSError, ValueError):
                return None
            asker = self._names.asker(name, address, place.domain)
            if asker is None and not place.domain:
                if self._holds(interface, address):
                    asker = STRANGER
                elif name == LINK and address in ADDRESSES:
                    # What leaves by the link of the host's resolver, which leads nowhere, comes back as if by it, from
                    # the address that is on it: somebody may have given a bridge this name.
                    asker = HOST
        if asker is None:
            return None
        # By the interface and the domain, too: tenants may have equal addresses.
        name = f"{source} by {interface}" + (f" in {place.domain}" if place.domain else "")
        return _Client(asker, name, self._answers.setdefault(asker, {}))


def _shuffled(answer: Answer) -> tuple[Address, ...]:
    addresses = random.sample(answer.addresses, len(answer.addresses))
    near = set(answer.addresses[: answer.near])
    return tuple(sorted(addresses, key=lambda each: each not in near)) if near else tuple(addresses)


class HostDatagrams:
    """Questions over UDP, from the moment that it is made. It takes the socket over. busy: whether somebody else's work
    goes first."""

    def __init__(self, answers: HostAnswers, place: Place, served: socket.socket, busy: Callable[[], bool]) -> None:
        self._answers = answers
        self._place = place
        self._socket = served
        self._busy = busy
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(served, self._read)

    def close(self) -> None:
        """Nothing is read or sent any more."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        # The way of what is known already is as short as it can be: it is most of what a busy host asks.
        loop_time, receive, send = self._loop.time, self._socket.recvmsg, self._socket.sendto
        find, place = self._answers.client, self._place
        ends = loop_time() + TURN
        for _ in range(AT_ONCE):
            try:
                message, ancillary, _, source = receive(READ_BYTES, ANCILLARY)
                client = find(place, arrival_interface(ancillary), source[0])
                if client is not None:
                    known = client.answers.get(message[2:])
                    if known is not None:
                        send(message[:2] + known, source)
                        continue
            except OSError:  # there is none any more, or no room for the answer, which is lost as datagrams are
                return
            if client is not None:
                self._answers.answer(client, message, partial(self._send, source), stream=False)
                if loop_time() > ends:
                    break
        if self._busy():
            self._loop.remove_reader(self._socket)
            self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._read)

    def _send(self, source: Any, reply: bytes) -> None:
        # A reply that finds no room is lost, as datagrams are; the client asks again.
        with contextlib.suppress(OSError):
            self._socket.sendto(reply, source)


@dataclass(slots=True)
class _StreamClient:
    """Who has a connection. It is looked for anew with each question: networks come and go while it lasts."""

    answers: HostAnswers
    place: Place
    interface: int
    source: str

    @property
    def client(self) -> tuple[Place, int, str]:
        """See Answering."""
        return self.place, self.interface, self.source

    def of(self, transport: asyncio.Transport) -> _StreamClient | None:  # noqa: ARG002
        """See Answering."""
        return self

    def answer(self, message: bytes, send: Send, *, stream: bool) -> bool:
        """See Answering."""
        client = self.answers.client(self.place, self.interface, self.source)
        return client is not None and self.answers.answer(client, message, send, stream=stream)


@dataclass(slots=True)
class HostStreams:
    """Who answers connections."""

    answers: HostAnswers
    place: Place
    client: Hashable = None

    def of(self, transport: asyncio.Transport) -> _StreamClient | None:
        """See Answering."""
        connected = transport.get_extra_info("socket")
        interface, source = stream_interface(connected), transport.get_extra_info("peername")[0]
        client = _StreamClient(self.answers, self.place, interface, source)
        return client if self.answers.client(self.place, interface, source) is not None else None

    def answer(self, message: bytes, send: Send, *, stream: bool) -> bool:  # noqa: ARG002
        """See Answering: each client has somebody of its own."""
        return False


class HostServer:
    """Serves at one address of one namespace, from `open` until `close`. busy: as of HostDatagrams. domain: the number
    of the routing domain, 0 for the host."""

    def __init__(
        self, answers: HostAnswers, shares: Shares, busy: Callable[[], bool] = lambda: False, domain: int = 0
    ) -> None:
        self._answers = answers
        self._busy = busy
        self._shares = shares
        self._domain = domain
        self._datagrams: HostDatagrams | None = None
        self._connections: Connections | None = None

    async def open(self, datagram: socket.socket, stream: socket.socket) -> None:
        """Both sockets (of `host_sockets`) are served. It takes them over, also when it is cancelled. Raises OSError,
        and then neither is."""
        place = Place(self._domain, partial(interface_name, datagram))
        self._connections = Connections(HostStreams(self._answers, place), self._shares)
        try:
            await self._connections.serve(stream)
        except BaseException:
            datagram.close()
            raise
        self._datagrams = HostDatagrams(self._answers, place, datagram, self._busy)

    async def close(self) -> None:
        """Nobody is answered any more."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._connections is not None:
            await self._connections.close()
        self._datagrams = self._connections = None
