"""Options of networks that several hosts take part in."""

from __future__ import annotations

import pytest

from mooring.core.faults import BadRequest
from mooring.core.networks import Ingress, NetworkOptions, Scope
from mooring.core.options import parse_network_options


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"scope": "local"}, NetworkOptions()),
        ({"scope": "cluster"}, NetworkOptions(scope=Scope.CLUSTER)),
        ({"mode": "vxlan"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True)),
        ({"mode": "vxlan", "scope": "cluster"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True)),
        ({"mooring.mode": "vxlan", "vni": "1"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True, vni=1)),
        ({"mode": "vxlan", "vni": "16777215"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True, vni=2**24 - 1)),
        ({"mode": "vxlan", "encrypted": ""}, NetworkOptions(scope=Scope.CLUSTER, overlay=True, encrypted=True)),
        ({"mode": "vxlan", "encrypted": "off"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True)),
        ({"mode": "vxlan", "multicast": "on"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True, multicast=True)),
        ({"mode": "vxlan", "offload": "off"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True, offload=False)),
        ({"mode": "vxlan", "ingress": "any"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True, ingress=Ingress.ANY)),
        ({"mode": "vxlan", "ingress": "host"}, NetworkOptions(scope=Scope.CLUSTER, overlay=True)),
        ({"mode": "bridge", "scope": "cluster"}, NetworkOptions(scope=Scope.CLUSTER)),
    ],
)
def test_an_overlay_is_a_bridge_of_the_cluster_with_tunnels(raw: dict[str, str], expected: NetworkOptions) -> None:
    """`mode=vxlan` implies the scope, and what tunnels have may be said with it."""
    assert parse_network_options(raw, internal=False) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"scope": "swarm"}, "option scope=swarm: must be one of local, cluster"),
        ({"mode": "vxlan", "scope": "local"}, "option scope=local contradicts mode=vxlan"),
        ({"mode": "vxlan", "mooring.mode": "bridge"}, "contradict each other"),
        ({"scope": "cluster", "vni": "5000"}, "option vni is for networks with tunnels between hosts; add -o mode=vxl"),
        ({"mooring.encrypted": "on"}, "option mooring.encrypted is for networks with tunnels"),
        ({"multicast": "on"}, "option multicast is for networks with tunnels"),
        ({"offload": "off"}, "option offload is for networks with tunnels"),
        ({"scope": "cluster", "ingress": "any"}, "option ingress is for networks with tunnels"),
        ({"mode": "vxlan", "ingress": "all"}, "option ingress=all: must be one of host, any"),
        ({"mode": "vxlan", "ingress": "any", "icc": "off"}, "option ingress=any contradicts icc=off"),
        ({"mode": "vxlan", "ingress": "any", "nat": "off"}, "option ingress=any is for address translation"),
        ({"mode": "vxlan", "vni": "0"}, "a number from 1 to 16777215"),
        ({"mode": "vxlan", "vni": "16777216"}, "a number from 1 to 16777215"),
        ({"mode": "null", "scope": "cluster"}, "option scope=cluster is not for mode null"),
        ({"mode": "handoff", "scope": "cluster"}, "option scope=cluster is not for mode handoff"),
        ({"scope": "cluster", "subnets": "on-demand"}, "option subnets=on-demand is not for networks of the cluster"),
    ],
)
def test_what_makes_no_sense_is_refused(raw: dict[str, str], reason: str) -> None:
    """By name, with what to do."""
    with pytest.raises(BadRequest) as caught:
        parse_network_options(raw, internal=False)
    assert reason in str(caught.value)


def test_an_internal_network_leads_nowhere() -> None:
    """It publishes nothing."""
    with pytest.raises(BadRequest, match="option ingress=any is not for internal networks"):
        parse_network_options({"mode": "vxlan", "ingress": "any"}, internal=True)
