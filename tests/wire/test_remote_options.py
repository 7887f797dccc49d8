"""The options of the remote network protocol: ports, MACs, the user's own."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Any

import pytest

from mooring.core.faults import BadRequest
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.wire.remote_options import (
    EXPOSED_KEY,
    GENERIC_KEY,
    INTERNAL_KEY,
    IPV6_ELSEWHERE_KEY,
    MAC_KEY,
    PORTS_KEY,
    decode_mac,
    encode_exposed,
    encode_mac,
    encode_network_options,
    encode_ports,
    exposed_ports,
    ipv6_elsewhere,
    network_options,
    parse_interface,
    parse_mac,
    port_requests,
)


def binding(**fields: Any) -> dict[str, Any]:
    """One element of the port map."""
    port = {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}
    return {PORTS_KEY: [port | fields]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, PortRequest(Protocol.TCP, 80, None, 8080, 8080)),
        ({"Proto": 17}, PortRequest(Protocol.UDP, 80, None, 8080, 8080)),
        ({"Proto": 132}, PortRequest(Protocol.SCTP, 80, None, 8080, 8080)),
        ({"HostPort": 0, "HostPortEnd": 0}, PortRequest(Protocol.TCP, 80)),
        ({"HostPortEnd": 0}, PortRequest(Protocol.TCP, 80, None, 8080, 8080)),
        ({"HostPortEnd": 8090}, PortRequest(Protocol.TCP, 80, None, 8080, 8090)),
        ({"HostIP": "127.0.0.1"}, PortRequest(Protocol.TCP, 80, ip_address("127.0.0.1"), 8080, 8080)),
        ({"HostIP": "::1"}, PortRequest(Protocol.TCP, 80, ip_address("::1"), 8080, 8080)),
        ({"HostIP": "0.0.0.0"}, PortRequest(Protocol.TCP, 80, ip_address("0.0.0.0"), 8080, 8080)),
    ],
)
def test_port_bindings_become_requests(fields: dict[str, Any], expected: PortRequest) -> None:
    """Each as Docker means it; no host address stays none."""
    assert port_requests(binding(**fields)) == (expected,)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Proto": 1}, "protocol 1 is not tcp, udp or sctp"),
        ({"Port": 0}, "0 is not a port"),
        ({"Port": 65536}, "65536 is not a port"),
        ({"HostPort": -1}, "-1 is not a port"),
        ({"HostPort": 10**30}, "PORTS"),
        ({"HostPort": 9000}, "9000-8080 are not a range"),
        ({"HostPort": 0}, "0-8080 are not a range"),
        ({"HostIP": "localhost"}, "localhost is not an IP address"),
        ({"Port": "80"}, "Expected `int`"),
        ({"Port": 80.5}, "Expected `int`"),
        ({"HostIP": None}, "Expected `str`"),
    ],
)
def test_bad_port_bindings_are_refused(fields: dict[str, Any], reason: str) -> None:
    """One line that names the option."""
    with pytest.raises(BadRequest) as caught:
        port_requests(binding(**fields))
    assert PORTS_KEY in str(caught.value)
    assert reason in str(caught.value) or reason == "PORTS"


def test_no_port_map_is_no_request() -> None:
    """Absent, null and empty are the same; a repetition is one request."""
    assert (
        port_requests(None) == port_requests({}) == port_requests({PORTS_KEY: None}) == port_requests({PORTS_KEY: []})
    )
    twice = binding()[PORTS_KEY] * 2
    assert len(port_requests({PORTS_KEY: twice})) == 1
    with pytest.raises(BadRequest, match="Expected `array"):
        port_requests({PORTS_KEY: "80"})


def test_port_requests_survive_both_directions() -> None:
    """What a client of ours sends, our door reads."""
    ports = (PortRequest(Protocol.TCP, 80, ip_address("127.0.0.1"), 8080, 8090), PortRequest(Protocol.UDP, 53))
    assert port_requests({PORTS_KEY: encode_ports(ports)}) == ports


@pytest.mark.parametrize(
    ("options", "expected"),
    [(None, False), ({}, False), ({IPV6_ELSEWHERE_KEY: False}, False), ({IPV6_ELSEWHERE_KEY: True}, True)],
)
def test_a_gateway_of_its_own_for_ipv6_is_told(options: dict[str, Any] | None, expected: bool) -> None:
    """28 always says it when a container joins, 29 only when it is so, earlier ones never."""
    assert ipv6_elsewhere(options) is expected


def test_a_gateway_of_its_own_that_is_no_truth_value_is_refused() -> None:
    """By the name of the key."""
    with pytest.raises(BadRequest, match="no_proxy_6to4"):
        ipv6_elsewhere({IPV6_ELSEWHERE_KEY: "yes"})


def test_exposed_ports_are_pairs() -> None:
    """Protocol and port; nothing is published by them."""
    assert exposed_ports({EXPOSED_KEY: [{"Proto": 6, "Port": 80}]}) == ((Protocol.TCP, 80),)
    assert exposed_ports(None) == ()
    with pytest.raises(BadRequest, match="is not a port"):
        exposed_ports({EXPOSED_KEY: [{"Proto": 6, "Port": 0}]})
    ports = ((Protocol.TCP, 80), (Protocol.SCTP, 9))
    assert exposed_ports({EXPOSED_KEY: encode_exposed(ports)}) == ports


def test_macs_are_base64_in_endpoint_options() -> None:
    """Go writes a hardware address as bytes there."""
    assert decode_mac({MAC_KEY: "AgAAAACq"}) == "02:00:00:00:00:aa"
    assert encode_mac("02:00:00:00:00:aa") == "AgAAAACq"
    assert decode_mac(None) == decode_mac({}) == decode_mac({MAC_KEY: None}) == decode_mac({MAC_KEY: ""}) == ""


@pytest.mark.parametrize("value", ["02:00:00:00:00:aa", "AgAAAA==", "!!", 5, ["AgAAAACq"], "AQAAAACq", "AAAAAAAA"])
def test_bad_macs_in_endpoint_options_are_refused(value: object) -> None:
    """Text, five octets, other types, a group address, nothing but zeros."""
    with pytest.raises(BadRequest, match=MAC_KEY):
        decode_mac({MAC_KEY: value})


def test_macs_are_text_elsewhere() -> None:
    """In lower case with colons afterwards."""
    assert parse_mac("MacAddress", "02-AB-00-00-00-Aa") == "02:ab:00:00:00:aa"
    for text in (
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:aa:bb",
        "02:00:00:00:00:zz",
        "02-00:00:00:00:aa",
        "٠2:00:00:00:00:aa",
    ):
        with pytest.raises(BadRequest, match="MacAddress"):
            parse_mac("MacAddress", text)


def test_network_options_are_the_users_and_internal() -> None:
    """What the engine adds of its own is not the user's."""
    options = {"com.docker.network.enable_ipv6": True, INTERNAL_KEY: True, GENERIC_KEY: {"mtu": "1400"}}
    assert network_options(options) == ({"mtu": "1400"}, True)
    assert network_options(None) == network_options({GENERIC_KEY: None, INTERNAL_KEY: None}) == ({}, False)


