"""Kernels to hold to their contract: one in memory, and the Linux ones in a namespace of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.ports import Kernel
from mooring.testing.memory_kernel import MemoryKernel
from tests.netns.rigs import private_namespace, sh


@contextmanager
def place(where: str) -> Iterator[str]:
    """Which implementation, and for the Linux ones a namespace of the test's own."""
    if where == "memory":
        yield where
        return
    with private_namespace():
        sh("ip link set lo up")
        yield where


LINUX, AN_OWNER = (pytest.param(where, marks=pytest.mark.netns) for where in ("linux", "linux, an owner"))


@pytest.fixture(params=["memory", LINUX, AN_OWNER])
def whose(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which kernel: in memory, the daemon's, or another owner's."""
    with place(request.param) as made:
        yield made


@pytest.fixture
async def kernel(whose: str) -> AsyncIterator[Kernel]:
    """A kernel that has nothing of ours."""
    made = MemoryKernel() if whose == "memory" else LinuxKernel("" if whose == "linux" else "web-1")
    yield made
    await made.close()
