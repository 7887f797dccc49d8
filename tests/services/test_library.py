"""The services of the library, put together."""

from __future__ import annotations

from mooring.core.networks import Network
from tests.services.library_hosts import LibraryHost


async def test_the_library_is_the_daemons_services_and_more() -> None:
    """Two assemblies over the same store know the same networks, and the built-in drivers are there in both."""
    host = LibraryHost()
    assert host.library.drivers.names == ("bridge", "far", "host", "null")
    assert host.library.cache.count(Network) == 0
    await host.start()
    network = await host.network("web")
    await host.start()
    assert host.library.cache.network(network.id) == network
