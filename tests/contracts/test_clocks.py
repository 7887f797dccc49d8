"""What every Clock promises, and how the one for tests is moved."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from mooring.adapters.clocks import SystemClock
from mooring.ports import Clock
from mooring.testing.clocks import ManualClock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    """Each kind of clock in turn."""
    made: Clock = request.param()
    return made


def test_a_token_is_twelve_hexadecimal_digits_and_new_each_time(clock: Clock) -> None:
    """Ten thousand tokens differ."""
    tokens = {clock.token() for _ in range(10_000)}
    assert len(tokens) == 10_000
    assert all(re.fullmatch("[0-9a-f]{12}", token) for token in tokens)


def test_now_does_not_go_back(clock: Clock) -> None:
    """Seconds since the epoch, after this was written."""
    first, second = clock.now(), clock.now()
    assert 1_700_000_000 < first <= second


@pytest.mark.parametrize("seconds", [0, -1])
async def test_sleeping_for_nothing_lets_others_run(clock: Clock, seconds: float) -> None:
    """It comes back by itself, after those who are ready."""
    order: list[str] = []

    async def sleeper() -> None:
        await clock.sleep(seconds)
        order.append("sleeper")

    async def other() -> None:
        order.append("other")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper())
        tasks.create_task(other())
    assert order == ["other", "sleeper"]


async def test_the_system_clock_is_the_hosts() -> None:
    """It tells the host's time and sleeps at least as long as asked."""
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 60
    before = time.monotonic()
    await clock.sleep(0.002)
    assert time.monotonic() - before >= 0.0019


def test_the_manual_clock_stands_still() -> None:
    """Only advance moves it, by exactly that much; two clocks give the same tokens."""
    clock = ManualClock(1000.0)
    assert (clock.now(), clock.now()) == (1000.0, 1000.0)
    clock.advance(2.5)
    assert clock.now() == 1002.5
    assert [ManualClock().token(), ManualClock().token()] == [clock.token()] * 2


async def test_the_manual_clock_wakes_who_slept_long_enough() -> None:
    """Sleepers wake in the order of their times; those with time left sleep on; a cancelled one is forgotten."""
    clock = ManualClock()
    order: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        order.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (30.0, 10.0, 20.0):
            tasks.create_task(sleeper(seconds))
        cancelled = tasks.create_task(sleeper(15.0))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        assert clock.sleepers == 3
        clock.advance(9.0)
        await asyncio.sleep(0)
        assert order == []
        clock.advance(11.0)
        await asyncio.sleep(0)
        assert order == [10.0, 20.0]
        clock.advance(100.0)
    assert order == [10.0, 20.0, 30.0]


async def test_the_boot_clock_goes_forward(clock: Clock) -> None:
    """And nobody has set the wall clock meanwhile."""
    first = clock.boot()
    if isinstance(clock, ManualClock):
        clock.advance(1)
    else:
        await clock.sleep(0.01)
    assert clock.boot() > first > 0
    assert clock.step() == 0.0


def test_a_restart_while_the_wall_clock_is_wrong_goes_on_with_the_time_from_before(tmp_path: Path) -> None:
    """The note says what the clock's lead was; it is the clock that is a day ahead of it, and not the note behind."""
    note = tmp_path / "clock"
    SystemClock(note)
    lead = float(note.read_text())
    note.write_text(f"{lead - 86400}")
    clock = SystemClock(note)
    assert abs(clock.now() - (time.time() - 86400)) < 60
    assert abs(clock.step() - 86400) < 60
    note.write_text("nonsense")
    assert abs(SystemClock(note).now() - time.time()) < 60