@pytest.mark.parametrize(
    "options", [{GENERIC_KEY: []}, {GENERIC_KEY: {"mtu": 1400}}, {GENERIC_KEY: "x"}, {INTERNAL_KEY: "true"}]
)
def test_network_options_of_a_wrong_type_are_refused(options: dict[str, Any]) -> None:
    """Also numbers where text belongs."""
    with pytest.raises(BadRequest, match=r"com\.docker\.network"):
        network_options(options)


def test_network_options_survive_both_directions() -> None:
    """`internal` is there only when it is true; families are booleans that our door does not need."""
    for internal in (True, False):
        encoded = encode_network_options({"mtu": "1400"}, internal, ipv4=True, ipv6=False)
        assert (INTERNAL_KEY in encoded) is internal
        assert network_options(encoded) == ({"mtu": "1400"}, internal)
    assert (encoded["com.docker.network.enable_ipv4"], encoded["com.docker.network.enable_ipv6"]) == (True, False)


def test_interfaces_are_addresses_with_a_length() -> None:
    """Neither netmasks nor zones, and never without."""
    assert parse_interface("Address", "10.9.0.2/24") == ip_interface("10.9.0.2/24")
    assert parse_interface("Address", "fd09::2/64") == ip_interface("fd09::2/64")
    for text in (
        "",
        "10.9.0.2",
        "10.9.0.2/",
        "10.9.0.2/33",
        "10.9.0.2/255.0.0.0",
        "fe80::1%e/64",
        "x/24",
        "10.9.0.2/²",
    ):
        with pytest.raises(BadRequest, match="Address"):
            parse_interface("Address", text)
