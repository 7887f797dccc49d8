"""Who sends from a fixed port reaches a port that is published after his first packet; all other flows go on."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.adapters.linux.conntrack import flows
from mooring.adapters.netlink.sockets import NETLINK_NETFILTER, Netlink
from mooring.core.firewall import port_members
from mooring.core.plumbing import Add, Remove
from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.rigs import PATIENCE, SILENCE, Rig, serve
from tests.netns.senders import Sender

pytestmark = pytest.mark.netns


def tracked(version: int) -> set[bytes]:
    """What names each UDP flow of the family."""
    netlink = Netlink(NETLINK_NETFILTER)
    try:
        return {flow.same for flow in flows(netlink, version, Protocol.UDP, dict.fromkeys(range(20)))}
    finally:
        netlink.close()


@pytest.mark.parametrize(
    ("place", "address", "bound"),
    [
        ("outside", "198.18.0.1", None),
        ("outside", "198.18.0.1", "198.18.0.1"),
        ("outside", "fd00:198:18::1", None),
        ("host", "127.0.0.1", None),
        ("host", "198.18.0.1", None),
        ("neighbour", "10.1.0.1", None),
    ],
)
@pytest.mark.parametrize("crowd", [0, 20], ids=["alone", "with many ports"])
async def test_a_sender_that_began_before_is_heard(
    world: Rig, place: str, address: str, bound: str | None, crowd: int
) -> None:
    """From anywhere, at any address of the host, with few ports and with many."""
    network = await world.network("one", 1)
    neighbour = await world.container("n", network, 3)
    target = ip_address("fd00:1::2" if ":" in address else "10.1.0.2")
    at = ip_address(bound) if bound else None
    spaces = {"outside": world.outside, "host": world.host, "neighbour": neighbour}
    sender = Sender(world.stack, spaces[place], address, 8080)
    assert not await sender.is_heard(SILENCE)
    more = [PortBinding(Protocol.UDP, None, 9000 + number, target, 9000 + number) for number in range(crowd)]
    server = await world.container("a", network, 2, PortBinding(Protocol.UDP, at, 8080, target, 80), *more)
    await serve(world.stack, server, 80)
    assert await sender.is_heard(PATIENCE)


async def test_a_port_that_moves_takes_its_senders_along(world: Rig) -> None:
    """As with a container that is made anew under another address; the flow of before is not translated to it."""
    network = await world.network("one", 1)
    old, new = (PortBinding(Protocol.UDP, None, 8080, ip_address(f"10.1.0.{number}"), 80) for number in (2, 3))
    await serve(world.stack, await world.container("a", network, 2, old), 80)
    sender = Sender(world.stack, world.outside, "198.18.0.1", 8080)
    assert await sender.is_heard(PATIENCE)
    await serve(world.stack, await world.container("b", network, 3), 80)
    await world.kernel.apply([Remove(member) for member in port_members(network, old)])
    await world.kernel.apply([Add(member) for member in port_members(network, new)])
    world.containers["a"].sh("ip link set eth0 down")
    assert await sender.is_heard(PATIENCE)


async def test_all_other_flows_go_on(world: Rig) -> None:
    """Those to the same port of other hosts, to other ports, and those that are translated as they should be."""
    network = await world.network("one", 1)
    right = PortBinding(Protocol.UDP, None, 8080, ip_address("10.1.0.2"), 80)
    container = await world.container("a", network, 2, right)
    await serve(world.stack, container, 80)
    await serve(world.stack, world.outside, 8080)
    assert await Sender(world.stack, container, "198.18.0.2", 8080).is_heard(PATIENCE)
    assert await Sender(world.stack, world.host, "198.18.0.2", 8080).is_heard(PATIENCE)
    assert await Sender(world.stack, world.outside, "198.18.0.1", 8080).is_heard(PATIENCE)
    before = tracked(4)
    assert len(before) == 3
    await world.kernel.apply([Add(member) for member in port_members(network, right)])
    await world.kernel.close()  # what is to be forgotten is forgotten before it is closed
    assert tracked(4) == before
