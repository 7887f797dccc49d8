"""Containers with keys come and go at random on several hosts, with all of their services, slow stores and engines,
and a cluster that fails: the address of a key is in use on one host at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from random import Random

import pytest

from mooring.core.faults import Fault
from mooring.core.leases import Lease
from mooring.core.networks import Address
from mooring.services.records.record_cache import Record, RecordCache
from mooring.testing.memory_cluster import Step, let_others_run
from mooring.testing.memory_store import When
from tests.services.fixed_hosts import WEB, FixedHost, FixedWorld, fixed_world

KEYS = 2


async def some(random: Random, most: int) -> None:
    """Others come first, up to so many times."""
    for _ in range(random.randrange(most)):
        await asyncio.sleep(0)


async def life(host: FixedHost, random: Random, rounds: int) -> None:
    """Containers are made, started a few times, and removed, one after the other."""
    for number in range(rounds):
        await some(random, 100)
        name = f"{host.name}-{number}"
        try:
            grant = await host.create(name, f"key{random.randrange(KEYS)}")
        except Fault:
            continue
        assert grant.ipv4 is not None
        for _ in range(random.randrange(3)):
            await some(random, 100)
            try:
                endpoint = await host.connect(name, host.full(WEB), grant)
            except Fault:  # the engine gives it back
                with suppress(Fault):
                    await host.services.endpoints.release(host.pool, grant.ipv4)
                continue
            await some(random, 2000)
            await host.disconnect(endpoint, host.full(WEB), grant)
        await some(random, 100)
        await host.docker_remove(name)


async def turning(host: FixedHost, random: Random, over: asyncio.Event) -> None:
    """The host has its turns, and time passes."""
    while not over.is_set():
        host.world.clock.advance(random.choice((0.0, 0.1, 0.5, 1.0)))
        await host.turn()
        await some(random, 20)


async def fail(world: FixedWorld, random: Random, over: asyncio.Event) -> None:
    """Writes come to nothing, are done without a word, or late; a host reaches nothing for a while."""
    servers = world.servers
    while not over.is_set():
        await some(random, 300)
        match random.randrange(12):
            case 0 | 1:
                servers.deliver()
            case 2:
                servers.cut(random.choice(world.hosts).name)
                await some(random, 400)
                servers.mend()
            case 3 | 4:
                servers.fail_next(random.choice((When.BEFORE, When.AFTER)))
            case 5 | 6:
                servers.delay_next()


def users(world: FixedWorld) -> dict[Address, list[str]]:
    """Who uses each address that is fixed, by the hosts' records."""
    found: dict[Address, list[str]] = {}
    for host in world.hosts:
        for lease in host.services.cache.every(Lease):
            if lease.active is not None:
                found.setdefault(lease.address, []).append(host.name)
    return found


@pytest.mark.parametrize("seed", [0, 1])
async def test_a_keys_address_is_in_use_on_one_host_at_a_time(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every commit of any of them; and somebody is refused, and somebody has it, or nothing was tried."""
    async with fixed_world(3) as world:
        random, over = Random(seed), asyncio.Event()
        commit, most = RecordCache.commit, 0

        async def slowly(cache: RecordCache, put: Iterable[Record] = (), delete: Iterable[Record] = ()) -> None:
            nonlocal most
            await some(random, random.choice((1, 1, 4, 30)))
            await commit(cache, put=put, delete=delete)
            used = users(world)
            twice = {address: hosts for address, hosts in used.items() if len(hosts) > 1}
            assert twice == {}, f"seed {seed}"
            most = max(most, len(used))

        async def pause(_: Step) -> None:
            await some(random, random.choice((1, 1, 2, 12)))

        monkeypatch.setattr(RecordCache, "commit", slowly)
        world.servers.pause = pause

        async def lives() -> None:
            try:
                await asyncio.gather(*(life(host, Random(f"{seed}{host.name}"), 12) for host in world.hosts))
            finally:
                over.set()

        await asyncio.gather(lives(), fail(world, random, over), *(turning(host, random, over) for host in world.hosts))
        world.servers.pause = let_others_run
        assert most == KEYS
