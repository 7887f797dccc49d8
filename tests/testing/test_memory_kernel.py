"""What the doubles offer to tests beyond the ports; the ports' promises are held by tests/contracts/test_kernel.py."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_interface

import pytest

from mooring.core.faults import Unavailable
from mooring.core.firewall import ruleset
from mooring.core.plumbing import Add, Alter, Bridge, Fact, LinkAddress, Member, Neighbour, Op, Veth
from mooring.core.port_bindings import Protocol
from mooring.testing.memory_kernel import MemoryKernel

BRIDGE = Bridge("mr-one", "mooring:network:one", 1500, "02:00:00:00:00:01")
VETH = Veth("mv-e", "mooring:endpoint:one/e", "mr-one", False, peer="mp-e", peer_mac="", mtu=1500)
GATEWAY = LinkAddress("mr-one", ip_interface("10.1.0.1/24"))


async def test_an_op_can_be_made_to_fail() -> None:
    """It raises Unavailable, and what came before it in the same apply is taken back."""
    kernel = MemoryKernel(fail_on=[Add(VETH)])
    before = await kernel.observe()
    with pytest.raises(Unavailable):
        await kernel.apply([Add(BRIDGE), Add(VETH)])
    assert await kernel.observe() == before


async def test_what_is_told_of_other_hosts_is_taken_back_as_well() -> None:
    """What was another thing before is that again, what was not there is gone, and everything else is as it was."""
    known, other = (
        Neighbour("mr-one", ip_address("10.1.0.5"), mac) for mac in ("02:00:00:00:00:05", "02:00:00:00:00:06")
    )
    new, refused = (Neighbour("mr-one", ip_address(f"10.1.0.{last}"), known.mac) for last in (7, 8))
    kernel = MemoryKernel([BRIDGE, GATEWAY, known], fail_on=[Add(refused)])
    before = await kernel.observe()
    with pytest.raises(Unavailable):
        await kernel.apply([Alter(known, other), Add(new), Add(refused)])
    assert await kernel.observe() == before


async def test_a_test_can_look_in_before_each_op() -> None:
    """The hook sees every op in order."""
    seen: list[Op] = []

    async def look(op: Op) -> None:
        seen.append(op)

    await MemoryKernel(before=look).apply([Add(BRIDGE), Add(GATEWAY)])
    assert seen == [Add(BRIDGE), Add(GATEWAY)]


async def test_a_lost_bridge_takes_its_addresses_along() -> None:
    """As in the kernel: the addresses are gone, the ports are ports of nothing."""
    kernel = MemoryKernel([BRIDGE, GATEWAY, VETH])
    kernel.lose("mr-one")
    assert [fact.bridge for fact in await kernel.observe() if isinstance(fact, Veth)] == [""]
    assert GATEWAY not in await kernel.observe()


async def test_a_flush_takes_rules_only_and_a_reboot_takes_all() -> None:
    """The two ways to lose what we made."""
    kernel = MemoryKernel([BRIDGE, ruleset(), Member("bridges", '"mr-one"')])
    kernel.flush_ruleset()
    assert kernel.members("bridges") == {}
    assert BRIDGE in await kernel.observe()
    kernel.reboot()
    assert BRIDGE not in await kernel.observe()


def test_it_tells_where_a_published_port_leads() -> None:
    """An element for one address comes before one for every address."""
    facts: list[Fact] = [
        ruleset(),
        Member("wildcard4", "6 . 80", "10.1.0.2 . 8080"),
        Member("published4", "6 . 198.18.0.1 . 80", "10.1.0.3 . 8080"),
    ]
    kernel = MemoryKernel(facts)
    assert kernel.published(Protocol.TCP, IPv4Address("198.18.0.1"), 80) == "10.1.0.3 . 8080"
    assert kernel.published(Protocol.TCP, IPv4Address("198.18.0.2"), 80) == "10.1.0.2 . 8080"
    assert kernel.published(Protocol.UDP, IPv4Address("198.18.0.2"), 80) == ""


def test_it_tells_what_gets_through() -> None:
    """Within a network, not across, not from or to an internal one."""
    facts: list[Fact] = [ruleset(), *(Member("bridges", f'"{name}"') for name in ("a", "b", "i"))]
    facts += [Member("within", f'"{name}" . "{name}"') for name in ("a", "b", "i")]
    kernel = MemoryKernel([*facts, Member("internal", '"i"')])
    assert kernel.forwards("a", "a")
    assert kernel.forwards("i", "i")
    assert kernel.forwards("a", "")
    assert kernel.forwards("a", "b", published=True)
    refused = [("a", "b"), ("", "a"), ("i", ""), ("i", "a"), ("a", "i")]
    assert not any(kernel.forwards(source, target) for source, target in refused)
    assert not kernel.forwards("a", "i", published=True)
