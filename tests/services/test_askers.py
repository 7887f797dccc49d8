"""Who asks is known by a bridge and an address that belong together."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.host_names import Asker
from mooring.services.containers.askers import Askers
from tests.services.hosts import MemoryHost


async def test_nobody_asks_from_an_address_that_is_not_behind_the_bridge() -> None:
    """Nor by a bridge that is none of ours, or in another domain, or gone; the first network is the bridge's own."""
    host = MemoryHost()
    await host.start()
    askers = Askers(host.services.cache, host.services.endpoint_index)
    host.services.cache.listen(lambda _key, before, after: askers.follow(before, after))
    web = await host.network("web", peers="shop")
    back = await host.network("back", peers="shop")
    network = host.services.cache.network(web)
    assert network is not None
    assert askers.asker(network.bridge, ip_address("10.32.0.9")) == Asker((web,), frozenset({web, back}))
    assert askers.asker(network.bridge, ip_address("10.32.1.9")) is None
    assert askers.asker("docker0", ip_address("10.32.0.9")) is None
    assert askers.asker(network.bridge, ip_address("10.32.0.9"), 7) is None
    assert askers.networks_with(ip_address("10.32.0.9")) == [web]
    assert askers.is_ours(ip_address("10.32.1.9"), Asker((web,), frozenset()))
    assert not askers.is_ours(ip_address("10.33.0.9"), Asker())
    await host.services.networks.delete(web)
    assert askers.asker(network.bridge, ip_address("10.32.0.9")) is None
    assert askers.networks_with(ip_address("10.32.0.9")) == []
