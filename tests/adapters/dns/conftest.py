"""The resolver's tests run on both event loops: the product's uvloop, and asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

import pytest
import uvloop

from tests.sweeps import is_thorough

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, LoopFactory]:
    """Both; the product's alone in the fast tier, and where a nameserver of another program is waited for."""
    ours: dict[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
    alone = item.path.name == "test_site_zones.py" or not is_thorough()
    return ours if alone else {"asyncio": asyncio.new_event_loop, **ours}


@pytest.fixture
async def stack() -> AsyncIterator[ExitStack]:
    """Closes what a test has opened, before its namespace goes."""
    with ExitStack() as made:
        yield made
    # Transports close their sockets in the next turns of the loop.
    for _ in range(3):
        await asyncio.sleep(0)
