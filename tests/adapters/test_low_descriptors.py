"""The reserve of low descriptors, with real ones."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from mooring.adapters.nft.low_descriptors import Reserve, check_room, netlink_sockets_above
from mooring.core.faults import Unavailable

_ROUTE = 0


@pytest.fixture
def reserve() -> Iterator[Reserve]:
    """Of three descriptors."""
    with closing(Reserve(3)) as made:
        yield made


def lowest() -> int:
    """The number that the next file gets."""
    with open("/dev/null") as file:
        return file.fileno()


def test_lent_descriptors_are_the_lowest_and_come_back(reserve: Reserve) -> None:
    """Whoever opens a file in the block has a lower number than before; afterwards the next one has not."""
    before = lowest()
    with reserve.lent():
        during = lowest()
    assert during < before
    assert lowest() == before


def test_what_was_used_is_replaced_by_the_next_low_ones() -> None:
    """While there are any: a reserve may hold less than it wants."""
    free = [os.open("/dev/null", os.O_RDONLY) for _ in range(4)]
    limit = max(free) + 1
    for number in free:
        os.close(number)
    with closing(Reserve(3, limit)) as reserve:
        used = []
        for _ in range(5):
            with reserve.lent():
                used.append(os.open("/dev/null", os.O_RDONLY))
        assert sum(number < limit for number in used) == 4
        for number in used:
            os.close(number)
        reserve.refill()
        with reserve.lent():
            assert lowest() < limit


def test_a_descriptor_that_others_closed_and_use_is_theirs() -> None:
    """As in a program that closes everything to become a daemon: their file stays open."""
    number = lowest()
    with closing(Reserve(1)) as reserve:
        os.close(number)
        theirs = os.open("/dev/null", os.O_RDONLY)
        assert theirs == number
        with reserve.lent():
            os.fstat(theirs)
        reserve.refill()
    os.fstat(theirs)
    os.close(theirs)


def test_a_reserve_that_is_closed_holds_nothing() -> None:
    """Twice is fine."""
    before = lowest()
    reserve = Reserve(2)
    reserve.close()
    reserve.close()
    assert lowest() == before


def test_netlink_sockets_are_told_apart_by_protocol_and_number() -> None:
    """Only those of the protocol, with a number that is not below the limit."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE) as made:
        name = os.readlink(f"/proc/self/fd/{made.fileno()}")
        assert name in netlink_sockets_above(_ROUTE, made.fileno())
        assert name not in netlink_sockets_above(_ROUTE, made.fileno() + 1)
        assert name not in netlink_sockets_above(12, 0)


def test_without_room_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to do; with room nothing stays open."""
    before = lowest()
    check_room("it cannot be")
    assert lowest() == before

    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Unavailable, match="it cannot be: Too many open files; raise the limit"):
        check_room("it cannot be")
