"""The deny list forbids what is to come, whoever wrote the entry, and takes nothing away."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network, ip_network

import pytest

from mooring.core.deny_entries import CONFIGURATION, STORED
from mooring.core.faults import BadRequest, Conflict, Exhausted, Forbidden, NotFound
from mooring.core.pools import SubnetPool
from mooring.core.requests import PoolRequest
from mooring.services.ipam import deny_list
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.ipam.deny_list import DenyList
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from tests.services.ipam_hosts import Host

CARVED = PoolRequest("default", 4, length=24)


def net(text: str) -> IPv4Network:
    """For short."""
    return IPv4Network(text)


async def started(policy: IpamPolicy | None = None) -> Host:
    """10.66.0.0/16 is denied by the configuration."""
    host = Host() if policy is None else Host(policy)
    await host.cache.load()
    return host


async def test_a_subnet_is_carved_around_an_entry_from_the_next_one_on() -> None:
    """And where it was, once the entry is gone; whoever has a subnet already keeps it."""
    host = await started()
    first = await host.ipam.request_pool(CARVED)
    assert await host.ipam.deny_list.add(net("10.32.0.0/23"), "the VPN", dry=False)
    assert (await host.ipam.request_pool(CARVED)).subnet == net("10.32.2.0/24")
    assert host.known(first.pool) is not None
    await host.ipam.deny_list.remove(net("10.32.0.0/23"), dry=False)
    assert (await host.ipam.request_pool(CARVED)).subnet == net("10.32.1.0/24")


@pytest.mark.parametrize("typed", ["10.8.1.0/24", "10.8.0.0/16", "10.0.0.0/12"])
async def test_a_typed_subnet_is_refused_with_the_entry_its_note_and_its_end(typed: str) -> None:
    """A part of it, all of it and more."""
    host = await started()
    await host.ipam.deny_list.add(net("10.8.0.0/16"), "VPN Berlin", dry=False)
    with pytest.raises(Forbidden) as refusal:
        await host.pool(typed)
    assert str(refusal.value) == (
        f"subnet {typed} cannot be used: 10.8.0.0/16 is denied by `mooring deny`: VPN Berlin; "
        "choose another subnet, or `mooring deny rm 10.8.0.0/16`"
    )


async def test_an_entry_of_the_configuration_is_told_as_one() -> None:
    """By what it forbids, and by what would end it."""
    host = await started()
    with pytest.raises(Forbidden, match=r"10\.66\.0\.0/16 is denied by the configuration; .*in the configuration$"):
        await host.pool("10.66.1.0/24")
    with pytest.raises(Conflict, match=r"by the configuration; remove it from `deny` .* restart"):
        await host.ipam.deny_list.remove(net("10.66.0.0/16"), dry=False)
    with pytest.raises(Conflict, match="denied already by the configuration"):
        await host.ipam.deny_list.add(net("10.66.0.0/16"), "", dry=False)


async def test_entries_survive_a_restart_and_are_one_list_with_the_configurations() -> None:
    """In order of address, IPv4 first."""
    host = await started()
    for text in ("fd00:8::/32", "10.99.0.0/16", "10.8.0.0/16"):
        await host.ipam.deny_list.add(ip_network(text), f"note {text}", dry=False)
    await host.restart()
    rows = [(str(each.subnet), each.origin, each.note) for each in host.ipam.deny_list.entries()]
    assert rows == [
        ("10.8.0.0/16", STORED, "note 10.8.0.0/16"),
        ("10.66.0.0/16", CONFIGURATION, ""),
        ("10.99.0.0/16", STORED, "note 10.99.0.0/16"),
        ("fd00:8::/32", STORED, "note fd00:8::/32"),
    ]
    with pytest.raises(Forbidden):
        await host.pool("fd00:8:1::/64")


async def test_denied_again_it_has_the_new_note_and_its_age() -> None:
    """The same again changes nothing; dry, nothing is changed at all."""
    host = await started()
    subnet = net("10.8.0.0/16")
    assert await host.ipam.deny_list.add(subnet, "a", dry=True)
    assert host.cache.deny_entry(subnet) is None
    assert await host.ipam.deny_list.add(subnet, " a ", dry=False)
    created = host.clock.now()
    host.clock.advance(10)
    assert not await host.ipam.deny_list.add(subnet, "a", dry=False)
    assert await host.ipam.deny_list.add(subnet, "b", dry=False)
    entry = host.cache.deny_entry(subnet)
    assert entry is not None
    assert (entry.note, entry.created) == ("b", created)
    assert (await host.ipam.deny_list.remove(subnet, dry=True)) == entry
    assert host.cache.deny_entry(subnet) == entry


async def test_what_is_not_there_is_refused_with_what_is() -> None:
    """A part of an entry is none."""
    host = await started()
    with pytest.raises(NotFound, match=r"no deny entry 10\.66\.1\.0/24; 10\.66\.0\.0/16 is; see `mooring deny ls`"):
        await host.ipam.deny_list.remove(net("10.66.1.0/24"), dry=False)
    with pytest.raises(NotFound, match=r"no deny entry 10\.8\.0\.0/16; see"):
        await host.ipam.deny_list.remove(net("10.8.0.0/16"), dry=False)


async def test_a_note_is_one_line_and_a_list_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, with nothing changed; an entry that is there may still get another note."""
    host = await started()
    with pytest.raises(BadRequest, match="a note is one line"):
        await host.ipam.deny_list.add(net("10.8.0.0/16"), "a\nb", dry=False)
    monkeypatch.setattr(deny_list, "MOST", 1)
    await host.ipam.deny_list.add(net("10.8.0.0/16"), "", dry=False)
    with pytest.raises(Conflict, match="1 entries, which is the most"):
        await host.ipam.deny_list.add(net("10.9.0.0/16"), "", dry=False)
    assert await host.ipam.deny_list.add(net("10.8.0.0/16"), "new", dry=False)


async def test_a_carve_that_is_under_way_is_decided_before_the_entry() -> None:
    """After the answer nothing is made over it, however the calls interleave."""
    host = await started()
    *before, _ = await asyncio.gather(
        *(host.ipam.request_pool(CARVED) for _ in range(3)), host.ipam.deny_list.add(net("10.32.0.0/22"), "", dry=False)
    )
    after = await host.ipam.request_pool(CARVED)
    assert len(before) == 3
    assert not after.subnet.overlaps(net("10.32.0.0/22"))


async def test_a_pool_that_is_full_names_the_entry() -> None:
    """With its note."""
    pool = SubnetPool("small", "default", (net("10.50.0.0/24"),), 24)
    host = await started(IpamPolicy(subnet_pools4=(pool,)))
    await host.ipam.deny_list.add(net("10.50.0.0/25"), "printers", dry=False)
    with pytest.raises(Exhausted, match=r"10\.50\.0\.0/25 by the deny list \(printers\)"):
        await host.ipam.request_pool(PoolRequest("default", 4))


async def test_a_list_hears_of_entries_that_another_writer_made() -> None:
    """As of everything in the cache."""
    host = await started()
    other = DenyList(host.cache, (), ManualClock(), asyncio.Lock())
    await host.ipam.deny_list.add(net("10.8.0.0/16"), "x", dry=False)
    entry = other.meeting(net("10.8.3.0/24"))
    assert entry is not None
    assert entry.note == "x"
    assert isinstance(host.cache, RecordCache)
