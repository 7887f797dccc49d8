"""PoolIDs that an engine remembers from a lost store: what they mean, and when nobody guesses."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest

from mooring.core.faults import NotFound
from mooring.core.pools import Pool, described, pool_id
from mooring.core.requests import AddressRequest, Role
from tests.services.hosts import MemoryHost
from tests.services.lost_stores import bare_host


@pytest.fixture
async def bare() -> MemoryHost:
    """The same host, whose store is lost altogether, and an engine that knows its network."""
    return await bare_host()


async def test_the_pool_ids_of_a_lost_store_are_understood(bare: MemoryHost) -> None:
    """They say space and subnet: the engine's next requests find the rebuilt pools."""
    await bare.services.repair.once()
    four, six = bare.old_pools  # type: ignore[attr-defined]
    given = [
        await bare.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:00:00:00:00:09"))
        for pool in (four, six)
    ]
    assert [str(each) for each in given] == ["10.32.0.4/24", "fd00:32::4/64"]
    await bare.services.ipam.release_pool(four)
    assert not [pool for pool in bare.services.cache.every(Pool) if pool.subnet.version == 4]


async def test_older_pool_ids_are_understood_by_the_addresses_that_come_with_them(bare: MemoryHost) -> None:
    """An id that says nothing is bound by a release, or by an address that is asked for; otherwise it is refused in
    words, and no pool is ever released by a guess."""
    await bare.services.repair.once()
    ask = AddressRequest("0123456789ab", Role.ENDPOINT, mac="02:00:00:00:00:09")
    with pytest.raises(NotFound, match="store was lost"):
        await bare.services.ipam.request_address(ask)
    await bare.services.ipam.release_pool("0123456789ab")
    assert bare.services.cache.count(Pool) == 2
    await bare.services.endpoints.release("0123456789ab", IPv4Address("10.32.0.2"))
    assert (await bare.services.ipam.request_address(ask)).ip == IPv4Address("10.32.0.4")
    await bare.restart()
    await bare.services.ipam.release_pool("0123456789ab")
    assert bare.services.cache.count(Pool) == 1


@pytest.mark.parametrize("subnet", ["10.32.0.0/24", "fd00:32::/64", "192.0.2.4/31", "::/1"])
@pytest.mark.parametrize("space", ["default", "a.b-c_d", "p8-x"])
def test_a_pool_id_says_what_it_means(subnet: str, space: str) -> None:
    """And older ones say nothing."""
    assert described(pool_id("0123456789ab", space, ip_network(subnet))) == (space, ip_network(subnet))
    for text in ("0123456789ab", "", "0123456789ab-0a200000p33-default", "0123456789ab-0a200001p24-default"):
        assert described(text) is None
