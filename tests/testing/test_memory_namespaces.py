"""What the double offers to tests beyond the port; tests/contracts/test_namespaces.py holds the port's promises."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from mooring.core.faults import Conflict, Unavailable
from mooring.core.plumbing import Add, Alter, Bridge, Remove, Veth
from mooring.core.sandboxes import NamespaceAdd, NamespaceAddress, NamespaceLink, NamespaceRemove
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_namespaces import MemoryNamespaces, Step

BRIDGE = Bridge("mr-one", "mooring:network:one", 1500, "02:00:00:00:00:01")
VETH = Veth("mv-e", "mooring:endpoint:one/e", "mr-one", False, peer="mp-e", peer_mac="", mtu=1500)
LINK = NamespaceLink("one/e", "eth0", source="mp-e", mac="", ipv6=True, returns=False)
ADDRESS = NamespaceAddress("eth0", ip_interface("10.1.0.2/24"))


async def names(namespaces: MemoryNamespaces, path: str) -> frozenset[str]:
    """Of all links in the namespace."""
    return (await namespaces.observe(path)).names


async def test_the_other_end_of_a_pair_is_where_its_fact_says() -> None:
    """Inside or on the host, as long as the kernel has the pair, wherever it has gone since."""
    kernel = MemoryKernel([BRIDGE])
    namespaces = MemoryNamespaces(kernel)
    path = await namespaces.create("box")
    for veth in (VETH, replace(VETH, inside=path)):
        await kernel.apply([Add(veth)])
        assert namespaces.on_host() == (set() if veth.inside else {"mp-e"})
        await namespaces.apply(path, [NamespaceAdd(LINK), NamespaceAdd(ADDRESS)])
        assert namespaces.on_host() == set()
        await kernel.apply([Alter(veth, replace(veth, isolated=True))])
        assert (await namespaces.observe(path)).facts == {LINK, ADDRESS}
        await kernel.discard(["mv-e"])
        assert await names(namespaces, path) == {"lo"}


async def test_a_pair_that_is_there_again_is_another() -> None:
    """Though nobody looked in between: its end is where it was born, bare."""
    kernel = MemoryKernel([BRIDGE, VETH])
    namespaces = MemoryNamespaces(kernel)
    path = await namespaces.create("box")
    await namespaces.apply(path, [NamespaceAdd(LINK)])
    await kernel.apply([Remove(VETH), Add(VETH)])
    assert namespaces.on_host() == {"mp-e"}
    assert (await namespaces.observe(path)).facts == set()


async def test_a_namespace_takes_the_pairs_with_it() -> None:
    """As in the kernel, where it happens a moment later."""
    kernel = MemoryKernel([BRIDGE])
    namespaces = MemoryNamespaces(kernel)
    path = await namespaces.create("box")
    await kernel.apply([Add(replace(VETH, inside=path))])
    await namespaces.remove(path)
    assert VETH not in await kernel.observe()


async def test_a_reboot_takes_everything() -> None:
    """Of others as well; the kernel reboots by itself."""
    kernel = MemoryKernel([BRIDGE, VETH])
    namespaces = MemoryNamespaces(kernel)
    path = await namespaces.create("box")
    external = namespaces.external("/proc/7/ns/net")
    namespaces.plant("theirs")
    await namespaces.apply(path, [NamespaceAdd(LINK)])
    kernel.reboot()
    namespaces.reboot()
    assert await namespaces.made() == {}
    assert not await namespaces.exists(external)
    assert namespaces.on_host() == set()


async def test_external_namespaces_are_used_and_not_listed() -> None:
    """They are somebody else's."""
    namespaces = MemoryNamespaces(MemoryKernel([BRIDGE, VETH]))
    path = namespaces.external("/proc/7/ns/net")
    await namespaces.apply(path, [NamespaceAdd(LINK)])
    assert await names(namespaces, path) == {"lo", "eth0"}
    assert await namespaces.made() == {}


async def test_an_op_can_be_made_to_fail() -> None:
    """What came before it stays, what comes after is left."""
    namespaces = MemoryNamespaces(MemoryKernel([BRIDGE, VETH]), fail_on=[NamespaceAdd(ADDRESS)])
    path = await namespaces.create("box")
    with pytest.raises(Unavailable):
        await namespaces.apply(path, [NamespaceAdd(LINK), NamespaceAdd(ADDRESS), NamespaceRemove(LINK)])
    assert (await namespaces.observe(path)).facts == {LINK}


async def test_a_test_can_look_in_before_each_step() -> None:
    """The hook sees them in order, and may end any of them."""
    seen: list[Step] = []

    async def look(step: Step) -> None:
        seen.append(step)
        if step == NamespaceAdd(ADDRESS):
            raise Conflict("enough")

    namespaces = MemoryNamespaces(MemoryKernel([BRIDGE, VETH]), before=look)
    path = await namespaces.create("box")
    with pytest.raises(Conflict):
        await namespaces.apply(path, [NamespaceAdd(LINK), NamespaceAdd(ADDRESS)])
    await namespaces.remove(path)
    assert seen == [("create", "box"), NamespaceAdd(LINK), NamespaceAdd(ADDRESS), ("remove", path)]
    assert await namespaces.made() == {}
