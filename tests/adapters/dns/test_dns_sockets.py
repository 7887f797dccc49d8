"""Visits to other namespaces, and what is made there."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from mooring.adapters.dns import dns_sockets
from mooring.adapters.dns.dns_sockets import Visits, open_listeners, upstream_socket
from mooring.adapters.linux import namespace_files
from mooring.core.faults import NotFound, Unavailable
from tests.netns.rigs import Namespace

pytestmark = pytest.mark.netns


def here() -> int:
    """The inode of the calling thread's namespace."""
    return os.stat("/proc/thread-self/ns/net").st_ino


@pytest.fixture
def visits(namespace: Namespace) -> Iterator[Visits]:
    """Whose home is the test's namespace."""
    made = Visits("visits")
    yield made
    made.close()


@pytest.fixture
def other(namespace: Namespace) -> Iterator[Namespace]:
    """Another namespace."""
    made = Namespace.new()
    yield made
    made.close()


def path(space: Namespace) -> str:
    """Where it can be found."""
    return f"/proc/{os.getpid()}/fd/{space.fd}"


async def test_work_is_done_where_it_is_asked_for(visits: Visits, other: Namespace) -> None:
    """By path, beside a socket, at home; the thread of the loop stays where it is."""
    home, there = here(), os.fstat(other.fd).st_ino
    assert await visits.at(path(other), lambda told: (told[1], here())) == (there, there)
    with other.inside():
        neighbour = socket.socket()
    with neighbour:
        assert await visits.beside(neighbour, here) == there
    assert await visits.home(lambda: (here(), threading.current_thread().name[:6])) == (home, "visits")
    assert here() == home != there


async def test_what_may_be_done_late_is_done_before_the_end(namespace: Namespace) -> None:
    """From any thread; the end waits for it."""
    made, done = Visits("late"), threading.Event()
    made.later(done.set)
    made.close()
    assert done.is_set()


async def test_a_fault_comes_home_too(visits: Visits, other: Namespace) -> None:
    """What the work raises reaches the caller, and the thread is at home again."""

    def fail(_: tuple[int, int]) -> None:
        raise Unavailable("so it is")

    with pytest.raises(Unavailable, match="so it is"):
        await visits.at(path(other), fail)
    with pytest.raises(NotFound):
        await visits.at("/nowhere", fail)
    assert os.fstat(other.fd).st_ino != await visits.home(here) == here()


async def test_a_thread_that_could_not_come_home_works_in_the_right_place(
    visits: Visits, other: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every visit begins by saying where."""
    real = namespace_files.enter
    away: list[int] = []

    def enter(space: int) -> None:
        if space == visits._home and len(away) < 1:
            away.append(space)
            raise OSError(1, "Operation not permitted")
        real(space)

    monkeypatch.setattr(dns_sockets, "enter", enter)
    there = os.fstat(other.fd).st_ino
    assert await visits.at(path(other), lambda _: here()) == there
    assert away
    assert await visits.home(here) == here()


async def test_a_namespace_that_may_not_be_entered_is_unavailable(
    visits: Visits, other: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault has its path and the kernel's word; the work is not done."""

    def enter(space: int) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(dns_sockets, "enter", enter)
    with pytest.raises(Unavailable, match=f"{path(other)} cannot be entered: Operation not permitted"):
        await visits.at(path(other), lambda _: pytest.fail("it was done"))


async def test_listeners_are_led_to(visits: Visits, other: Namespace) -> None:
    """At ports that the kernel chose."""
    made = await visits.at(path(other), open_listeners)
    rules = other.sh("nft list table ip mooring_resolver")
    for protocol, one in (("udp", made.datagram), ("tcp", made.stream)):
        address, port = one.getsockname()
        assert f"{protocol} dport 53 dnat to {address}:{port}" in rules
    made.close()


async def test_without_a_table_nothing_stays_open(
    visits: Visits, other: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is told, and both sockets are closed."""

    def refuse(*_: object, **__: object) -> None:
        raise Unavailable("no nftables here")

    monkeypatch.setattr(dns_sockets, "lead_queries", refuse)
    with pytest.raises(Unavailable, match="no nftables here"):
        await visits.at(path(other), open_listeners)
    assert other.sh("ss -Hlntu") == ""


@pytest.mark.parametrize("address", [IPv4Address("198.18.0.1"), IPv6Address("fd00::1"), IPv6Address("fe80::1%nowhere")])
async def test_an_upstream_without_a_route_is_an_error(
    visits: Visits, other: Namespace, address: IPv4Address | IPv6Address
) -> None:
    """At once, and the socket is closed."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with pytest.raises(OSError):
            await visits.at(path(other), lambda _: upstream_socket(address, kind))  # noqa: B023
