"""What the host's DNS server does not know: asked of the host's nameservers, and remembered.

Rules: the same question is asked once, however many wait for the answer, so that nobody who forges answers gets more
tries by asking more (RFC 5452, 5), and a loop of servers that ask each other ends; no client has more than its part of
the questions under way; a nameserver that does not answer is asked last for a while; what is remembered is bounded, and
is the answer to exactly the same question: with the same flags and options.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path

from mooring.adapters.dns.dns_forwarding import Asked, Forwarder, Upstream
from mooring.adapters.dns.dns_sockets import upstream_socket
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.dns_places import ADDRESSES
from mooring.core.host_files import RESOLV_CONF, parse
from mooring.wire.dns import Query, with_ident
from mooring.wire.dns_replies import aged, kept_for, with_question

# Seconds that each nameserver has: Docker's resolver waits four for us, and three may be asked.
DEADLINE = 1.2
# Seconds for which one that did not answer is asked last.
AVOIDED = 10.0
# Seconds between two looks at the host's resolv.conf.
PERIOD = 2.0
# What systemd-resolved itself asks (systemd-resolved.service(8)), as dockerd reads it.
STUB = "127.0.0.53"
BEHIND_STUB = "/run/systemd/resolve/resolv.conf"
# Questions of one client that are under way.
QUERIES_OF_CLIENT = 128
# Replies that are remembered, and bytes of one with its question.
MOST, MOST_BYTES = 8192, 4096
_HEADER_BYTES = 12

Reply = Callable[[bytes | None], None]
Connecting = asyncio.Future[socket.socket]
Connect = Callable[[Upstream, socket.SocketKind], Connecting]


def host_nameservers(paths: Sequence[str] = (RESOLV_CONF, BEHIND_STUB)) -> Sequence[Upstream]:
    """The host's nameservers that others reach, too: those behind systemd-resolved's stub where there is no other."""
    for path in paths:
        with contextlib.suppress(OSError):
            text = Path(path).read_text(errors="surrogateescape")
            servers = [each for each in parse(text).nameservers if not each.is_loopback and each not in ADDRESSES]
            found = [each for each in servers if not (isinstance(each, IPv6Address) and each.scope_id)]
            if found:
                return tuple(dict.fromkeys(found))
    return ()


def stub_asked(path: str = RESOLV_CONF) -> bool:
    """Whether the host's programs ask systemd-resolved's stub (systemd-resolved.service(8))."""
    return any(str(each) == STUB for each in _nameservers(path))


def server_asked(path: str = RESOLV_CONF) -> bool:
    """Whether the host's programs ask the daemon's DNS server themselves."""
    return any(each in ADDRESSES for each in _nameservers(path))


def _nameservers(path: str) -> Sequence[Upstream]:
    with contextlib.suppress(OSError):
        return parse(Path(path).read_text(errors="surrogateescape")).nameservers
    return ()


class HostUpstreams:
    """The host's nameservers, from its resolv.conf, without those that are ourselves. now: steady seconds."""

    def __init__(self, now: Callable[[], float], own: Sequence[Upstream], path: str = RESOLV_CONF) -> None:
        self._now = now
        self._own = frozenset(own)
        self._path = Path(path)
        self._looked = -PERIOD
        self._stamp: tuple[int, int] | None = None
        self._servers: tuple[Upstream, ...] = ()
        self._avoided: dict[Upstream, float] = {}

    def __call__(self) -> Sequence[Upstream]:
        """Those to ask, in this order; one alone is asked twice, since datagrams get lost."""
        now = self._now()
        if now - self._looked >= PERIOD:
            self._looked = now
            self._look()
        if not self._avoided:
            return self._servers
        self._avoided = {server: until for server, until in self._avoided.items() if until > now}
        return sorted(self._servers, key=lambda server: server in self._avoided)

    def failed(self, server: Upstream) -> None:
        """It did not answer."""
        self._avoided[server] = self._now() + AVOIDED

    def _look(self) -> None:
        try:
            facts = self._path.stat()
            stamp = facts.st_mtime_ns, facts.st_ino
            if stamp == self._stamp:
                return
            text = self._path.read_text(errors="surrogateescape")
        except OSError:
            self._servers, self._stamp = (), None
            return
        found = tuple(dict.fromkeys(server for server in parse(text).nameservers if server not in self._own))
        self._servers, self._stamp = found * 2 if len(found) == 1 else found, stamp


