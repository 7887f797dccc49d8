"""What every Kernel and every PortGuard promises: the Linux ones, in a namespace of their own, and those in memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network

import pytest

from mooring.adapters.host.port_guard import SocketPortGuard
from mooring.core.datapath import host_facts
from mooring.core.faults import Conflict, Fault, NotFound, Unavailable
from mooring.core.firewall import ruleset
from mooring.core.plumbing import (
    Add,
    Alter,
    Bridge,
    Fact,
    Inside,
    LinkAddress,
    Member,
    Op,
    Remove,
    Ruleset,
    Setting,
    Veth,
    plan,
)
from mooring.core.port_bindings import Protocol
from mooring.ports import Kernel, PortGuard
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from tests.contracts.kernels import LINUX, place
from tests.netns.rigs import Namespace, sh

BRIDGE = Bridge("mr-one", "mooring:network:one", 1400, "02:00:00:00:00:01")
VETH = Veth("mv-e", "mooring:endpoint:one/e", "mr-one", False, peer="mp-e", peer_mac="02:00:00:00:00:02", mtu=1400)
GATEWAY = LinkAddress("mr-one", ip_interface("10.1.0.1/24"))
GATEWAY6 = LinkAddress("mr-one", ip_interface("fd00:1::1/64"))
SETTING = Setting("net/ipv6/conf/mr-one/accept_ra", "0")
ELEMENT = Member("bridges", '"mr-one"')
MAPPED = Member("wildcard4", "6 . 8080", "10.1.0.2 . 80")
NETWORK: tuple[Fact, ...] = (BRIDGE, SETTING, GATEWAY, GATEWAY6, VETH, ruleset(), ELEMENT, MAPPED)


@pytest.fixture(params=["memory", LINUX])
def where(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which port guard."""
    with place(request.param) as made:
        yield made


@pytest.fixture
def plant(kernel: Kernel) -> Callable[[str], None]:
    """Makes a bridge of that name that is not ours."""

    def make(name: str) -> None:
        if isinstance(kernel, MemoryKernel):
            kernel.foreign.add(name)
        else:
            sh(f"ip link add {name} type bridge")

    return make


@contextmanager
def other_end(kernel: Kernel, inside: Inside) -> Iterator[None]:
    """The other end of VETH is in a namespace of its own meanwhile, with these addresses."""
    if isinstance(kernel, MemoryKernel):
        kernel.inside["mv-e"] = inside
        yield
        return
    space = Namespace.new()
    try:
        sh(f"ip link set mp-e netns /proc/{os.getpid()}/fd/{space.fd}")
        space.sh("ip link set mp-e name eth0", *(f"ip addr add {each} dev eth0 nodad" for each in inside.addresses))
        yield
    finally:
        space.close()


def adds(*facts: Fact) -> list[Op]:
    """Ops that add them in this order."""
    return [Add(fact) for fact in facts]


async def ours(kernel: Kernel) -> set[Fact]:
    """What was made: without the settings and Docker's chains, which nobody removes."""
    return {fact for fact in await kernel.observe() if isinstance(fact, Bridge | Veth | LinkAddress | Ruleset | Member)}


async def test_a_fresh_host_has_nothing_of_ours(kernel: Kernel) -> None:
    """Links, addresses and tables of others are not shown."""
    assert await ours(kernel) == set()


async def test_docker_accepts_where_there_is_no_docker(kernel: Kernel) -> None:
    """The facts about Docker's chains hold on a host that has none."""
    wanted = {fact for fact in host_facts(ipv6=True) if fact.key[0] == "docker-accept"}
    assert wanted <= await kernel.observe()


async def test_what_was_added_is_observed(kernel: Kernel) -> None:
    """After an apply, observe shows the very facts that were asked for."""
    await kernel.apply(adds(*NETWORK))
    assert set(NETWORK) <= await kernel.observe()
    assert plan(NETWORK, await ours(kernel) | {SETTING}) == []


async def test_adding_the_same_again_is_success(kernel: Kernel) -> None:
    """Every call may come twice."""
    await kernel.apply(adds(*NETWORK))
    before = await kernel.observe()
    await kernel.apply(adds(*NETWORK))
    assert await kernel.observe() == before


