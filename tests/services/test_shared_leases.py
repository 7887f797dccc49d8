"""Fixed addresses of shared subnets, claimed before they are on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mooring.core.address_claims import HostClaim
from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.services.containers import shared_leases
from mooring.testing.memory_cluster import Step
from tests.services.fixed_hosts import fixed_world
from tests.services.holder_hosts import started


async def test_what_no_other_host_gives_is_not_claimed() -> None:
    """A host in no cluster."""
    host = await started()
    network = await host.network("own")
    await host.made("db", host.fixed_spec(network, "key:db"))
    assert list(host.services.cache.every(HostClaim)) == []


async def test_both_families_have_one_mac_on_each_host() -> None:
    """The second subnet is shared as well."""
    async with fixed_world() as world:
        for host in world.hosts:
            other = await host.network("six", v4=False, v6=True)
            (six,) = host.known(other).ipv6
            await host.plan.share("default", six.subnet)
            known = host.known(host.full("web"))
            await host.services.cache.commit(put=[replace(known, ipv6=(six,))])
        await world.turns()
        one, two = world.hosts
        first = await one.create("db", "shop")
        assert len({kept.claim.mac for kept in one.services.cache.every(HostClaim)}) == 1
        there = await two.create("db", "shop")
        assert (there.ipv4, there.ipv6, there.mac) == (first.ipv4, first.ipv6, first.mac)
        assert first.ipv6 is not None


async def test_a_mac_that_the_container_names_is_the_claims() -> None:
    """And comes along to another host."""
    async with fixed_world() as world:
        one, two = world.hosts
        spec = one.fixed_spec(one.full("web"), "key:db", mac="02:00:00:00:00:07")
        (grant,) = await one.made("db", spec)
        assert grant.mac == "02:00:00:00:00:07"
        assert (await two.create("db", "db")).mac == grant.mac


async def test_an_address_that_cannot_be_is_refused_before_it_is_claimed() -> None:
    """Of another subnet, or the subnet's own."""
    async with fixed_world() as world:
        one = world.hosts[0]
        before = dict(world.servers.records)
        for wanted in ("10.0.9.5", "10.0.0.0", "10.0.0.1"):
            with pytest.raises((BadRequest, Conflict)):
                await one.create("db", "shop", ipv4=wanted)
        assert not any(key.startswith("addr/") for key in world.servers.records)
        assert before.keys() <= world.servers.records.keys()


async def test_a_create_that_waits_for_the_cluster_in_vain_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the proxy gives up, which knows no reason; and since when. Nothing is left of it."""
    monkeypatch.setattr(shared_leases, "PATIENCE", 0.05)
    async with fixed_world() as world:
        one = world.hosts[0]
        pause = world.servers.pause

        async def never(step: Step) -> None:
            if step.client == "h1":
                await asyncio.Event().wait()

        world.servers.pause = never
        world.clock.advance(2.0)
        with pytest.raises(
            Unavailable, match=r"the cluster has to be asked, .*not answered for 0\.05 s, .*last \d+ s ago"
        ):
            await one.create("db", "shop")
        world.servers.pause = pause
        await world.turns(6)
        assert list(one.services.cache.every(HostClaim)) == []
