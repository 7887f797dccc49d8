"""Which rows the filters of a list mean."""

from __future__ import annotations

import pytest

from mooring.core.faults import BadRequest, NotFound
from mooring.core.filters import LeaseFilter, NetworkFilter, PoolFilter
from mooring.core.leases import Lease, State
from mooring.core.networks import Network
from mooring.core.pools import Pool
from mooring.services.operations.matching import lease_matcher, network_matcher, pool_matcher
from mooring.services.records.engine_names import NOBODY_ASKED
from tests.services.samples import ALIEN, MAC, START, WEB, leased, sample


async def test_networks_match_by_all_that_is_given() -> None:
    """Without an engine no network has a name."""
    cache = (await sample()).cache

    def found(**wanted: str) -> set[str]:
        matches = network_matcher(NetworkFilter(**wanted), cache, NOBODY_ASKED)  # type: ignore[arg-type]
        return {network.id for network in cache.every(Network) if matches(network)}

    assert found() == {WEB, ALIEN}
    assert found(subnet="10.32.0.0/24", space="default") == {WEB}
    assert found(subnet="10.99.0.0/24") == found(name="web") == set()
    with pytest.raises(NotFound, match="address space 'none'"):
        found(space="none")


async def test_pools_match_by_all_that_is_given() -> None:
    """Also by whether anything is left."""
    host = await sample()

    def found(**wanted: object) -> set[str]:
        matches = pool_matcher(PoolFilter(**wanted), host.cache, host.services.ipam.index, NOBODY_ASKED)  # type: ignore[arg-type]
        return {pool.id for pool in host.cache.every(Pool) if matches(pool)}

    assert found(full=False) == {"p4", "p6", "t4"}
    assert found(full=True) == set()
    assert found(network=WEB) == {"p4", "p6"}
    assert found(space="tenant") == {"t4"}
    with pytest.raises(BadRequest, match="is not a subnet"):
        found(subnet="10.32.0.1/24")
    with pytest.raises(NotFound):
        found(network="none")


async def test_leases_match_by_key_container_and_mac() -> None:
    """A key with its kind or without, a container by name or the beginning of its id, a MAC in any case."""
    host = await sample(leased("10.32.0.30", State.FIXED, key="compose:shop/db/1", holders=frozenset({"d" * 64})))

    def found(**wanted: str) -> set[str]:
        matches = lease_matcher(LeaseFilter(**wanted), host.cache, host.endpoint_index, START, NOBODY_ASKED)  # type: ignore[arg-type]
        return {str(lease.address) for lease in host.cache.every(Lease) if matches(lease)}

    assert found(key="compose:shop/db/1") == found(key="shop/db/1") == found(container="dddd") == {"10.32.0.30"}
    assert found(mac=MAC.upper()) == {"10.32.0.2", "fd00:32::2"}
    assert found(container="db") >= {"10.32.0.2"}
    assert found(container="db", mac="02:00:00:00:00:00") == set()
    assert found(key="shop") == set()
