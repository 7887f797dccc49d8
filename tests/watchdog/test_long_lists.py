"""A list as long as an IPv4 /16 allows holds nobody up, whole or page by page."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address

import pytest

from mooring.core.leases import Lease, State
from mooring.core.pools import Pool
from mooring.servers.api.door import ApiDoor
from mooring.servers.api.resources import resources
from tests.servers.api.asking import ask, ready
from tests.services.samples import START, Sample, sample
from tests.watchdog.probe import assert_short

pytestmark = pytest.mark.slow  # others on the machine would show in what it measures

COUNT = 65_000
FIRST = int(ip_address("10.128.0.1"))


async def full() -> Sample:
    """A host whose largest pool is full, with its leases in no order."""
    pool = Pool(id="big", space="default", subnet=IPv4Network("10.128.0.0/16"), created=START)
    leases = [
        Lease(
            space="default", address=ip_address(FIRST + number * 7919 % COUNT), pool="big", since=START,
            state=State.FIXED if number % 2 else State.DYNAMIC, name=f"box{number}",
            key=f"container:{number:064x}" if number % 2 else "",
            holders=frozenset({f"{number:064x}"}) if number % 2 else frozenset(),
        )
        for number in range(COUNT)
    ]  # fmt: skip
    return await sample(pool, *leases)


@pytest.mark.slow
async def test_a_list_of_every_address_of_a_pool_holds_nothing_up() -> None:
    """All of it, one page, and what a filter leaves; the whole is what was asked for."""
    host = await full()
    answering = ApiDoor(resources(host.operations, host.store.backup), ready)()
    for target in ("/v1/leases", "/v1/leases?limit=10000", "/v1/leases?text=box6499", "/v1/leases?container=box1"):
        print(target)
        await assert_short(lambda target=target: ask(answering, "GET", target))  # type: ignore[misc]
    rows = (await ask(answering, "GET", "/v1/leases?pool=big")).json
    places = [int(ip_address(row["address"])) for row in rows]
    assert places == sorted(places)
    assert len(set(places)) == COUNT
