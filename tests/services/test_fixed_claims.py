"""Fixed addresses of subnets that several hosts share: made, used, left and moved as on one host."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Interface, ip_address, ip_interface

import pytest

from mooring.core.address_claims import HostClaim
from mooring.core.claims import Claim, claimed, started
from mooring.core.cluster_hosts import ClusterHost, Underlay
from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import Conflict, Unavailable
from mooring.core.leases import Active, State
from mooring.core.requests import AddressRequest, EndpointRequest, Role
from mooring.services.operations.claim_moves import ClaimMoves
from mooring.services.operations.holds import Holds
from mooring.testing.memory_cluster import Step
from tests.services.fixed_hosts import FixedHost, FixedWorld, fixed_world
from tests.services.holder_hosts import ENGINE, ident, state


async def gone(world: FixedWorld, host: FixedHost, name: str) -> None:
    """`docker rm`, and everybody has heard of it."""
    await host.docker_remove(name)
    await world.turns()


async def test_a_key_has_one_address_and_mac_on_whichever_host_its_container_is() -> None:
    """`docker compose down` here and `up` there, and back."""
    async with fixed_world() as world:
        one, two = world.hosts
        first = await one.create("db", "shop")
        assert first.ipv4 is not None
        endpoint = await one.connect("db", "web".ljust(64, "0"), first)
        await one.disconnect(endpoint, one.full("web"), first)
        await gone(world, one, "db")
        there = await two.create("db", "shop")
        assert (there.ipv4, there.mac) == (first.ipv4, first.mac)
        endpoint = await two.connect("db", two.full("web"), there)
        await two.disconnect(endpoint, two.full("web"), there)
        await gone(world, two, "db")
        back = await one.create("db", "shop")
        assert (back.ipv4, back.mac) == (first.ipv4, first.mac)
        await one.connect("db", one.full("web"), back)


async def test_what_runs_elsewhere_is_refused_naming_key_host_and_the_way_out() -> None:
    """Its host is heard, so it is stopped there first."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        await one.connect("db", one.full("web"), grant)
        with pytest.raises(
            Conflict, match=r"in use on host h1, which is heard .held by key shop on host h1.*stop that.*just stopped"
        ):
            await two.create("db", "shop")
        assert not two.services.holders.any
        await world.turns()
        assert list(two.services.cache.every(HostClaim)) == []


async def test_a_container_starts_only_once_its_claim_says_that_it_is_used_here() -> None:
    """Also by plain `docker start`, which no proxy sees; with the stop it is told as idle."""
    async with fixed_world() as world:
        one, two = world.hosts
        here, there = await one.create("db", "shop"), None
        await world.turns()
        there = await two.create("db", "shop")  # idle: it comes there
        endpoint = await two.connect("db", two.full("web"), there)
        with pytest.raises(Conflict, match=r"in use on host h2, which is heard"):
            await one.connect("db", one.full("web"), here)
        await two.disconnect(endpoint, two.full("web"), there)
        await world.turns()
        await one.connect("db", one.full("web"), here)  # idle there: it comes back
        with pytest.raises(Conflict, match=r"in use on host h1"):
            await two.connect("db", two.full("web"), there)


async def test_without_the_cluster_a_key_is_found_here_for_as_long_as_nobody_else_can_have_it() -> None:
    """A create by the rule of the clock, and a start of what is in use by it; after that nothing."""
    async with fixed_world() as world:
        one = world.hosts[0]
        grant = await one.create("db", "shop")
        await one.connect("db", one.full("web"), grant)
        world.servers.lose_majority()
        await one.turn()
        assert (await one.create("db2", "shop")).ipv4 == grant.ipv4
        with pytest.raises(Unavailable):
            await one.create("new", "other")
        world.clock.advance(20.0)
        idle = one.claim(grant.ipv4)
        assert idle is not None
        with pytest.raises(Unavailable, match="cannot be used: the cluster has not been reached"):
            await one.services.ipam.fixed_claims.use(one.lease(grant.ipv4))  # type: ignore[arg-type]


