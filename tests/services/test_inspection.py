"""What the readers say of a host whose records are known."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.containers import Holder
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound
from mooring.core.filters import LeaseFilter, NetworkFilter, PoolFilter
from mooring.core.findings import Report
from mooring.core.leases import Active, State
from mooring.core.networks import Network, NetworkOptions
from mooring.core.views import LARGEST
from mooring.services.operations.inspection import size_of
from tests.services.samples import ALIEN, DB, LAB, MAC, START, WEB, leased, sample


async def addresses(**wanted: object) -> list[str]:
    """The addresses of the leases that match, with the space when it is not the default one."""
    host = await sample()
    page = await host.inspection.leases(LeaseFilter(**wanted))  # type: ignore[arg-type]
    return [f"{row.address}" + (f"@{row.space}" if row.space != "default" else "") for row in page.rows]


async def test_status_counts_what_is_there() -> None:
    """Networks, endpoints, pools and leases by state are counted; without a pass of repair that is said."""
    status = (await sample()).inspection.status()
    assert (status.networks, status.endpoints, status.attached, status.pools) == (2, 2, 1, 3)
    assert status.leases == {
        "gateway": 2, "auxiliary": 1, "dynamic": 4, "fixed": 1, "reserved": 1, "cooling": 1,
    }  # fmt: skip
    assert (status.since, status.now, status.repair) == (START, START + 300, None)


async def test_status_has_the_last_report_of_repair() -> None:
    """What the last pass did and found is passed on."""
    host = await sample()
    host.report = Report(START + 290, ("network 1f: 2 items repaired",), ("cannot read the kernel",))
    repair = host.inspection.status().repair
    assert repair == host.report


async def test_counts_follow_every_change() -> None:
    """After changes of state and deletions the counts are those of a fresh count."""
    host = await sample()
    before = host.cache.lease("default", ip_address("10.32.0.2"))
    assert before is not None
    await host.cache.commit(put=[leased("10.32.0.2", State.COOLING)])
    await host.cache.commit(delete=[leased("10.32.0.4", State.COOLING)])
    assert host.inspection.status().leases == {
        "gateway": 2, "auxiliary": 1, "dynamic": 3, "fixed": 1, "reserved": 1, "cooling": 1,
    }  # fmt: skip
    segment = host.inspection.network(WEB).segments[0]
    assert (segment.used, segment.cooling) == (5, 1)


async def test_networks_are_listed_oldest_first() -> None:
    """A row has the subnets of both families and the number of endpoints."""
    first, second = (await (await sample()).inspection.networks(NetworkFilter())).rows
    assert (first.id, first.subnets, first.endpoints) == (WEB, ["10.32.0.0/24", "fd00:32::/64"], 1)
    assert (second.id, second.internal) == (ALIEN, True)


async def test_a_network_shows_its_pools_and_endpoints() -> None:
    """Usage of each segment, and each endpoint with its name, addresses and published ports."""
    detail = (await sample()).inspection.network("1f6b")
    four, six = detail.segments
    assert (four.pool, four.source, four.range) == ("p4", "default-v4", "10.32.0.0/25")
    assert (four.size, four.used, four.cooling) == (254, 6, 1)
    assert (six.size, six.used) == (LARGEST, 2)
    (endpoint,) = detail.endpoints
    assert (endpoint.id, endpoint.name, endpoint.mac, endpoint.state) == (DB, "db", MAC, "attached")
    assert endpoint.published == ["0.0.0.0:8080->10.32.0.2:80/tcp"]


async def test_a_network_of_another_ipam_has_no_usage() -> None:
    """Mooring does not count what it does not give."""
    (segment,) = (await sample()).inspection.network(ALIEN).segments
    assert (segment.pool, segment.size, segment.used) == ("", 0, 0)


async def test_the_beginning_of_an_id_must_mean_one_network() -> None:
    """None is not found; several are a conflict that names them."""
    host = await sample(Network(LAB, NetworkOptions(), False, (), (), START))
    with pytest.raises(NotFound, match="Mooring has no network 'ffff'"):
        host.inspection.network("ffff")
    with pytest.raises(Conflict, match="2 networks have ids that begin with '1f': 1f6b2c000000, 1fffff000000"):
        host.inspection.network("1f")


async def test_leases_are_ordered_by_space_family_and_address() -> None:
    """All of them, when nothing is asked for."""
    assert await addresses() == [
        "10.32.0.1", "10.32.0.2", "10.32.0.3", "10.32.0.4", "10.32.0.5", "10.32.0.6", "10.32.0.9",
        "fd00:32::1", "fd00:32::2", "10.32.0.2@tenant",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"state": State.COOLING}, ["10.32.0.4"]),
        ({"space": "tenant"}, ["10.32.0.2@tenant"]),
        ({"pool": "p6"}, ["fd00:32::1", "fd00:32::2"]),
        ({"pool": "p6", "state": State.GATEWAY}, ["fd00:32::1"]),
        ({"network": "1f6b", "state": State.GATEWAY}, ["10.32.0.1", "fd00:32::1"]),
        ({"network": "aaaa"}, []),
        ({"text": "DB"}, ["10.32.0.2", "10.32.0.5", "10.32.0.2@tenant"]),
        ({"fixed": True}, ["10.32.0.5"]),
        ({"fixed": True, "text": "fd00"}, []),
        ({"text": "cccccccccccc"}, ["10.32.0.5"]),
        ({"text": MAC}, ["10.32.0.2", "fd00:32::2"]),
        ({"text": "ann"}, ["10.32.0.6"]),
    ],
)
async def test_leases_are_filtered_by_all_that_is_given(wanted: dict[str, object], found: list[str]) -> None:
    """Each filter alone and two together."""
    assert await addresses(**wanted) == found


async def test_a_lease_knows_its_endpoint_and_holder() -> None:
    """The same address in two spaces gives two rows, and only the one in the network's space has the endpoint."""
    ours, theirs = (await sample()).inspection.lease(ip_address("10.32.0.2"))
    assert (ours.space, ours.endpoint, ours.holder, ours.subnet) == ("default", DB, "container db", "10.32.0.0/24")
    assert (theirs.space, theirs.endpoint, theirs.network) == ("tenant", "", "")


