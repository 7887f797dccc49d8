"""An address in another host's block is asked for: given, refused with its holder, or not answered."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import Conflict, Unavailable
from tests.services.cluster_hosts import SPACE
from tests.services.plan_hosts import answered, cluster, owned, run, turns


async def test_the_owner_carves_it_out_for_who_asks() -> None:
    """It is the asker's, and its owner does not give it."""
    async with cluster() as world:
        asker, owner = world.hosts
        wanted = f"10.0.0.{16 * owned(owner)[0] + 1}"
        made = await answered(world, asker, "container:c1", wanted)
        assert (str(made.address), made.host) == (wanted, "h0")
        assert wanted not in [await run(owner) for _ in range(6)]
        await asker.plan.claims.use(SPACE, world.subnet, made.address, made.key)
        assert not any(key.startswith("want/") for key in world.servers.records)


async def test_the_owner_refuses_what_is_in_use_and_names_who_uses_it() -> None:
    """Nothing is left of the request in the asker's store."""
    async with cluster() as world:
        asker, owner = world.hosts
        used = await run(owner)
        with pytest.raises(ExceptionGroup) as caught:
            await answered(world, asker, "container:c1", used)
        (refusal,) = caught.value.exceptions
        assert isinstance(refusal, Conflict)
        assert str(refusal).startswith(f"address {used} is in use on host h1 (held by MAC h1")
        await turns(world, 2)
        assert asker.cache.host_claim(SPACE, world.subnet, ip_address(used)) is None


async def test_an_owner_that_is_not_heard_is_named() -> None:
    """At once; never taken silently."""
    async with cluster() as world:
        asker, owner = world.hosts
        wanted = f"10.0.0.{16 * owned(owner)[0] + 1}"
        owner.off()
        world.clock.advance(30.0)
        with pytest.raises(ExceptionGroup) as caught:
            await answered(world, asker, "container:c1", wanted)
        assert "host h1 decides over address" in str(caught.value.exceptions[0])


async def test_an_owner_that_does_not_answer_is_named_and_the_request_is_gone() -> None:
    """Its daemon hangs: after three seconds."""
    async with cluster() as world:
        asker, owner = world.hosts
        wanted = f"10.0.0.{16 * owned(owner)[0] + 1}"
        owner.disk.dead = True
        with pytest.raises(ExceptionGroup) as caught:
            await answered(world, asker, "container:c1", wanted)
        (refusal,) = caught.value.exceptions
        assert isinstance(refusal, Unavailable)
        assert "host h1 decides over address" in str(refusal)
        assert "has not answered for 3 s" in str(refusal)
        assert not any(key.startswith("want/") for key in world.servers.records)
