"""Several owners on one host, with real packets: nobody sees or touches another's, and the packets flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.faults import BadRequest, Conflict
from mooring.core.plumbing import Add, Bridge, LinkAddress, Member, Remove, Ruleset, Veth, plan
from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.rigs import Rig, is_cut_off, reach, serve, sh

pytestmark = pytest.mark.netns

OUTSIDE, OUTSIDE6 = "198.18.0.2", "fd00:198:18::2"
HOST, HOST6 = "198.18.0.1", "fd00:198:18::1"


@pytest.fixture
async def library(world: Rig) -> AsyncIterator[Rig]:
    """Another owner on the host of the world, which is the daemon's."""
    made = Rig(world.host, world.outside, LinuxKernel("web"))
    yield made
    await made.close()


def published(number: int, port: int) -> list[PortBinding]:
    """Port 80 of the network's second address is the host's port, in both families."""
    targets = (f"10.{number}.0.2", f"fd00:{number}::2")
    return [PortBinding(Protocol.TCP, None, port, ip_address(target), 80) for target in targets]


async def settled(*owners: Rig) -> bool:
    """Whether each finds everything of his as it should be, and nothing else of his."""
    kinds = Bridge | Veth | LinkAddress | Ruleset | Member
    for owner in owners:
        observed, desired = await owner.kernel.observe(), owner.desired()
        if not desired <= observed or any(isinstance(fact, kinds) for fact in observed - desired):
            return False
    return True


async def test_each_sees_and_removes_only_his_own(world: Rig, library: Rig) -> None:
    """Bridges, ports, addresses, tables: the plan towards nothing of one leaves the other without anything to do."""
    await world.container("a", await world.network("one", 1), 2, *published(1, 8081))
    await library.container("b", await library.network("two", 2), 2, *published(2, 8082))
    assert await settled(world, library)
    await world.kernel.apply(plan((), await world.kernel.observe()))
    assert await settled(library)
    assert sh("nft list tables inet").split() == ["table", "inet", "mooring-web"]
    await world.build()
    assert await settled(world, library)
    await library.kernel.apply(plan((), await library.kernel.observe()))
    assert await settled(world)
    assert sh("nft list tables inet").split() == ["table", "inet", "mooring"]


async def test_anothers_link_is_foreign(world: Rig, library: Rig) -> None:
    """A name that another has is a Conflict which tells whose link it is, and no removal or discard touches it."""
    network = await world.network("one", 1)
    bridge = next(fact for fact in world.desired() if isinstance(fact, Bridge))
    with pytest.raises(Conflict, match=f"{network.bridge} already exists and is not ours .*'mooring:network:"):
        await library.kernel.apply([Add(bridge)])
    await library.kernel.apply([Remove(bridge)])
    await library.kernel.discard([bridge.name])
    await library.kernel.close()
    assert await settled(world)


async def test_each_repairs_his_own(world: Rig, library: Rig) -> None:
    """What is lost or damaged shows for its owner alone, and comes back with the other's left as they are."""
    await world.network("one", 1)
    theirs = await library.network("two", 2)
    for damage in (
        f"ip link delete {theirs.bridge}",
        f"ip link set {theirs.bridge} down",
        f"ip link set {theirs.bridge} alias mooring:stolen",
        "nft delete table inet mooring-web",
        "nft flush chain inet mooring-web forward",
        "nft flush set inet mooring-web bridges",
    ):
        sh(damage)
        assert not await settled(library), damage
        if "alias" in damage:  # now it looks like a leftover of the daemon's, who takes it away
            assert not await settled(world)
        await world.build()
        await library.build()
        assert await settled(world, library), damage
    sh("nft flush ruleset")
    await world.build()
    assert not await settled(library)
    await library.build()
    assert await settled(world, library)


async def test_deletions_at_once_do_not_meet(world: Rig, library: Rig) -> None:
    """Two owners who delete their links at the same time, again and again: all of those go, and no other."""
    both = [(world, await world.network("one", 1)), (library, await library.network("two", 2))]

    async def come_and_go(owner: Rig, bridge: str, letter: str) -> None:
        ports = [
            Veth(f"mv-{letter}{n}", f"mooring:endpoint:{n}", bridge, False, f"mp-{letter}{n}", "", 1500)
            for n in range(8)
        ]
        for _ in range(5):
            await owner.kernel.apply([Add(port) for port in ports])
            await owner.kernel.discard([port.name for port in ports])

    async with asyncio.TaskGroup() as tasks:
        for (owner, network), letter in zip(both, "xy", strict=True):
            tasks.create_task(come_and_go(owner, network.bridge, letter))
    assert await settled(world, library)
    await world.kernel.close()
    await library.kernel.close()
    left = {line.split()[0].partition("@")[0] for line in sh("ip -br link").splitlines()}
    assert left == {"lo", "up0", *(network.bridge for _, network in both)}


@pytest.fixture(params=["the daemon's table is older", "the library's table is older"])
async def tables(request: pytest.FixtureRequest, world: Rig, library: Rig) -> None:
    """Of hooks with the same priority, the kernel asks the one first that was there first."""
    first, second = (world, library) if "daemon's" in request.param else (library, world)
    await first.build()
    await second.build()


async def test_containers_of_both_reach_the_outside_and_are_reached(world: Rig, library: Rig, tables: None) -> None:
    """Each as if the other's table were not there: its own network, masqueraded, by its published port."""
    for owner, number in ((world, 1), (library, 2)):
        network = await owner.network("net", number)
        server = await owner.container(f"a{number}", network, 2, *published(number, 8080 + number))
        await serve(owner.stack, server, 80)
    await serve(world.stack, world.outside, 80)
    for owner, number in ((world, 1), (library, 2)):
        network = next(iter(owner.networks.values()))
        server, neighbour = owner.containers[f"a{number}"], await owner.container(f"b{number}", network, 3)
        for protocol in (Protocol.TCP, Protocol.UDP):
            assert await reach(server, OUTSIDE, 80, protocol) == HOST
            assert await reach(server, OUTSIDE6, 80, protocol) == HOST6
        assert await reach(neighbour, f"10.{number}.0.2", 80) == f"10.{number}.0.3"
        assert await reach(world.outside, HOST, 8080 + number) == OUTSIDE
        assert await reach(world.outside, HOST6, 8080 + number) == OUTSIDE6
        assert await reach(world.host, "127.0.0.1", 8080 + number) == f"10.{number}.0.1"
        assert await reach(neighbour, HOST, 8080 + number) == f"10.{number}.0.1"


async def test_networks_of_two_owners_are_apart(world: Rig, library: Rig, tables: None) -> None:
    """As two networks of one owner are: by published ports only. The other owner's containers are seen as the host."""
    for owner, number in ((world, 1), (library, 2)):
        network = await owner.network("net", number)
        server = await owner.container(f"a{number}", network, 2, *published(number, 8080 + number))
        await serve(owner.stack, server, 80)
    for client, number in ((world.containers["a1"], 2), (library.containers["a2"], 1)):
        assert await is_cut_off(client, f"10.{number}.0.2", 80)
        assert await is_cut_off(client, f"fd00:{number}::2", 80)
        assert await reach(client, HOST, 8080 + number) == f"10.{number}.0.1"
        assert await reach(client, HOST6, 8080 + number) == f"fd00:{number}::1"


def test_what_is_no_owners_name_is_refused(world: Rig) -> None:
    """Before any socket is opened."""
    with pytest.raises(BadRequest):
        LinuxKernel("a b")
