"""What a claim belongs to."""

from __future__ import annotations

from contextlib import suppress

import pytest

from mooring.core.address_claims import Spec
from tests.services.cluster_hosts import SPACE, Host
from tests.services.plan_hosts import claim, cluster, turns


def spec(host: Host, key: str) -> Spec:
    """Of the shared subnet."""
    return Spec(SPACE, host.world.subnet, host.clock.token(), key=key, holder="c")


async def test_a_claim_that_gets_another_key_is_found_by_that_alone() -> None:
    """From one that outlives its containers to one that does, to one that does not, and back."""
    async with cluster() as world:
        host, other = world.hosts
        mine = await claim(host, "key:a")
        for key, before in (("key:b", "key:a"), ("container:c", "key:b"), ("key:c", "container:c")):
            assert await host.plan.keys.rekey(mine, key)
            assert await host.plan.keys.rekey(mine, key)  # also twice
            there = await other.plan.keys.at(SPACE, world.subnet, mine.address)
            assert there is not None
            assert (there.key, there.sequence) == (key, mine.sequence)
            assert await other.plan.keys.of_key(spec(other, before)) is None
            found = await other.plan.keys.of_key(spec(other, key))
            assert (found == there) if key.startswith("key:") else (found is None)
        assert (await claim(other, "key:c")).address == mine.address


async def test_a_key_that_has_another_address_keeps_that() -> None:
    """And the claim the key that it has."""
    async with cluster() as world:
        host, other = world.hosts
        mine, theirs = await claim(host, "container:x"), await claim(other, "key:a")
        assert not await host.plan.keys.rekey(mine, "key:a")
        assert (await other.plan.keys.of_key(spec(other, "key:a"))) == theirs


async def test_a_claim_that_has_moved_on_is_not_changed_by_the_host_that_had_it() -> None:
    """Its host may not even know."""
    async with cluster() as world:
        host, other = world.hosts
        mine = await claim(host, "key:a")
        assert await host.plan.keys.is_here(mine)
        await claim(other, "key:a")
        assert not await host.plan.keys.is_here(mine)
        assert not await host.plan.keys.rekey(mine, "key:b")


@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_a_host_that_dies_while_it_gives_another_key_leaves_one_address_and_no_other(writes: int) -> None:
    """It is done again, or what led nowhere goes."""
    async with cluster(sightings=1.0) as world:
        host, other = world.hosts
        mine = await claim(host, "container:x")
        left = writes

        async def pause(step: object) -> None:
            nonlocal left
            if getattr(step, "method", "") == "put" and getattr(step, "when", None).name == "BEFORE":  # type: ignore[union-attr]
                if left == 0:
                    raise ConnectionError
                left -= 1

        world.servers.pause, before = pause, world.servers.pause
        with suppress(ConnectionError):
            await host.plan.keys.rekey(mine, "key:a")
        world.servers.pause = before
        assert await host.plan.keys.rekey(mine, "key:a")
        await turns(world, 4, 30.0)
        found = await other.plan.keys.of_key(spec(other, "key:a"))
        assert found is not None
        assert found.address == mine.address
