"""Addresses that are being claimed: held until it is decided, and had by nobody twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from mooring.core.address_claims import AddressClaim, HostClaim, Phase
from mooring.core.cluster_keys import identity_prefix
from mooring.core.faults import Conflict
from mooring.services.records.record_cache import Record
from mooring.testing.memory_cluster import Step
from tests.services.cluster_hosts import SPACE
from tests.services.plan_hosts import claim, cluster, owned, run, shared, turns
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
        assert being_claimed._waiting == {}  # nothing grows with the number of blocks that ever were
        assert not host.ipam.index.of(host.pool.id).is_held(int(address))
        host.ipam.index.of(host.pool.id).hold(int(address))
        with pytest.raises(Conflict, match="in use on host h0"), being_claimed.claiming(place, mine):
            pass
        used = spec(host).claim(ip_address(await run(host)), host.name, 0.0)
        with pytest.raises(Conflict, match="in use on host h0"), being_claimed.claiming(place, used):
            pass


@pytest.mark.parametrize("kind", ["container", "key"])
async def test_who_does_not_wait_for_its_claim_leaves_none_that_is_being_made(kind: str) -> None:
    """Another one was writing it together with its own, in this host's store and in the cluster, and what leads to it
    where its key outlives its container. Nor is it remembered."""
    async with cluster(1) as world:
        host = world.hosts[0]
        (index,) = owned(host)
        reached, gate = asyncio.Event(), asyncio.Event()

        async def pause(step: Step) -> None:
            if step.method != "get" and step.key.startswith("block/"):
                reached.set()
                await gate.wait()

        world.servers.pause = pause
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(claim(host, f"{kind}:c{number}", f"10.0.0.{16 * index + number}"))
                for number in range(1, 5)
            ]
            await reached.wait()
            asking[2].cancel()
            await asyncio.sleep(0)
            gate.set()
        assert [each.cancelled() for each in asking] == [False, False, True, False]
        assert host.plan.blocks.being_claimed.led == host.plan.blocks.being_claimed.borne == set()
        await turns(world, 4, seconds=10.0)
        assert sorted(kept.claim.key for kept in host.cache.every(HostClaim)) == [f"{kind}:c{n}" for n in (1, 2, 4)]
        assert all(kept.phase is Phase.HELD for kept in host.cache.every(HostClaim))
        assert len(await host.plan.values.claims(SPACE, world.subnet)) == 3


async def test_an_address_that_was_broken_off_and_asked_for_again_is_had_soon() -> None:
    """The first write comes after it was given up, and before the second is refused: it is the first that is to go."""
    async with cluster(1) as world:
        (host,) = world.hosts
        (index,) = owned(host)
        reached, gate = asyncio.Event(), asyncio.Event()

        async def pause(step: Step) -> None:
            if step.method == "put" and step.key.startswith("block/"):
                reached.set()
                await gate.wait()

        async def refused() -> None:
            with pytest.raises(Conflict, match="is claimed"):
                await claim(host, "container:c3", wanted)

        wanted = f"10.0.0.{16 * index + 2}"
        world.servers.pause = pause
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(claim(host, "container:c1", f"10.0.0.{16 * index + 1}"))
            asking = tasks.create_task(claim(host, "container:c2", wanted))
            await reached.wait()
            asking.cancel()
            tasks.create_task(refused())
            for _ in range(40):
                await asyncio.sleep(0)
            gate.set()
        await turns(world, 2)
        assert (await claim(host, "container:c4", wanted)).key == "container:c4"


@pytest.mark.parametrize("first", [True, False], ids=["who asked first", "who came along"])
async def test_who_does_not_wait_any_more_while_claims_are_kept_for_all_leaves_none(
    first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster has said that they are there, and one commit is about to keep them all."""
    async with cluster(1) as world:
        host = world.hosts[0]
        (index,) = owned(host)
        asking: list[asyncio.Task[AddressClaim]] = []
        commit, sizes = host.cache.commit, []

        async def kept(put: Iterable[Record] = (), delete: Iterable[Record] = ()) -> int:
            put = list(put)
            held = [each for each in put if isinstance(each, HostClaim) and each.phase is Phase.HELD]
            sizes.append(len(held))
            if len(held) > 1 and not any(each.done() for each in asking):
                asking[0 if first else 2].cancel()
            return await commit(put, delete)

        monkeypatch.setattr(host.cache, "commit", kept)
        async with asyncio.TaskGroup() as tasks:
            asking += [
                tasks.create_task(claim(host, f"container:c{number}", f"10.0.0.{16 * index + number}"))
                for number in range(1, 5)
            ]
        assert 4 in sizes
        (gone,) = [number for number, each in enumerate(asking, 1) if each.cancelled()]
        await turns(world, 4, seconds=10.0)
        left = [kept.claim.key for kept in host.cache.every(HostClaim) if kept.phase is Phase.HELD]
        assert sorted(left) == [f"container:c{number}" for number in range(1, 5) if number != gone]
        assert len(list(host.cache.every(HostClaim))) == len(await host.plan.values.claims(SPACE, world.subnet)) == 3


async def test_claims_of_keys_that_lead_to_them_are_kept_once_they_do() -> None:
    """Before that, a daemon that dies would keep one that nobody finds by its key."""
    async with cluster(1) as world:
        host = world.hosts[0]
        phases: list[set[Phase]] = []

        async def look(step: Step) -> None:
            if step.key.startswith(identity_prefix(SPACE, world.subnet)):
                phases.append({kept.phase for kept in host.cache.every(HostClaim)})

        world.servers.pause = look
        async with asyncio.TaskGroup() as tasks:
            for number in range(3):
                tasks.create_task(claim(host, f"key:k{number}"))
        assert phases[-3:] == [set()] * 3
        assert {kept.phase for kept in host.cache.every(HostClaim)} == {Phase.HELD}


async def test_claims_that_get_keys_before_who_waits_goes_on_are_not_claimed_again() -> None:
    """A turn that waited for the block comes between the write for all and those for whom it was."""
    async with cluster(1) as world:
        host = world.hosts[0]
        (index,) = owned(host)
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(claim(host, f"container:c{number}", f"10.0.0.{16 * index + number}"))
                for number in range(1, 5)
            ]
            for _ in range(40):
                await asyncio.sleep(0)
                tasks.create_task(host.plan.blocks.tend(shared(world)))
        assert [each.result().key for each in asking] == [f"container:c{number}" for number in range(1, 5)]
        assert len(await host.plan.values.claims(SPACE, world.subnet)) == 4
