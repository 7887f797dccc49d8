"""All resources of the API."""

from __future__ import annotations

from mooring.servers.api.resources import RESOURCES, resources
from tests.services.samples import sample


async def test_every_resource_is_made() -> None:
    """In the order in which they are described."""
    host = await sample()
    assert [type(each) for each in resources(host.operations, host.store.backup)] == list(RESOURCES)
