"""The engine's double."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mooring.core.engines import EngineView
from mooring.core.faults import Unavailable
from mooring.testing.memory_engine import MemoryEngine


async def test_it_tells_what_the_test_says_and_can_be_down() -> None:
    """A view is of the moment: later changes do not show in it."""
    engine = MemoryEngine("e")
    engine.networks = {"a"}
    engine.subnets = {ip_network("10.0.0.0/24")}
    view = await engine.view()
    engine.networks.add("b")
    assert view == EngineView("e", frozenset({"a"}), frozenset({ip_network("10.0.0.0/24")}))
    engine.up = False
    with pytest.raises(Unavailable):
        await engine.view()
