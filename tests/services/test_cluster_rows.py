"""The cluster and its hosts as an operator sees them."""

from __future__ import annotations

import pytest

from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.filters import ClusterHostFilter
from mooring.services.cluster.membership import TTL
from mooring.services.operations.cluster_rows import ClusterRows
from tests.services.test_membership import ENDPOINT, Site, pair


@pytest.fixture
def site() -> Site:
    """Nothing is there yet."""
    return Site()


async def test_a_host_in_no_cluster_says_so(site: Site) -> None:
    """The view is empty, everything else is not found."""
    rows = ClusterRows(site.machine(1), site.clock)
    assert (await rows.view()).id == ""
    with pytest.raises(NotFound, match="mooring cluster join"):
        await rows.page(ClusterHostFilter())


async def test_the_view_says_how_it_is(site: Site) -> None:
    """Who made it, who is heard, when this host was; and without the servers, what is in the way."""
    first, second = await pair(site)
    rows = ClusterRows(first, site.clock)
    site.clock.advance(3)
    view = await rows.view()
    assert (view.id, view.name, view.endpoints) == (first.entered()[0].access.cluster, "web1", [ENDPOINT])
    assert (view.by, view.hosts, view.heard, view.confirmed) == ("web1", 2, 2, 3.0)
    assert (view.unreached, view.complaints) == ("", [])
    site.clock.advance(TTL)
    await first.refresh()
    assert [row.name for row in (await rows.page(ClusterHostFilter(heard=False))).rows] == ["web2"]
    site.servers.lose_majority()
    view = await rows.view()
    assert view.unreached == "the cluster's store has no leader"
    assert view.complaints == ["the cluster's store has no leader"]
    assert (view.hosts, view.made) == (None, None)
    with pytest.raises(Unavailable):
        await rows.page(ClusterHostFilter())
    assert second.membership is not None


async def test_a_host_that_is_gone_is_forgotten(site: Site) -> None:
    """By name or id; not this one, not one that is heard, not one that has something there."""
    first, second = await pair(site)
    rows = ClusterRows(first, site.clock)
    host = second.entered()[0].host
    for which, words in (("web1", "is this host"), ("web2", "is heard"), (host, "is heard")):
        with pytest.raises(Conflict, match=words):
            await rows.forget(which, False)
    with pytest.raises(NotFound, match="there are web1, web2"):
        await rows.forget("web9", False)
    site.clock.advance(TTL)
    holder = site.servers.client("test")
    block = await holder.put("block/x", f'{{"host":"{host}"}}'.encode(), 0)
    with pytest.raises(Conflict, match="keeps them"):
        await rows.forget("web2", False)
    await holder.delete("block/x", block)
    assert (await rows.forget("web2", True)).id == host
    assert (await rows.forget("web2", False)).id == host
    assert [row.name for row in (await rows.page(ClusterHostFilter())).rows] == ["web1"]
