"""What the doctor says of this host's part in a cluster."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.cluster_hosts import ClusterHost, Underlay
from mooring.core.faults import Conflict, Unavailable
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.overlays import Overlay
from mooring.services.networking.assembly import World
from mooring.services.operations.cluster_checks import (
    mtu_findings,
    narrow_findings,
    port_findings,
    turn_findings,
    unread_findings,
)
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import operations
from tests.services.member_hosts import members

V4 = Segment(ip_network("10.1.0.0/24"), ip_interface("10.1.0.1/24"), "default", "p4")
V6 = Segment(ip_network("fd01::/64"), ip_interface("fd01::1/64"), "default", "p6")


def network(mtu: int = 0, *, ipv6: bool = False) -> Network:
    """One with that option."""
    return Network("n" * 64, NetworkOptions(mtu=mtu), False, (V4,), (V6,) if ipv6 else (), created=0.0, name="web")


def test_what_a_turn_could_not_do_is_told_once() -> None:
    """With who is in the way, and what to do."""
    fault = Conflict("subnet 10.0.0.0/16 is full", holder="host b", hint="forget it")
    (finding,) = turn_findings([fault, Conflict("subnet 10.0.0.0/16 is full")], 7.0)
    assert (finding.text, finding.proof, finding.remedy) == ("subnet 10.0.0.0/16 is full", "host b", "forget it")


def test_what_cannot_be_read_is_told() -> None:
    """By its key, which is the same for as long as it lasts."""
    (finding,) = unread_findings(["ep/B/n1/e1 in the cluster is left out: version 9"], 7.0)
    assert finding.subject == "advertisement ep/B/n1/e1"
    assert "version" in finding.remedy


@pytest.mark.parametrize(
    ("mtu", "ipv6", "underlay", "told"),
    [
        (0, False, 1500, ""),
        (0, True, 1500, ""),
        (1450, False, 1500, ""),
        (1500, False, 1500, "mtu=1500 does not fit, containers have 1450"),
        (0, True, 1230, "in two pieces, as IPv6 needs 1280 bytes and there are 1180"),
        (0, False, 1230, ""),
    ],
)
def test_an_underlay_that_is_too_small_is_told(mtu: int, ipv6: bool, underlay: int, told: str) -> None:
    """Where somebody asked for more, or IPv6 needs more."""
    overlay = Overlay(7, ip_address("192.0.2.1"), underlay)
    found = [finding.text for finding in mtu_findings([(network(mtu, ipv6=ipv6), overlay)], 7.0)]
    assert len(found) == bool(told)
    assert told in "".join(found)


def test_a_host_whose_tunnels_have_another_port_is_told() -> None:
    """Who changes it after its networks were made hears nothing of the others; a host that does not say is none."""
    hosts = [
        ClusterHost(
            id=name, name=name, machine=name, boot="b", underlay=Underlay("10.0.0.1", "eth0", 1500), version="1",
            joined=0.0, vxlan_port=port,
        )
        for name, port in (("web1", 4790), ("web2", 4795), ("web3", 0))
    ]  # fmt: skip
    (finding,) = port_findings(hosts, 4790, 7.0)
    assert finding.text == "host web2 has its tunnels at UDP port 4795, this one at 4790: neither hears the other"
    assert "vxlan_port" in finding.remedy


def test_a_host_with_a_smaller_underlay_than_this_one_is_told() -> None:
    """What it cannot receive is lost without a word (libnetwork#1021), but where the network's own MTU fits."""
    hosts = [
        ClusterHost(
            id=name, name=name, machine=name, boot="b", underlay=Underlay("10.0.0.1", "eth0", mtu), version="1",
            joined=0.0,
        )
        for name, mtu in (("web1", 1500), ("web2", 1400), ("web3", 9000))
    ]  # fmt: skip
    overlay = Overlay(7, ip_address("192.0.2.1"), 1500)
    (finding,) = narrow_findings(hosts, [(network(), overlay)], 7.0)
    assert finding.text == (
        "host web2 has an MTU of 1400 on eth0: full packets of this one's containers, up to 1500 bytes in the tunnel, "
        "are lost there"
    )
    assert list(narrow_findings(hosts, [(network(1350), overlay)], 7.0)) == []
    assert list(narrow_findings(hosts, [], 7.0)) == []


async def test_the_doctor_tells_them() -> None:
    """What the runtime found is among what he finds."""
    (host,) = await members(1)
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock, host.setup)
    operated = operations(host.services, world, DaemonFacts("1.0", 0.0, "", "", "", host.policy))
    host.runtime.faults = (Unavailable("something waits"),)
    found = await operated.doctor.examine()
    assert "something waits" in {finding.text for finding in found.findings}


async def test_the_doctor_asks_each_of_the_clusters_servers() -> None:
    """Others stand in for one that is lost, so nothing else shows it."""
    (host,) = await members(1)
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock, host.setup)
    operated = operations(host.services, world, DaemonFacts("1.0", 0.0, "", "", "", host.policy))
    operated.cluster.cluster = host.membership.cluster
    host.servers.trouble = [trouble := "etcd at https://m2:2379 cannot be reached"]
    found = await operated.doctor.examine()
    assert trouble in {finding.text for finding in found.findings}