async def test_a_fixed_lease_says_what_it_belongs_to() -> None:
    """Key, the containers that name it by name or id, whether it is in use, and the text of who has it."""
    known = Holder(id="c" * 64, engine="engine-1", name="db", since=START)
    host = await sample()
    await host.cache.commit(
        put=[known, leased("10.32.0.8", State.FIXED, key="k", holders=frozenset({"c" * 64, "d" * 64}),
                           active=Active("e9" * 32, "host", "boot"))]
    )  # fmt: skip
    (row,) = host.inspection.lease(ip_address("10.32.0.8"))
    assert (row.key, row.holders, row.active) == ("k", ["db", "dddddddddddd"], True)
    assert row.holder == "container db, container dddddddddddd"
    (idle,) = host.inspection.lease(ip_address("10.32.0.5"))
    assert (idle.holders, idle.active) == (["db"], False)
    (kept,) = host.inspection.lease(ip_address("10.32.0.6"))
    assert (kept.whom, kept.note, kept.until) == ("printer", "ask Ann", START + 9000)


async def test_pools_are_listed_with_their_usage() -> None:
    """By space, family and subnet, with counts that follow every change."""
    host = await sample()
    first, second, third = (await host.inspection.pools(PoolFilter())).rows
    assert [(row.id, row.space) for row in (first, second, third)] == [
        ("p4", "default"), ("p6", "default"), ("t4", "tenant"),
    ]  # fmt: skip
    assert (first.subnet, first.range, first.network, first.source) == (
        "10.32.0.0/24", "10.32.0.0/25", WEB, "default-v4",
    )  # fmt: skip
    assert (first.size, first.used, first.cooling, second.size) == (254, 6, 1, LARGEST)
    await host.cache.commit(delete=[leased("10.32.0.4", State.COOLING)])
    assert (await host.inspection.pools(PoolFilter())).rows[0].cooling == 0


async def test_a_pool_is_found_by_id_and_by_subnet() -> None:
    """A subnet means the pools of all spaces; the beginning of an id must mean one."""
    inspection = (await sample()).inspection
    (by_id,) = inspection.pool("p4")
    assert by_id.leases == {
        "gateway": 1, "auxiliary": 1, "dynamic": 2, "fixed": 1, "reserved": 1, "cooling": 1,
    }  # fmt: skip
    assert by_id.claim == "explicit"
    assert [detail.pool.space for detail in inspection.pool("10.32.0.0/24")] == ["default", "tenant"]
    assert [detail.pool.id for detail in inspection.pool("fd00:32::/64")] == ["p6"]


@pytest.mark.parametrize(
    ("which", "fault", "words"),
    [
        (
            "p",
            Conflict,
            "2 pools have ids that begin with 'p': p4 (10.32.0.0/24), p6 (fd00:32::/64); give more of the ID",
        ),
        ("x", NotFound, "there is no pool 'x'; `mooring pool ls` lists them"),
        ("10.99.0.0/24", NotFound, "there is no pool '10.99.0.0/24'"),
        ("10.32.0.1/24", BadRequest, "is not a subnet"),
    ],
)
async def test_a_pool_that_is_not_there_or_not_one_is_refused(which: str, fault: type[Fault], words: str) -> None:
    """The text says what to do instead."""
    with pytest.raises(fault) as caught:
        (await sample()).inspection.pool(which)
    assert words in str(caught.value)


async def test_an_address_without_a_lease_is_not_found() -> None:
    """The text names the command that says more."""
    host = await sample()
    with pytest.raises(NotFound, match=r"nothing holds 10\.32\.0\.77; `mooring explain 10\.32\.0\.77`"):
        host.inspection.lease(ip_address("10.32.0.77"))


@pytest.mark.parametrize(
    ("subnet", "size"),
    [("10.0.0.0/24", 254), ("10.0.0.0/31", 2), ("10.0.0.0/32", 1), ("fd00::/127", 2), ("fd00::/126", 3)],
)
def test_a_size_counts_what_can_be_given(subnet: str, size: int) -> None:
    """Network, broadcast and anycast addresses do not count, but where there is no room for them."""
    assert size_of(ip_network(subnet)) == size