async def test_a_fault_undoes_what_was_done(kernel: Kernel, plant: Callable[[str], None]) -> None:
    """An apply that fails at its last op leaves nothing behind."""
    plant("mr-two")
    with pytest.raises(Conflict):
        await kernel.apply(adds(*NETWORK, replace(BRIDGE, name="mr-two")))
    assert await ours(kernel) == set()


async def test_a_fault_leaves_what_was_there_before(kernel: Kernel, plant: Callable[[str], None]) -> None:
    """An op that found its fact true already is not undone."""
    plant("mr-two")
    await kernel.apply(adds(*NETWORK))
    with pytest.raises(Conflict):
        await kernel.apply([*adds(*NETWORK), Remove(MAPPED), Remove(GATEWAY), Add(replace(BRIDGE, name="mr-two"))])
    assert await ours(kernel) == set(NETWORK) - {SETTING}


async def test_a_foreign_link_is_never_touched(kernel: Kernel, plant: Callable[[str], None]) -> None:
    """A link of that name without our mark is a Conflict that names it, for all that would change it."""
    plant("mr-one")
    for op in adds(BRIDGE, GATEWAY, VETH):
        with pytest.raises(Conflict, match="mr-one"):
            await kernel.apply([op])
    await kernel.discard(["mr-one"])
    assert await ours(kernel) == set()


@pytest.mark.parametrize(
    "other",
    [
        replace(BRIDGE, alias="mooring:network:two"),
        replace(VETH, isolated=True),
        replace(MAPPED, value="10.1.0.3 . 80"),
    ],
)
async def test_adding_what_differs_is_a_conflict(kernel: Kernel, other: Fact) -> None:
    """What is ours but not the same is not silently changed."""
    await kernel.apply(adds(*NETWORK))
    before = await kernel.observe()
    with pytest.raises(Conflict):
        await kernel.apply([Add(other)])
    assert await kernel.observe() == before


async def test_removing_what_is_not_there_is_success(kernel: Kernel) -> None:
    """Removals may come late, twice, or for something never made."""
    await kernel.apply([Remove(fact) for fact in reversed(NETWORK)])
    await kernel.apply(adds(*NETWORK))
    await kernel.apply([Remove(MAPPED), Remove(VETH)])
    await kernel.apply([Remove(MAPPED), Remove(VETH)])
    assert await ours(kernel) == set(NETWORK) - {MAPPED, VETH, SETTING}


async def test_everything_can_be_removed(kernel: Kernel) -> None:
    """The plan towards nothing leaves nothing."""
    await kernel.apply(adds(*NETWORK))
    await kernel.apply(plan((), await kernel.observe()))
    assert await ours(kernel) == set()


async def test_altering_makes_the_new_fact_true(kernel: Kernel) -> None:
    """Bridges, ports and elements change in place."""
    await kernel.apply(adds(*NETWORK))
    changes: list[Op] = [
        Alter(BRIDGE, replace(BRIDGE, mtu=1300)),
        Alter(VETH, replace(VETH, isolated=True)),
        Alter(MAPPED, replace(MAPPED, value="10.1.0.9 . 81")),
    ]
    await kernel.apply(changes)
    wanted = {change.after for change in changes if isinstance(change, Alter)}
    assert wanted <= await ours(kernel)


@pytest.mark.parametrize("fact", [VETH, GATEWAY, ELEMENT])
async def test_what_stands_on_nothing_is_unavailable(kernel: Kernel, fact: Fact) -> None:
    """A port without its bridge, an address without its link, an element without the table are refused."""
    with pytest.raises(Unavailable):
        await kernel.apply([Add(fact)])
    assert await ours(kernel) == set()


async def test_discarded_links_are_gone_for_the_caller(kernel: Kernel) -> None:
    """After a discard the links are not observed any more, nor what stood on them."""
    await kernel.apply(adds(*NETWORK))
    await kernel.discard(["mv-e", "mr-one", "never-heard-of"])
    assert await ours(kernel) == {ruleset(), ELEMENT, MAPPED}


