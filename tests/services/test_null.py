"""The drivers that make nothing; tests/contracts/test_drivers.py holds them to the port."""

from __future__ import annotations

from mooring.core.endpoints import Attachment
from mooring.services.drivers.null import BareDriver
from tests.contracts.test_drivers import ENDPOINT, NETWORK, REQUEST


async def test_an_endpoint_of_a_bare_driver_has_no_interface_and_no_next_hop() -> None:
    """There is nothing to be done in the sandbox."""
    assert await BareDriver().join(NETWORK, ENDPOINT, REQUEST) == Attachment("", "eth", None, None)
