"""What every Clock promises, and how the one for tests is moved."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from mooring.adapters.host.clocks import SystemClock
from mooring.core.steady_time import LASTING
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


YEAR = 365 * 86400


@pytest.mark.parametrize("off", [-56 * YEAR, -3600.0, YEAR, 20 * YEAR])
def test_a_clock_that_comes_up_wrong_is_not_believed_until_it_has_stayed_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    """As at a boot without a clock of the machine's own: 1970, what a flat battery left, or years ahead. What NTP then
    says is right is no step, and what stays is believed."""
    last, right, boot, passed = tmp_path / "clock", time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), [0.0]
    SystemClock(None, last)
    monkeypatch.setattr(time, "clock_gettime", lambda _: boot + passed[0])
    monkeypatch.setattr(time, "time", lambda: right + off + passed[0])
    for stays in (False, True):
        passed[0] = 0.0
        clock = SystemClock(tmp_path / f"note {stays}", last)
        assert (abs(clock.now() - right) < 60, abs(clock.step() - off) < 60) == (True, True)
        again = SystemClock(tmp_path / f"note {stays}", last)  # a restart in the same boot
        assert abs(again.now() - right) < 60
        passed[0] = LASTING + 60
        if stays:
            assert (abs(clock.now() - right - off) < 2000, clock.step()) == (True, 0.0)


@pytest.mark.parametrize("off", [-56 * YEAR, 20 * YEAR])
def test_the_time_that_a_clock_comes_right_with_is_believed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    """The host was off for a day; a later step is one again."""
    last, right, wrong = tmp_path / "clock", time.time(), [off]
    last.write_text(str(right - 86400))
    monkeypatch.setattr(time, "time", lambda: right + wrong[0])
    clock = SystemClock(None, last)
    assert abs(clock.now() - (right - 86400)) < 60
    wrong[0] = 0.0
    assert (abs(clock.now() - right) < 60, clock.step()) == (True, 0.0)
    wrong[0] = 86400.0
    assert (abs(clock.now() - right) < 60, abs(clock.step() - 86400) < 60) == (True, True)


@pytest.mark.parametrize("text", ["", "nonsense", "nan", "inf"])
def test_a_time_that_was_not_kept_is_no_matter(tmp_path: Path, text: str) -> None:
    """The wall clock is believed, and the time is kept from then on; so it is after weeks without power."""
    last = tmp_path / "clock"
    last.write_text(text)
    assert SystemClock(None, last).step() == 0.0
    assert abs(float(last.read_text()) - time.time()) < 60
    last.write_text(str(time.time() - 60 * 86400))
    assert SystemClock(None, last).step() == 0.0
