"""The cluster and its hosts as an operator sees them."""

from __future__ import annotations

from ipaddress import ip_network

import msgspec
import pytest

from mooring.core.address_claims import HostClaim, Phase, Spec
from mooring.core.cluster_networks import ClusterNetwork
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.filters import ClusterHostFilter
from mooring.core.pools import Pool
from mooring.services.cluster.membership import TTL, ClusterMembership
from mooring.services.operations.cluster_rows import ClusterRows
from tests.services.hosts import MemoryHost
from tests.services.member_hosts import SUBNET, MemberHost, answers, members, neighbours, run
from tests.services.overlay_hosts import WEB, following, take_part, turns
from tests.services.test_membership import ENDPOINT, Site, pair

OTHER = msgspec.structs.replace(WEB, id="n2", vni=4098, subnets=(ip_network("10.98.0.0/16"),))


@pytest.fixture
def site() -> Site:
    """Nothing is there yet."""
    return Site()


def rows_of(site: Site, membership: ClusterMembership) -> ClusterRows:
    """As its daemon shows them, which has no part in any network."""
    return ClusterRows(membership, site.clock, MemoryHost().services.cluster_runtime)


async def test_a_host_in_no_cluster_says_so(site: Site) -> None:
    """The view is empty, everything else is not found."""
    rows = rows_of(site, site.machine(1))
    assert (await rows.view()).id == ""
    with pytest.raises(NotFound, match="mooring cluster join"):
        await rows.page(ClusterHostFilter())


async def test_the_view_says_how_it_is(site: Site) -> None:
    """Who made it, who is heard, when this host was; and without the servers, what is in the way."""
    first, second = await pair(site)
    rows = rows_of(site, first)
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
    rows = rows_of(site, first)
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


def rows(host: MemberHost) -> ClusterRows:
    """As its daemon shows them."""
    return ClusterRows(host.membership, host.clock, host.runtime)


async def test_in_an_outage_the_view_says_since_when_and_what_waits() -> None:
    """Until the cluster has been told."""
    host, _ = await neighbours()
    plan = host.runtime.plan
    assert plan is not None
    await plan.claim(Spec("default", SUBNET, "s1", "key:db", holder="c"))
    made = await plan.claim(Spec("default", SUBNET, "s2", "key:web", holder="d"))
    await plan.use("default", SUBNET, made.address, "key:web")
    host.servers.cut(host.setup.address)
    await host.turn()
    await host.turn(5.0)
    for kept in list(host.services.cache.every(HostClaim)):
        phase, idle = (Phase.HELD, True) if kept.claim.address == made.address else (Phase.RELEASING, False)
        await host.services.cache.commit(put=[HostClaim(claim=kept.claim, phase=phase, idle=idle)])
    view = await rows(host).view()
    assert view.unreached_for == 5.0
    assert view.waiting == ["1 address to release", "1 address that is not in use any more"]
    host.servers.mend(host.setup.address)
    for _ in range(5):
        await host.turn(1.0)
    view = await rows(host).view()
    assert (view.unreached_for, view.waiting) == (None, [])


async def test_networks_and_endpoints_wait_as_well() -> None:
    """Networks that Docker has removed, and what came and went and the other hosts have not heard of."""
    (host,) = await members(1)
    async with following(host):
        networks = [await take_part(host, name, overlay) for name, overlay in (("a", WEB), ("b", OTHER))]
        await host.endpoint(networks[0], "c1")
        await turns(host)
        assert (await rows(host).view()).waiting == []
        host.servers.cut(host.setup.address)
        await turns(host)
        for name in ("c2", "c3"):
            await host.endpoint(networks[0], name)
        await host.services.endpoints.delete(networks[0], "c1".ljust(64, "0"))
        for pool in [pool for pool in host.services.cache.every(Pool) if pool.network == networks[1]]:
            await host.services.ipam.release_pool(pool.id)
        await host.services.networks.delete(networks[1])
        await turns(host)
        waiting = (await rows(host).view()).waiting
        assert "1 network to leave" in waiting
        assert "4 endpoints to tell the other hosts of" in waiting  # and the host's own in the network that it leaves
        host.servers.mend(host.setup.address)
        await turns(host, times=8)
        assert (await rows(host).view()).waiting == []


async def test_after_a_restore_the_view_says_for_whom_is_waited() -> None:
    """It is the first of what waits."""
    host, _ = await neighbours()
    plan = host.runtime.plan
    assert plan is not None
    plan.restored.waiting = "the cluster's store was restored from a backup, and host two has not been back yet"
    assert (await rows(host).view()).waiting == [plan.restored.waiting]


async def test_a_drained_host_takes_nothing_new_and_what_it_has_goes_on() -> None:
    """Refused with what to do; its empty blocks go back; it is so after a restart, until it is not any more."""
    host, other = await neighbours()
    await run(host, "web")
    plan = host.runtime.plan
    assert plan is not None
    await plan.networks.join(ClusterNetwork(id="", space="default", subnets=(SUBNET,)))  # or all of it would go
    for _ in range(3):
        await plan.blocks.more("default", SUBNET)
    assert not (await rows(other).drain("web1", True, True)).drained
    assert (await rows(other).drain("web1", True, False)).drained
    await host.turn()
    await host.restart()
    await host.turn()
    with pytest.raises(Conflict, match=r"this host is drained: .*mooring cluster hosts drain --off"):
        await run(host, "db")
    assert host.runtime.plan is not None
    with pytest.raises(Conflict, match="this host is drained"):
        await host.runtime.plan.claim(Spec("default", SUBNET, "s1", "key:db"))
    for _ in range(12):
        await host.turn(31.0)
    assert answers(host, "web")
    assert len(host.services.ipam.index.blocks.blocks("default", SUBNET)) == 1
    assert (await rows(host).view()).drained
    assert not (await rows(host).drain("web1", False, False)).drained
    await host.turn()
    await run(host, "db")


async def test_a_host_that_is_gone_is_forgotten_with_what_it_had() -> None:
    """Blocks and claims; not while it is heard, or has only just gone silent. Its addresses are the others' then."""
    host, other = await neighbours()
    await run(other, "web")
    assert other.runtime.plan is not None
    await other.runtime.plan.claim(Spec("default", SUBNET, "s1", "key:db", holder="c"))
    with pytest.raises(Conflict, match="host web2 is heard"):
        await rows(host).forget("web2", False)
    host.clock.advance(TTL)
    await host.turn()
    for dry in (False, True):
        with pytest.raises(Conflict, match=r"host web2 has only just gone silent, .* try again in 5 s"):
            await rows(host).forget("web2", dry)
    await host.turn(5.0)
    assert (await rows(host).forget("web2", True)).name == "web2"
    assert (await rows(host).forget("web2", False)).name == "web2"
    assert host.runtime.plan is not None
    assert await host.runtime.plan.values.hosts.held(other.membership.entered()[0].host) == []
    with pytest.raises(NotFound):
        await rows(host).host("web2")
