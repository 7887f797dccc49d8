"""Transactions of nf_tables, in a namespace of the test's own."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from itertools import count

import pytest

from mooring.adapters.netlink.batches import (
    DELETE_TABLE,
    GET_TABLE,
    NEW_TABLE,
    Batches,
    expression,
    family,
    listed,
    number,
)
from mooring.adapters.netlink.sockets import NLM_F_CREATE, NLM_F_EXCL, Message, NetlinkError, as_text, attributes, text
from tests.netns.rigs import Namespace, sh


@pytest.fixture
def batches(namespace: Namespace) -> Iterator[Batches]:
    """A socket in a namespace of its own."""
    made = Batches()
    yield made
    made.close()


NUMBERS = count()


class Meddled(Batches):
    """Somebody changes the rules while each of the next `times` dumps is under way: after its first piece."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.dumps, self._seen = times, 0, 0
        self._somebody = Batches()

    def close(self) -> None:
        """See Netlink."""
        self._somebody.close()
        super().close()

    def _receive(self) -> Sequence[tuple[int, int, int, bytes]]:
        found = super()._receive()
        kind, _, sequence, _ = found[0]
        if kind == NEW_TABLE and sequence != self._seen:
            self._seen = sequence
            self.dumps += 1
            if self.dumps <= self.times:
                self._somebody.carry_out(new(f"z{next(NUMBERS)}"))
        return found


def new(name: str, flags: int = NLM_F_CREATE | NLM_F_EXCL) -> Message:
    """Make a table."""
    return Message(NEW_TABLE, flags, family("ip") + text(1, name))


def names(batches: Batches) -> list[str]:
    """The tables that there are."""
    return [as_text(attributes(told)[1]) for told in batches.list(Message(GET_TABLE, 0, family("ip")))]


def test_lists_are_read_element_by_element() -> None:
    """Attributes of one kind, of which a dictionary would keep the last; what is cut short ends it."""
    data = expression("meta", number(1, 1)) + expression("cmp")
    assert [as_text(attributes(told)[1]) for told in listed(data)] == ["meta", "cmp"]
    assert list(listed(b"\1\0\1\0")) == []


@pytest.mark.netns
def test_a_batch_is_carried_out_whole_or_not_at_all(batches: Batches) -> None:
    """The first refusal is what is raised, and the socket goes on."""
    batches.carry_out(new("a"), new("b"))
    with pytest.raises(NetlinkError) as caught:
        batches.carry_out(new("c"), new("a"), Message(DELETE_TABLE, 0, family("ip") + text(1, "nothing")))
    assert caught.value.errno == errno.EEXIST
    assert names(batches) == ["a", "b"]
    assert not batches.carry_out_unless(errno.EEXIST, new("d"), new("a"))
    assert batches.carry_out_unless(errno.EEXIST, new("d"))
    with pytest.raises(NetlinkError):
        batches.carry_out_unless(errno.EEXIST, Message(DELETE_TABLE, 0, family("ip") + text(1, "nothing")))
    assert names(batches) == ["a", "b", "d"]


@pytest.mark.netns
def test_refusals_that_do_not_fit_into_the_buffer_leave_room_for_what_comes(batches: Batches) -> None:
    """Ten thousand of them, and a batch that is longer than the buffer for sending."""
    batches.carry_out(new("a"))
    for _ in range(2):
        with pytest.raises(NetlinkError) as caught:
            batches.carry_out(*(new("a") for _ in range(10_000)))
        assert caught.value.errno == errno.EEXIST
    batches.carry_out(*(new(f"long-{'x' * 200}-{n % 3}", NLM_F_CREATE) for n in range(3000)))
    assert len(names(batches)) == 4


@pytest.mark.netns
def test_the_generation_tells_of_transactions_of_others(batches: Batches) -> None:
    """It is the same until somebody changes anything."""
    before = batches.generation()
    assert batches.generation() == before
    sh("nft add table ip theirs")
    assert batches.generation() != before


@pytest.mark.netns
def test_a_dump_during_which_somebody_changes_the_rules_is_read_again(batches: Batches) -> None:
    """The kernel says that it was interrupted (NLM_F_DUMP_INTR): it is asked ten times, and anew by `unchanged`."""
    batches.carry_out(*(new(f"{n:03}-{'x' * 200}") for n in range(500)))
    for times, dumps in ((3, 4), (9, 10)):
        meddled = Meddled(times)
        told = names(meddled)
        assert (meddled.dumps, told) == (dumps, names(batches))
        meddled.close()
    meddled = Meddled(10)
    with pytest.raises(NetlinkError, match="faster than they can be read") as caught:
        names(meddled)
    assert (meddled.dumps, caught.value.errno) == (10, errno.EINTR)
    meddled.times = 25
    assert meddled.unchanged(lambda: names(meddled)) == names(batches)
    meddled.close()


@pytest.mark.netns
def test_rules_that_never_rest_are_not_read_for_ever(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when they change between two dumps; what else the kernel refuses is not tried again."""
    monkeypatch.setattr("mooring.adapters.netlink.batches._TRIES", 5)
    tried: list[int] = []

    def read(refusal: int = 0) -> None:
        tried.append(refusal)
        if refusal:
            raise NetlinkError(refusal, "no")
        batches.carry_out(new(f"t{len(tried)}"))

    with pytest.raises(NetlinkError, match="faster than they can be read") as caught:
        batches.unchanged(read)
    assert (len(tried), caught.value.errno) == (5, errno.EINTR)
    with pytest.raises(NetlinkError, match="no"):
        batches.unchanged(lambda: read(errno.ENOENT))
    assert len(tried) == 6
