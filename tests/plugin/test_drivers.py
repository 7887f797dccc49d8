"""A driver that overrides nothing refuses what it cannot give, and lets everything else pass."""

from __future__ import annotations

import pytest

from mooring import plugin
from mooring.wire import remote_api as api


def test_an_ipam_driver_must_give_subnets_and_addresses() -> None:
    """Refused in words for who typed --ipam-driver."""
    driver = plugin.IpamDriver()
    with pytest.raises(plugin.Forbidden, match="gives no subnets; choose another one with --ipam-driver"):
        driver.request_pool(api.PoolQuery())
    with pytest.raises(plugin.Forbidden, match="gives no addresses"):
        driver.request_address(api.AddressQuery("p"))
    driver.release_address(api.AddressReference("p", "10.0.0.1"))
    driver.release_pool(api.PoolReference("p"))


def test_a_network_driver_need_not_do_anything() -> None:
    """A container then gets no interface, as in a null network."""
    driver = plugin.NetworkDriver()
    driver.create_network(api.NetworkCreation("n"))
    assert driver.create_endpoint(api.EndpointCreation("n", "e")) is None
    assert driver.join(api.Joining("n", "e")) == api.Joined()
    assert driver.allocate_network(api.NetworkCreation("n")) == api.NetworkAllocated()
    assert driver.endpoint_info(api.EndpointReference("n", "e")) == {}
