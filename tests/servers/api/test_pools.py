"""Pools over the API."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mooring.core.leases import State
from mooring.core.pools import Pool
from tests.servers.api.asking import api
from tests.services.samples import START, WEB, leased


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["p4", "small", "p6", "t4"]),
        ("space=default", ["p4", "small", "p6"]),
        ("subnet=fd00:32::/64", ["p6"]),
        (f"network={WEB[:6]}", ["p4", "p6"]),
        ("full=1", ["small"]),
        ("full=0&space=default", ["p4", "p6"]),
    ],
)
async def test_pools_are_filtered_by_all_that_is_given(query: str, found: list[str]) -> None:
    """Each filter alone, and two together."""
    small = Pool(id="small", space="default", subnet=ip_network("10.40.0.0/30"), created=START)
    full = [leased(f"10.40.0.{number}", State.DYNAMIC, "small") for number in (1, 2)]
    answer = await (await api(small, *full)).get(f"/v1/pools?{query}")
    assert [row["id"] for row in answer.json] == found


async def test_a_pool_is_found_by_subnet_in_every_space() -> None:
    """One for each."""
    details = (await (await api()).get("/v1/pools/10.32.0.0/24")).json
    assert [each["pool"]["space"] for each in details] == ["default", "tenant"]
