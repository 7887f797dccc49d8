"""Who is behind an endpoint, as far as the kernel tells."""

from __future__ import annotations

import pytest

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.services.networking.endpoint_records import EndpointRecords
from mooring.services.networking.liveness import STARTED, Liveness
from tests.services.hosts import MemoryHost

OLD = "old".ljust(64, "0")


async def started(name: str = "old") -> tuple[MemoryHost, Liveness, Endpoint]:
    """A host with one endpoint of an engine, which nothing runs behind."""
    host = await MemoryHost().start()
    s = host.services
    await host.endpoint(await host.network("a"), name)
    records = EndpointRecords(s.cache, s.drivers, s.ipam, s.port_allocator, s.records.locks)
    (endpoint,) = s.cache.every(Endpoint)
    return host, Liveness(s.cache, s.drivers, records, host.clock), endpoint


@pytest.mark.parametrize(("age", "lived_in", "alive"), [
    (STARTED - 1, False, True),
    (STARTED + 1, False, False),
    (STARTED + 1, True, True),
])  # fmt: skip
async def test_an_interface_in_a_sandbox_where_nothing_runs_is_dead_after_a_while(
    age: float, lived_in: bool, alive: bool
) -> None:
    """Before its process a container has its network."""
    host, liveness, endpoint = await started()
    host.clock.advance(age)
    if lived_in:
        host.kernel.lived_in.add(host_end(endpoint.id))
    assert await liveness.is_alive(endpoint) is alive


async def test_without_an_interface_nobody_is_there() -> None:
    """At once; and what is forgotten holds neither address nor record."""
    host, liveness, endpoint = await started()
    host.kernel.reboot()
    assert not await liveness.is_alive(endpoint)
    await liveness.forget_dead(endpoint)
    assert list(host.services.cache.every(Endpoint)) == []
    await liveness.forget_dead(endpoint)  # twice is fine
