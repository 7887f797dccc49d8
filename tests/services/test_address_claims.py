"""Fixed addresses across hosts: one for a key wherever it is asked, moved and released by what the cluster says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.address_claims import AddressClaim, HostClaim, Phase, Spec
from mooring.core.blocks import Block
from mooring.core.faults import Conflict, Exhausted, NotFound, Unavailable
from mooring.core.networks import Address
from mooring.services.records.record_cache import Record
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_worlds import World
from tests.services.plan_hosts import claim, cluster, owned, turns


async def use(host: Host, address: Address, key: str = "") -> None:
    """Its container starts."""
    kept = host.cache.host_claim(SPACE, host.world.subnet, address)
    await host.plan.claims.use(SPACE, host.world.subnet, address, key or (kept.claim.key if kept is not None else ""))


async def leave(host: Host, address: Address) -> None:
    """Its container stops."""
    await host.plan.claims.leave(SPACE, host.world.subnet, address)


async def release(host: Host, address: Address) -> None:
    """Its container is removed."""
    await host.plan.claims.release(SPACE, host.world.subnet, address)


def shared_keys(world: World) -> list[str]:
    """What is left of addresses and identities in the cluster."""
    return [key for key in world.servers.records if key.startswith(("addr/", "key/", "want/"))]


async def test_a_key_has_one_address_and_mac_on_every_host() -> None:
    """The second host gets what the first one had, as a holder more."""
    async with cluster() as world:
        one, two = world.hosts
        first = await claim(one, "key:db")
        second = await claim(two, "key:db")
        assert second.address == first.address
        assert (second.sequence, second.host, second.generation) == (first.sequence, "h1", 2)
        assert second.holders == {"h0/key:db", "h1/key:db"}


async def test_an_address_in_use_stays_where_it_is_heard_and_comes_when_it_is_idle() -> None:
    """The refusal names the host and since when; a stop there is told at once."""
    async with cluster() as world:
        one, two = world.hosts
        address = (await claim(one, "key:db")).address
        await use(one, address)
        with pytest.raises(
            Conflict, match=r"in use on host h0, which is heard \(held by key db on host h0, in use since 2"
        ):
            await claim(two, "key:db")
        await leave(one, address)
        await turns(world, 1)
        assert (await claim(two, "key:db")).host == "h1"
        await use(two, address)
        with pytest.raises(Conflict, match="not this host's any more"):
            await use(one, address)


@pytest.mark.parametrize("how", ["ask", "auto", "force"])
async def test_an_address_of_a_host_that_is_silent_moves_by_policy_or_by_force(how: str) -> None:
    """Not before its session is over and the others have waited, and otherwise not at all."""
    async with cluster() as world:
        one, two = world.hosts
        address = (await claim(one, "key:db", moves=how == "auto")).address
        await use(one, address)
        world.servers.cut("h0")
        world.clock.advance(16.0)
        with pytest.raises(Conflict, match="has only just gone silent"):
            await claim(two, "key:db")
        world.clock.advance(6.0)
        if how == "ask":
            with pytest.raises(Conflict, match=r"may still use it.*lease move 10.0.0.* --force"):
                await claim(two, "key:db")
            return
        here = await claim(two, "key:db") if how == "auto" else await forced(two, "key:db")
        assert (here.address, here.host) == (address, "h1")
        assert [each.address for each in one.plan.overdue()] == [address] * (how == "auto")
        world.servers.mend()
        turn = await one.plan.turn()
        assert [each.address for each in turn.claims] == [address]


async def forced(host: Host, key: str) -> AddressClaim:
    """An operator says that the other host is off."""
    return await host.plan.claim(Spec(SPACE, host.world.subnet, host.clock.token(), key=key, holder=key), force=True)


async def test_without_the_cluster_what_was_in_use_starts_again_until_the_session_may_end() -> None:
    """And what the cluster takes for idle does not start at all: another host may have it."""
    async with cluster() as world:
        host = world.hosts[0]
        running, idle = (await claim(host, "key:a")).address, (await claim(host, "key:b")).address
        await use(host, running)
        world.servers.lose_majority()
        await leave(host, running)
        await use(host, running)
        with pytest.raises(Unavailable, match="no leader"):
            await use(host, idle)
        world.clock.advance(10.0)
        with pytest.raises(Unavailable, match="cannot be used: the cluster has not been reached for 10 s"):
            await use(host, running)


async def test_a_host_that_is_not_heard_starts_nothing_even_where_it_reaches_the_cluster() -> None:
    """Its session is over, so that another host may be taking the address just now."""
    async with cluster() as world:
        host = world.hosts[0]
        address = (await claim(host, "key:a", moves=True)).address
        world.clock.advance(20.0)
        with pytest.raises(Unavailable, match="cannot be used"):
            await use(host, address)
        await turns(world, 1)
        await use(host, address)


async def test_what_the_host_has_told_to_be_idle_does_not_start_without_asking() -> None:
    """Not even when it does not know whether it was told."""
    async with cluster() as world:
        host = world.hosts[0]
        address = (await claim(host, "key:a")).address
        await use(host, address)
        await leave(host, address)
        await host.plan.restored.look()
        world.servers.fail_next(When.AFTER)
        await turns(world, 1)
        world.servers.lose_majority()
        with pytest.raises(Unavailable):
            await use(host, address)


async def test_a_word_that_it_is_idle_does_not_come_after_the_next_start() -> None:
    """The start writes the key anew, also where that says in use already."""
    async with cluster() as world:
        host = world.hosts[0]
        address = (await claim(host, "key:a")).address
        await use(host, address)
        await turns(world, 1)
        await leave(host, address)
        world.servers.delay_next()
        await turns(world, 1)
        await use(host, address)
        assert world.servers.deliver() == 0


async def test_releases_in_an_outage_are_kept_and_told_when_it_is_over() -> None:
    """Nothing is left of the claim anywhere, and its address is given again."""
    async with cluster() as world:
        host = world.hosts[0]
        address = (await claim(host, "key:a")).address
        world.servers.lose_majority()
        await release(host, address)
        assert [kept.phase for kept in host.cache.every(HostClaim)] == [Phase.RELEASING]
        host.kill()
        host.build()
        await host.cache.load()
        await host.plan.begin()
        world.servers.regain_majority()
        await turns(world, 3)
        assert list(host.cache.every(HostClaim)) == []
        assert shared_keys(world) == []
        with pytest.raises(NotFound):
            await use(host, address)


async def test_an_address_goes_with_its_last_holder() -> None:
    """A host that releases what another one has by now takes only itself out of it."""
    async with cluster() as world:
        one, two = world.hosts
        address = (await claim(one, "key:db")).address
        await claim(two, "key:db")
        await release(one, address)
        await turns(world, 2)
        assert (await two.plan.values.claim(SPACE, world.subnet, address)).value is not None
        await release(two, address)
        await turns(world, 3)
        assert shared_keys(world) == []


async def test_a_late_release_does_not_mean_the_next_allocation() -> None:
    """The sequence number says which one is meant."""
    async with cluster() as world:
        one, two = world.hosts
        first = await claim(one, "container:c1")
        await release(one, first.address)
        await turns(world, 3)
        second = await claim(one, "container:c2", str(first.address))
        await one.plan.claims.let_go(first)
        await two.plan.claims.let_go(first)
        seen = await one.plan.values.claim(SPACE, world.subnet, first.address)
        assert second.sequence != first.sequence
        assert seen.value is None or seen.value.sequence == second.sequence
        await use(one, second.address)


async def test_an_address_of_no_block_is_claimed_by_its_key_alone() -> None:
    """And carried as carved out by whoever claims the block later."""
    async with cluster(2, "10.0.0.0/26") as world:
        one, two = world.hosts
        (free, *_) = sorted({0, 1, 2, 3} - set(owned(one)) - set(owned(two)))
        wanted = ip_address(f"10.0.0.{16 * free + 3}")
        assert (await claim(one, "container:c1", str(wanted))).address == wanted
        while free not in owned(two):
            await two.plan.more(two.pool)
        block = two.ipam.index.blocks.block_of(SPACE, world.subnet, wanted)
        assert block is not None
        assert wanted in block.carved
        with pytest.raises(Conflict, match=r"is claimed \(held by container c1 on host h0.*; choose another address"):
            await claim(two, "container:c2", str(wanted))


async def test_a_small_subnet_has_single_claims_only() -> None:
    """A /28: each address by its key."""
    async with cluster(2, "10.0.0.0/28") as world:
        one, two = world.hosts
        made = [await claim(host, f"container:{host.name}{number}") for host in (one, two) for number in range(7)]
        assert len({each.address for each in made}) == 14
        assert not any(key.startswith("block/") for key in world.servers.records)
        with pytest.raises(Exhausted, match="each of its addresses is claimed"):
            await claim(one, "container:more")


async def test_two_hosts_that_claim_for_one_key_at_once_agree_on_one_address() -> None:
    """At least one of them may be told to try again; nothing is left of what came to nothing."""
    async with cluster() as world:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(refusable(host)) for host in world.hosts]
        got = {task.result() for task in asked} - {None}
        again = {(await claim(host, "key:db")).address for host in world.hosts}
        assert len(again) == 1
        assert got <= again
        await turns(world, 4, seconds=5.0)
        assert len(shared_keys(world)) == 2


async def refusable(host: Host) -> object:
    """Its claim's address, None when it is to try again."""
    try:
        return (await claim(host, "key:db")).address
    except (Unavailable, Conflict):
        return None


