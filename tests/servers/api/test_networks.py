"""Networks over the API."""

from __future__ import annotations

import pytest

from tests.servers.api.asking import api
from tests.services.samples import ALIEN, WEB


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [WEB, ALIEN]),
        ("mode=bridge", [WEB, ALIEN]),
        ("mode=null", []),
        ("subnet=fd00:32::/64", [WEB]),
        ("subnet=10.32.0.0/24&space=default", [WEB]),
        ("space=tenant", []),
        ("name=we", [WEB]),
        ("name=none", []),
    ],
)
async def test_networks_are_filtered_by_all_that_is_given(query: str, found: list[str]) -> None:
    """Each filter alone, and two together; names are the engine's."""
    asked = await api()
    asked.host.engine.networks |= {WEB, ALIEN}
    asked.host.engine.names[WEB] = "web"
    answer = await asked.get(f"/v1/networks?{query}")
    assert [row["id"] for row in answer.json] == found


async def test_one_network_is_found_by_its_subnet_written_either_way() -> None:
    """With the slash as it is, or escaped."""
    asked = await api()
    for path in ("/v1/networks/10.32.0.0/24", "/v1/networks/10.32.0.0%2F24"):
        assert (await asked.get(path)).json["id"] == WEB
