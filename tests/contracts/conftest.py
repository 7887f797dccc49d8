"""Fixtures of the contracts: a host with a bridge, in memory or in the kernel; etcds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.adapters.linux.namespaces import LinuxNamespaces
from mooring.core.plumbing import Add
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.contracts.kernels import kernel, whose
from tests.contracts.namespace_hosts import BRIDGE, Host
from tests.e2e.lab.etcds import Etcds, etcds
from tests.netns.rigs import private_namespace, sh

__all__ = ["host", "kernel", "whose"]


@pytest.fixture(params=["memory", pytest.param("linux", marks=pytest.mark.netns)])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    """A host with a bridge; the Linux one is a namespace of the test's own, in which the test is."""
    folder = str(tmp_path / "netns")
    with ExitStack() as stack:
        if request.param == "memory":
            memory = MemoryKernel()
            made = Host(memory, MemoryNamespaces(memory))
        else:
            stack.enter_context(private_namespace())
            sh("ip link set lo up")
            made = Host(LinuxKernel(), LinuxNamespaces(folder))
        await made.kernel.apply([Add(BRIDGE)])
        yield made
        await made.namespaces.close()
        if request.param == "linux":
            left = LinuxNamespaces(folder)  # the test may have closed the first
            for path in (await left.made()).values():
                await left.remove(path)
            await left.close()
            sh(f"umount -l {folder} 2>/dev/null || true")
        await made.kernel.close()


@pytest.fixture(scope="session")
def one_member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """Debian 12's etcd, by itself, without TLS."""
    with etcds(tmp_path_factory.mktemp("one"), "bookworm") as made:
        yield made


@pytest.fixture(scope="session")
def three_members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """Debian 13's, three members with TLS, which want certificates of their clients."""
    with etcds(tmp_path_factory.mktemp("three"), "trixie", members=3, tls=True) as made:
        yield made
