"""The services of a host, put together."""

from __future__ import annotations

from mooring.core.networks import Network
from tests.services.hosts import MemoryHost


async def test_services_built_over_the_same_store_and_kernel_know_the_same() -> None:
    """All state is in the ports: a second assembly over them is the first one, restarted."""
    host = await MemoryHost().start()
    ident = await host.network("a")
    before = host.services.cache.network(ident)
    await host.restart()
    assert host.services.cache.network(ident) == before
    assert host.services.cache.count(Network) == 1


async def test_an_assembly_reads_nothing_before_it_is_told_to_load() -> None:
    """Putting objects together does no I/O: the doors can be open before the store is read."""
    host = MemoryHost()
    assert host.services.cache.count(Network) == 0
    assert host.services.cache.revision == 0