async def test_a_start_that_came_to_nothing_leaves_the_address_idle() -> None:
    """The engine asked for it, and never made the endpoint."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        request = AddressRequest(one.known(one.full("web")).ipv4[0].pool, Role.ENDPOINT, grant.ipv4, mac=grant.mac)
        await one.services.ipam.request_address(request)
        await world.turns()
        with pytest.raises(Conflict, match="in use on host h1"):
            await two.create("db", "shop")
        world.clock.advance(20.0)
        await world.turns()
        assert (await two.create("db", "shop")).ipv4 == grant.ipv4


async def test_what_belongs_to_a_container_alone_goes_with_it_everywhere() -> None:
    """Its cluster's claim is gone, and another host may have the address."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db")
        await one.disconnect(await one.connect("db", one.full("web"), grant), one.full("web"), grant)
        with pytest.raises(Conflict, match=r"claimed|in use on host h1"):
            await world.answered(two.create("other", "k", ipv4=str(grant.ipv4)))
        await gone(world, one, "db")
        assert state(one, grant.ipv4) is State.COOLING
        assert not any(key.startswith("addr/") for key in world.servers.records)


async def test_a_key_keeps_its_address_for_the_hold_time_and_then_leaves_nothing() -> None:
    """Neither earlier nor for ever."""
    async with fixed_world() as world:
        one = world.hosts[0]
        grant = await one.create("db", "shop")
        await one.disconnect(await one.connect("db", one.full("web"), grant), one.full("web"), grant)
        await gone(world, one, "db")
        assert one.claim(grant.ipv4) is not None
        world.clock.advance(86400.0 + 60.0)
        await one.services.ipam.sweep()
        await world.turns(6)
        assert one.claim(grant.ipv4) is None
        assert not any("shop" in key or key.startswith("addr/") for key in world.servers.records)


async def test_a_create_that_is_refused_leaves_no_claim() -> None:
    """The engine said no."""
    async with fixed_world() as world:
        one = world.hosts[0]
        admission = await one.admit("db", "shop")
        await one.keeping.controller.roll_back(admission.intent)
        await world.turns(6)
        assert list(one.services.cache.every(HostClaim)) == []
        assert not any(key.startswith("addr/") for key in world.servers.records)


async def test_an_address_that_is_named_is_claimed_wherever_it_is() -> None:
    """In an own block, another host's or nobody's; a successor with the same key names it before the first has gone."""
    async with fixed_world() as world:
        one, _ = world.hosts
        for number in range(5, 128, 16):
            wanted = f"10.0.0.{number}"
            grant = await world.answered(one.create(f"c{number}", f"k{number}", ipv4=wanted))
            assert str(grant.ipv4) == wanted
            claim = await one.seen(grant.ipv4)
            assert claim is not None
            assert (claim.host, claim.key, claim.mac) == ("h1", f"key:k{number}", grant.mac)


async def test_a_key_that_names_another_address_has_that_once_its_container_has_left_the_first() -> None:
    """As compose does it after a change of its file: make the new one, remove the old one. Then another host has it."""
    async with fixed_world() as world:
        one, two = world.hosts
        await one.create("old", "shop", ipv4="10.0.0.5")
        new = await world.answered(one.create("new", "shop", ipv4="10.0.0.100"))
        await gone(world, one, "old")
        for _ in range(3):
            await world.turns(5, 10.0)
        assert {str(kept.claim.address) for kept in one.services.cache.every(HostClaim)} == {"10.0.0.100"}
        there = await two.create("new", "shop")
        assert (str(there.ipv4), there.mac) == ("10.0.0.100", new.mac)


async def test_the_claim_names_the_container_once_that_runs() -> None:
    """Until then it names what stands for it."""
    async with fixed_world() as world:
        one = world.hosts[0]
        grant = await one.create("db")
        await one.connect("db", one.full("web"), grant)
        claim = await one.seen(grant.ipv4)
        assert claim is not None
        assert (claim.key, set(claim.holders)) == (f"container:{ident('db')}", {f"h1/{ident('db')}"})
        assert claim.mac == grant.mac


async def test_a_daemon_that_restarts_goes_on_with_what_it_had() -> None:
    """What runs is in use, and what does not is idle."""
    async with fixed_world() as world:
        one, two = world.hosts
        runs, idle = await one.create("a", "runs"), await one.create("b", "idle")
        await one.connect("a", one.full("web"), runs)
        await one.restart()
        await world.turns()
        assert (await two.create("b", "idle")).ipv4 == idle.ipv4
        with pytest.raises(Conflict, match="in use on host h1"):
            await two.create("a", "runs")


