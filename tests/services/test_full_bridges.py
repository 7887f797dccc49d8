"""A bridge has room for so many interfaces, and says so before anything is given."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Exhausted
from mooring.core.leases import Lease
from mooring.core.networks import BRIDGE_PORTS
from mooring.core.requests import AddressRequest, NetworkRequest, PoolRequest, Role, SegmentRequest
from tests.services.hosts import MemoryHost


async def test_a_full_bridge_is_told_before_an_address_is_leased() -> None:
    """One line; an endpoint that goes makes room, and an address that an endpoint has is answered as ever."""
    host = await MemoryHost().start()
    subnet = IPv4Network("10.50.0.0/20")
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, subnet))
    network = "a" * 64
    segments = (SegmentRequest("default", grant.subnet, grant.gateway),)
    await host.services.networks.create(NetworkRequest(network, {}, False, segments, ()))
    first = IPv4Interface("10.50.1.0/20")
    endpoints = [
        Endpoint(f"{number:064x}", network, IPv4Interface((int(first.ip) + number, 20)), None, f"m{number}", 0.0)
        for number in range(BRIDGE_PORTS)
    ]
    await host.services.cache.commit(put=endpoints)
    before = host.services.cache.count(Lease)
    with pytest.raises(Exhausted, match=f"is full: a Linux bridge has room for {BRIDGE_PORTS} endpoints"):
        await host.services.ipam.request_address(AddressRequest(grant.pool, Role.ENDPOINT, mac="02:00:00:00:00:01"))
    assert host.services.cache.count(Lease) == before
    again = AddressRequest(grant.pool, Role.ENDPOINT, first.ip, mac="02:00:00:00:00:01")
    with pytest.raises(Conflict, match="held by endpoint"):  # who has it, and not that there is no room
        await host.services.ipam.request_address(again)
    await host.services.cache.commit(delete=[endpoints[-1]])
    await host.services.ipam.request_address(AddressRequest(grant.pool, Role.ENDPOINT, mac="02:00:00:00:00:02"))
