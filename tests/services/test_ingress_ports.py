"""Ports of one host that lead to containers of another, from the endpoint's record to the other's kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from mooring.core.cluster_networks import HostNetwork
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Exhausted
from mooring.core.firewall import is_ingress
from mooring.core.networks import Address
from mooring.core.plumbing import Member
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.services.networking.ingress_ports import AWAY
from mooring.services.networking.port_allocator import PortAllocator
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import following, take_part, turns

ANY4 = ip_address("0.0.0.0")


@pytest.fixture
async def hosts() -> AsyncIterator[list[MemberHost]]:
    """Three with an overlay in common in which every host leads to published ports."""
    made = await members(3)
    async with following(*made):
        for host in made:
            await take_part(host, "web", ingress="any")
        await turns(*made)
        yield made


def network(host: MemberHost) -> str:
    """The overlay's id there."""
    return next(host.services.cache.every(HostNetwork)).network


def asked(port: int, protocol: Protocol = Protocol.TCP, host: Address | None = None) -> PortRequest:
    """`-p host:port:80`."""
    return PortRequest(protocol, 80, host, port, port)


async def publish(host: MemberHost, name: str, *ports: PortRequest) -> Endpoint:
    """A container runs there with these ports."""
    await host.endpoint(network(host), name)
    await host.services.endpoints.publish(network(host), name.ljust(64, "0"), ports)
    found = host.services.cache.endpoint(network(host), name.ljust(64, "0"))
    assert found is not None
    return found


async def end(host: MemberHost, name: str) -> None:
    """The container is gone."""
    ident = name.ljust(64, "0")
    await host.services.endpoints.unpublish(network(host), ident)
    await host.services.endpoints.detach(network(host), ident)
    await host.services.endpoints.delete(network(host), ident)


def led(host: MemberHost) -> dict[str, str]:
    """What the host's kernel leads to other hosts: the place of the port, and the container's."""
    return {f.element: f.value for f in host.facts if isinstance(f, Member) and is_ingress(f) and f.value}


def masqueraded(host: MemberHost) -> set[str]:
    """The addresses of other hosts whose answers must come back by this one."""
    return {f.element.split(" . ")[0] for f in host.facts if isinstance(f, Member) and f.container == "elsewhere4"}


async def test_a_port_leads_from_every_host_of_the_network_until_it_is_published_no_more(
    hosts: list[MemberHost],
) -> None:
    """Not from the container's own by way of others; elsewhere it is held, against the programs of that host."""
    first, second, third = hosts
    one = await publish(first, "c1", asked(8080), asked(53, Protocol.UDP))
    await turns(*hosts)
    address = one.addresses[0]
    for host in (second, third):
        assert led(host) == {"6 . 8080": f"{address} . 80", "17 . 53": f"{address} . 80"}
        assert masqueraded(host) == {str(address)}
        assert (Protocol.TCP, ANY4, 8080) in host.guard.held
    assert led(first) == {}
    await end(first, "c1")
    await turns(*hosts)
    for host in (second, third):
        assert (led(host), masqueraded(host), host.guard.held) == ({}, set(), set())


async def test_what_a_host_publishes_itself_comes_first(hosts: list[MemberHost]) -> None:
    """Whoever was first, and also at one address of its own; the port leads elsewhere again afterwards."""
    first, second, third = hosts
    one = await publish(first, "c1", asked(8080))
    await turns(*hosts)
    await publish(second, "c2", asked(8080))
    await publish(third, "c3", asked(8080, host=ip_address("10.0.0.3")))
    await turns(*hosts)
    assert [led(host) for host in hosts] == [{}, {}, {}]
    assert (Protocol.TCP, ANY4, 8080) in second.guard.held
    await end(second, "c2")
    await turns(*hosts)
    assert led(second)["6 . 8080"] == f"{one.addresses[0]} . 80"
    assert (Protocol.TCP, ANY4, 8080) in second.guard.held


async def test_where_there_is_a_choice_it_is_a_port_that_no_other_host_has(hosts: list[MemberHost]) -> None:
    """So that containers with ports of a range, or without a wish, are reached at every host; one that leads elsewhere
    is taken when there is no other."""
    first, second, third = hosts
    ranged, some = PortRequest(Protocol.TCP, 80, None, 8000, 8001), PortRequest(Protocol.TCP, 81)
    one = await publish(first, "c1", ranged, some)
    await turns(*hosts)
    two = await publish(second, "c2", ranged, some)
    await turns(*hosts)
    ours, theirs = ({each.host_port for each in endpoint.published} for endpoint in (one, two))
    assert (8000 in ours, 8001 in theirs, ours & theirs) == (True, True, set())
    assert {int(place.split(" . ")[1]) for place in led(third)} == ours | theirs
    last = await publish(third, "c3", ranged)
    assert [each.host_port for each in last.published] == [8000]


