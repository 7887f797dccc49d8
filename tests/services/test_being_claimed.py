"""Addresses that are being claimed: held until it is decided, and had by nobody twice."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.faults import Conflict
from mooring.testing.memory_cluster import Step
from tests.services.cluster_hosts import SPACE
from tests.services.plan_hosts import claim, cluster, owned, run, turns
from tests.services.test_host_blocks import spec


async def test_an_address_is_claimed_by_one_at_a_time_and_given_to_nobody_meanwhile() -> None:
    """Nor is one claimed that somebody has, or is about to have."""
    async with cluster() as world:
        host = world.hosts[0]
        being_claimed, place = host.plan.blocks.being_claimed, (SPACE, world.subnet, owned(host)[0])
        address = ip_address(f"10.0.0.{16 * owned(host)[0] + 9}")
        mine = spec(host).claim(address, host.name, 0.0)
        with being_claimed.claiming(place, mine):
            assert (SPACE, address) in being_claimed
            assert being_claimed.at(place) == [mine]
            assert host.ipam.index.of(host.pool.id).is_held(int(address))
            with pytest.raises(Conflict, match="is being claimed"), being_claimed.claiming(place, mine):
                pass
        assert (SPACE, address) not in being_claimed
        assert not host.ipam.index.of(host.pool.id).is_held(int(address))
        host.ipam.index.of(host.pool.id).hold(int(address))
        with pytest.raises(Conflict, match="in use on host h0"), being_claimed.claiming(place, mine):
            pass
        used = spec(host).claim(ip_address(await run(host)), host.name, 0.0)
        with pytest.raises(Conflict, match="in use on host h0"), being_claimed.claiming(place, used):
            pass


async def test_who_does_not_wait_for_its_claim_leaves_none_that_is_being_made() -> None:
    """Another one was writing it together with its own, in this host's store and in the cluster."""
    async with cluster(1) as world:
        host = world.hosts[0]
        (index,) = owned(host)
        reached, gate = asyncio.Event(), asyncio.Event()

        async def pause(step: Step) -> None:
            if step.key.startswith("block/"):
                reached.set()
                await gate.wait()

        world.servers.pause = pause
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(claim(host, f"container:c{number}", f"10.0.0.{16 * index + number}"))
                for number in range(1, 5)
            ]
            await reached.wait()
            asking[2].cancel()
            gate.set()
        assert [each.cancelled() for each in asking] == [False, False, True, False]
        await turns(world, 4, seconds=10.0)
        assert sorted(kept.claim.key for kept in host.cache.every(HostClaim)) == [f"container:c{n}" for n in (1, 2, 4)]
        assert all(kept.phase is Phase.HELD for kept in host.cache.every(HostClaim))
        assert len(await host.plan.values.claims(SPACE, world.subnet)) == 3