async def test_what_is_not_claimed_here_cannot_be_used_and_is_released_already() -> None:
    """The one is refused, the other is success."""
    async with cluster() as world:
        host, address = world.hosts[0], ip_address("10.0.0.9")
        with pytest.raises(NotFound):
            await use(host, address)
        await release(host, address)
        await leave(host, address)


async def test_a_container_that_is_configured_for_what_another_here_has_by_now_does_not_start() -> None:
    """The claim is of another key."""
    async with cluster() as world:
        host = world.hosts[0]
        address = (await claim(host, "container:c1")).address
        with pytest.raises(NotFound):
            await use(host, address, "container:c0")


async def test_a_key_that_was_written_again_after_it_was_over_counts_for_nothing() -> None:
    """The block decides, whatever this host thinks that it has; and the leftover goes."""
    async with cluster() as world:
        host, other = world.hosts
        made = await claim(host, "container:c1")
        await turns(world, 2)
        index = owned(host)[0]
        seen = await host.plan.values.block(SPACE, world.subnet, index)
        assert seen.value is not None
        taken = Block(space=SPACE, subnet=world.subnet, index=index, host="h9", generation=3)
        known, _ = await other.plan.values.hosts.host(other.name)
        assert known is not None
        await other.plan.values.hosts.put_host(replace(known, id="h9"), 0)
        await other.plan.values.put(taken, seen.revision)
        with pytest.raises(Conflict, match="not this host's any more"):
            await use(host, made.address)
        await turns(world, 5, seconds=25.0)
        assert host.cache.host_claim(SPACE, world.subnet, made.address) is None
        assert (await other.plan.values.claim(SPACE, world.subnet, made.address)).value is None


