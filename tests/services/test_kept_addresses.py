"""Addresses that wait for their network, in lists and explanations, and given up by hand."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.leases import State
from mooring.services.inspection import Inspection, Surroundings
from mooring.services.kept_addresses import kept_rows
from mooring.wire.api import ListLeases
from tests.services.operators import operate
from tests.services.test_estates import ComingHost


async def host_with_one() -> tuple[ComingHost, str]:
    """A host on which one address waits; that address."""
    host = ComingHost()
    network = await host.named("n1")
    (grant,) = await host.made("first", host.seat(network, "key:db"))
    await host.gone(network)
    return host, str(grant.ipv4)


async def test_they_are_listed_with_what_they_wait_for() -> None:
    """As fixed ones, by text and state; where a pool has the address, that one is told of."""
    host, address = await host_with_one()
    mirror, now = host.services.mirror, host.clock.now()
    (row,) = kept_rows(mirror, now, ListLeases(fixed=True))
    assert (row.address, row.key, row.network_name, row.pool) == (address, "key:db", "web", "")
    assert row.until == now + 86400
    assert kept_rows(mirror, now, ListLeases(text="WEB"))
    assert not kept_rows(mirror, now, ListLeases(text="else"))
    assert not kept_rows(mirror, now, ListLeases(state=State.DYNAMIC))
    assert not kept_rows(mirror, now + 86400, ListLeases())


async def test_explain_says_for_whom_and_until_when() -> None:
    """And how to give it up."""
    host, address = await host_with_one()
    surroundings = Surroundings("1", 0.0, "", "", "")
    inspection = Inspection(host.services.mirror, host.services.roster, host.clock, surroundings, lambda: None)
    (reason,) = inspection.explain(ip_address(address)).reasons
    assert reason.verdict == "kept"
    assert "network web, which is gone" in reason.text[0]
    (row,) = inspection.lease(ip_address(address))
    assert row.key == "key:db"


async def test_a_person_gives_it_up() -> None:
    """At once, or only says what would be done."""
    host, address = await host_with_one()
    service = operate(host).reservations
    assert len(await service.release(None, ip_address(address), force=False, dry=True)) == 1
    assert len(host.estates) == 1
    (change,) = await service.release(None, ip_address(address), force=False, dry=False)
    assert (change.before, change.after) == ("kept for a key of network web, which is gone", "free")
    assert host.estates == []
