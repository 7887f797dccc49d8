"""Networks as an engine asks for them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mooring.core.faults import BadRequest
from mooring.core.networks import Network
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.services.networking.engine_networks import EngineNetworks
from tests.services.hosts import MemoryHost

A = "a" * 64


def asked(space: str, **raw: str) -> NetworkRequest:
    """A network whose subnet is of the address space."""
    return NetworkRequest(A, raw, False, (SegmentRequest(space, ip_network("10.32.0.0/24"), None),), ())


@pytest.fixture
async def host() -> MemoryHost:
    """Nothing is on it yet."""
    return await MemoryHost().start()


def networks(host: MemoryHost) -> EngineNetworks:
    """As the door has them."""
    services = host.services
    return EngineNetworks(services.networks, services.cache, services.endpoint_index, "moor")


@pytest.mark.parametrize("space", ["LocalDefault", "GlobalDefault"])
async def test_our_driver_alone_is_refused_with_the_line_to_use(host: MemoryHost, space: str) -> None:
    """Nothing is left of it, and the line has the name that the engine has for us."""
    with pytest.raises(BadRequest, match=r"add `--ipam-driver moor`; in a compose file `ipam: \{driver: moor\}`"):
        await networks(host).create(asked(space))
    assert host.services.cache.count(Network) == 0


async def test_other_ipam_drivers_give_what_they_give(host: MemoryHost) -> None:
    """Ours, those of other plugins, and networks without addresses in the kernel."""
    await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.32.0.0/24")))
    docker = asked("LocalDefault", subnets="on-demand")  # who says so knows where the subnets come from
    for request in (asked("default"), asked("theirs"), asked("LocalDefault", mode="null"), docker):
        await networks(host).create(request)
        assert host.services.cache.network(A) is not None
        await networks(host).delete(A)
        assert host.services.cache.network(A) is None


async def test_a_network_that_is_there_stays(host: MemoryHost) -> None:
    """It was made by an older version, and the engine asks again after a crash of its own."""
    await host.services.networks.create(asked("LocalDefault"))
    await networks(host).create(asked("LocalDefault"))
    assert host.services.cache.network(A) is not None