async def test_of_two_hosts_with_one_port_all_others_choose_alike(hosts: list[MemberHost]) -> None:
    """The first in the order of hosts that is heard; with it gone, the other."""
    first, second, third = hosts
    containers = [await publish(first, "c1", asked(8080)), await publish(second, "c2", asked(8080))]
    await turns(*hosts)
    order = sorted((0, 1), key=lambda n: hosts[n].membership.entered()[0].host)
    ahead, behind = [containers[n].addresses[0] for n in order]
    assert led(third) == {"6 . 8080": f"{ahead} . 80"}
    (ways,) = third.services.ingress_ports.of_network(network(third))
    assert [way.port_binding.target for way in ways] == [ahead, behind]
    hosts[order[0]].servers.cut(hosts[order[0]].setup.address)
    for _ in range(20):
        await turns(hosts[order[1]], third)
    assert led(third) == {"6 . 8080": f"{behind} . 80"}


async def test_a_program_of_the_host_keeps_its_port(hosts: list[MemberHost]) -> None:
    """It is told who has it; once the port is free for longer than a restart takes it leads elsewhere."""
    first, second, _ = hosts
    second.guard.taken[Protocol.TCP, 8080] = "nginx"
    one = await publish(first, "c1", asked(8080))
    await turns(*hosts)
    assert led(second) == {}
    (fault,) = [each for each in second.runtime.faults if "8080" in str(each)]
    words = "of network web000000000 (ingress=any)"
    assert fault.what == f"port 8080/tcp of this host does not lead to {one.addresses[0]} {words}"
    assert "nginx" in fault.holder
    del second.guard.taken[Protocol.TCP, 8080]  # it restarts
    await turns(*hosts)
    assert (led(second), second.guard.held) == ({}, set())
    second.guard.taken[Protocol.TCP, 8080] = "nginx"
    second.clock.advance(AWAY)
    await turns(*hosts)
    assert led(second) == {}
    del second.guard.taken[Protocol.TCP, 8080]
    await turns(*hosts)
    second.clock.advance(AWAY)
    await turns(*hosts)
    assert led(second) == {"6 . 8080": f"{one.addresses[0]} . 80"}
    assert second.runtime.faults == ()