async def test_an_identity_outlives_the_addresses_that_were_tried_in_vain_before_its_own() -> None:
    """All tries of one allocation bear its sequence; what is left of the first is told after the second was had."""
    async with cluster(2, "10.0.0.0/28") as world:
        one, two = world.hosts

        async def pause(step: Step) -> None:
            if step.client == "h0" and step.method == "put" and step.key.startswith("addr/") and first:
                await claim(two, "container:quicker", first.pop())
            await asyncio.sleep(0)

        first = ["10.0.0.1"]
        world.servers.pause = pause
        made = await claim(one, "key:db")
        assert not first
        assert made.address != ip_address("10.0.0.1")
        await turns(world, 3, seconds=1.0)
        assert (await claim(two, "key:db")).address == made.address


async def test_of_two_hosts_that_claim_for_a_key_at_once_one_is_refused_and_keeps_nothing() -> None:
    """Each has its claim before it writes whose that is."""
    async with cluster() as world:
        one, two = world.hosts
        others: list[AddressClaim] = []

        async def pause(step: Step) -> None:
            if step.client == "h0" and step.method == "put" and step.key.startswith("block/") and not others:
                others.append(await claim(two, "key:db"))
            await asyncio.sleep(0)

        world.servers.pause = pause
        with pytest.raises(Unavailable, match="key:db is given an address at this moment, on another host or by"):
            await claim(one, "key:db")
        await turns(world, 3, seconds=1.0)
        assert (await claim(one, "key:db")).address == others[0].address
        assert len(shared_keys(world)) == 2


@pytest.mark.parametrize("key", ["key:db", "container:c1"])
async def test_who_breaks_off_a_claim_while_the_store_fails_has_broken_it_off(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He is told of no fault, which would let him go on where the daemon ends. What the cluster has goes later."""
    async with cluster(1) as world:
        (host,) = world.hosts
        written, commit = asyncio.Event(), host.cache.commit

        async def fails(put: Iterable[Record] = (), delete: Iterable[Record] = ()) -> int:
            put = list(put)
            if any(isinstance(each, HostClaim) for each in put):
                written.set()
                await asyncio.sleep(0)
                raise Unavailable("the disk is full")
            return await commit(put, delete)

        with monkeypatch.context() as patch:
            patch.setattr(host.cache, "commit", fails)
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(claim(host, key))
                await written.wait()
                asking.cancel()
        assert asking.cancelled()
        await turns(world, 12, seconds=6.0)
        assert shared_keys(world) == []
        assert (await claim(host, key)).key == key


async def test_a_claim_that_ended_while_its_key_was_looked_up_is_not_taken_where_it_is_written_again() -> None:
    """Its identity has gone, and nothing would lead to the address. Who asks again gets one that its key leads to."""
    async with cluster() as world:
        one, two = world.hosts
        known = await claim(one, "key:db")
        await turns(world)
        looks: list[Step] = []

        async def end(step: Step) -> None:
            await asyncio.sleep(0)
            if step.client == two.name and step.method == "get" and step.key.startswith("addr/"):
                looks.append(step)
                if [each.when for each in looks].count(step.when) == 2 and step.when is When.BEFORE:
                    identity = await one.plan.values.identity(SPACE, world.subnet, "key:db")
                    assert identity.value is not None
                    await one.plan.values.delete(identity.value, identity.revision)

        world.servers.pause = end
        with pytest.raises(Unavailable, match="key key:db is given an address at this moment, on another host or by"):
            await claim(two, "key:db")
        assert looks
        after = await claim(two, "key:db")
        assert (after.host, after.sequence != known.sequence) == (two.name, True)
