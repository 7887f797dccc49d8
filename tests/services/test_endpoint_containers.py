"""What people call whoever has an address."""

from __future__ import annotations

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import Conflict
from mooring.core.requests import EndpointRequest
from mooring.services.assembly import Keeping
from tests.services.holder_hosts import HolderHost, ident


async def test_the_container_that_has_a_mac_is_named_once_the_engine_has_told_of_it() -> None:
    """Also one without a label; and not any more when its endpoint is gone."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    (grant,) = await host.made("first", host.fixed_spec(network, "key:db"))
    endpoint = await host.connect("first", network, grant)
    await host.made("second", host.fixed_spec(network, "key:db"))
    keeping = host.services.keeping
    assert isinstance(keeping, Keeping)
    container = host.engine.create(ident("first"), "plain", ContainerEndpoint(network, "web", endpoint=endpoint))
    await keeping.adoption.adopt("engine-1", container)
    with pytest.raises(Conflict, match=f"MAC {grant.mac} is already in use.*container plain \\(10"):
        await host.services.endpoints.create(EndpointRequest(network, "e" * 64, None, None, grant.mac))
    assert host.services.ipam.index.called(network, endpoint) == f"container plain of network {network[:12]}"
    await host.services.endpoints.delete(network, endpoint)
    assert host.services.ipam.index.called(network, endpoint) == f"endpoint {endpoint[:12]} of network {network[:12]}"
