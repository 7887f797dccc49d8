"""The blocks of a host: claimed ahead, carved out of, given up, and asked for again after a boot."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from copy import deepcopy
from ipaddress import ip_address

import msgspec
import pytest

from mooring.core.address_claims import AddressClaim, Spec
from mooring.core.blocks import HostBlock, taken_from
from mooring.core.claims import given
from mooring.core.faults import Conflict, Exhausted, Unavailable
from mooring.core.leases import Lease, Place, State
from mooring.core.requests import AddressRequest, Role
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE, Host
from tests.services.plan_hosts import answered, claim, cluster, forget, owned, run, shared, turns


def spec(host: Host, key: str = "container:c1") -> Spec:
    return Spec(SPACE, host.world.subnet, host.clock.token(), key=key, holder=key)


async def test_each_host_has_a_block_of_its_own_and_gives_from_it_without_the_cluster() -> None:
    """Also while nobody of the cluster answers."""
    async with cluster(3) as world:
        first = {host.name: owned(host) for host in world.hosts}
        assert sorted(len(blocks) for blocks in first.values()) == [1, 1, 1]
        assert len({index for blocks in first.values() for index in blocks}) == 3
        world.servers.lose_majority()
        for host in world.hosts:
            assert (int(ip_address(await run(host))) - int(world.subnet.network_address)) // 16 in first[host.name]


async def test_the_next_block_is_claimed_before_the_last_address_is_given() -> None:
    """When fewer than 8 are free."""
    async with cluster() as world:
        host = world.hosts[0]
        for _ in range(8):
            await run(host)
        await turns(world)
        assert len(owned(host)) == 1
        await run(host)
        await turns(world)
        assert len(owned(host)) == 2


async def test_an_empty_block_goes_back_after_two_sightings_and_one_is_kept() -> None:
    """It is nobody's then, with a higher generation."""
    async with cluster() as world:
        host = world.hosts[0]
        for _ in range(20):
            await run(host)
            await turns(world, 1)
        assert len(owned(host)) == 2
        for address in list(host.dynamic):
            await host.stop(address)
        await turns(world, 2)
        assert len(owned(host)) == 2
        await turns(world, 3, seconds=5.0)
        (kept,) = owned(host)
        blocks = await host.plan.values.blocks(SPACE, world.subnet)
        assert sorted((b.value.host, b.value.generation) for b in blocks.values() if b.value) == [
            ("", 2), (host.name, 1), (world.hosts[1].name, 1)
        ]  # fmt: skip
        assert blocks[kept].value is not None


async def test_a_full_subnet_names_the_hosts_that_own_its_blocks() -> None:
    """A /27 has two."""
    async with cluster(2, "10.0.0.0/27") as world:
        host = world.hosts[0]
        for _ in range(15):
            await run(host)
        with pytest.raises(Exhausted, match=r"each of its blocks has an owner \(held by host h0, host h1\)"):
            await run(host)


async def test_a_host_that_was_forgotten_gives_nothing_until_it_was_told() -> None:
    """After a boot it reads its blocks first; what went with the lost one is gone from its store."""
    async with cluster() as world:
        host, other = world.hosts
        address = await run(host)
        await forget(world, host, other)
        world.servers.cut("h0")
        host.boots += 1
        host.build()
        host.dynamic[ip_address(address)] = "before"  # nobody has looked yet
        await host.cache.load()
        await host.plan.begin()
        assert list(host.ipam.index.blocks.ranges(SPACE, world.subnet) or ()) == []
        with pytest.raises(Unavailable):
            await host.run()
        world.servers.mend()
        world.clock.advance(5.0)
        lost: list[Lease] = []
        await host.plan.blocks.verify(shared(world), lost)
        assert [str(lease.address) for lease in lost] == [address]
        assert owned(host) == []
        assert host.cache.lease(SPACE, ip_address(address)) is None


