"""A network of the cluster is removed on a host: its blocks and claims go back, then the subnet is its own again."""

from __future__ import annotations

import pytest

from mooring.core.blocks import SharedSubnet
from mooring.core.cluster_networks import ClusterNetwork, HostNetwork
from mooring.core.faults import Exhausted
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_worlds import World
from tests.services.plan_hosts import claim, cluster, owned, run, turns


async def keys(world: World, host: Host) -> list[str]:
    """Of what the host has in the cluster."""
    return list(await host.plan.values.hosts.held(host.name))


def is_shared(host: Host) -> bool:
    """Whether the host has the subnet as the cluster's."""
    return bool(list(host.cache.every(SharedSubnet)))


async def test_what_a_host_has_of_a_network_that_it_removes_goes_back() -> None:
    """Blocks, claims in its own and in no block; the other host keeps its own, and may have what is free now."""
    async with cluster() as world:
        host, other = world.hosts
        await run(host)
        await claim(host, "key:db")
        kept = owned(other)
        await host.ipam.release_pool(host.pool.id)
        assert is_shared(host)
        await turns(world, 4, 6.0)
        assert not is_shared(host)
        assert await keys(world, host) == []
        assert owned(other) == kept
        assert is_shared(other)


async def test_it_waits_for_the_cluster() -> None:
    """`docker network rm` does not: the pool is gone at once, and a new daemon goes on."""
    async with cluster() as world:
        host = world.hosts[0]
        await run(host)
        await claim(host, "key:db")
        world.servers.cut(host.name)
        await host.ipam.release_pool(host.pool.id)
        await turns(world, 2, 6.0)
        assert is_shared(host)
        host.kill()
        host.build()
        await host.cache.load()
        await host.plan.begin()
        world.servers.mend(host.name)
        for _ in range(4):
            world.clock.advance(21.0)
            await host.plan.turn()
        assert not is_shared(host)
        assert await keys(world, host) == []


@pytest.mark.parametrize("before", [0, 1, 2, 3])
async def test_a_network_that_is_made_anew_meanwhile_has_its_blocks(before: int) -> None:
    """However far the end of the one before was."""
    async with cluster() as world:
        host = world.hosts[0]
        await claim(host, "key:db")
        await host.ipam.release_pool(host.pool.id)
        await turns(world, before, 6.0)
        await host.start(turning=False)
        if not is_shared(host):
            await host.plan.share(SPACE, world.subnet)
        await turns(world, 4, 21.0)
        assert is_shared(host)
        assert owned(host)
        await run(host)


async def test_of_a_subnet_that_is_being_left_no_block_is_taken() -> None:
    """Though a pool of a network that is being made has it: nobody would give the block back, as nobody knows of it."""
    async with cluster() as world:
        host = world.hosts[0]
        mine, wanted = owned(host), ClusterNetwork(id="", space=SPACE, subnets=(world.subnet,))
        await host.cache.commit(put=[HostNetwork(network="n", shared=wanted, leaving=True)])
        with pytest.raises(Exhausted):
            await host.plan.more(host.pool)
        await host.plan.blocks.balance(SharedSubnet(space=SPACE, subnet=world.subnet, since=0.0))
        assert owned(host) == mine
        await host.cache.commit(put=[HostNetwork(network="n", shared=wanted)])
        await host.plan.more(host.pool)
        assert owned(host) != mine
