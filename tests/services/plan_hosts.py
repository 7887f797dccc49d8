"""Hosts of a cluster at peace, for tests that say step by step what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

from mooring.core.address_claims import AddressClaim, Spec
from mooring.core.blocks import SharedSubnet
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_worlds import Profile, World


@asynccontextmanager
async def cluster(size: int = 2, text: str = "10.0.0.0/25", sightings: float = 5.0) -> AsyncIterator[World]:
    """So many hosts that have joined, of which each does its turns when `turns` is called."""
    world = World(0, Profile(size=size, text=text, cooldown=0.0, sightings=sightings))
    try:
        for host in world.hosts:
            await host.start(turning=False)
        await turns(world)
        yield world
    finally:
        await world.close()


async def turns(world: World, rounds: int = 2, seconds: float = 0.0) -> None:
    """Each host that is there has turns, so many seconds after one another."""
    for _ in range(rounds):
        world.clock.advance(seconds)
        for host in world.hosts:
            if host.on and not host.disk.dead:
                await host.turn()


async def claim(host: Host, key: str, wanted: str | None = None, *, moves: bool = False) -> AddressClaim:
    """The host's claim for a container with the key. The others go on with their turns meanwhile."""
    spec = Spec(SPACE, host.world.subnet, host.clock.token(), key=key, holder=key, moves=moves)
    return await host.plan.claim(spec, ip_address(wanted) if wanted else None)


async def answered(world: World, host: Host, key: str, wanted: str) -> AddressClaim:
    """The same, while the others answer and time passes."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(claim(host, key, wanted))
        while not asking.done():
            for other in world.hosts:
                if other is not host and other.on and not other.disk.dead:
                    await other.turn()
            world.clock.advance(0.1)
            await asyncio.sleep(0)
    return asking.result()


async def forget(world: World, host: Host, by: Host) -> None:
    """The host is off, and the operator of another says that it stays so."""
    host.off()
    world.clock.advance(30.0)
    await by.plan.sessions.standing(host.name)
    world.clock.advance(10.0)
    await world.forget(by, host)


def shared(world: World) -> SharedSubnet:
    """The subnet."""
    return SharedSubnet(space=SPACE, subnet=world.subnet, since=0.0)


def owned(host: Host) -> list[int]:
    """The numbers of the host's blocks."""
    return [block.index for block in host.ipam.index.blocks.blocks(SPACE, host.world.subnet)]


async def run(host: Host) -> str:
    """A container with a dynamic address; which."""
    before = set(host.dynamic)
    await host.run()
    (address,) = set(host.dynamic) - before
    return str(address)
