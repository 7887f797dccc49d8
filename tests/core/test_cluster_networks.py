"""Networks of several hosts: what must be the same on each."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from msgspec import structs

from mooring.core.cluster_networks import ClusterNetwork, as_shared, disagreements
from mooring.core.networks import Network, NetworkOptions, Scope, Segment

SUBNET = ip_network("10.30.0.0/24")
SEGMENT = Segment(SUBNET, ip_interface("10.30.0.1/24"), "default", "p4", {"router": ip_address("10.30.0.9")})
SIX = Segment(ip_network("fd00:30::/64"), None, "default", "p6")
OPTIONS = NetworkOptions(scope=Scope.CLUSTER, overlay=True)
NETWORK = Network("n1", OPTIONS, False, (SEGMENT,), (SIX,), 5.0)
SHARED = ClusterNetwork(
    id="",
    space="default",
    subnets=(SUBNET, SIX.subnet),
    gateways=(ip_interface("10.30.0.1/24"),),
    options={"mode": "vxlan", "aux-address": "router=10.30.0.9"},
)


def test_a_network_meets_others_by_its_first_subnet_with_what_must_be_the_same() -> None:
    """What is as usual is left out, and what each host may settle for itself is, too."""
    shared = as_shared(NETWORK)
    assert (shared, shared.subnet, shared.overlay) == (SHARED, SUBNET, True)
    own = replace(OPTIONS, bridge="br-app", masquerade=False, peers="blue", offload=False)
    assert as_shared(replace(NETWORK, options=own, name="app")) == SHARED


def test_what_must_be_the_same_is_named_where_it_is_not() -> None:
    """With the network's own, and with what is wanted."""
    assert list(disagreements(SHARED, SHARED)) == []
    options = replace(OPTIONS, overlay=False, icc=False, mtu=1400)
    segment = replace(SEGMENT, gateway=ip_interface("10.30.0.254/24"), auxiliary={})
    wanted = as_shared(Network("n2", options, True, (segment,), (), 5.0))
    assert list(disagreements(SHARED, wanted)) == [
        ("subnet", "10.30.0.0/24, fd00:30::/64", "10.30.0.0/24"),
        ("gateway", "10.30.0.1/24", "10.30.0.254/24"),
        ("aux-address", "router=10.30.0.9", "none"),
        ("icc", "at its default", "off"),
        ("internal", "at its default", "on"),
        ("mode", "vxlan", "bridge"),
        ("mtu", "at its default", "1400"),
    ]


def test_a_vni_is_compared_where_somebody_asked_for_one() -> None:
    """Who asks for none takes the one that there is."""
    known = structs.replace(SHARED, vni=5000)
    assert list(disagreements(known, SHARED)) == []
    assert list(disagreements(known, SHARED, 5000)) == []
    assert list(disagreements(known, SHARED, 5001)) == [("vni", "5000", "5001")]