@dataclass(slots=True)
class _Kept:
    message: bytes
    times: tuple[int, ...]
    since: float
    until: float


@dataclass(slots=True)
class _UnderWay:
    """clients: who waits, so that each can be counted off."""

    waiting: list[tuple[Query, Reply]] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)


class HostForwarding:
    """`ask` for each query. upstreams: the nameservers as of now. now: steady seconds. shares: of sockets."""

    def __init__(
        self,
        upstreams: HostUpstreams,
        now: Callable[[], float],
        shares: Shares,
        deadline: float = DEADLINE,
        connect: Connect | None = None,
    ) -> None:
        """deadline: seconds that each nameserver has. connect: makes a socket to one."""
        self._upstreams = upstreams
        self._now = now
        self._forwarder = Forwarder(connect or _connect, deadline, shares, upstreams.failed)
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._of_client: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many questions are under way."""
        return len(self._under_way)

    def close(self) -> None:
        """Nobody is asked, or answered, any more."""
        self._forwarder.close()
        self._under_way.clear()
        self._of_client.clear()

    def ask(self, asked: Asked, client: str, done: Reply) -> None:
        """Calls `done` with the reply, now or later; with None when there is none, at once if the client has too many
        questions under way."""
        # Everything but the id; the name in one case.
        section = asked.query.section
        after = _HEADER_BYTES + len(section)
        key = asked.message[2:_HEADER_BYTES] + section.lower() + asked.message[after:] + bytes([asked.stream])
        if (reply := self._remembered(key)) is not None:
            done(_as_asked(reply, asked.query))
            return
        if self._of_client[client] >= QUERIES_OF_CLIENT:
            done(None)
            return
        self._of_client[client] += 1
        waiting = self._under_way.get(key)
        if waiting is not None:
            waiting.waiting.append((asked.query, done))
            waiting.clients.append(client)
            return
        self._under_way[key] = _UnderWay([(asked.query, done)], [client])
        self._forwarder.forward(asked, self._upstreams(), lambda reply: self._answered(key, reply))

    def _answered(self, key: bytes, reply: bytes | None) -> None:
        under_way = self._under_way.pop(key)
        self._of_client.subtract(under_way.clients)
        for client in under_way.clients:
            if not self._of_client[client]:
                del self._of_client[client]
        if reply is not None:
            self._remember(key, reply)
        for query, done in under_way.waiting:
            done(None if reply is None else _as_asked(reply, query))

    def _remember(self, key: bytes, reply: bytes) -> None:
        told = kept_for(reply) if len(key) + len(reply) <= MOST_BYTES else None
        if told is None:
            return
        now = self._now()
        self._kept[key] = _Kept(reply, told[1], now, now + told[0])
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def _remembered(self, key: bytes) -> bytes | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self._now()
        if now >= kept.until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return aged(kept.message, kept.times, int(now - kept.since))


def _as_asked(reply: bytes, query: Query) -> bytes:
    """With the client's own id, and its letters as it wrote them; an error may be without a question."""
    if reply[4:6] == b"\0\1":
        reply = with_question(reply, query.section)
    return with_ident(reply, query.ident)


def _connect(upstream: Upstream, kind: socket.SocketKind) -> Connecting:
    """From the host. Raises OSError."""
    future: Connecting = asyncio.get_running_loop().create_future()
    future.set_result(upstream_socket(upstream, kind))
    return future