async def test_who_has_a_port_for_a_moment_does_not_keep_it_for_longer(
    hosts: list[MemberHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection, or an own container that has not let go of it yet: it was in the way at one look only."""
    first, second, _ = hosts
    hold, refusals = second.guard.hold, [1]

    async def once(protocol: Protocol, host: Address, port: int) -> None:
        if refusals:
            refusals.pop()
            raise Conflict(f"host port {port}/{protocol.label} is taken at {host}")
        await hold(protocol, host, port)

    monkeypatch.setattr(second.guard, "hold", once)
    one = await publish(first, "c1", asked(8080))
    await turns(*hosts)
    assert led(second) == {"6 . 8080": f"{one.addresses[0]} . 80"}


async def test_nobody_looks_at_ports_of_which_nothing_has_changed(
    hosts: list[MemberHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn tries those again that could not be held, and no others."""
    first, second, _ = hosts
    second.guard.taken[Protocol.TCP, 8080] = "nginx"
    await publish(first, "c1", asked(8080), asked(8081), asked(8082))
    await turns(*hosts)
    looked, has = list[int](), PortAllocator.has

    def counted(self: PortAllocator, protocol: Protocol, host: Address, port: int) -> bool:
        looked.append(port)
        return has(self, protocol, host, port)

    monkeypatch.setattr(PortAllocator, "has", counted)
    await turns(*hosts)
    assert set(looked) == {8080}
    assert set(led(second)) == {"6 . 8081", "6 . 8082"}


async def test_a_port_that_a_container_did_not_get_leads_elsewhere_again(hosts: list[MemberHost]) -> None:
    """Its start failed by another one, which a program has."""
    first, second, _ = hosts
    await publish(first, "c1", asked(8080))
    await turns(*hosts)
    before = led(second)
    second.guard.taken[Protocol.TCP, 9090] = "nginx"
    with pytest.raises(Conflict):
        await publish(second, "c2", asked(8080), asked(9090))
    await turns(*hosts)
    assert led(second) == before != {}
    assert (Protocol.TCP, ANY4, 8080) in second.guard.held


async def test_a_port_that_leads_elsewhere_before_it_was_given_up_is_held(hosts: list[MemberHost]) -> None:
    """A container gives up a thousand, one by one, when its record is without them already."""
    first, second, _ = hosts
    await publish(first, "c1", asked(8999))
    await publish(second, "c2", *map(asked, range(8000, 9000)))
    await turns(*hosts)
    assert led(second) == {}
    await end(second, "c2")
    await turns(*hosts)
    assert set(led(second)) == {"6 . 8999"}
    assert second.guard.held == {(Protocol.TCP, ANY4, 8999)}


async def test_what_keeps_a_port_that_is_no_program_is_said(
    hosts: list[MemberHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told to stop one then."""
    first, second, _ = hosts

    async def full(protocol: Protocol, host: Address, port: int) -> None:
        raise Exhausted(f"host port {port}/{protocol.label} cannot be bound at {host}", hint="raise LimitNOFILE")

    monkeypatch.setattr(second.guard, "hold", full)
    await publish(first, "c1", asked(8080))
    await turns(*hosts)
    (fault,) = [each for each in second.runtime.faults if "8080" in str(each)]
    assert isinstance(fault, Exhausted)
    assert (fault.holder, fault.hint) == ("", "raise LimitNOFILE")


async def test_an_address_is_one_of_the_host_that_has_it(hosts: list[MemberHost]) -> None:
    """A port at one address leads from a host that has this address; loopback is each host's own."""
    first, second, _ = hosts
    await publish(first, "c1", asked(8080, host=ip_address("127.0.0.1")), asked(8081, host=ip_address("10.0.0.77")))
    await turns(*hosts)
    assert set(led(second)) == {"6 . 10.0.0.77 . 8081"}


async def test_a_daemon_that_starts_while_the_cluster_is_away_leads_as_before(hosts: list[MemberHost]) -> None:
    """By what its kernel has; what has changed is put right when the cluster is back."""
    first, second, _ = hosts
    await publish(first, "c1", asked(8080))
    await turns(*hosts)
    before = led(second)
    second.servers.cut(second.setup.address)
    await second.restart()
    async with following(second):
        await turns(second, times=4)
        assert led(second) == before != {}
        assert second.guard.held == {(Protocol.TCP, ANY4, 8080)}
        await end(first, "c1")
        await turns(first)
        second.servers.mend(second.setup.address)
        await turns(second, times=5)
        assert led(second) == {}


async def test_a_program_that_took_a_port_while_no_daemon_ran_has_it(hosts: list[MemberHost]) -> None:
    """Also while the cluster is away; other ports lead as before, until the network is removed."""
    first, second, _ = hosts
    await publish(first, "c1", asked(8080), asked(8081))
    await turns(*hosts)
    second.servers.cut(second.setup.address)
    await second.restart()
    second.guard.taken[Protocol.TCP, 8080] = "nginx"
    async with following(second):
        await turns(second, times=4)
        assert set(led(second)) == {"6 . 8081"}
        await second.services.networks.delete(network(second))
        await turns(second)
        assert (led(second), second.guard.held) == ({}, set())


async def test_a_container_that_moves_here_is_led_to_as_ones_own(hosts: list[MemberHost]) -> None:
    """And what was lost from the kernel is back after a pass of repair."""
    first, second, third = hosts
    await publish(first, "c1", asked(8080))
    await turns(*hosts)
    await end(first, "c1")
    moved = await publish(second, "c9", asked(8080))
    await turns(*hosts)
    assert led(second) == {}
    assert led(first) == led(third) == {"6 . 8080": f"{moved.addresses[0]} . 80"}
    for fact in [each for each in third.facts if isinstance(each, Member) and is_ingress(each)]:
        del third.kernel.facts[fact.key]
    await third.services.repair.once()
    assert led(third) == led(first)


async def test_who_leaves_the_network_leads_nowhere(hosts: list[MemberHost]) -> None:
    """With the network its ports are free again."""
    first, second, _ = hosts
    await publish(first, "c1", asked(8080))
    await turns(*hosts)
    await second.services.networks.delete(network(second))
    await turns(*hosts)
    assert (led(second), second.guard.held) == ({}, set())


async def test_a_network_with_ports_of_one_host_only_tells_of_none() -> None:
    """As is usual."""
    made = await members(2)
    async with following(*made):
        for host in made:
            await take_part(host, "web")
        await publish(made[0], "c1", asked(8080))
        await turns(*made)
        assert (led(made[1]), made[1].guard.held) == ({}, set())
