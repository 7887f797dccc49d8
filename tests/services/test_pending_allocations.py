"""Which fixed address waits for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.faults import Conflict
from mooring.core.requests import AddressRequest, Role
from mooring.services.assembly import assemble
from mooring.services.ipam.pending_allocations import PENDING
from mooring.services.networking.assembly import World
from tests.services.holder_hosts import HolderHost
from tests.services.hosts import POLICY


async def test_a_promise_ends_by_itself_and_when_the_engine_starts_anew() -> None:
    """An engine that died between two calls does not keep the next one from its address."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db", settable=False))
    ipam = host.services.ipam
    pool = host.known(network).ipv4[0].pool
    first, second = (AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac=f"02:0{n}") for n in (1, 2))
    await ipam.request_address(first)
    with pytest.raises(Conflict):
        await ipam.request_address(second)
    host.clock.advance(PENDING)
    await ipam.request_address(second)
    with pytest.raises(Conflict):
        await ipam.request_address(first)
    ipam.pending_allocations.end_all()
    await ipam.request_address(first)


async def test_an_address_in_use_waits_for_nobody() -> None:
    """Another container with the same MAC, copied from it, gets another address when it names none."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.connect("db", network, grant)
    pool = host.known(network).ipv4[0].pool
    got = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac=grant.mac))
    assert got.ip != grant.ipv4


async def test_the_key_of_a_name_waits_for_the_name() -> None:
    """On engines that tell names, a container that no proxy saw finds the address that its name has."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    (grant,) = await host.made("old", host.fixed_spec(network, "name:db"))
    pool = host.known(network).ipv4[0].pool
    got = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:09", name="db"))
    assert got.ip == grant.ipv4


async def test_nothing_is_in_use_any_more_that_was_before_the_last_boot() -> None:
    """The engine's releases were lost with the host: the container that starts again is not refused by its own past."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.connect("db", network, grant)
    pool = host.known(network).ipv4[0].pool
    request = AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac=grant.mac)
    await host.restart()
    with pytest.raises(Conflict):
        await host.services.ipam.request_address(request)
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock)
    host.services = assemble(world, replace(POLICY, boot="the next boot"))
    await host.services.cache.load()
    for asked in (request, replace(request, address=None)):
        assert (await host.services.ipam.request_address(asked)).ip == grant.ipv4
