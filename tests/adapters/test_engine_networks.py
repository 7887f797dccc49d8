"""A network as Docker's API takes it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from mooring.adapters.docker.engine_networks import creating
from mooring.core.containers import EngineNetwork, EngineSubnet


def test_what_is_asked_for_is_in_the_body_and_nothing_else() -> None:
    """IPv4 is asked not to be where there is none."""
    four = EngineSubnet(
        ip_network("10.40.0.0/24"), ip_network("10.40.0.0/25"), ip_address("10.40.0.1"), {"a": ip_address("10.40.0.9")}
    )
    six = EngineSubnet(ip_network("fd00:40::/64"))
    body = creating(EngineNetwork("", "app", "mooring", options={"mode": "vxlan"}, ipam="mooring", subnets=(four, six)))
    assert body["IPAM"] == {
        "Driver": "mooring",
        "Options": {},
        "Config": [
            {
                "Subnet": "10.40.0.0/24", "IPRange": "10.40.0.0/25", "Gateway": "10.40.0.1",
                "AuxiliaryAddresses": {"a": "10.40.0.9"},
            },
            {"Subnet": "fd00:40::/64"},
        ],
    }  # fmt: skip
    assert (body["EnableIPv6"], body["CheckDuplicate"], "EnableIPv4" in body) == (True, True, False)
    assert creating(EngineNetwork("", "app", "mooring", subnets=(six,)))["EnableIPv4"] is False
