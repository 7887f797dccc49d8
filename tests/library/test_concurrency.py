"""Operations at the same time: on different things they run at once, on the same thing they queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease, State
from tests.library.houses import House
from tests.library.invariants import check

MANY = 50


async def at_once(*work: Awaitable[None]) -> None:
    """All of them, side by side."""

    async def waited(one: Awaitable[None]) -> None:
        await one

    async with asyncio.TaskGroup() as tasks:
        for one in work:
            tasks.create_task(waited(one))


@pytest.mark.parametrize("driver", ["bridge", "far"])
async def test_fifty_lives_at_once(driver: str) -> None:
    """Endpoints and sandboxes are made, joined, left and deleted by fifty programs, and nothing is left of it."""
    house = await House().start()
    await house.do(f"network net driver={driver}")
    stages = [
        "endpoint net e{}",
        "sandbox s{}",
        "join e{0} s{0}",
        "leave e{0} s{0}",
        "no-sandbox s{}",
        "no-endpoint e{}",
    ]
    for stage in stages:
        await at_once(*(house.do(stage.format(number)) for number in range(MANY)))
        assert await check(house) == []

    async def life(number: int) -> None:
        for stage in stages:
            await house.do(stage.format(number))

    await at_once(*(life(number) for number in range(MANY)))
    assert await check(house) == []
    cache = house.library.cache
    assert not [*cache.every(Endpoint)]
    assert {lease.state for lease in cache.every(Lease)} == {State.GATEWAY, State.COOLING}


def at_step(house: House, what: Callable[[object], bool]) -> tuple[asyncio.Event, asyncio.Event]:
    """The first such step waits: (it has come, let it go on)."""
    came, go = asyncio.Event(), asyncio.Event()

    async def look(step: object) -> None:
        if what(step) and not came.is_set():
            came.set()
            await go.wait()

    house.look = look
    return came, go


async def test_operations_on_one_sandbox_queue_in_their_order() -> None:
    """While the first is in the middle of its work the others change nothing; then each comes in its turn."""
    house = await House().start()
    for line in ("network web", *(f"endpoint web {name}" for name in "abc"), "sandbox box"):
        await house.do(line)
    came, go = at_step(house, lambda _: True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.do("join c box"))
        await came.wait()
        steps = len(house.steps)
        for line in ("join a box", "join b box", "leave c box", "refresh box"):
            tasks.create_task(house.do(line))
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(house.steps) == steps
        go.set()
    names = {each.name: each.interface for each in house.library.cache.every(Endpoint)}
    assert names == {"a": "eth1", "b": "eth2", "c": ""}
    assert await check(house) == []


@pytest.mark.parametrize("call", ["create_network", "delete_network"])
async def test_a_network_that_takes_long_holds_up_no_other(call: str) -> None:
    """While a driver makes or ends a network, others are made, used and ended."""
    house = await House().start()
    for line in ("network ready driver=far", "endpoint ready e", "network old driver=far", "sandbox box"):
        await house.do(line)
    came, go = at_step(house, lambda step: step == call)
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(house.do("network new driver=far" if call == "create_network" else "no-network old"))
        await came.wait()
        for line in (
            *("join e box", "endpoint ready f", "join f box", "leave e box", "no-endpoint e"),
            *("network web", "endpoint web a", "join a box", "leave a box", "no-endpoint a", "no-network web"),
        ):
            await house.do(line)
        assert not slow.done()
        go.set()
    assert await check(house) == []


@pytest.mark.parametrize("call", ["create_endpoint", "join", "leave", "delete_endpoint"])
async def test_an_endpoint_that_takes_long_holds_up_no_other(call: str) -> None:
    """While a driver is busy with one endpoint, others of the same network come and go, in other sandboxes."""
    house = await House().start()
    for line in ("network far driver=far", "endpoint far e", "endpoint far f", "sandbox one", "sandbox two"):
        await house.do(line)
    slowly = {
        "create_endpoint": "endpoint far g",
        "join": "join e one",
        "leave": "leave e one",
        "delete_endpoint": "no-endpoint e",
    }[call]
    if call == "leave":
        await house.do("join e one")
    came, go = at_step(house, lambda step: step == call)
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(house.do(slowly))
        await came.wait()
        for line in ("join f two", "leave f two", "no-endpoint f", "endpoint far f", "join f two"):
            await house.do(line)
        assert not slow.done()
        go.set()
    assert await check(house) == []
