"""Subnet pools as they are shown: figures, users, turns, and what is odd about them."""

from __future__ import annotations

import time
from ipaddress import ip_network

import msgspec
import pytest

from mooring.core.faults import NotFound
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.core.subnet_pools import Alteration
from mooring.core.views import SizeLeft, SubnetPoolRow
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.operations.subnet_pool_rows import SubnetPoolRows, strayed_networks, unused_subnet_pools
from tests.services.hosts import MemoryHost
from tests.services.ipam_hosts import Host
from tests.services.operators import operate


async def lab(host: Host, *prefixes: str, name: str = "lab", space: str = "default", **wish: object) -> None:
    """A stored subnet pool."""
    some = [ip_network(each) for each in prefixes or ("10.64.0.0/22",)]
    await host.ipam.subnet_pools.create(name, space, some, Alteration(**wish), False)  # type: ignore[arg-type]


async def row(host: Host, name: str) -> SubnetPoolRow:
    """Its line."""
    return next(each for each in await SubnetPoolRows(host.cache, host.ipam).rows() if each.name == name)


async def test_declared_and_stored_ones_are_one_list() -> None:
    """With where each is from, its turn, its bounds and what it is for."""
    host = Host()
    await lab(host, length=26, note="tests", position=7)
    host.clock.advance(1)
    await lab(host, "10.90.0.0/16", name="blue4", space="blue")
    rows = await SubnetPoolRows(host.cache, host.ipam).rows()
    assert [(each.name, each.space, each.family, each.origin, each.default) for each in rows] == [
        ("default4", "default", 4, "configuration", 2),
        ("default6", "default", 6, "configuration", 1),
        ("lab", "default", 4, "stored", 1),
        ("blue4", "blue", 4, "stored", 0),
    ]
    assert (rows[0].since, rows[2].since, rows[2].note) == (None, host.clock.now() - 1, "tests")
    assert (rows[2].length, rows[2].min_length, rows[2].max_length, rows[2].position) == (26, 22, 30, 7)


async def test_a_line_says_how_full_it_is_and_what_is_left() -> None:
    """Networks, what the host has in it, the largest free block, and subnets of each length."""
    host = Host(routes=[ip_network("10.64.3.0/24")])
    await lab(host)
    grant = await host.ipam.request_pool(PoolRequest("default", 4, options={"pool": "lab"}))
    got = await row(host, "lab")
    assert (got.size, got.percent, got.blocked, got.largest, got.networks) == (1024, 25.0, 25.0, "10.64.1.0/24", 1)
    assert got.left == [SizeLeft(24, 2), SizeLeft(25, 4), SizeLeft(26, 8)]
    await host.ipam.release_pool(grant.pool)
    assert (await row(host, "lab")).largest == "10.64.0.0/23"


async def test_a_network_of_ours_is_not_what_blocks_although_the_host_has_a_route_to_it() -> None:
    """Its bridge's own."""
    host = Host()
    await lab(host)
    grant = await host.ipam.request_pool(PoolRequest("default", 4, options={"pool": "lab"}))
    host.routes = [grant.subnet]
    assert (await row(host, "lab")).blocked == 0.0
    (detail,) = await SubnetPoolRows(host.cache, host.ipam).detail("lab")
    assert detail.others == []


async def test_inspect_says_who_holds_what_and_what_else_is_there() -> None:
    """By the names that the engine has."""
    host = await MemoryHost().start()
    ipam = host.services.ipam
    await ipam.subnet_pools.create("lab", "default", [ip_network("10.64.0.0/22")], Alteration(), False)
    grant = await ipam.request_pool(PoolRequest("default", 4, options={"pool": "lab"}))
    part = SegmentRequest("default", grant.subnet, grant.gateway)
    await host.services.networks.create(NetworkRequest("a" * 64, {}, False, (part,), (), name="web"))
    pending = await ipam.request_pool(PoolRequest("default", 4, options={"pool": "lab"}))
    host.kernel.routes = [ip_network("10.64.2.0/24")]
    (detail,) = await operate(host).subnet_pool_rows.detail("lab")
    assert [(each.subnet, each.network_name, each.network, each.outside) for each in detail.users] == [
        ("10.64.0.0/24", "web", "a" * 64, False),
        (str(pending.subnet), "", "", False),
    ]
    assert detail.others == ["10.64.2.0/24 by an address or route of this host"]


async def test_an_unknown_one_is_answered_with_those_that_there_are() -> None:
    """NotFound."""
    host = Host()
    with pytest.raises(NotFound, match="there is no subnet pool 'nope'; there are default4, default6"):
        await SubnetPoolRows(host.cache, host.ipam).detail("nope")


