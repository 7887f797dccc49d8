"""What a network may not be, by values alone; how it is refused is tested with the networks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.pools import Pool
from mooring.core.requests import NetworkRequest, SegmentRequest
from mooring.services.networking.network_checks import check_families, must_have_addresses, must_match, options_of

SUBNET = ip_network("10.32.0.0/24")
REQUEST = NetworkRequest("n", {}, False, (SegmentRequest("default", SUBNET, None),), ())
NETWORK = Network(
    "n", NetworkOptions(), False, (Segment(SUBNET, ip_interface("10.32.0.1/24"), "default", "p"),), (), 0.0
)


def test_options_are_those_of_the_driver_that_is_named() -> None:
    """Ours are parsed, those of others are theirs, and drivers without options have none."""
    assert options_of(replace(REQUEST, raw={"icc": "off"})) == NetworkOptions(icc=False)
    assert options_of(replace(REQUEST, driver="theirs", raw={"x": "y"})) == NetworkOptions()
    with pytest.raises(BadRequest, match="option mode=null contradicts driver bridge"):
        options_of(replace(REQUEST, driver="bridge", raw={"mode": "null"}))
    with pytest.raises(BadRequest, match="driver host has no options; leave out icc"):
        options_of(replace(REQUEST, driver="host", raw={"icc": "off"}))


def test_a_repeated_request_is_the_same_one() -> None:
    """Else it is for another network."""
    must_match(NETWORK, REQUEST)
    for other in (replace(REQUEST, internal=True), replace(REQUEST, raw={"icc": "off"})):
        with pytest.raises(Conflict, match="already exists with other settings"):
            must_match(NETWORK, other)


def test_families_are_those_that_the_network_has() -> None:
    """At least one, and none that a subnet pool was named for in vain."""
    with pytest.raises(BadRequest, match="needs IPv4 or IPv6"):
        must_have_addresses(replace(REQUEST, ipv4=()), NetworkOptions())
    pool = Pool(id="p", space="default", subnet=SUBNET, options={"pool6": "lab"})
    with pytest.raises(BadRequest, match="option pool6 is for IPv6"):
        check_families(NETWORK, [pool])
