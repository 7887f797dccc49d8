"""The body of a network's creation: what is read of it, and the subnets that are put in."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest

from mooring.core.docker_requests import NetworkSpec
from mooring.wire.network_bodies import network_spec, with_ipam_options, with_subnets

V4, V6 = ip_network("10.32.0.0/24"), ip_network("fd00:32::/64")


@pytest.mark.parametrize(
    ("body", "families"),
    [
        ({}, (4,)),
        ({"EnableIPv6": True}, (4, 6)),
        ({"EnableIPv4": False, "EnableIPv6": True}, (6,)),
        ({"IPAM": None}, (4,)),
        ({"IPAM": {"Config": None}}, (4,)),
        ({"IPAM": {"Config": []}}, (4,)),
        ({"IPAM": {"Config": [{}]}}, (4,)),
        ({"ipam": {"config": [{"subnet": "10.0.0.0/24"}]}, "EnableIPv6": True}, (6,)),
        ({"IPAM": {"Config": [{"Subnet": "fd00::/64"}]}, "EnableIPv6": True}, (4,)),
        ({"IPAM": {"Config": [{"Subnet": "0.0.0.0/28"}]}}, ()),
    ],
)
def test_families_without_a_subnet(body: dict[str, object], families: tuple[int, ...]) -> None:
    """As Go reads the body: names in any case of letters, null for nothing."""
    spec = network_spec(json.dumps(body).encode())
    assert spec is not None
    assert spec.open == families


def test_everything_that_is_read() -> None:
    """Name, drivers and options."""
    ipam = {"Driver": "mooring", "Options": {"tenant": "blue"}}
    body = {"Name": "web", "Driver": "mooring", "Options": {"mtu": "1400"}, "IPAM": ipam}
    assert network_spec(json.dumps(body).encode()) == NetworkSpec(
        "web", "mooring", "mooring", {"mtu": "1400"}, {"tenant": "blue"}, (4,)
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"IPAM":[]}', b'{"IPAM":{"Config":{}}}', b'{"Name":1}'])
def test_what_has_another_shape_is_the_engines_matter(body: bytes) -> None:
    """It says what is wrong."""
    assert network_spec(body) is None


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"Name":"w"}', b'{"Name":"w","IPAM":{"Config":[{"Subnet":"10.32.0.0/24"}]}}'),
        (b'{"IPAM":null}', b'{"IPAM":{"Config":[{"Subnet":"10.32.0.0/24"}]}}'),
        (
            b'{"IPAM":{"Driver":"m","Config":[]},"X": 1}',
            b'{"IPAM":{"Driver":"m","Config":[{"Subnet":"10.32.0.0/24"}]},"X": 1}',
        ),
        (b'{"IPAM":{"Config":[{}]}}', b'{"IPAM":{"Config":[{"Subnet":"10.32.0.0/24"}]}}'),
        (
            b'{"IPAM":{"Config":[{"Subnet":"fd00::/64"}]}}',
            b'{"IPAM":{"Config":[{"Subnet":"fd00::/64"},{"Subnet":"10.32.0.0/24"}]}}',
        ),
    ],
)  # fmt: skip
def test_subnets_are_put_in_and_nothing_else_changes(body: bytes, after: bytes) -> None:
    """Beside those that are there."""
    assert with_subnets(body, [V4]) == after
    spec = network_spec(with_subnets(b'{"EnableIPv6":true}', [V4, V6]))
    assert spec is not None
    assert spec.open == ()


def test_a_body_that_cannot_be_read_stays() -> None:
    """Byte for byte."""
    assert with_subnets(b'{"IPAM":{"Config":{}}}', [V4]) == b'{"IPAM":{"Config":{}}}'


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"Name":"w"}', b'{"Name":"w","IPAM":{"Options":{"pool":"lab"}}}'),
        (b'{"IPAM":{"Driver":"m","Options":null}}', b'{"IPAM":{"Driver":"m","Options":{"pool":"lab"}}}'),
        (b'{"IPAM":{"Options":{"claim":"holders"}}}', b'{"IPAM":{"Options":{"claim":"holders","pool":"lab"}}}'),
        (b'{"IPAM":[]}', b'{"IPAM":[]}'),
    ],
)
def test_options_of_the_ipam_driver_are_put_in_beside_those_that_are_there(body: bytes, after: bytes) -> None:
    """What cannot be read stays as it is."""
    assert with_ipam_options(body, {"pool": "lab"}) == after


def test_options_of_the_driver_that_the_ipam_driver_has_to_be_told() -> None:
    """Those of subnet pools and the tenant, under their own words, and not what it is told already or when it is
    another's."""
    options = {"pool": "lab", "mooring.prefixlen6": "80", "mtu": "1400", "tenant": "blue"}
    moved = {"pool": "lab", "prefixlen6": "80", "tenant": "blue"}
    assert NetworkSpec("web", "mooring", "mooring", options).moved == moved
    told = {"mooring.pool": "x", "tenant": "red"}  # which Mooring refuses, as what contradicts itself
    assert NetworkSpec("web", "mooring", "mooring", options, told).moved == {"prefixlen6": "80"}
    assert NetworkSpec("web", "mooring", "default", options).moved == {}
