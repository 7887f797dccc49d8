"""Networks that hosts share come and go at random, with all of their services, and with a cluster that fails: nobody
loses what it has, and at the end nothing is left.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from mooring.core.blocks import HostBlock
from mooring.core.faults import Fault
from mooring.core.requests import AddressRequest, Role
from mooring.testing.memory_cluster import MemoryCluster, Step, let_others_run
from mooring.testing.memory_store import When
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_networks import kept, make, pool_of, remove, shared


async def life(host: MemberHost, random: Random, rounds: int) -> None:
    """The host makes the network, gives addresses of it, and removes it."""
    for _ in range(rounds):
        try:
            ident = await make(host)
        except Fault:
            await asyncio.sleep(0)
            continue
        pool = pool_of(host).id
        for _ in range(random.randrange(3)):
            try:
                given = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT))
            except Fault:
                continue
            for _ in range(random.randrange(30)):
                await asyncio.sleep(0)
                owned = [b for b in host.services.cache.every(HostBlock) if given.ip in b and not b.leaving]
                assert owned, f"{host.name} gives {given} of a block that it lost"
            await host.services.ipam.release_address(pool, given.ip)
        await remove(host, ident)


async def turning(host: MemberHost, random: Random, over: asyncio.Event) -> None:
    """The host has its turns, and time passes."""
    while not over.is_set():
        await host.turn(random.choice((0.0, 0.1, 1.0)))
        for _ in range(random.randrange(20)):
            await asyncio.sleep(0)


async def fail(servers: MemoryCluster, random: Random, over: asyncio.Event) -> None:
    """Writes come to nothing, are done without a word, or late."""
    while not over.is_set():
        for _ in range(random.randrange(200)):
            await asyncio.sleep(0)
        match random.randrange(10):
            case 0:
                servers.deliver()
            case 1 | 2 | 3:
                servers.fail_next(random.choice((When.BEFORE, When.AFTER)))
            case _:
                servers.delay_next()


@pytest.mark.parametrize("seed", [0, 4, 17, 115, 130, 565, 623])
async def test_whatever_comes_between_a_network_leaves_nothing(seed: int) -> None:
    """Also what its hosts had given up and was written after its end."""
    hosts, random, over = await members(3), Random(seed), asyncio.Event()
    servers = hosts[0].servers

    async def pause(_: Step) -> None:
        for _turn in range(random.choice((0, 1, 1, 2, 40))):
            await asyncio.sleep(0)

    servers.pause = pause

    async def lives() -> None:
        try:
            await asyncio.gather(*(life(host, Random(f"{seed}{host.name}"), 6) for host in hosts))
        finally:
            over.set()

    await asyncio.gather(lives(), fail(servers, random, over), *(turning(host, random, over) for host in hosts))
    servers.pause = let_others_run
    servers._faults.clear()
    servers._delays = 0
    for wait in (1.0, 1.0, 1.0, 20.0, 20.0, 20.0):
        for host in hosts:
            await host.turn(wait / 3)
        servers.deliver()  # after the networks have ended
    assert [each for host in hosts for each in kept(host)] == []
    for _ in range(6):
        for host in hosts:
            await host.turn(7.0)
    assert shared(hosts[0]) == {}
