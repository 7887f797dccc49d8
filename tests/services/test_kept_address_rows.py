"""Addresses that wait for their network, in lists and explanations, and given up by hand."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.faults import NotFound
from mooring.core.filters import LeaseFilter
from mooring.core.leases import Lease, State
from mooring.core.requests import PoolRequest
from mooring.services.ipam.kept_address_rows import kept_lease_rows, kept_rows, kept_subnets
from mooring.services.operations.inspection import DaemonFacts, Inspection
from mooring.services.records.holder_names import holder_of
from tests.services.holder_hosts import ident
from tests.services.operators import operate
from tests.services.test_kept_networks import ComingHost


async def host_with_one() -> tuple[ComingHost, str]:
    """A host on which one address waits; that address."""
    host = ComingHost()
    network = await host.named("n1")
    (grant,) = await host.made("first", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    return host, str(grant.ipv4)


async def test_they_are_listed_with_what_they_wait_for() -> None:
    """As fixed ones, by text and state; where a pool has the address, that one is told of."""
    host, address = await host_with_one()
    cache, now = host.services.cache, host.clock.now()
    (row,) = kept_rows(cache, now, LeaseFilter(fixed=True))
    assert (row.address, row.key, row.network_name, row.pool) == (address, "key:db", "web", "")
    assert (row.space, row.state, row.since, row.mac != "") == ("default", "fixed", now, True)
    assert kept_rows(cache, now, LeaseFilter(text=address))
    assert row.until == now + 86400
    assert kept_rows(cache, now, LeaseFilter(text="WEB"))
    assert not kept_rows(cache, now, LeaseFilter(text="else"))
    assert not kept_rows(cache, now, LeaseFilter(state=State.DYNAMIC))
    assert not kept_rows(cache, now + 86400, LeaseFilter())


async def test_explain_says_for_whom_and_until_when() -> None:
    """And how to give it up."""
    host, address = await host_with_one()
    daemon = DaemonFacts("1", 0.0, "", "", "")
    inspection = Inspection(host.services.cache, host.services.ipam.index, host.clock, daemon, lambda: None)
    (reason,) = inspection.explain(ip_address(address)).reasons
    assert (reason.verdict, reason.space, reason.subnet, reason.state) == ("kept", "default", None, "fixed")
    assert "removed network web" in reason.text[0]
    (row,) = inspection.lease(ip_address(address))
    assert row.key == "key:db"


@pytest.mark.parametrize("what", ["10.32.0.0/24", "10.32.0.0/16", "10.32.0.0/25", "10.32.0.77"])
async def test_who_asks_for_its_subnet_or_another_address_of_it_is_told(what: str) -> None:
    """Who waits, until when, and how to give it up; when another network has it, that one is told of."""
    host, address = await host_with_one()
    (reason,) = (await operate(host).lookup.explain(what)).reasons
    text = " ".join(reason.text)
    assert (reason.verdict, reason.space, reason.state) == ("kept", "default", "fixed")
    assert reason.subnet == "10.32.0.0/24"
    assert "10.32.0.0/24" in reason.text[0]
    assert "of the removed network web" in reason.text[0]
    assert "1 address of it is kept for their keys until " in reason.text[0]
    assert "`mooring lease ls web`" in text
    await operate(host).reservations.release(None, ip_address(address), force=False, dry=False)
    assert (await operate(host).lookup.explain(what)).reasons[0].verdict == "carvable"


async def test_they_are_in_the_order_of_their_addresses() -> None:
    """Whoever left first."""
    host = ComingHost()
    network = await host.named("n1")
    for number in (9, 2, 5):
        await host.made(f"c{number}", host.fixed_spec(network, f"key:{number}", f"10.32.0.{number}"))
        await host.services.holders.release_all(ident(f"c{number}"))
    await host.gone(network)
    rows = kept_rows(host.services.cache, host.clock.now(), LeaseFilter())
    assert [row.address for row in rows] == ["10.32.0.2", "10.32.0.5", "10.32.0.9"]


async def test_lists_take_the_network_and_the_subnet_that_are_gone() -> None:
    """Those who wait are its rows; what never was is an error."""
    host, address = await host_with_one()
    inspection = operate(host).inspection
    for wanted in (LeaseFilter(network="web"), LeaseFilter(pool="10.32.0.0/24"), LeaseFilter(pool="web")):
        assert [row.address for row in (await inspection.leases(wanted)).rows] == [address]
    for wanted in (LeaseFilter(network="wbe"), LeaseFilter(pool="10.32.1.0/24")):
        with pytest.raises(NotFound):
            await inspection.leases(wanted)
    with pytest.raises(NotFound, match=r"network web was removed; .*`mooring lease ls web`"):
        inspection.network("web")


async def test_who_asks_for_the_service_or_the_mac_is_told() -> None:
    """A service by its name alone, as while it ran."""
    host = ComingHost()
    network = await host.named("n1")
    (grant,) = await host.made("first", host.fixed_spec(network, "compose:shop/web/1"))
    await host.gone(network)
    for what in ("web/1", "shop"):
        with pytest.raises(NotFound):
            await operate(host).lookup.explain(what)
    for what in ("web", "shop/web", "shop/web/1", "compose:shop/web/1", grant.mac):
        (reason,) = (await operate(host).lookup.explain(what)).reasons
        assert reason.text[0].startswith(f"{grant.ipv4} is kept for compose service shop/web, number 1")


@pytest.mark.parametrize("what", ["db", "key:db", "web"])
async def test_who_asks_for_the_key_or_the_network_is_told(what: str) -> None:
    """As before the network went."""
    host, address = await host_with_one()
    (reason,) = (await operate(host).lookup.explain(what)).reasons
    assert reason.text[0].startswith(f"{address} is kept for key db of the removed network web until ")


async def test_a_key_without_containers_is_not_called_by_one() -> None:
    """Whoever reads a list takes a container for one that is there."""
    lease = Lease(
        address=ip_address("10.0.0.2"), space="default", pool="p", state=State.FIXED, since=0.0,
        key="compose:shop/web/1", name="shop-web-1",
    )  # fmt: skip
    assert holder_of(lease, None) == "compose service shop/web, number 1"


async def test_a_person_gives_it_up() -> None:
    """At once, or only says what would be done."""
    host, address = await host_with_one()
    service = operate(host).reservations
    assert len(await service.release(None, ip_address(address), force=False, dry=True)) == 1
    assert len(host.kept_networks) == 1
    (change,) = await service.release(None, ip_address(address), force=False, dry=False)
    assert (change.before, change.after) == ("kept for a key of the removed network web", "free")
    assert host.kept_networks == []


async def test_of_several_each_is_told_of_by_itself() -> None:
    """Who asks for one address hears of no other, and releases no other."""
    host = ComingHost()
    for number in (1, 2):
        network = await host.named(f"n{number}", f"web{number}")
        await host.made(f"c{number}", host.fixed_spec(network, f"key:{number}"))
        await host.gone(network)
    cache, now = host.services.cache, host.clock.now()
    first, second = kept_rows(cache, now, LeaseFilter())
    assert kept_lease_rows(cache, now, ip_address(first.address)) == [first]
    kept_networks = host.services.ipam.kept_networks
    assert [each.name for each in kept_networks.keeping(ip_address(second.address))] == [second.network_name]
    await operate(host).reservations.release(None, ip_address(second.address), force=False, dry=False)
    assert kept_rows(cache, now, LeaseFilter()) == [first]


async def test_a_subnet_that_a_pool_has_is_told_of_as_the_pools() -> None:
    """Whether it is the same or another that overlaps it; in another address space it is nobody's matter."""
    host, _ = await host_with_one()
    cache, now = host.services.cache, host.clock.now()
    for text in ("10.32.0.0/24", "10.32.0.128/25"):
        assert kept_subnets(cache, now, ip_network(text))
        for space, told in (("blue", 1), ("default", 0)):
            grant = await host.services.ipam.request_pool(PoolRequest(space, 4, ip_network("10.32.0.0/25")))
            assert len(kept_subnets(cache, now, ip_network(text))) == told
            await host.services.ipam.release_pool(grant.pool)
    assert not kept_subnets(cache, now, ip_network("10.32.1.0/24"))
