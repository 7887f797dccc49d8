"""What a network asks for itself, from its request and its options."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mooring.core.faults import BadRequest
from mooring.core.networks import NetworkOptions, Subnets
from mooring.core.requests import NetworkRequest, SegmentRequest
from mooring.services.networking.own_subnets import OWNED, families_on_demand, owned_options, with_ipv6

LEFT = SegmentRequest("null", ip_network("0.0.0.0/0"), None)
NAMED = SegmentRequest("default", ip_network("10.0.0.0/24"), None)
REQUEST = NetworkRequest("n", {}, False, (LEFT,), ())
LATER = NetworkOptions(subnets=Subnets.ON_DEMAND)


def test_ipv6_is_asked_for_by_an_option_where_docker_cannot_be_asked() -> None:
    """And only there."""
    assert with_ipv6(REQUEST, NetworkOptions()) is REQUEST
    both = with_ipv6(REQUEST, NetworkOptions(ipv6=True))
    assert [part.subnet for part in both.ipv6] == [ip_network("::/0")]
    with pytest.raises(BadRequest, match="use --ipv6"):
        with_ipv6(replace(REQUEST, ipv4=(NAMED,)), NetworkOptions(ipv6=True))


def test_families_come_on_demand_where_the_option_says_so() -> None:
    """Those that were not given."""
    assert families_on_demand(REQUEST, NetworkOptions()) == ()
    assert families_on_demand(REQUEST, LATER) == (4,)
    assert families_on_demand(with_ipv6(REQUEST, NetworkOptions(ipv6=True)), LATER) == (4, 6)


def test_another_ipam_drivers_network_gets_the_subnets_of_its_addresses_on_demand() -> None:
    """Of the families that it has; they are that driver's to release."""
    theirs = SegmentRequest("LocalDefault", ip_network("172.20.0.0/16"), None)
    assert families_on_demand(replace(REQUEST, ipv4=(theirs,)), LATER) == (4,)
    assert families_on_demand(replace(REQUEST, ipv4=(theirs,)), NetworkOptions()) == ()
    with pytest.raises(BadRequest, match="option subnets=on-demand,idle=release is for"):
        families_on_demand(replace(REQUEST, ipv4=(theirs,)), NetworkOptions(subnets=Subnets.RELEASED))


def test_the_option_is_refused_where_the_subnets_were_given() -> None:
    """Nobody would hear it."""
    with pytest.raises(BadRequest, match="--ipam-driver null"):
        families_on_demand(replace(REQUEST, ipv4=(NAMED,)), LATER)


def test_a_pool_says_that_the_network_owns_it_and_which_subnet_pool_was_named() -> None:
    """For its family."""
    options = NetworkOptions(pool="four", pool6="six")
    assert owned_options(options, 4) == {OWNED: "yes", "pool": "four"}
    assert owned_options(options, 6) == {OWNED: "yes", "pool6": "six"}
    assert owned_options(NetworkOptions(), 4) == {OWNED: "yes"}
