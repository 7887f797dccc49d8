"""Published ports that other hosts lead to, on the real kernels of three hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.firewall import ingress_members
from mooring.core.networks import Ingress, NetworkOptions
from mooring.core.plumbing import Member
from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.overlay_rigs import Machine, Site, site
from tests.netns.rigs import PATIENCE, SILENCE, is_cut_off, private_namespace, reach, serve
from tests.netns.senders import Sender

pytestmark = pytest.mark.netns

ANY = NetworkOptions(overlay=True, ingress=Ingress.ANY)


@pytest.fixture
async def three() -> AsyncIterator[Site]:
    """Three hosts with the network `web`, and a second one."""
    with private_namespace():
        made = site()
        for _ in range(3):
            await made.machine()
        await made.network("web", 9, 100, ANY)
        await made.network("other", 8, 200, ANY)
        yield made
        await made.close()


def ports(number: int, port: int = 8080, host: str | None = None) -> list[PortBinding]:
    """`-p port:80`, of each protocol and family, to the container of that number."""
    at = ip_address(host) if host else None
    targets = [ip_address(f"10.9.0.{number}"), ip_address(f"fd00:9::{number}")]
    return [
        PortBinding(protocol, at, port, target, 80)
        for target in targets
        for protocol in Protocol
        if at is None or at.version == target.version
    ]


async def lead(machine: Machine, *bindings: PortBinding) -> None:
    """The host leads to these, and to nothing else."""
    network = machine.networks["web"]
    machine.overlays.lead(member for each in bindings for member in ingress_members(network, each))
    await machine.overlays.settle()


async def own(machine: Machine, number: int, *bindings: PortBinding) -> None:
    """The container there publishes these."""
    (endpoint,) = machine.records.endpoint_index.of_network(machine.networks["web"].id)
    await machine.records.cache.commit(put=[replace(endpoint, published=bindings)])
    await machine.build()


async def test_a_port_of_any_host_leads_to_the_container_and_back(three: Site) -> None:
    """By each protocol and family, from outside, from the host's own programs, from containers of this network and of
    another one, at each of the host's addresses; the container sees the host's own address in the network."""
    one, two, _ = three.machines
    server, near = await three.container(one, "web", 11), await three.container(two, "web", 12)
    stranger = await three.container(two, "other", 13)
    await three.publish()
    await serve(three.stack, server, 80)
    await lead(two, *ports(11))
    for protocol in (Protocol.TCP, Protocol.UDP):
        for space in (three.switch, near, stranger, two.space, server):
            assert await reach(space, "192.0.2.2", 8080, protocol) == "10.9.0.202", (space, protocol)
            assert await reach(space, "fd00:192::2", 8080, protocol) == "fd00:9::202", (space, protocol)
        assert await reach(two.space, "127.0.0.1", 8080, protocol) == "10.9.0.202"
    assert await two.build() == 0
    assert [await is_cut_off(three.switch, address, 80) for address in ("10.9.0.11", "192.0.2.2")] == [True, True]
    assert await is_cut_off(stranger, "10.9.0.11", 80)
    assert await is_cut_off(three.switch, "192.0.2.3", 8080)
    await lead(two)
    assert await is_cut_off(three.switch, "192.0.2.2", 8080)
    assert await two.build() == 0


async def test_what_a_host_has_itself_comes_first_there(three: Site) -> None:
    """Its own published port, at all addresses or at one; a port at an address leads from whoever has that."""
    one, two, last = three.machines
    server, near = await three.container(one, "web", 11), await three.container(two, "web", 12)
    await three.publish()
    await serve(three.stack, server, 80)
    await serve(three.stack, near, 80)
    await lead(two, *ports(11), *ports(11, 8081, "192.0.2.1"), *ports(11, 8082, "192.0.2.2"))
    await lead(last, *ports(11))
    await own(two, 12, *ports(12))
    assert await reach(three.switch, "192.0.2.2", 8080) == "192.0.2.254"
    assert await reach(three.switch, "192.0.2.3", 8080) == "10.9.0.203"
    assert await is_cut_off(three.switch, "192.0.2.2", 8081)
    assert await reach(three.switch, "192.0.2.2", 8082) == "10.9.0.202"
    await own(two, 12)
    assert await reach(three.switch, "192.0.2.2", 8080) == "10.9.0.202"


async def test_a_flow_follows_its_container(three: Site) -> None:
    """Who sends by UDP from one port all the while is heard by the container that has the port now: on another host by
    its address or another one, on this one, and elsewhere again; and nothing is led to where it was."""
    one, two, last = three.machines
    sender = Sender(three.stack, three.switch, "192.0.2.2", 8080)
    at, was, server = one, 11, await three.container(one, "web", 11)
    await three.publish()
    await serve(three.stack, server, 80)
    assert not await sender.is_heard(SILENCE)
    await lead(two, *ports(11))
    assert await sender.is_heard(PATIENCE)
    for to, number in ((last, 11), (one, 14), (two, 14), (last, 15)):
        server.sh("ip link set eth0 down")
        await three.end(at, "web", was)
        at, was, server = to, number, await three.container(to, "web", number)
        await three.publish()
        await serve(three.stack, server, 80)
        if to is two:
            await own(two, number, *ports(number))
            await lead(two)
        else:
            await lead(two, *ports(number))
        assert await sender.is_heard(PATIENCE), (to.number, number)


async def test_what_is_lost_comes_back_and_what_is_there_is_believed(three: Site) -> None:
    """After a flush, and by a daemon that nobody has told anything yet."""
    one, two, _ = three.machines
    server = await three.container(one, "web", 11)
    await three.publish()
    await serve(three.stack, server, 80)
    await lead(two, *ports(11))
    two.space.sh("nft flush ruleset")
    assert await two.build() > 0
    assert await reach(three.switch, "192.0.2.2", 8080) == "10.9.0.202"
    found = [fact for fact in await two.kernel.observe() if isinstance(fact, Member) and "ingress" in fact.container]
    assert len(found) == 6
