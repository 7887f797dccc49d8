"""The proxy's tests run on both event loops: the product's uvloop, and asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from tests.sweeps import is_thorough

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
ON_BOTH = ("test_relay", "test_server", "test_upstreams")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, LoopFactory]:
    """Both loops for what moves bytes, one for what stands on it; the fast tier has the product's alone."""
    if item.path.name.startswith(ON_BOTH):
        ours: dict[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
        return {"asyncio": asyncio.new_event_loop, **ours} if is_thorough() else ours
    return {"asyncio": asyncio.new_event_loop}
