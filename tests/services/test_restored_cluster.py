"""A cluster's store that is restored from a backup: what was given since is in it again before anything else is given.

Schedules with restores at any time: the profile "restored" of tests/services/cluster_worlds.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from mooring.core.cluster_networks import ClusterNetwork, HostNetwork
from mooring.core.faults import Unavailable
from mooring.services.cluster.shared_networks import SharedNetworks
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.memory_cluster import Step, let_others_run
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_verdicts import wrong_at_rest
from tests.services.cluster_worlds import World
from tests.services.plan_hosts import answered, claim, cluster, forget, owned, run, turns


@asynccontextmanager
async def restored_since(world: World) -> AsyncIterator[None]:
    """What happens in the block is not in the store any more after it; the servers were off for a while."""
    backup = world.servers.backup()
    yield
    await turns(world, 2, 2.0)
    world.servers.lose_majority()
    await turns(world, 1, 5.0)
    world.servers.restore(backup)
    world.servers.regain_majority()


async def filled(host: Host) -> list[str]:
    """Containers until the host has claimed one block more."""
    before, made = len(owned(host)), []
    while len(owned(host)) == before:
        made.append(await run(host))
        await host.turn()
    return made


async def test_who_runs_goes_on_and_nobody_is_given_the_same_address() -> None:
    """The block that a host has claimed since is its own again."""
    async with cluster() as world:
        first, second = world.hosts
        async with restored_since(world):
            given = [*await filled(first), await run(first)]
        await turns(world, 12, 4.0)
        assert set(given) <= {str(address) for address in first.dynamic}
        for _ in range(40):
            await run(second)
            await second.turn()
        assert not set(first.dynamic) & set(second.dynamic)
        assert await wrong_at_rest(world.hosts, world.subnet) == []


async def test_a_fixed_address_of_since_is_its_containers_again() -> None:
    """With its identity: the key is given no other address elsewhere."""
    async with cluster() as world:
        first, second = world.hosts
        async with restored_since(world):
            made = await claim(first, "key:db")
        await turns(world, 12, 4.0)
        assert (await first.plan.claims.use(SPACE, world.subnet, made.address, "key:db")).host == first.name
        assert (await second.plan.values.identity(SPACE, world.subnet, "key:db")).value is not None


async def test_a_fixed_address_of_nobodys_block_is_seen_by_who_takes_the_block() -> None:
    """Who is the first to have a block does not look for claims in it: it is in the store again before the claim is."""
    async with cluster(2, "10.0.0.0/24") as world:
        first, second = world.hosts
        free = min(set(range(16)) - set(owned(first)) - set(owned(second)))
        async with restored_since(world):
            made = await claim(first, "container:c1", f"10.0.0.{16 * free + 2}")
        await turns(world, 12, 4.0)
        while free not in owned(second):
            await second.plan.more(second.pool)
        block = (await second.plan.values.block(SPACE, world.subnet, free)).value
        assert block is not None
        assert (block.host, set(block.carved)) == (second.name, {made.address})


async def test_a_claim_that_a_block_bore_in_the_backup_does_not_come_back_over_a_later_one() -> None:
    """The host of the block writes the keys of what it bears."""
    async with cluster() as world:
        first, second = world.hosts
        wanted = f"10.0.0.{16 * owned(first)[0] + 3}"
        await claim(first, "key:old", wanted)
        async with restored_since(world):
            await first.plan.claims.release(SPACE, world.subnet, ip_address(wanted))
            await turns(world, 3, 2.0)
            made = await answered(world, second, "key:new", wanted)
            await second.plan.claims.use(SPACE, world.subnet, made.address, "key:new")
        await turns(world, 15, 4.0)
        seen = await first.plan.values.claim(SPACE, world.subnet, made.address)
        assert seen.value is not None
        assert (seen.value.key, seen.value.host, bool(seen.value.boot)) == ("key:new", second.name, True)


async def test_a_block_that_was_given_back_since_is_not_taken_for_ones_own() -> None:
    """Somebody else has it by now."""
    async with cluster(3, sightings=1.0) as world:
        first, second, third = world.hosts
        for _ in range(40):
            await run(first)
            await first.turn()
        await turns(world, 3, 2.0)
        blocks = set(owned(first))
        async with restored_since(world):
            for address in list(first.dynamic):
                await first.stop(address)
            await turns(world, 8, 2.0)
            assert set(owned(first)) < blocks
            await filled(second)
            given = set(second.dynamic)
        await turns(world, 15, 4.0)
        assert set(second.dynamic) == given
        assert await wrong_at_rest(world.hosts, world.subnet) == []
        assert third.plan.restored.waiting == ""


async def test_new_blocks_wait_for_every_host_and_own_ones_serve_all_the_while() -> None:
    """A host that is off may have been given anything; who says that it stays off is an operator."""
    async with cluster() as world:
        first, second = world.hosts
        async with restored_since(world):
            await filled(first)
            await filled(second)
            second.off()
        await turns(world, 10, 5.0)
        await run(first)
        with pytest.raises(Unavailable, match="restored from a backup, and host h1 has not been back yet"):
            await first.plan.more(first.pool)
        await first.plan.forget("h1")  # which cannot wait for what waits for it
        mine = {
            seen.value.host for seen in (await first.plan.values.blocks(SPACE, world.subnet)).values() if seen.value
        }
        assert mine <= {"h0", ""}
        await turns(world, 1)
        await first.plan.more(first.pool)


async def test_a_host_that_has_written_nothing_since_finds_out_as_well() -> None:
    """Also where nobody else reaches the store: what runs on another host is not given once more."""
    async with cluster(3, "10.0.0.0/26") as world:
        first, second, third = world.hosts
        await turns(world, 3, 2.0)
        async with restored_since(world):
            await filled(first)
            for _ in range(12):  # of the block that it has had since
                await run(first)
            await turns(world, 16, 4.0)
            world.servers.cut(first.name)
            second.off()
        await turns(world, 3, 4.0)
        given = set(first.dynamic)
        for _ in range(50):
            try:
                await run(third)
            except Unavailable:
                break
            await third.turn()
        assert given == set(first.dynamic)
        assert not given & set(third.dynamic)
        assert "host h0, h1 has not been back yet" in third.plan.restored.waiting


async def test_an_operator_may_say_that_the_store_was_restored() -> None:
    """Where only a host that was off since before the backup reaches it: that one cannot know."""
    async with cluster(3) as world:
        first, second, third = world.hosts
        third.off()
        async with restored_since(world):
            await filled(first)
            world.servers.cut(first.name)
            second.off()
            await turns(world, 1, 4.0)
        await world.servers.client("etcdctl").put("restored", b"9-operator", 0)
        await third.back(turning=False)
        await turns(world, 3, 4.0)
        with pytest.raises(Unavailable, match="restored from a backup, and host h0, h1 has not been back yet"):
            await third.plan.more(third.pool)
        world.servers.mend()
        await second.back(turning=False)
        await turns(world, 15, 4.0)
        await third.plan.more(third.pool)
        assert await wrong_at_rest(world.hosts, world.subnet) == []
        assert world.servers.records["restored"].startswith(b"9-")


@pytest.mark.parametrize("in_order", [True, False])
async def test_a_key_that_was_claimed_where_nobody_knew_has_one_address_once_all_do(in_order: bool) -> None:
    """The later one: whoever puts its own into the store first."""
    async with cluster(3) as world:
        first, second, third = world.hosts
        third.off()
        async with restored_since(world):
            made = await claim(first, "key:db")
            await turns(world, 2, 2.0)
            world.servers.cut(first.name)
            second.off()
            await turns(world, 1, 4.0)
        await third.back(turning=False)
        await turns(world, 3, 4.0)
        later = await claim(third, "key:db")
        assert later.address != made.address
        world.servers.mend()
        await second.back(turning=False)
        world.clock.advance(4.0)
        for host in (first, third) if in_order else (third, first):
            await host.turn()
        await turns(world, 30, 4.0)
        values = SharedValues(first.client)
        assert [each.address for each, _ in await values.claims(SPACE, world.subnet)] == [later.address]
        assert (await values.identity(SPACE, world.subnet, "key:db")).value == later.identity()


async def test_who_asks_while_another_waits_for_an_answer_does_not_wait_for_one_more() -> None:
    """Each try takes seconds: twenty containers would stand in a row."""
    async with cluster() as world:
        first = world.hosts[0]
        world.clock.advance(5.0)
        asked = 0

        async def refuse(step: Step) -> None:
            nonlocal asked
            asked += step.key == "restored"
            await let_others_run(step)
            raise Unavailable("no answer in time")

        world.servers.pause = refuse
        said = await asyncio.gather(*(first.plan.restored.sure() for _ in range(20)), return_exceptions=True)
        assert {type(each) for each in said} == {Unavailable}
        assert asked == 1


async def test_a_network_that_was_made_since_is_there_again_with_its_vni_and_this_host_in_it() -> None:
    """As its own host has it."""
    async with cluster(1) as world:
        host = world.hosts[0]
        values = SharedValues(host.client)
        networks = SharedNetworks(values, host.plan.member, world.clock)
        async with restored_since(world):
            wanted = ClusterNetwork(id="", space=SPACE, subnets=(world.subnet,), options={"mode": "vxlan"})
            made = await networks.join(wanted)
            await host.cache.commit(put=[HostNetwork(network="n1", shared=made)])
            await claim(host, "key:db")
        assert (await values.network(SPACE, world.subnet)).value is None
        await turns(world, 4, 4.0)
        assert (await values.network(SPACE, world.subnet)).value == made
        assert (await values.vni(made.vni)).value is not None
        part = (await values.networks(SPACE)).part(SPACE, world.subnet, host.name).value
        assert part is not None
        assert part.network == made.id


async def test_a_store_that_went_back_beyond_an_earlier_restore_is_one_more() -> None:
    """Each has a number."""
    async with cluster() as world:
        first = world.hosts[0]
        oldest = world.servers.backup()
        for _ in range(2):
            given = set(await filled(first))
            await turns(world, 2, 2.0)
            world.servers.lose_majority()
            await turns(world, 1, 5.0)
            world.servers.restore(oldest)
            world.servers.regain_majority()
            await turns(world, 12, 4.0)
            assert given <= {str(address) for address in first.dynamic}
        assert world.servers.records["restored"].startswith(b"2-")
        assert await wrong_at_rest(world.hosts, world.subnet) == []


async def test_what_hosts_say_of_a_restore_goes_once_all_have_said_it() -> None:
    """What stays is one key, however many restores there were; what was written late goes with the next."""
    async with cluster(3) as world:
        first, late = world.hosts[0], world.hosts[2]

        def kept() -> list[str]:
            return [key.partition("/")[2] for key in world.servers.records if key.startswith("restores/")]

        for number in (1, 2):
            async with restored_since(world):
                await filled(first)
            late.off()
            await turns(world, 3, 1.0)
            assert {"h0", "h1"} <= {key.partition("/")[2] for key in kept()}
            await late.back(turning=False)
            await turns(world, 15, 4.0)
            assert [key.partition("-")[0] for key in kept()] == [str(number)]
            assert kept()[0].endswith("/done")
            assert first.plan.restored.waiting == late.plan.restored.waiting == ""
            await world.servers.client("late").put(f"restores/{kept()[0].partition('/')[0]}/h9", b"", 0)


async def test_an_etcd_that_was_only_away_is_no_restored_one() -> None:
    """Nobody waits for anybody."""
    async with cluster() as world:
        first, second = world.hosts
        await filled(first)
        second.off()
        world.servers.lose_majority()
        await turns(world, 2, 5.0)
        world.servers.regain_majority()
        await turns(world, 3, 2.0)
        await first.plan.more(first.pool)
        assert "restored" not in world.servers.records


async def test_a_host_that_was_forgotten_is_no_reason_to_take_the_store_for_restored() -> None:
    """Its blocks have another owner, and a higher generation."""
    async with cluster() as world:
        first, second = world.hosts
        await filled(second)
        await forget(world, second, by=first)
        await second.back(turning=False)
        await turns(world, 5, 4.0)
        assert "restored" not in world.servers.records


@pytest.mark.parametrize("kept", [True, False])
async def test_the_number_of_a_host_that_was_forgotten_has_to_stay(kept: bool) -> None:
    """Where it does not, the host takes the store for one of before it joined when it returns, and all wait for all."""
    async with cluster() as world:
        first, second = world.hosts
        await filled(second)
        await turns(world, 3, 2.0)
        await forget(world, second, by=first)
        if not kept:
            await first.plan.values.hosts.end_mark(second.name)
        await second.back(turning=False)
        await turns(world, 5, 4.0)
        assert ("restored" in world.servers.records) is not kept
