"""What every Kernel promises of overlays: VXLAN devices, where they lead, and the underlay."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface

import pytest

from mooring.core.faults import Conflict, Fault, Unavailable
from mooring.core.plumbing import (
    Add,
    Alter,
    Bridge,
    Fact,
    Flood,
    LinkAddress,
    LinkFact,
    Neighbour,
    Op,
    RemoteFact,
    RemoteMac,
    Remove,
    Vxlan,
    plan,
)
from mooring.ports import Kernel
from mooring.testing.memory_kernel import MemoryKernel
from tests.netns.rigs import sh

BRIDGE = Bridge("mr-one", "mooring:network:one", 1450, "02:00:00:00:00:01")
GATEWAY = LinkAddress("mr-one", ip_interface("10.1.0.1/32"))
GATEWAY6 = LinkAddress("mr-one", ip_interface("fd00:1::1/64"), spare=True)
DEVICE = Vxlan("mx-one", "mooring:overlay:one", "mr-one", 77, ip_address("192.0.2.1"), 4790, 1450)
REMOTE = RemoteMac("mx-one", "02:00:00:00:01:02", ip_address("192.0.2.2"))
THERE = Neighbour("mr-one", ip_address("10.1.0.2"), "02:00:00:00:01:02")
THERE6 = Neighbour("mr-one", ip_address("fd00:1::2"), "02:00:00:00:01:02")
OVERLAY: tuple[Fact, ...] = (BRIDGE, GATEWAY, GATEWAY6, DEVICE, REMOTE, THERE, THERE6)


@pytest.fixture
async def overlay(kernel: Kernel) -> Kernel:
    """A kernel with an overlay and one endpoint of another host."""
    await kernel.apply([Add(fact) for fact in OVERLAY])
    return kernel


async def ours(kernel: Kernel) -> set[Fact]:
    """What was made."""
    return {fact for fact in await kernel.observe() if isinstance(fact, LinkFact | LinkAddress | RemoteFact)}


async def test_what_was_added_is_observed(overlay: Kernel) -> None:
    """And nothing else, and once more is success."""
    assert await ours(overlay) == set(OVERLAY)
    await overlay.apply([Add(fact) for fact in OVERLAY])
    assert await ours(overlay) == set(OVERLAY)
    await overlay.apply(plan((), await ours(overlay)))
    assert await ours(overlay) == set()


@pytest.mark.parametrize(
    "after",
    [
        replace(DEVICE, mtu=1380),
        replace(DEVICE, local=ip_address("192.0.2.9")),
        replace(DEVICE, isolated=True, offload=False),
        replace(DEVICE, floods=True),
        replace(DEVICE, vni=78),
        replace(DEVICE, port=4791),
        replace(REMOTE, host=ip_address("192.0.2.3")),
        replace(THERE, mac="02:00:00:00:01:03"),
        replace(THERE6, mac="02:00:00:00:01:03"),
        replace(GATEWAY6, spare=False),
    ],
)
async def test_altering_changes_that_and_nothing_else(overlay: Kernel, after: Fact) -> None:
    """Also what needs another device keeps what the device knew; and back."""
    before = next(fact for fact in OVERLAY if fact.key == after.key)
    for one, other in ((before, after), (after, before)):
        await overlay.apply([Alter(one, other)])
        assert await ours(overlay) == {*OVERLAY, other} - {one}


async def test_where_an_endpoint_is_replaces_where_it_was(overlay: Kernel) -> None:
    """An Add is enough for what moved, and its undoing brings back what was there."""
    moved: list[RemoteFact] = [replace(REMOTE, host=ip_address("192.0.2.3")), replace(THERE, mac="02:00:00:00:01:03")]
    with pytest.raises(Fault):
        await overlay.apply([*(Add(fact) for fact in moved), Add(replace(REMOTE, link="mx-two"))])
    assert await ours(overlay) == set(OVERLAY)
    await overlay.apply([Add(fact) for fact in moved])
    assert await ours(overlay) == {*OVERLAY, *moved} - {REMOTE, THERE}


async def test_a_fault_undoes_a_thousand(overlay: Kernel) -> None:
    """All of the endpoints of other hosts are there, or none; and what was there stays."""
    many = [replace(REMOTE, mac=f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}") for number in range(1000)]
    near = [replace(THERE, address=IPv4Address("10.1.16.0") + number) for number in range(1000)]
    everything: list[RemoteFact] = [*many, *near]
    with pytest.raises(Fault):
        await overlay.apply([*(Add(fact) for fact in everything), Add(replace(THERE, link="mr-two"))])
    assert await ours(overlay) == set(OVERLAY)
    await overlay.apply([Add(fact) for fact in everything])
    assert await ours(overlay) == {*OVERLAY, *everything}
    await overlay.apply([Remove(fact) for fact in (*everything, *many)])
    assert await ours(overlay) == set(OVERLAY)


async def test_what_is_for_all_goes_to_hosts_that_come_and_go(overlay: Kernel) -> None:
    """Each by itself; one that is there already may come again, and a fault takes back those that came with it."""
    hosts = [Flood("mx-one", ip_address(f"192.0.2.{number}")) for number in (2, 3, 4)]
    await overlay.apply([Add(hosts[0]), Add(hosts[1])])
    with pytest.raises(Fault):
        await overlay.apply([Add(hosts[2]), Add(replace(hosts[2], link="mx-two"))])
    await overlay.apply([Add(hosts[1])])
    assert await ours(overlay) == {*OVERLAY, *hosts[:2]}
    await overlay.apply([Alter(DEVICE, replace(DEVICE, vni=78)), Remove(hosts[0])])
    assert await ours(overlay) == {*OVERLAY, hosts[1], replace(DEVICE, vni=78)} - {DEVICE}
    await overlay.apply([Remove(hosts[1]), Remove(hosts[1])])
    assert await ours(overlay) == {*OVERLAY, replace(DEVICE, vni=78)} - {DEVICE}


@pytest.mark.parametrize("fact", [DEVICE, REMOTE, THERE])
async def test_what_stands_on_nothing_is_unavailable(kernel: Kernel, fact: Fact) -> None:
    """A device without its bridge, entries without their link; to remove them is success."""
    with pytest.raises(Unavailable):
        await kernel.apply([Add(fact)])
    await kernel.apply([Remove(fact)])
    assert await ours(kernel) == set()


async def test_a_vni_is_one_networks(overlay: Kernel) -> None:
    """The refusal says what is in use, and leaves nothing; at another port it is another one."""
    bridge = replace(BRIDGE, name="mr-two", alias="mooring:network:two")
    device = replace(DEVICE, name="mx-two", alias="mooring:overlay:two", bridge="mr-two")
    with pytest.raises(Conflict, match="VNI 77 at UDP port 4790"):
        await overlay.apply([Add(bridge), Add(device)])
    assert await ours(overlay) == set(OVERLAY)
    await overlay.apply([Add(bridge), Add(replace(device, port=4791))])
    assert replace(device, port=4791) in await ours(overlay)


async def test_what_stands_on_a_link_goes_with_it(overlay: Kernel) -> None:
    """Without its bridge a device is no port of any, and what the bridge knew is gone, sooner or later."""
    await overlay.discard(["mr-one"])
    left = {fact for fact in await ours(overlay) if not isinstance(fact, RemoteMac)}
    assert left == {replace(DEVICE, bridge="")}
    await overlay.discard(["mx-one"])
    assert await ours(overlay) == set()


async def test_announcing_leaves_what_is_known(overlay: Kernel) -> None:
    """The neighbours of the bridge hear of it, and the entry stays."""
    await overlay.announce("mr-one", THERE.address, THERE.mac)
    await overlay.announce("mr-one", THERE6.address, THERE6.mac)
    await overlay.apply([Remove(replace(THERE, address=ip_address("10.1.0.9")))])  # carried out after those
    assert await ours(overlay) == set(OVERLAY)


async def test_the_underlay_tells_its_mtu(kernel: Kernel) -> None:
    """The least of the routes to the hosts; without any, the interface's. Who is not there is refused."""
    local, one, other = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))
    nowhere = ip_address("198.51.100.1")
    if isinstance(kernel, MemoryKernel):
        kernel.underlay[local] = None
    with pytest.raises(Unavailable):
        await kernel.underlay_mtu(local, ())
    if isinstance(kernel, MemoryKernel):
        kernel.underlay = {local: 1500, one: 1500, other: 1400, nowhere: None}
    else:
        sh("ip link add under0 type bridge; ip address add 192.0.2.1/24 dev under0; ip link set under0 up")
        sh("ip route add 192.0.2.3/32 dev under0 mtu 1400")
    assert await kernel.underlay_mtu(local, ()) == 1500
    assert await kernel.underlay_mtu(local, (one, nowhere)) == 1500
    assert await kernel.underlay_mtu(local, (one, other)) == 1400
    with pytest.raises(Unavailable):
        await kernel.underlay_mtu(local, (nowhere,))


def test_ops_of_devices_have_inverses() -> None:
    """As all ops have."""
    op: Op = Alter(DEVICE, replace(DEVICE, mtu=1400))
    assert op.inverse().inverse() == op
