"""What is known of requests under way: the audit hears once, a settling is heard once, and memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from mooring.servers.proxy.hooks import Reply
from mooring.servers.proxy.refusals import Refusals
from mooring.servers.proxy.relay_exchanges import KNOWN, KNOWN_SIZE, Exchange, Held, Terms, settle
from mooring.servers.proxy.upstreams import Upstreams
from mooring.wire.docker_api import Call, Verb

CALL = Call(Verb.OTHER, "GET", "info")


class Tasks:
    """Owns what is spawned."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start it."""
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]


def terms(deadline: float = 4.0, **more: Any) -> tuple[Terms, Tasks, list[tuple[str, str]]]:
    """Terms, what they spawned, and what was asked of `recognise`."""
    asked: list[tuple[str, str]] = []

    def recognise(method: str, target: str, upgrade: bool) -> Call:
        asked.append((method, target))
        return CALL

    tasks = Tasks()
    made = Terms(recognise, Upstreams("/nowhere"), Refusals(), tasks.spawn, deadline=deadline, **more)
    return made, tasks, asked


async def test_the_audit_hears_of_an_exchange_once() -> None:
    """Whatever is said later; and its mistakes are its own."""
    heard: list[int] = []

    def audit(call: Call, status: int, *_: object) -> None:
        heard.append(status)
        raise ValueError("a mistake")

    made, _, _ = terms(audit=audit)
    exchange = Exchange(CALL, "GET")
    exchange.told(made, 200, {})
    exchange.told(made, 0, {})
    assert heard == [200]


async def test_a_settling_is_heard_once_and_then_things_go_on() -> None:
    """With the reply; a second time nobody is told, and things go on at once."""
    made, tasks, _ = terms()
    told: list[Reply | None] = []
    went: list[int] = []

    async def tell(reply: Reply | None) -> None:
        told.append(reply)
        raise ValueError("a mistake")

    held = Held(CALL, b"")
    held.settle = tell
    settle(held, Reply(200, b""), made, lambda: went.append(len(told)))
    settle(held, None, made, lambda: went.append(-1))
    await asyncio.wait(tasks.tasks)
    await asyncio.sleep(0)
    assert (told, went) == ([Reply(200, b"")], [-1, 1])


async def test_a_late_settling_goes_on_alone() -> None:
    """Past the deadline things go on, once."""
    made, tasks, _ = terms(deadline=0.01)
    go = asyncio.Event()
    went = asyncio.Event()
    count: list[int] = []

    async def tell(reply: Reply | None) -> None:
        await go.wait()

    held = Held(CALL, b"")
    held.settle = tell

    def go_on() -> None:
        count.append(1)
        went.set()

    settle(held, None, made, go_on)
    await went.wait()
    assert not tasks.tasks[0].done()
    go.set()
    await asyncio.wait(tasks.tasks)
    await asyncio.sleep(0)
    assert count == [1]


async def test_heads_are_known_by_sight_within_bounds() -> None:
    """Not those that carry credentials, nor long ones, nor those of calls that somebody has a say in."""
    made, _, _ = terms()
    made.remember(b"GET / HTTP/1.1\r\nX-Registry-Auth: secret\r\n\r\n", CALL, "GET")
    made.remember(b"x" * (KNOWN_SIZE + 1), CALL, "GET")
    made.remember(b"POST", Call(Verb.START, "POST", "containers"), "POST")
    made.remember(b"POST", Call(Verb.ATTACH, "POST", "containers"), "POST")
    assert made.known == {}
    for number in range(2 * KNOWN + 1):
        made.remember(b"%d" % number, CALL, "GET")
    assert 0 < len(made.known) <= KNOWN


async def test_long_targets_are_not_remembered() -> None:
    """A short one is recognised once, a long one each time."""
    made, _, asked = terms()
    for target in ("/info", "/info", "/" + "x" * KNOWN_SIZE, "/" + "x" * KNOWN_SIZE):
        made.recognise("GET", target, False)
    assert len(asked) == 3