async def test_a_daemon_that_restarts_in_an_outage_goes_on_giving() -> None:
    """In the same boot nobody can have been told that the host was off."""
    async with cluster() as world:
        host = world.hosts[0]
        world.servers.lose_majority()
        host.kill()
        host.build()
        await host.cache.load()
        await host.plan.begin()
        await run(host)


@pytest.mark.parametrize("late", [True, False])
async def test_an_address_that_is_claimed_while_its_block_is_has_one_holder(late: bool) -> None:
    """Whoever is first at the servers: the owner of the block, or who claims the address by its key. late: the key
    comes after the block's new owner has looked for keys, and before it owns the block."""
    async with cluster(2, "10.0.0.0/26") as world:
        claimer, owner = world.hosts
        free = next(iter({0, 1, 2, 3} - set(owned(claimer)) - set(owned(owner))))
        wanted = f"10.0.0.{16 * free + 2}"
        gate, reached = asyncio.Event(), asyncio.Event()

        async def pause(step: Step) -> None:
            writes = (step.client, step.method, step.when) == (owner.name, "put", When.BEFORE)
            if late and writes and step.key.startswith("block/") and not gate.is_set():
                reached.set()
                await gate.wait()
            await asyncio.sleep(0)

        world.servers.pause = pause
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(take(owner, free))
            if late:
                await reached.wait()
                assert (await claim(claimer, "container:c1", wanted)).address == ip_address(wanted)
                gate.set()
            await taking
        if not late:
            assert (await answered(world, claimer, "container:c1", wanted)).address == ip_address(wanted)
        block = next(b for b in owner.ipam.index.blocks.blocks(SPACE, world.subnet) if b.index == free)
        assert ip_address(wanted) in block.carved


async def test_a_key_that_comes_after_its_block_was_claimed_and_read_is_withdrawn_and_the_owner_asked() -> None:
    """The address is carved out by the owner, or not given at all: never by the key alone."""
    async with cluster(2, "10.0.0.0/26") as world:
        claimer, owner = world.hosts
        free = next(iter({0, 1, 2, 3} - set(owned(claimer)) - set(owned(owner))))
        wanted = f"10.0.0.{16 * free + 2}"
        gate, reached = asyncio.Event(), asyncio.Event()

        async def pause(step: Step) -> None:
            writes = (step.client, step.method, step.when) == (claimer.name, "put", When.BEFORE)
            if writes and step.key.startswith("addr/") and not gate.is_set():
                reached.set()
                await gate.wait()
            await asyncio.sleep(0)

        world.servers.pause = pause
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(answered(world, claimer, "container:c1", wanted))
            await reached.wait()
            await take(owner, free)
            assert wanted not in [await run(owner)]
            gate.set()
        assert asking.result().address == ip_address(wanted)
        block = next(b for b in owner.ipam.index.blocks.blocks(SPACE, world.subnet) if b.index == free)
        assert ip_address(wanted) in block.carved


async def take(host: Host, free: int) -> None:
    """The host claims blocks until it has this one."""
    while free not in owned(host):
        await host.plan.more(host.pool)


async def test_what_somebody_uses_is_not_carved_out() -> None:
    """The refusal names who; nothing has changed."""
    async with cluster() as world:
        host = world.hosts[0]
        address = ip_address(await run(host))
        before = dict(world.servers.records)
        with pytest.raises(Conflict, match=f"address {address} is in use on host h0"):
            await host.plan.blocks.carve(spec(host).claim(address, "h0", 0.0))
        assert world.servers.records == before


async def test_an_address_whose_claim_may_have_been_written_is_given_to_nobody_until_that_is_known() -> None:
    """The write comes to the servers long after it was given up: by then it comes to nothing."""
    async with cluster() as world:
        host = world.hosts[0]
        (index,) = owned(host)
        wanted = f"10.0.0.{16 * index + 1}"
        world.servers.delay_next()
        with pytest.raises(Unavailable):
            await claim(host, "container:c1", wanted)
        assert wanted not in [await run(host) for _ in range(5)]
        await turns(world, 3, seconds=1.0)
        assert await run(host) == wanted
        assert world.servers.deliver() == 0
        await turns(world, 12, seconds=5.0)
        (block,) = host.cache.every(HostBlock)
        assert not block.carved
        assert wanted in {str(address) for address in host.dynamic}