async def test_a_declared_one_that_shrank_or_went_is_told_and_its_networks_live() -> None:
    """By ls, by inspect and by the doctor's notes; the networks keep their subnets."""
    apps = SubnetPool("apps", "default", (ip_network("10.64.0.0/16"),), 24)
    host = Host(IpamPolicy(subnet_pools4=(apps,)))
    grant = await host.ipam.request_pool(PoolRequest("default", 4))
    host.policy = IpamPolicy(subnet_pools4=(SubnetPool("apps", "default", (ip_network("10.65.0.0/16"),), 24),))
    await host.restart()
    told = await row(host, "apps")
    assert told.warning == f"outside its prefixes: pool {grant.pool} (10.64.0.0/24)"
    assert (told.percent, told.networks) == (0.0, 1)
    (note,) = strayed_networks(host.cache, host.policy.declared())
    assert note.text == f"networks of subnet pool apps are outside its prefixes: pool {grant.pool} (10.64.0.0/24)"
    host.policy = IpamPolicy(subnet_pools4=(SubnetPool("new", "default", (ip_network("10.70.0.0/16"),), 24),))
    await host.restart()
    told = await row(host, "apps")
    assert (told.origin, told.networks, told.prefixes) == ("dropped", 1, [])
    assert "neither the configuration nor the store" in told.warning
    (detail,) = await SubnetPoolRows(host.cache, host.ipam).detail("apps")
    assert [(each.subnet, each.outside) for each in detail.users] == [("10.64.0.0/24", True)]
    (note,) = strayed_networks(host.cache, host.policy.declared())
    assert "subnet pool apps is gone, its networks remain" in note.text
    assert host.known(grant.pool).source == "apps"
    await lab(host, "10.64.0.0/16", name="apps")  # as the note says
    assert not list(strayed_networks(host.cache, host.policy.declared()))
    assert (await row(host, "apps")).networks == 1


async def test_a_stored_one_that_the_configuration_took_over_is_told() -> None:
    """By ls and by the doctor, with what to do; both of a name are shown."""
    host = Host()
    await lab(host)
    wide = SubnetPool("wide", "default", (ip_network("10.64.0.0/12"),), 24)
    twin = SubnetPool("lab", "default", (ip_network("10.99.0.0/16"),), 24)
    host.policy = IpamPolicy(subnet_pools4=(wide,))
    await host.restart()
    told = await row(host, "lab")
    why = "subnet pool wide of the configuration has 10.64.0.0/12, which overlaps 10.64.0.0/22"
    assert (told.warning, told.default) == (f"not used: {why}", 0)
    (finding,) = unused_subnet_pools(host.cache, host.policy.declared(), 5.0)
    assert (finding.text, finding.since) == (f"stored subnet pool lab is not used: {why}", 5.0)
    assert finding.remedy.startswith("`mooring subnet-pool rm lab`, or remove [[subnet_pools]] wide")
    host.policy = IpamPolicy(subnet_pools4=(twin,))
    await host.restart()
    details = await SubnetPoolRows(host.cache, host.ipam).detail("lab")
    assert [each.subnet_pool.origin for each in details] == ["configuration", "stored"]
    (finding,) = unused_subnet_pools(host.cache, host.policy.declared(), 5.0)
    assert "(the stored one; lab of the configuration stays)" in finding.remedy


async def test_the_doctor_tells_of_both() -> None:
    """One as a finding, one as a note."""
    host = await MemoryHost().start()
    stored = SubnetPool("low", "default", (ip_network("10.32.0.0/24"),), 26, 1, 30, None, declared=False)
    gone = Pool(id="p", space="default", subnet=ip_network("10.99.0.0/24"), source="old", network="n")
    await host.services.cache.commit(put=[stored, gone])
    diagnosis = await operate(host).doctor.examine()
    assert "subnet-pool low" in {each.subject for each in diagnosis.findings}
    assert "subnet-pool-gone old" in {each.subject for each in diagnosis.notes}


async def test_two_thousand_networks_and_an_ipv6_48_are_shown_at_once() -> None:
    """Well under a second on any machine: ranges, not addresses."""
    host = Host()
    await lab(host, "10.64.0.0/16", length=29)
    base = int(ip_network("10.64.0.0/16").network_address)
    some = [
        Pool(id=f"p{n}", space="default", subnet=ip_network((base + 16 * n, 29)), source="lab") for n in range(2000)
    ]
    await host.cache.commit(put=some)
    host.routes = [each.subnet for each in some]
    began = time.perf_counter()
    rows = await SubnetPoolRows(host.cache, host.ipam).rows()
    assert time.perf_counter() - began < 1.0
    told = next(each for each in rows if each.name == "lab")
    assert (told.networks, {each.length: each.number for each in told.left}[29]) == (2000, 8192 - 2000)
    six = next(each for each in rows if each.name == "default6")
    assert {each.length: each.number for each in six.left}[64] == 65536
    assert msgspec.json.encode(rows)
