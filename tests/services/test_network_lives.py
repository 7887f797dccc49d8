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
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.memory_cluster import MemoryCluster, Step, let_others_run
from mooring.testing.memory_store import When
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_networks import kept, make, pool_of, remove, shared


async def life(host: MemberHost, random: Random, rounds: int, turns: asyncio.Lock) -> None:
    """The host makes the network, gives addresses of it, and removes it; now and then its daemon dies in between."""
    for _ in range(rounds):
        if not random.randrange(3):
            async with turns:
                await host.restart()
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


async def turning(host: MemberHost, random: Random, over: asyncio.Event, turns: asyncio.Lock) -> None:
    """The host has its turns, and time passes."""
    while not over.is_set():
        async with turns:
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


async def played(hosts: list[MemberHost], stays: list[MemberHost], seed: int) -> None:
    """The lives of the hosts, beside those that stay, are over, nothing fails any more, and some daemons have died
    since; what hosts had given up is still to come."""
    random, over = Random(seed), asyncio.Event()
    servers, turns = hosts[0].servers, {host.name: asyncio.Lock() for host in (*hosts, *stays)}

    async def pause(_: Step) -> None:
        for _turn in range(random.choice((0, 1, 1, 2, 40))):
            await asyncio.sleep(0)

    servers.pause = pause

    async def lives() -> None:
        try:
            each = (life(host, Random(f"{seed}{host.name}"), 6, turns[host.name]) for host in hosts)
            await asyncio.gather(*each)
        finally:
            over.set()

    turn = (turning(host, random, over, turns[host.name]) for host in (*hosts, *stays))
    await asyncio.gather(lives(), fail(servers, random, over), *turn)
    servers.pause = let_others_run
    servers._faults.clear()
    servers._delays = 0
    for host in hosts:
        if random.randrange(2):
            await host.turn(1.0)
            await host.restart()


async def calm(hosts: list[MemberHost]) -> None:
    """What was given up comes, and everybody has turns until what comes late of no network was looked for, too."""
    for wait in (1.0, 1.0, 1.0, 20.0, 20.0, 20.0, *(12.0,) * 36):
        for host in hosts:
            await host.turn(wait / len(hosts))
        hosts[0].servers.deliver()


@pytest.mark.parametrize("seed", [0, 4, 17, 115, 130, 565, 623, 1088])
async def test_whatever_comes_between_a_network_leaves_nothing(seed: int) -> None:
    """Also what its hosts had given up and was written after its end, or after the end of the process that had."""
    hosts = await members(3)
    await played(hosts, [], seed)
    await calm(hosts)
    assert [each for host in hosts for each in kept(host)] == []
    assert shared(hosts[0]) == {}


@pytest.mark.parametrize("seed", [19, 30, 51, 70])
async def test_whatever_comes_between_a_host_that_has_left_has_nothing_there(seed: int) -> None:
    """While another is in the network all the time."""
    *hosts, stays = await members(3)
    await make(stays)
    await played(hosts, [stays], seed)
    await calm([*hosts, stays])
    assert [each for host in hosts for each in kept(host)] == []
    values = SharedValues(stays.servers.client("operator"))
    assert [key for host in hosts for key in await values.hosts.held(ident(host))] == []
    assert kept(stays)


def ident(host: MemberHost) -> str:
    """Its id in the cluster."""
    assert host.runtime.member is not None
    return host.runtime.member.host
