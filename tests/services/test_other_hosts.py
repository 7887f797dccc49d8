"""An address of a subnet that hosts share, explained on a host that does not have it."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.advertisements import Advertisement
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, Role
from mooring.core.views import Reason
from mooring.services.containers.remote_names import RemoteNames
from mooring.services.operations.explain import explain_address
from mooring.services.operations.other_hosts import OtherHosts
from mooring.services.operations.scenes import Scene
from tests.services.fixed_hosts import FixedHost, fixed_world


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
