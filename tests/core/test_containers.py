"""Containers as an engine tells of them."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.containers import ContainerEndpoint


def test_a_container_endpoint_lists_ipv4_first_and_nothing_that_it_has_not() -> None:
    """What it asks for and what it has are told apart."""
    v4, v6 = ip_address("10.0.0.2"), ip_address("fd00::2")
    assert ContainerEndpoint("n", "web").wanted == ContainerEndpoint("n", "web").held == ()
    endpoint = ContainerEndpoint("n", "web", wanted4=v4, wanted6=v6, ipv6=v6)  # type: ignore[arg-type]
    assert (endpoint.wanted, endpoint.held) == ((v4, v6), (v6,))


def test_a_mac_is_a_proof_only_where_the_container_has_what_its_configuration_asks_for() -> None:
    """An engine may tell one that it does not use."""
    mac, other = "02:00:00:00:00:01", "02:00:00:00:00:02"
    assert ContainerEndpoint("n", "web", wanted_mac=mac, mac=mac).proof == mac
    assert ContainerEndpoint("n", "web", wanted_mac=mac, mac=other).proof == ""
    assert ContainerEndpoint("n", "web", mac=mac).proof == ""
