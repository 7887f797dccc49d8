"""What is written for Docker's own drivers means the same here."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.networks import GatewayMode, NetworkOptions, Scope
from mooring.core.options import parse_network_options

BRIDGE = "com.docker.network.bridge."


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({BRIDGE + "name": "br0"}, NetworkOptions(bridge="br0")),
        ({BRIDGE + "enable_icc": "false"}, NetworkOptions(icc=False)),
        ({BRIDGE + "enable_ip_masquerade": "false"}, NetworkOptions(masquerade=False)),
        ({BRIDGE + "host_binding_ipv4": "127.0.0.1"}, NetworkOptions(binding=ip_address("127.0.0.1"))),
        ({BRIDGE + "gateway_mode_ipv4": "routed"}, NetworkOptions(gateway_mode4=GatewayMode.ROUTED)),
        ({BRIDGE + "gateway_mode_ipv6": "routed"}, NetworkOptions(gateway_mode6=GatewayMode.ROUTED)),
        ({BRIDGE + "inhibit_ipv4": "false"}, NetworkOptions()),
        ({BRIDGE + "default_bridge": "0"}, NetworkOptions()),
        ({BRIDGE + "trusted_host_interfaces": ""}, NetworkOptions()),
        ({BRIDGE + "firewalld_zone": ""}, NetworkOptions()),
        ({"com.docker.network.driver.mtu": "1400"}, NetworkOptions(mtu=1400)),
        ({"com.docker.network.container_iface_prefix": "net"}, NetworkOptions(interface_prefix="net")),
        ({"com.docker.network.host_ipv4": "192.0.2.1"}, NetworkOptions(source4=ip_address("192.0.2.1"))),  # type: ignore[arg-type]
        (
            {"mode": "vxlan", "com.docker.network.driver.overlay.vxlanid_list": "5000"},
            NetworkOptions(scope=Scope.CLUSTER, overlay=True, vni=5000),
        ),
        ({"com.docker.network.advertise_addr_nmsgs": "0"}, NetworkOptions()),
        ({"com.docker.network.advertise_addr_ms": "100"}, NetworkOptions()),
        ({"com.docker.network.enable_ipv6": "true"}, NetworkOptions()),
        ({"com.docker.network.internal": "false"}, NetworkOptions()),
    ],
)
def test_dockers_names_are_synonyms(raw: dict[str, str], expected: NetworkOptions) -> None:
    """What is written for Docker's bridge driver means the same here, or is done by the engine."""
    assert parse_network_options(raw, internal=False) == expected
