"""How many connections a listener has, and how many of them one peer.

Rules: silence alone ends nothing; when a listener or a peer has as many connections as it may, one of its own that is
idle gives way to the newcomer, those first that never said anything; where none is idle the newcomer is refused in one
line; nobody else's connections are touched, so who takes all that he may takes nothing from others.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from mooring.servers.credentials import credentials

log = logging.getLogger(__name__)

# Seconds between two lines of the log about one peer.
QUIET = 60.0


class Idle(IntEnum):
    """Whether a connection may give way."""

    BUSY = 0  # a request or a stream is under way
    BETWEEN = 1  # between two requests
    SILENT = 2  # it has asked for nothing yet


class Member(Protocol):
    """A connection."""

    @property
    def idle(self) -> Idle:
        """Whether it may give way."""
        ...

    def close(self) -> None:
        """It ends."""
        ...


class Pool:
    """What several quotas share. most: connections."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0


class Quota:
    """The connections of one listener. most: of them; each: of one peer. pool: what it shares with others."""

    def __init__(self, name: str, most: int, each: int, pool: Pool | None = None) -> None:
        self.name, self.most, self.each = name, most, each
        self._pool = pool or Pool(most)
        self._members: dict[Member, str] = {}
        self._counts: Counter[str] = Counter()
        self._told: dict[str, float] = {}

    def enter(self, member: Member, transport: asyncio.BaseTransport) -> str:
        """It belongs to the listener's connections, until it leaves: "", or why it cannot, in one line."""
        peer = peer_of(transport)
        if self._counts[peer] >= self.each and not self._make_room(peer):
            return self._refuse(peer, f"{peer} has {self.each} connections to {self.name}, the limit; close some")
        while len(self._members) >= self.most or self._pool.count >= self._pool.most:
            largest = max(self._counts, key=self._counts.__getitem__, default="")
            if not self._make_room(largest) and not self._make_room(""):
                return self._refuse(peer, f"{self.name} has {len(self._members)} connections, its limit; try again")
        self._members[member] = peer
        self._counts[peer] += 1
        self._pool.count += 1
        return ""

    def leave(self, member: Member) -> None:
        """It has ended. Twice is fine."""
        peer = self._members.pop(member, None)
        if peer is None:
            return
        self._pool.count -= 1
        self._counts[peer] -= 1
        if not self._counts[peer]:
            del self._counts[peer]

    def _make_room(self, peer: str) -> bool:
        """Whether a connection of the peer, or of any for "", has given way: the longest there of the most silent."""
        found: Member | None = None
        best = Idle.BUSY
        for member, whose in self._members.items():
            if peer in ("", whose) and (idle := member.idle) > best:
                found, best = member, idle
                if best is Idle.SILENT:
                    break
        if found is None:
            return False
        self.leave(found)
        found.close()
        return True

    def _refuse(self, peer: str, text: str) -> str:
        now = asyncio.get_running_loop().time()
        if now - self._told.get(peer, -QUIET) >= QUIET:
            self._told = {who: when for who, when in self._told.items() if now - when < QUIET}
            self._told[peer] = now
            log.warning("refused: %s", text)
        return text


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Who is at the other end, as far as quotas tell peers apart: a user of this host, an IPv4 address, an IPv6 /64."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return "somebody"
    if sock.family == socket.AF_UNIX:
        peer = credentials(transport)
        return f"user {peer.uid}" if peer is not None else "somebody"
    name = transport.get_extra_info("peername")
    try:
        address = ip_address(str(name[0]).partition("%")[0])
    except (TypeError, LookupError, ValueError):
        return "somebody"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