async def test_a_move_by_itself_is_asked_for_where_the_network_says_so() -> None:
    """`--ipam-opt move=auto`: from a host that is not heard, after its time."""
    for options, comes in (({"move": "auto"}, True), ({}, False)):
        async with fixed_world(2, "10.0.0.0/25", **options) as world:
            one, two = world.hosts
            grant = await one.create("db", "shop")
            await one.connect("db", one.full("web"), grant)
            world.servers.cut("h1")
            world.clock.advance(30.0)
            with pytest.raises(Conflict, match="has only just gone silent"):
                await two.create("db", "shop")
            for _ in range(3):
                world.clock.advance(4.0)
                await two.turn()
            if comes:
                there = await two.create("db", "shop")
                assert (there.ipv4, there.mac) == (grant.ipv4, grant.mac)
                await two.connect("db", two.full("web"), there)
            else:
                with pytest.raises(Conflict, match="h1 is not heard, and may still use it"):
                    await two.create("db", "shop")


async def run_unseen(host: FixedHost, name: str, labels: dict[str, str], wanted: str = "") -> str:
    """`docker run` past the proxy, as the engine does it; the address."""
    network, mac = host.full("web"), f"02:00:00:00:00:{len(name):02x}"
    pool = host.known(network).ipv4[0].pool
    address = ip_address(wanted) if wanted else None
    request = AddressRequest(pool, Role.ENDPOINT, address, mac=mac)
    got = ip_interface(str(await host.services.ipam.request_address(request)))
    assert isinstance(got, IPv4Interface)
    endpoint = name.ljust(64, "0")
    await host.services.endpoints.create(EndpointRequest(network, endpoint, got, None, mac))
    place = ContainerEndpoint(network, "web", wanted4=got.ip if wanted else None)
    host.engine.create(ident(name), name, place, labels=labels)
    host.engine.start(ident(name), network, endpoint, str(got.ip))
    return str(got.ip)


async def adopt(host: FixedHost, name: str) -> list[str]:
    """The engine tells of it."""
    container = await host.engine.container(ident(name))
    assert container is not None
    return await host.keeping.adoption.adopt(ENGINE, container)


@pytest.mark.parametrize("number", [5, 21, 37, 53, 69, 85, 101, 117, 0])
async def test_a_container_that_no_proxy_saw_keeps_the_address_that_it_has(number: int) -> None:
    """One of this host's, or one that it named and was claimed for it; from then on it is its key's, and in use."""
    async with fixed_world() as world:
        one, two = world.hosts
        wanted = f"10.0.0.{number}" if number else ""
        address = await world.answered(run_unseen(one, "db", {"mooring.key": "shop"}, wanted))
        assert await adopt(one, "db") == []
        await world.turns()
        assert state(one, address) is State.FIXED
        claim = await one.seen(ip_address(address))
        assert claim is not None
        assert (claim.key, claim.host, claim.boot) == ("key:shop", "h1", "boot0")
        with pytest.raises(Conflict, match="in use on host h1"):
            await two.create("db", "shop")
        await one.services.endpoints.delete(one.full("web"), "db".ljust(64, "0"))
        await world.turns()
        assert str((await two.create("db", "shop")).ipv4) == address


async def test_an_address_that_runs_is_never_let_go_while_it_is_being_fixed() -> None:
    """A daemon that died in between has a claim and a dynamic lease: both stay until the container goes or is fixed."""
    async with fixed_world() as world:
        one, two = world.hosts
        address = await run_unseen(one, "db", {"mooring.key": "shop"})
        lease = one.lease(address)
        assert lease is not None
        fixed = claimed(lease, lease, Claim(key="key:shop", holder=ident("db")), 0.0)
        async with one.services.ipam.fixed_claims.fixing(started(fixed, Active("e", "host", "boot"))):
            pass
        await world.turns(6, 10.0)
        with pytest.raises(Conflict, match="in use on host h1"):
            await two.create("db", "shop")
        assert await adopt(one, "db") == []
        assert state(one, address) is State.FIXED


