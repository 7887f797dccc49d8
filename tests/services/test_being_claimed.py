"""Addresses that are being claimed: held until it is decided, and had by nobody twice."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import Conflict
from tests.services.cluster_hosts import SPACE
from tests.services.plan_hosts import cluster, owned, run
from tests.services.test_host_blocks import spec


async def test_an_address_is_claimed_by_one_at_a_time_and_given_to_nobody_meanwhile() -> None:
    """Nor is one claimed that somebody has, or is about to have."""
    async with cluster() as world:
        host = world.hosts[0]
        being_claimed, place = host.plan.blocks.being_claimed, (SPACE, world.subnet, owned(host)[0])
        address = ip_address(f"10.0.0.{16 * owned(host)[0] + 9}")
        claim = spec(host).claim(address, host.name, 0.0)
        with being_claimed.claiming(place, claim):
            assert (SPACE, address) in being_claimed
            assert being_claimed.at(place) == [claim]
            assert host.ipam.index.of(host.pool.id).is_held(int(address))
            with pytest.raises(Conflict, match="is being claimed"), being_claimed.claiming(place, claim):
                pass
        assert (SPACE, address) not in being_claimed
        assert not host.ipam.index.of(host.pool.id).is_held(int(address))
        host.ipam.index.of(host.pool.id).hold(int(address))
        with pytest.raises(Conflict, match="in use on host h0"), being_claimed.claiming(place, claim):
            pass
        used = spec(host).claim(ip_address(await run(host)), host.name, 0.0)
        with pytest.raises(Conflict, match="in use on host h0"), being_claimed.claiming(place, used):
            pass
