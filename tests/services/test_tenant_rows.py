"""Tenants as they are shown: whose networks are here, and where they are."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, ip_interface, ip_network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, NotFound
from mooring.core.filters import TenantFilter
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.services.operations.tenant_rows import TenantRows
from tests.services.samples import DB, START, WEB, Sample, sample

SEGMENT = Segment(ip_network("10.77.0.0/24"), ip_interface("10.77.0.1/24"), "red", "p")
RED = Network("d1" + "0" * 62, NetworkOptions(), False, (SEGMENT,), (), START, domain=3)
RED_TOO = Network("d2" + "0" * 62, NetworkOptions(tenant="red"), False, (), (), START)
BLUE = replace(RED, id="d3" + "0" * 62, ipv4=(replace(SEGMENT, space="blue"),), domain=0)
GUEST = Endpoint("e9" + "0" * 62, RED.id, IPv4Interface("10.77.0.2/24"), None, "02:00:00:00:00:77", START)


async def ready() -> tuple[Sample, TenantRows]:
    """Two tenants: one separate but for a network of before, one that shares the host's routing."""
    host = await sample(RED, RED_TOO, BLUE, GUEST)
    web = host.cache.endpoint(WEB, DB)
    assert web is not None
    await host.cache.commit(put=[replace(GUEST, published=web.published)])
    return host, TenantRows(host.cache, host.endpoint_index, host.inspection, "/run/mooring/tenants")


async def names(rows: TenantRows, **query: object) -> list[str]:
    """Of those that match."""
    return [row.name for row in (await rows.page(TenantFilter(**query))).rows]  # type: ignore[arg-type]


async def test_a_tenant_is_there_while_one_of_its_networks_is() -> None:
    """Those of no tenant are in no row."""
    host, rows = await ready()
    found = {row.name: row for row in (await rows.page(TenantFilter())).rows}
    red = found["red"]
    assert (red.networks, red.separate, red.endpoints, red.subnets, red.domain) == (2, 1, 1, ["10.77.0.0/24"], 3)
    assert (found["blue"].separate, found["blue"].domain) == (0, 0)
    assert "default" not in found
    await host.cache.commit(delete=[BLUE])
    assert "blue" not in await names(rows)


async def test_filters() -> None:
    """By subnet, and by whether it has a routing domain."""
    _, rows = await ready()
    assert await names(rows) == ["blue", "red"]
    assert await names(rows, subnet="10.77.0.0/24") == ["blue", "red"]
    assert await names(rows, subnet="10.78.0.0/24") == []
    assert await names(rows, separate=True) == ["red"]
    assert await names(rows, separate=False) == ["blue"]
    with pytest.raises(BadRequest, match="subnet x"):
        await rows.page(TenantFilter(subnet="x"))


async def test_a_tenant_in_detail() -> None:
    """Its networks and ports, and where its domain and its line to the host are."""
    _, rows = await ready()
    red = await rows.detail("red")
    assert (red.namespace, red.link) == ("/run/mooring/tenants/3", "mt-3")
    assert len(red.addresses) == 4
    assert {network.id for network in red.networks} == {RED.id, RED_TOO.id}
    assert len(red.published) == 1
    blue = await rows.detail("blue")
    assert (blue.namespace, blue.link, blue.addresses, blue.published) == ("", "", [], [])
    with pytest.raises(NotFound, match=r"no tenant 'green'.*there are blue, red"):
        await rows.detail("green")
