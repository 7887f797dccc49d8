"""Work that is tried, and what goes wrong with it."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import Conflict, Fault
from mooring.services.cluster.attempts import attempted


async def test_whatever_goes_wrong_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    """A fault as it is, a mistake of ours without its words, which are in the log."""
    noted: list[Fault] = []

    async def work(error: Exception | None = None) -> None:
        if error is not None:
            raise error

    assert await attempted("this", work, noted.append)
    assert not await attempted("this", lambda: work(Conflict("no")), noted.append)
    assert not await attempted("that", lambda: work(ValueError("secret")), noted.append)
    assert [fault.what for fault in noted] == ["no", "that failed with an internal error"]
    assert "secret" in caplog.text


async def test_who_is_cancelled_ends() -> None:
    """Also where a group of tasks has made another exception of that."""
    noted: list[Fault] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            raise ValueError("of a group") from None

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(attempted("this", work, noted.append))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert noted == []
