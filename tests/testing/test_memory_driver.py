"""The driver in memory refuses what a driver would; tests/contracts/test_drivers.py holds it to the port."""

from __future__ import annotations

import pytest

from mooring.core.faults import NotFound, Unavailable
from mooring.testing.memory_driver import MemoryDriver
from tests.contracts.test_drivers import ENDPOINT, NETWORK, REQUEST


async def test_it_knows_only_what_it_was_told() -> None:
    """An endpoint needs its network, a join its endpoint."""
    driver = MemoryDriver()
    with pytest.raises(NotFound):
        await driver.create_endpoint(NETWORK, ENDPOINT)
    with pytest.raises(NotFound):
        await driver.join(NETWORK, ENDPOINT, REQUEST)


async def test_it_refuses_as_the_test_wants_and_lets_it_look_first() -> None:
    """The hook runs before the refusal, and the refusal changes nothing."""
    seen: list[str] = []

    async def look(method: str) -> None:
        seen.append(method)

    driver = MemoryDriver(before=look)
    driver.refusals["create_network"] = Unavailable("no")
    with pytest.raises(Unavailable):
        await driver.create_network(NETWORK)
    assert seen == ["create_network"]
    assert not driver.networks


async def test_with_links_it_names_an_interface_and_gateways() -> None:
    """For tests of sandboxes: the link's name follows from the endpoint's id."""
    driver = MemoryDriver(links=True)
    await driver.create_network(NETWORK)
    await driver.create_endpoint(NETWORK, ENDPOINT)
    attachment = await driver.join(NETWORK, ENDPOINT, REQUEST)
    assert (attachment.link, str(attachment.gateway4)) == ("md-eeeeeeeeeeee", "10.9.0.1")
