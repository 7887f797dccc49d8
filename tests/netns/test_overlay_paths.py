"""Whether hosts reach each other through their tunnels, asked on the real kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path as Folder
from typing import Any

import pytest

from mooring.adapters.linux.icmp_echoes import IcmpEchoes
from mooring.core.cluster_hosts import ClusterHost, TunnelEnd, Underlay
from mooring.core.networks import NetworkOptions
from mooring.core.overlay_paths import Answer, path_findings, path_to
from mooring.core.overlays import PORT
from mooring.core.wireguard import PORT as WIREGUARD
from mooring.core.wireguard import inner_address
from tests.netns.encrypted_rigs import Encrypted, encrypted_hosts
from tests.netns.overlay_rigs import Machine, Site, site
from tests.netns.rigs import private_namespace

pytestmark = pytest.mark.netns

VNI = 100


@pytest.fixture(params=[4, 6])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Two hosts with a network; the underlay is IPv4, or IPv6."""
    with private_namespace():
        made = site()
        for _ in range(2):
            await made.machine(request.param)
        await made.network("web", 9, VNI)
        yield made
        await made.close()


@pytest.fixture
async def encrypted(tmp_path: Folder) -> AsyncIterator[Encrypted]:
    """Two hosts with an encrypted network."""
    with private_namespace():
        async with encrypted_hosts(tmp_path) as made:
            yield made


async def found(
    made: Site, options: NetworkOptions | None = None, ids: tuple[str, str] = ("1", "2"), others: tuple[str, ...] = ()
) -> list[str]:
    """What the first host says of the second: proof and remedy. ids: the hosts' own. others: addresses of containers of
    the second."""
    one, two = made.machines[:2]
    network, overlay = one.networks["web"], one.overlays.of(one.networks["web"].id)
    assert overlay is not None
    asked = replace(network, name="web", options=options or network.options)
    host = ClusterHost(
        id=ids[1], name="two", machine="m", boot="b", underlay=Underlay(str(two.outer), "under0", 1500), version="1",
        joined=0.0, tunnel=TunnelEnd(("k",), WIREGUARD),
    )  # fmt: skip
    own = made.published["web"]["host2"].addresses
    path = path_to(host, own, map(ip_address, others), asked, overlay, (inner_address(ids[0]), one.outer))
    with one.space.inside():  # where the kernel's thread is that makes the sockets, which begins with its first work
        answers = await IcmpEchoes(one.kernel).ask(path.echoes)
    assert Answer.UNASKED not in answers.values()
    return [f"{each.text}. {each.proof}. {each.remedy}" for each in path_findings([path], answers, 7.0)]


def drop(machine: Machine, rule: str) -> None:
    """The host's own firewall, before everything else."""
    machine.space.sh(
        "nft add table inet site",
        "nft 'add chain inet site input { type filter hook input priority -300; policy accept; }'",
        f"nft 'add rule inet site input {rule} drop'",
    )


async def test_hosts_that_reach_each_other_are_not_told_of(pair: Site) -> None:
    """Full packets pass as well."""
    assert await found(pair) == []


@pytest.mark.parametrize(
    "kind",
    [
        {"domain": 1},
        {"internal": True},
        {"options": NetworkOptions(icc=False)},
        {"offload": False},
        {"multicast": True},
    ],
    ids=str,
)
async def test_hosts_reach_each_other_in_every_kind_of_network(kind: dict[str, Any]) -> None:
    """In a tenant's routing domain, where its addresses are; where nothing leaves, or containers do not meet."""
    with private_namespace():
        made = site()
        for _ in range(2):
            await made.machine()
        await made.network("web", 9, VNI, **kind)
        try:
            assert await found(made) == []
        finally:
            await made.close()


async def test_a_container_answers_for_a_host_that_drops_pings(pair: Site) -> None:
    """The tunnel passes; without a container it is said that this may be why."""
    drop(pair.machines[1], 'iifname "m*" icmp type echo-request')
    drop(pair.machines[1], 'iifname "m*" icmpv6 type echo-request')
    (told,) = await found(pair)
    assert "drops pings in the network" in told
    await pair.container(pair.machines[1], "web", 12)
    await pair.publish()
    assert await found(pair, others=("10.9.0.12",)) == []


@pytest.mark.parametrize("number", [0, 1])
async def test_a_tunnels_port_that_a_firewall_drops_is_told(pair: Site, number: int) -> None:
    """Whichever host's: the way out, or the way back."""
    drop(pair.machines[number], f"udp dport {PORT}")
    (told,) = await found(pair)
    assert "host two does not answer in network web" in told
    assert f"{pair.machines[1].outer} in the underlay answers" in told
    assert f"let UDP port {PORT} pass" in told


async def test_a_host_that_is_cut_off_is_told_as_such(pair: Site) -> None:
    """Its interface is down."""
    pair.machines[1].space.sh("ip link set under0 down")
    (told,) = await found(pair)
    assert "in the underlay does not answer either" in told


async def test_a_path_that_is_narrower_than_said_is_told(pair: Site) -> None:
    """Between the hosts, where neither sees it."""
    pair.switch.sh("ip link set port2 mtu 1400")
    (told,) = await found(pair)
    assert "host two answers small packets in network web" in told
    assert "an MTU of 1500" in told


async def test_wireguards_port_that_a_firewall_drops_is_told(encrypted: Encrypted) -> None:
    """In an encrypted network; and what a firewall does within is not the port's fault."""
    ids, options = (encrypted.one.host, encrypted.two.host), NetworkOptions(encrypted=True)
    await encrypted.made.publish()
    await encrypted.follow()
    assert await found(encrypted.made, options, ids) == []
    drop(encrypted.two.machine, f"udp dport {WIREGUARD}")
    (told,) = await found(encrypted.made, options, ids)
    assert f"let UDP port {WIREGUARD} pass" in told
