"""Quotas: who is idle gives way to the newcomer, who is at work does not, and nobody pays for another."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from mooring.servers.quotas import Idle, Pool, Quota, peer_of


class _Tcp:
    family = socket.AF_INET6


TCP = _Tcp()


class Member:
    """A connection."""

    def __init__(self, idle: Idle = Idle.SILENT) -> None:
        self.idle = idle
        self.open = True

    def close(self) -> None:
        """It ends."""
        self.open = False


class From(asyncio.BaseTransport):
    """A transport of a peer."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A TCP socket, and its peer's name."""
        return {"peername": (self.address, 4711), "socket": TCP}.get(name, default)


async def test_the_silent_give_way_before_those_between_requests_and_nobody_at_work_does() -> None:
    """Among equals the one that was there first."""
    quota = Quota("the proxy", 4, 4)
    busy, between, first, second = Member(Idle.BUSY), Member(Idle.BETWEEN), Member(), Member()
    for member in (busy, between, first, second):
        assert quota.enter(member, From("192.0.2.1")) == ""
    for gone in (first, second, between):
        newcomer = Member(Idle.BUSY)
        assert quota.enter(newcomer, From("192.0.2.1")) == ""
        assert not gone.open
    assert "192.0.2.1 has 4 connections to the proxy, the limit;" in quota.enter(Member(), From("192.0.2.1"))
    assert busy.open


async def test_a_peer_at_its_limit_costs_only_itself() -> None:
    """Others still find room, and none of theirs ends."""
    quota = Quota("the proxy", 4, 3)
    mine = [Member(Idle.BUSY) for _ in range(3)]
    other = Member()
    for member in mine:
        assert quota.enter(member, From("192.0.2.1")) == ""
    assert quota.enter(other, From("2001:db8::1")) == ""
    assert quota.enter(Member(), From("192.0.2.1")) != ""
    assert quota.enter(Member(), From("2001:db8::2")) == ""  # the same /64
    assert not other.open
    quota.leave(mine[0])
    quota.leave(mine[0])
    assert quota.enter(Member(), From("192.0.2.1")) == ""


async def test_two_listeners_share_what_there_is() -> None:
    """What one has the other has not; room is made among one's own only."""
    pool = Pool(4)
    one, other = Quota("one", 3, 3, pool), Quota("other", 3, 3, pool)
    members = [Member(Idle.BUSY) for _ in range(3)]
    assert [one.enter(member, From("192.0.2.1")) for member in members] == ["", "", ""]
    first = Member()
    assert other.enter(first, From("192.0.2.1")) == ""
    assert other.enter(Member(Idle.BUSY), From("192.0.2.2")) == ""
    assert not first.open
    assert "other has 1 connections" in other.enter(Member(), From("192.0.2.3"))
    assert all(member.open for member in members)


async def test_peers_are_users_on_a_unix_socket_and_networks_on_others() -> None:
    """An IPv4 address in IPv6's clothes is itself."""
    assert peer_of(From("2001:db8::7:1")) == "2001:db8::/64"
    assert peer_of(From("::ffff:192.0.2.1")) == "192.0.2.1"
    one, other = socket.socketpair()
    with one, other:

        class Unix(asyncio.BaseTransport):
            def get_extra_info(self, name: str, default: Any = None) -> Any:
                return one if name == "socket" else default

        assert peer_of(Unix()).startswith("user ")
