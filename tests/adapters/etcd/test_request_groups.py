"""Requests of one moment: what travels together, and what becomes of each."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from mooring.adapters.etcd.member import Outcome, Refused
from mooring.adapters.etcd.messages import TRANSACTION, fields_of, message, parts
from mooring.adapters.etcd.request_groups import LONG, MOST, Answer, RequestGroups
from mooring.core.faults import Unavailable

HEADER = (1, message((3, 7)))


class Server:
    """Answers each request with itself. fault: what it says to a group instead; bad: a request that it refuses, and so
    the group that has it; cut: it leaves out the last answer."""

    def __init__(self, fault: Exception | None = None, bad: bytes = b"", cut: bool = False) -> None:
        self.fault, self.bad, self.cut = fault, bad, cut
        self.seen: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def alone(self, data: bytes) -> bytes:
        """One request."""
        self.seen.append([data])
        if data == self.bad:
            raise Refused("permission denied", Outcome.REFUSED)
        return message(HEADER, (2, data))

    async def together(self, data: bytes) -> bytes:
        """A transaction of several."""
        requests = [value for part in parts(data, 2) for _, value in fields_of(part) if isinstance(value, bytes)]
        self.seen.append(requests)
        self.asked.set()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        if self.bad in requests:
            raise Refused("permission denied", Outcome.REFUSED)
        answers = [message((2, request)) for request in requests][: -1 if self.cut else None]
        return message(HEADER, (2, 1), *((3, message((TRANSACTION, answer))) for answer in answers))

    def groups(self) -> RequestGroups:
        """Whoever asks it."""
        groups = RequestGroups(TRANSACTION, self.alone, self.together)
        groups.grouping = True
        return groups


async def ask(groups: RequestGroups, *keys: str) -> list[Answer | BaseException]:
    """Ask for all of them in one moment."""
    return await asyncio.gather(*(groups.ask(key.encode(), key.encode()) for key in keys), return_exceptions=True)


def answer(key: str) -> Answer:
    """What such a request is answered."""
    return Answer(message((2, key.encode())), 7)


async def test_what_is_asked_in_one_moment_is_one_request_and_what_comes_later_another() -> None:
    """Nobody waits for the others: who comes while one is under way goes on his own."""
    server = Server()
    groups = server.groups()
    assert await ask(groups, "a", "b", "c") == [answer("a"), answer("b"), answer("c")]
    alone = await groups.ask(b"d", b"d")
    assert alone.revision == 7
    assert server.seen == [[b"a", b"b", b"c"], [b"d"]]


async def test_what_stands_in_for_an_etcd_is_asked_one_by_one() -> None:
    """It knows few forms of a transaction."""
    server = Server()
    groups = server.groups()
    groups.grouping = False
    await ask(groups, "a", "b")
    assert server.seen == [[b"a"], [b"b"]]


async def test_a_key_is_in_a_group_once_and_a_group_has_bounds() -> None:
    """Etcd refuses a key that comes twice, too many requests and too many bytes; nothing is left out."""
    server = Server()
    groups = server.groups()
    long = bytes(LONG - 1)
    requests = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", long), (b"d", long), (b"e", long + long)]
    await asyncio.gather(*(groups.ask(key, data) for key, data in requests))
    assert [sorted(map(len, group)) for group in server.seen] == [[1, 1], [1, LONG - 1], [LONG - 1], [2 * LONG - 2]]
    server.seen.clear()
    await ask(groups, *(str(number) for number in range(2 * MOST + 3)))
    assert [len(group) for group in server.seen] == [MOST, MOST, 3]
    assert Counter(map(len, server.seen)) == {MOST: 2, 3: 1}


async def test_of_a_group_that_is_refused_each_is_asked_by_itself() -> None:
    """So that one who may not does not stand in the way of the others."""
    server = Server(bad=b"b")
    first, second, third = await ask(server.groups(), "a", "b", "c")
    assert isinstance(second, Refused)
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)
    assert server.seen == [[b"a", b"b", b"c"], [b"a"], [b"b"], [b"c"]]


async def test_of_a_group_that_is_refused_nobody_waits_for_another() -> None:
    """Behind an etcd that takes few operations at once, one whose answer does not come holds up himself alone."""
    server = Server(bad=b"b")
    came = asyncio.Event()

    async def alone(data: bytes) -> bytes:
        if data == b"a":
            await came.wait()
        came.set()
        return await server.alone(data)

    groups = RequestGroups(TRANSACTION, alone, server.together)
    groups.grouping = True
    async with asyncio.timeout(5):
        first, second, third = await ask(groups, "a", "b", "c")
    assert isinstance(first, Answer)
    assert isinstance(second, Refused)
    assert isinstance(third, Answer)


@pytest.mark.parametrize(
    "fault",
    [Refused("no answer in time", Outcome.UNKNOWN), Refused("no leader", Outcome.NOTHING_DONE), Unavailable("closed")],
)
async def test_what_became_of_a_group_becomes_of_each_and_nothing_is_asked_again(fault: Unavailable) -> None:
    """It may have been done; and where nothing was, the time for it is over."""
    server = Server(fault)
    assert await ask(server.groups(), "a", "b") == [fault, fault]
    assert len(server.seen) == 1


async def test_an_answer_that_does_not_fit_the_group_leaves_it_unknown() -> None:
    """Rather than giving one the answer of another."""
    outcomes = await ask(Server(cut=True).groups(), "a", "b")
    assert [isinstance(each, Refused) and each.outcome for each in outcomes] == [Outcome.UNKNOWN, Outcome.UNKNOWN]


async def test_who_does_not_wait_any_more_takes_nothing_from_the_others() -> None:
    """Be it who came first; what he asked for is asked all the same."""
    server = Server()
    server.gate.clear()
    groups = server.groups()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(groups.ask(key, key)) for key in (b"a", b"b", b"c")]
        await asyncio.sleep(0)
        asking[0].cancel()
        await server.asked.wait()
        asking[1].cancel()
        server.gate.set()
    assert [each.cancelled() for each in asking] == [True, True, False]
    assert asking[2].result() == answer("c")
    assert server.seen == [[b"a", b"b", b"c"]]