async def test_claims_that_come_at_once_go_in_one_write() -> None:
    """Of one block: the first is written alone, the others together."""
    async with cluster() as world:
        host = world.hosts[0]
        (index,) = owned(host)
        before = world.servers.revision
        addresses = [ip_address(f"10.0.0.{16 * index + number}") for number in range(1, 9)]
        async with asyncio.TaskGroup() as tasks:
            for number, address in enumerate(addresses):
                made = spec(host, f"container:c{number}").claim(address, host.name, 0.0)
                tasks.create_task(host.plan.blocks.carve(made))
        assert world.servers.revision - before <= 2
        assert {block.carved for block in host.cache.every(HostBlock)} == {frozenset(addresses)}


async def test_many_that_start_at_once_get_addresses_of_as_many_blocks_as_it_takes() -> None:
    """Nobody is told that the subnet is full because others were quicker; nor is a block too many claimed."""
    async with cluster(1, "10.0.0.0/24") as world:
        host = world.hosts[0]
        async with asyncio.TaskGroup() as tasks:
            for _ in range(70):
                tasks.create_task(host.run())
        assert len(host.dynamic) == 70
        assert len(owned(host)) == 5
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(claim(host, f"key:k{number}")) for number in range(70)]
        assert len({each.result().address for each in made} | set(host.dynamic)) == 140
        assert len(owned(host)) == 9


async def test_an_address_whose_lease_is_being_written_is_not_carved_out() -> None:
    """It was confirmed before the claim came; the lease is seen before the cluster is asked."""
    async with cluster() as world:
        host = world.hosts[0]
        address = ip_address(f"10.0.0.{16 * owned(host)[0] + 5}")
        place, now = Place(SPACE, address, host.pool.id), host.clock.now()
        claimed = spec(host).claim(address, host.name, now)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.cache.commit(put=[given(None, place, now, "02:00:00:00:00:01")]))
            carving = tasks.create_task(refused(host, claimed))
        assert "in use on host h0" in carving.result()
        await turns(world)
        assert host.cache.lease(SPACE, address) is not None
        assert all(address not in block.carved for block in host.cache.every(HostBlock))


async def refused(host: Host, claimed: AddressClaim) -> str:
    """Why it is not carved out."""
    with pytest.raises(Conflict) as refusal:
        await host.plan.blocks.carve(claimed)
    return str(refusal.value)


async def test_of_two_copies_of_a_machine_one_gives_and_the_other_is_told() -> None:
    """They have one id and the same records, and know nothing of each other but by the boot in their blocks."""
    async with cluster() as world:
        host = world.hosts[0]
        copy = Host(world, host.name)
        copy.boots, copy.store = 9, deepcopy(host.store)
        copy.build()
        await copy.start(turning=False)
        await turns(world, 1, seconds=25.0)
        assert await gives(copy) == ""
        await copy.plan.turn()
        world.clock.advance(25.0)
        told = [fault for each in (host, copy) for fault in (await each.plan.turn()).faults]
        assert {"another machine that is this host as well" in str(fault) for fault in told} == {True}
        assert [await gives(host) != "", await gives(copy) != ""] == [False, True]
        with pytest.raises(Conflict, match="another machine that is this host as well"):
            await host.plan.more(host.pool)
        await back(host)  # also after its next boot
        assert await gives(host) == ""
        assert owned(host) == owned(copy)
        copy.kill()


async def gives(host: Host) -> str:
    """What the host gives of its block, "" for nothing."""
    with suppress(Exhausted):
        held = host.ipam.held_address(AddressRequest(host.pool.id, Role.ENDPOINT, None, host.clock.token()))
        async with held as answer:
            return str(answer.ip)
    return ""