async def test_a_container_that_cannot_keep_what_it_has_is_told() -> None:
    """The address that it names is another host's key's."""
    async with fixed_world() as world:
        one, two = world.hosts
        theirs = await two.create("db", "shop")
        place = ContainerEndpoint(one.full("web"), "web", wanted4=theirs.ipv4)
        one.engine.create(ident("x"), "x", place, labels={"mooring.key": "other"})
        (finding,) = await adopt(one, "x")
        assert f"container x cannot keep {theirs.ipv4}: " in finding
        assert "key shop on host h2" in finding


async def test_an_address_is_held_for_a_key_by_hand() -> None:
    """`mooring lease hold`: of a container that runs; a key that has another one on another host is refused."""
    async with fixed_world() as world:
        one, two = world.hosts
        theirs = await two.create("db", "theirs")
        address = await run_unseen(one, "db", {})
        holds = Holds(
            one.services.cache, one.services.ipam, one.services.holders, one.engine, one.keeping.reattachment,
            one.clock, one.policy,
        )  # fmt: skip
        one.engine.version = (1, 52)
        assert await holds.hold(None, ip_address(address), "key:mine", None, False)
        await world.turns()
        with pytest.raises(Conflict, match="in use on host h1"):
            await two.create("mine", "mine")
        with pytest.raises(
            Conflict, match=f"key:theirs has {theirs.ipv4} in that network .held by key theirs on host h2"
        ):
            await holds.hold(None, ip_address(address), "key:theirs", None, False)


async def test_a_drained_host_fixes_nothing_new_and_starts_again_what_it_has() -> None:
    """By name, by key, from another host, and by hand; also before the cluster has been asked."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        there = await two.create("cache", "heap")
        await world.turns()
        one.plan.drain(True)
        for name, key, ipv4 in (("new", "other", ""), ("named", "", "10.0.0.99"), ("cache", "heap", "")):
            with pytest.raises(Conflict, match="this host is drained"):
                await one.create(name, key, ipv4)
        moves = ClaimMoves(one.services.cache, one.services.ipam, one.clock, one.policy)
        with pytest.raises(Conflict, match="this host is drained"):
            await moves.move(None, str(there.ipv4), False, True)
        await one.connect("db", one.full("web"), grant)
        assert (await one.create("db2", "shop")).ipv4 == grant.ipv4


async def test_two_containers_of_a_new_key_that_are_made_at_once_have_one_address() -> None:
    """As on one host; neither is told that another host is at it."""
    async with fixed_world() as world:
        one = world.hosts[0]
        first, second = await asyncio.gather(one.create("db", "shop"), one.create("db2", "shop"))
        assert (first.ipv4, first.mac) == (second.ipv4, second.mac)


async def test_a_refusal_calls_hosts_by_their_names() -> None:
    """Nobody knows their ids."""
    async with fixed_world() as world:
        one, two = world.hosts
        underlay = Underlay("192.0.2.1", "eth0", 1500)
        record = ClusterHost(id="h1", name="web-a", machine="m1", boot="b1", underlay=underlay, version="1", joined=0.0)
        await two.plan.values.hosts.put_host(record, 0)
        grant = await one.create("db", "shop")
        await one.connect("db", one.full("web"), grant)
        await world.turns(3, seconds=30.0)
        with pytest.raises(Conflict, match=r"in use on host web-a, .*key shop on host web-a.*container on host web-a"):
            await two.create("db", "shop")


async def test_nobody_waits_again_for_a_cluster_that_was_not_reached_just_now() -> None:
    """A create is answered at once, by what this host knows or with a refusal."""
    async with fixed_world() as world:
        one = world.hosts[0]
        grant = await one.create("db", "shop")
        await world.turns()
        world.servers.lose_majority()
        world.clock.advance(5.0)
        await one.turn()
        asked: list[Step] = []

        async def note(step: Step) -> None:
            asked.append(step)

        world.servers.pause = note
        assert (await one.create("db2", "shop")).ipv4 == grant.ipv4
        for name, key, ipv4 in (("new", "other", ""), ("named", "", "10.0.0.99")):
            with pytest.raises(Unavailable, match="has not been reached for"):
                await one.create(name, key, ipv4)
        assert asked == []
