"""Bringing a key's addresses to this host by hand."""

from __future__ import annotations

import pytest

from mooring.core.address_claims import HostClaim
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.services.operations.claim_moves import ClaimMoves
from tests.services.fixed_hosts import FixedHost, FixedWorld, fixed_world


def moves(host: FixedHost) -> ClaimMoves:
    """The operator's."""
    return ClaimMoves(host.services.cache, host.services.ipam, host.clock, host.policy)


async def silent(world: FixedWorld, host: FixedHost, by: FixedHost) -> None:
    """The host has been off for long, as the other one has seen."""
    world.servers.cut(host.name)
    world.clock.advance(30.0)
    await by.plan.sessions.standing(host.name)
    for _ in range(2):
        world.clock.advance(4.0)
        await by.turn()


async def test_what_a_dead_host_uses_comes_by_force_and_waits_for_its_key() -> None:
    """The refusal before says how; the next container has address and MAC, and runs. The dead host's daemon is told."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        await one.connect("db", one.full("web"), grant)
        await silent(world, one, two)
        with pytest.raises(Conflict, match=f"surely off, `mooring lease move {grant.ipv4} --force` brings it here"):
            await moves(two).move(None, "shop", False, False)
        assert await moves(two).move(None, "shop", True, True)
        assert two.claim(grant.ipv4) is None
        (change,) = await moves(two).move(None, "shop", True, False)
        assert change.before.startswith("key shop on host h1, in use since")
        assert change.after == "fixed for key shop, idle on this host"
        for _ in range(3):
            world.clock.advance(1.0)
            await two.turn()
        assert await moves(two).move(None, str(grant.ipv4), True, False) == []  # it is here
        there = await two.create("db", "shop")
        assert (there.ipv4, there.mac) == (grant.ipv4, grant.mac)
        await two.connect("db", two.full("web"), there)
        world.servers.mend("h1")
        turn = await one.plan.turn()
        assert [claim.address for claim in turn.claims] == [grant.ipv4]


async def test_what_comes_to_nothing_is_released_after_the_hold_time() -> None:
    """As if its last container had gone."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        await world.turns()
        assert await moves(two).move(None, str(grant.ipv4), False, False)  # idle: it comes without force
        await one.docker_remove("db")
        await world.turns()
        assert two.claim(grant.ipv4) is not None
        world.clock.advance(86500.0)
        for host in world.hosts:
            await host.services.ipam.sweep()
        await world.turns(6)
        assert [list(host.services.cache.every(HostClaim)) for host in world.hosts] == [[], []]
        assert not any(key.startswith("addr/") for key in world.servers.records)


async def test_what_a_host_uses_that_is_heard_never_moves() -> None:
    """Whoever forces; nor what is one container's."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant, alone = await one.create("db", "shop"), await one.create("alone")
        await one.connect("db", one.full("web"), grant)
        with pytest.raises(Conflict, match=r"in use on host h1, which is heard .held by key shop on host h1"):
            await moves(two).move(None, "key:shop", True, False)
        with pytest.raises(Conflict, match="is one container's, which cannot come"):
            await moves(two).move(None, str(alone.ipv4), True, False)


async def test_what_nobody_has_is_not_found() -> None:
    """And nothing named is refused; without a plan the cluster is missed."""
    async with fixed_world() as world:
        one = world.hosts[0]
        for what in ("nobody", "10.0.0.77", "10.9.9.9"):
            with pytest.raises(NotFound, match=f"no host has {what}"):
                await moves(one).move(None, what, True, False)
        with pytest.raises(BadRequest):
            await moves(one).move(None, " ", True, False)
        one.services.ipam.shared.plan = None
        with pytest.raises(Unavailable, match="this host is in no cluster"):
            await moves(one).move(None, "shop", True, False)