async def test_a_boot_that_was_cut_off_while_it_wrote_its_block_is_no_copy() -> None:
    """The next one knows the boot, as that was noted before."""
    async with cluster() as world:
        host = world.hosts[0]
        (index,) = owned(host)
        host.off()
        host.boots, host.on = host.boots + 1, True
        host.build()
        await host.start(turning=False)
        seen = await host.plan.values.block(SPACE, world.subnet, index)
        local = next(iter(host.cache.every(HostBlock)))
        assert await host.plan.blocks._confirmed(seen, local) is not None
        await back(host)
        assert host.plan.blocks.copied(SPACE, world.subnet) is None
        assert await gives(host) != ""


async def back(host: Host) -> None:
    """The host after its next boot, and a turn."""
    host.off()
    host.boots, host.on = host.boots + 1, True
    host.build()
    await host.start(turning=False)
    await host.plan.turn()


async def test_what_was_lost_is_told_also_when_the_cluster_fails_right_after_and_a_fixed_one_too() -> None:
    """One block is lost, and of another the cluster does not answer any more."""
    async with cluster() as world:
        host, other = world.hosts
        await host.plan.more(host.pool)
        first = owned(host)[0]
        used = ip_address(f"10.0.0.{16 * first + 9}")
        await host.run(used)
        lease = host.cache.lease(SPACE, used)
        assert lease is not None
        await host.cache.commit(put=[msgspec.structs.replace(lease, state=State.FIXED, key="key:db")])
        seen = await other.plan.values.block(SPACE, world.subnet, first)
        assert seen.value is not None
        await other.plan.values.put(taken_from(seen.value), seen.revision)
        host.boots += 1
        host.build()
        await host.cache.load()
        await host.plan.restored.look()
        world.servers.fail_next(When.BEFORE)
        lost: list[Lease] = []
        with pytest.raises(Unavailable):
            await host.plan.blocks.verify(shared(world), lost)
        assert [each.address for each in lost] == [used]
        assert host.cache.lease(SPACE, used) is None


@pytest.mark.parametrize("later", range(12))
async def test_what_is_being_given_while_its_block_is_lost_is_lost_with_it_and_told(later: int) -> None:
    """Its lease was on its way to the store when the block went."""
    async with cluster() as world:
        host, other = world.hosts
        (index,) = owned(host)
        seen = await other.plan.values.block(SPACE, world.subnet, index)
        assert seen.value is not None
        await other.plan.values.put(taken_from(seen.value), seen.revision)
        lost: list[Lease] = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.run())
            for _ in range(later):
                await asyncio.sleep(0)
            await host.plan.blocks.verify(shared(world), lost)
        inside = [address for address in host.dynamic if (int(address) & 127) // 16 == index]
        mine = host.plan.blocks.of(SPACE, world.subnet, next(iter(host.dynamic)))
        if mine is None:
            assert [lease.address for lease in lost] == inside
            assert host.cache.lease(SPACE, inside[0]) is None
        else:
            assert lost == []  # it was given after that, from a block that is the host's


async def test_a_block_that_is_taken_again_while_it_is_given_up_stays() -> None:
    """Between the write that gives it up and the commit that forgets it."""
    async with cluster(1) as world:
        host = world.hosts[0]
        (block,) = host.cache.every(HostBlock)
        await host.cache.commit(put=[msgspec.structs.replace(block, leaving=True)])
        await host.plan.blocks.forget_seen()

        async def take(step: Step) -> None:
            if (step.method, step.when) == ("put", When.AFTER):
                world.servers.pause = pause
                await host.plan.blocks.more(SPACE, world.subnet)

        pause, world.servers.pause = world.servers.pause, take
        await host.plan.blocks.tend(shared(world))
        (again,) = host.cache.every(HostBlock)
        assert (again.index, again.generation, again.leaving) == (block.index, block.generation + 2, False)
