"""Fixtures: a host in memory, and a controller on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from mooring.cnm import Controller
from tests.cnm.hosts import MemoryHost
from tests.netns.rigs import Namespace, private_namespace, sh


@pytest.fixture
def memory() -> MemoryHost:
    """A host on which nothing is."""
    return MemoryHost()


@pytest.fixture
async def controller(memory: MemoryHost) -> AsyncIterator[Controller]:
    """A controller on the host in memory."""
    async with memory.open() as made:
        yield made


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """The test is in a network namespace of its own, whose loopback is up."""
    with private_namespace() as made:
        sh("ip link set lo up")
        yield made
