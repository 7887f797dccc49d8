"""An address of a subnet that hosts share, explained on a host that does not have it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.advertisements import Advertisement
from mooring.core.faults import NotFound
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, Role
from mooring.core.views import Reason
from mooring.services.containers.remote_names import RemoteNames
from mooring.services.operations.explain import explain_address
from mooring.services.operations.other_hosts import OtherHosts
from mooring.services.operations.scenes import Scene
from tests.services.fixed_hosts import FixedHost, fixed_world
from tests.services.operators import operate


async def explained(host: FixedHost, address: Address, remote: RemoteNames | None = None) -> Reason:
    """What the operator of the host is told."""
    cache = host.services.cache
    scene = Scene(cache, host.services.endpoint_index, host.clock.now())
    found = await OtherHosts(cache, host.services.ipam.shared, remote).explain(explain_address(address, scene))
    (reason,) = found.reasons
    return reason


async def test_an_address_that_another_hosts_key_has_is_not_called_free() -> None:
    """Idle or in use, by the cluster's word; on its own host nothing is added, nor while the cluster is not reached,
    where it is said that nobody knows."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        address = grant.ipv4
        assert address is not None
        reason = await explained(two, address)
        assert reason.verdict == "held"
        assert reason.text[-1].startswith("The cluster has it for key shop on host h1, ")
        assert not any("free" in line for line in reason.text)
        assert not any("cluster" in line for line in (await explained(one, address)).text)
        world.servers.cut("h2")
        reason = await explained(two, address)
        assert reason.text[-1].startswith("Another host may have it: ")
        assert not any("any container of the network may get it" in line for line in reason.text)


async def test_an_address_that_another_host_may_give_is_free_and_its_giver_is_named() -> None:
    """A container that names it gets it from there."""
    async with fixed_world() as world:
        one, two = world.hosts
        (pool,) = one.services.cache.every(Pool)
        await one.services.ipam.request_address(AddressRequest(pool.id, Role.ENDPOINT, mac="02:11:11:11:11:11"))
        blocks, cache = one.services.ipam.index.blocks, one.services.cache
        address = next(
            each
            for each in one.subnet.hosts()
            if blocks.block_of(pool.space, one.subnet, each) and cache.lease(pool.space, each) is None
        )
        reason = await explained(two, address)
        assert reason.verdict == "free"
        assert "host h1 gives" in reason.text[-1]


async def test_a_container_that_another_host_tells_of_is_named_without_a_question() -> None:
    """Also beside what is on record here, and while the cluster is away."""
    async with fixed_world() as world:
        _, two = world.hosts
        world.servers.cut("h2")
        remote, address = RemoteNames(lambda: None, lambda ident: "web"), ip_address("10.0.0.77")
        remote.begin("h2", "two")
        remote.names = {"h1": "one"}
        remote.take_part("n1", two.full("web"))
        told = Advertisement(
            network="n1", host="h1", endpoint="e1", mac="02:11:11:11:11:11", addresses=(address,),
            underlay=ip_address("10.0.0.1"), names=("shop",),
        )  # fmt: skip
        remote.note("ep/h1/n1/e1", told)
        reason = await explained(two, address, remote)
        assert (reason.verdict, reason.text[-1]) == ("held", "Host one has it: container shop.")
        remote.note_silent(frozenset({"h1"}))
        assert (await explained(two, address, remote)).text[
            -1
        ] == "Host one has it, which is not heard: container shop."


async def test_a_key_that_another_host_has_is_told_with_its_host() -> None:
    """By its text, and whole; where the cluster cannot be asked, that is said; what nobody has is nobody's."""
    async with fixed_world() as world:
        one, two = world.hosts
        address = (await one.create("db", "shop")).ipv4
        lookup = operate(two).lookup
        for what in ("shop", "key:shop"):
            (reason,) = (await lookup.explain(what)).reasons
            assert (reason.verdict, reason.address) == ("held", str(address))
            assert reason.text[1].startswith("The cluster has it for key shop on host h1, ")
            assert reason.text[2] == f"`mooring explain {address}` on host h1 says more."
        with pytest.raises(NotFound, match=r"'shopping' holds an address; "):
            await lookup.explain("shopping")
        world.servers.cut("h2")
        with pytest.raises(NotFound, match="'shop' holds an address on this host; other hosts may have it: "):
            await lookup.explain("shop")


async def test_of_a_key_on_a_host_that_is_not_heard_the_way_out_is_told() -> None:
    """Nobody can ask that host."""
    async with fixed_world() as world:
        one, two = world.hosts
        address = (await one.create("db", "shop")).ipv4
        remote = RemoteNames(lambda: None, lambda ident: "web")
        remote.begin("h2", "two")
        remote.note_silent(frozenset({"h1"}))
        others = OtherHosts(two.services.cache, two.services.ipam.shared, remote)
        (reason,) = (await others.of_key("shop", NotFound("nobody"))).reasons
        assert reason.text[2] == (
            f"Host h1 is not heard: if it is surely off, `mooring lease move {address} --force` brings it here."
        )


async def test_what_is_kept_here_for_a_key_that_runs_elsewhere_is_not_all_that_is_said() -> None:
    """The address moved with its key: this host's lease waits, and the container is on the other one."""
    async with fixed_world() as world:
        one, two = world.hosts
        address = (await one.create("db", "shop")).ipv4
        await one.docker_remove("db")
        await world.turns()
        await two.create("db", "shop")
        (reason,) = (await operate(one).lookup.explain("shop")).reasons
        assert reason.address == str(address)
        assert reason.text[-1].startswith("The cluster has it for key shop on host h2, ")