async def test_a_discarded_name_can_be_had_again_at_once(kernel: Kernel) -> None:
    """An apply waits for the end of the link that had the name before."""
    await kernel.apply(adds(*NETWORK))
    for _ in range(3):
        await kernel.discard(["mv-e", "mr-one"])
        await kernel.apply(adds(*NETWORK))
        assert set(NETWORK) <= await kernel.observe()


async def test_calls_are_carried_out_in_the_order_made(kernel: Kernel) -> None:
    """Of calls made at once, the last decides."""
    await kernel.apply(adds(BRIDGE))
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(kernel.apply([Add(GATEWAY)]))
            group.create_task(kernel.apply([Remove(GATEWAY)]))
    assert await ours(kernel) == {BRIDGE}


async def test_a_gateway_of_a_typed_link_local_subnet_is_shown(kernel: Kernel) -> None:
    """AWS's local ECS endpoints are in 169.254.170.0/24: what is not shown would be put right for ever."""
    gateway = LinkAddress("mr-one", ip_interface("169.254.170.1/24"))
    await kernel.apply(adds(BRIDGE, gateway))
    assert gateway in await ours(kernel)


async def test_our_own_bridges_are_occupied(kernel: Kernel) -> None:
    """The networks of the addresses on our bridges count as taken, in both families."""
    await kernel.apply(adds(BRIDGE, GATEWAY, GATEWAY6))
    assert {ip_network("10.1.0.0/24"), ip_network("fd00:1::/64")} <= set((await kernel.host_net()).occupied)


async def test_the_host_is_not_in_our_own_networks(kernel: Kernel) -> None:
    """Neither by an address nor by a route, so that nothing of ours is in the way of a network with the same subnet."""
    await kernel.apply(adds(BRIDGE, GATEWAY, GATEWAY6))
    host = await kernel.host_net()
    assert (host.addresses, tuple(host.routes)) == ({}, ())


async def test_announcing_and_forgetting_never_raise(kernel: Kernel) -> None:
    """Best effort, also for links and addresses that are not there."""
    await kernel.apply(adds(BRIDGE, GATEWAY, GATEWAY6))
    for address in (IPv4Address("10.1.0.2"), IPv6Address("fd00:1::2")):
        await kernel.announce("mr-one", address, "02:00:00:00:00:02")
        await kernel.announce("nowhere", address, "02:00:00:00:00:02")
        await kernel.flush_connections(address)


async def test_a_closed_kernel_refuses(kernel: Kernel) -> None:
    """Closing twice is fine; afterwards observe and apply raise Unavailable."""
    await kernel.close()
    await kernel.close()
    with pytest.raises(Unavailable):
        await kernel.observe()
    with pytest.raises(Unavailable):
        await kernel.apply([Add(BRIDGE)])


@pytest.fixture
def guard(where: str) -> Iterator[PortGuard]:
    """A guard on a host where process 'sleeper' has TCP and UDP port 7000."""
    if where == "memory":
        yield MemoryPortGuard(taken={(Protocol.TCP, 7000): "python3 (1)", (Protocol.UDP, 7000): "python3 (1)"})
        return
    script = (
        "import socket,time; t=socket.socket(); t.bind(('0.0.0.0',7000)); t.listen();"
        "u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.bind(('0.0.0.0',7000));"
        "print(1,flush=True); time.sleep(99)"
    )
    with subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE) as sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        made = SocketPortGuard()
        yield made
        made.close()
        sleeper.kill()


ANY4 = IPv4Address("0.0.0.0")
ANY6 = IPv6Address("::")


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
async def test_a_taken_port_is_refused_and_its_holder_told_on_demand(guard: PortGuard, protocol: Protocol) -> None:
    """The fault names the port at once; which process has it is another question."""
    with pytest.raises(Conflict, match="7000") as refused:
        await guard.hold(protocol, ANY4, 7000)
    assert refused.value.holder == ""
    assert "python3" in await guard.holder(protocol, ANY4, 7000)


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_holding_twice_and_letting_go_twice_are_fine(guard: PortGuard, protocol: Protocol) -> None:
    """A port that was let go can be had again, also of a protocol that the kernel has no sockets for."""
    for _ in range(2):
        for host in (ANY4, ANY6):
            await guard.hold(protocol, host, 7001)
            await guard.hold(protocol, host, 7001)
        for host in (ANY4, ANY6):
            await guard.release(protocol, host, 7001)
            await guard.release(protocol, host, 7001)


