"""Large bodies are read beside the loop, small ones at once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mooring.servers.large_bodies import LONG, SMALL, read


async def test_small_ones_are_read_at_once_and_large_ones_beside_the_loop() -> None:
    """Who asks for little pays no hop to another thread."""
    here = threading.get_ident()
    assert await read(threading.get_ident, SMALL) == here
    assert await read(threading.get_ident, SMALL + 1) != here


@pytest.mark.parametrize("size", [1, SMALL + 1])
async def test_what_cannot_be_read_raises_as_it_would_at_once(size: int) -> None:
    """The thread hides no exception."""

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await read(fail, size)


async def test_nobody_waits_behind_a_long_one_with_a_usual_one() -> None:
    """They are read by two threads."""
    go = threading.Event()
    async with asyncio.TaskGroup() as tasks:
        long = tasks.create_task(read(lambda: go.wait(30), LONG + 1))
        await asyncio.sleep(0)
        assert await read(lambda: "read", LONG) == "read"
        assert not long.done()
        go.set()
    assert long.result()
