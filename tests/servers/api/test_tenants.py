"""Tenants over the API."""

from __future__ import annotations

from mooring.core.requests import NetworkRequest
from tests.servers.api.asking import api


async def test_tenants_are_listed_and_shown() -> None:
    """With a filter and pages; one that is not there is refused."""
    asked = await api()
    for ident, name in (("b", "blue"), ("c", "red")):
        request = NetworkRequest(ident * 64, {"tenant": name, "mode": "null"}, False, (), ())
        await asked.host.services.networks.create(request)
    rows = (await asked.get("/v1/tenants")).json
    assert [row["name"] for row in rows] == ["blue", "red"]
    first = await asked.get("/v1/tenants?limit=1")
    assert [row["name"] for row in first.json] == ["blue"]
    assert 'rel="next"' in first.headers["link"]
    detail = (await asked.get("/v1/tenants/red")).json
    assert [network["id"][0] for network in detail["networks"]] == ["c"]
    assert (await asked.get("/v1/tenants?separate=yes")).status == 400
    assert (await asked.get("/v1/tenants?separate=true")).json == []
    assert (await asked.get("/v1/tenants/green")).status == 404