async def test_the_wildcard_and_one_address_exclude_each_other(guard: PortGuard) -> None:
    """Who holds a port at every address holds it at each; different addresses do not meet."""
    await guard.hold(Protocol.TCP, IPv4Address("127.0.0.1"), 7002)
    await guard.hold(Protocol.TCP, IPv4Address("127.0.0.2"), 7002)
    with pytest.raises(Fault):
        await guard.hold(Protocol.TCP, ANY4, 7002)


async def test_an_address_that_the_host_does_not_have_is_refused(guard: PortGuard) -> None:
    """For as long as it has not: whether it has can be asked."""
    there, missing = IPv4Address("127.0.0.1"), IPv4Address("192.0.2.77")
    if isinstance(guard, MemoryPortGuard):
        guard.absent.add(missing)
    assert [await guard.has(each) for each in (there, missing, ANY4, ANY6)] == [True, False, True, True]
    with pytest.raises(Unavailable, match=r"published at 192\.0\.2\.77: the host has no such address"):
        await guard.hold(Protocol.TCP, missing, 80)


async def test_the_ephemeral_range_is_told(guard: PortGuard) -> None:
    """First and last port, in order."""
    low, high = await guard.ephemeral()
    assert 0 < low < high < 65536


async def test_what_lives_is_told_with_what_it_has(kernel: Kernel) -> None:
    """A veth whose other end is in another namespace lives, and its addresses can be read from here; one whose other
    end is beside it does not, and has nothing to tell."""
    await kernel.apply(adds(*NETWORK))
    assert not any(isinstance(fact, Veth) and fact.living for fact in await kernel.observe())
    assert await kernel.insides(["mv-e", "mv-x"]) == {}
    wanted = Inside("02:00:00:00:00:02", (ip_interface("10.1.0.2/24"), ip_interface("fd00:1::2/64")))
    with other_end(kernel, wanted):
        assert [fact.living for fact in await kernel.observe() if isinstance(fact, Veth)] == [True]
        assert await kernel.insides(["mv-e"]) == {"mv-e": wanted}


async def test_an_interface_is_told_whosever_it_is(kernel: Kernel, plant: Callable[[str], None]) -> None:
    """Ours, the other end of ours, a foreign one; what is on its way out, or elsewhere, is not there."""
    plant("foreign")
    await kernel.apply(adds(*NETWORK))
    bridge, host_end, peer = [await kernel.link(name) for name in ("mr-one", "mv-e", "mp-e")]
    assert bridge is not None
    assert (bridge.kind, bridge.mac, bridge.ours, bridge.port) == ("bridge", BRIDGE.mac, True, False)
    assert host_end is not None
    assert (host_end.kind, host_end.ours, host_end.port) == ("veth", True, True)
    assert peer is not None
    assert (peer.mac, peer.mtu, peer.ours, peer.port) == (VETH.peer_mac, 1400, True, False)
    foreign = await kernel.link("foreign")
    assert foreign is not None
    assert not foreign.ours
    with other_end(kernel, Inside(VETH.peer_mac, ())):
        assert await kernel.link("mp-e") is None
    assert await kernel.link("nothing") is None
    await kernel.discard(["mr-one"])
    assert await kernel.link("mr-one") is None


async def test_work_is_done_in_a_domain_that_is_there(kernel: Kernel) -> None:
    """The host always is; what the work raises is raised, and where there is no such domain nothing is done."""
    done: list[str] = []
    assert await kernel.in_domain(0, lambda: done.append("host") or 7) == 7  # type: ignore[func-returns-value]
    with pytest.raises(ZeroDivisionError):
        await kernel.in_domain(0, lambda: 1 // 0)
    with pytest.raises(NotFound, match="routing domain 7 is missing"):
        await kernel.in_domain(7, lambda: done.append("nowhere"))
    assert done == ["host"]
