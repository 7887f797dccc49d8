"""Operators' DNS records: one for each name and network, until they end."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.services.containers import dns_records
from mooring.services.containers.dns_records import DnsRecords
from tests.services.hosts import MemoryHost

NAS, OTHER = ip_address("192.0.2.9"), ip_address("192.0.2.10")


async def started() -> tuple[MemoryHost, DnsRecords]:
    """A host, and its records."""
    host = await MemoryHost().start()
    assert host.services.keeping is not None
    return host, host.services.keeping.dns_records


async def test_a_record_is_added_changed_and_removed() -> None:
    """Added again as it is, nothing changes; a trial changes nothing either; and a restart keeps it."""
    host, records = await started()
    _, changed = await records.add("nas", "", [NAS, NAS], note="the NAS", until=None, dry=True)
    assert changed
    assert not records.entries()
    await records.add("nas", "", [NAS, NAS], note="the NAS", until=None, dry=False)
    assert not (await records.add("nas", "", [NAS], note="the NAS", until=None, dry=False))[1]
    assert (await records.add("nas", "", [OTHER], note="moved", until=None, dry=False))[1]
    await host.restart()
    assert host.services.keeping is not None
    records = host.services.keeping.dns_records
    assert [(each.name, each.addresses, each.note) for each in records.entries()] == [("nas", (OTHER,), "moved")]
    await records.remove("nas", "", dry=True)
    await records.remove("nas", "", dry=False)
    with pytest.raises(NotFound, match="there is no DNS record nas"):
        await records.remove("nas", "", dry=False)


async def test_a_record_ends_by_itself_and_with_its_network() -> None:
    """Nobody is shown it from the moment on, and the next look takes it out of the store."""
    host, records = await started()
    network = await host.network("web")
    await records.add("nas", "", [NAS], note="", until=host.clock.now() + 60, dry=False)
    await records.add("tv", network, [NAS], note="", until=None, dry=False)
    host.clock.advance(60)
    assert [each.name for each in records.entries()] == ["tv"]
    with pytest.raises(NotFound):
        await records.remove("nas", "", dry=False)
    await records.sweep()
    assert host.services.cache.dns_record("", "nas") is None
    await host.services.networks.delete(network)
    await records.sweep()
    assert not records.entries()


@pytest.mark.parametrize("count", [0, 65])
async def test_no_addresses_and_too_many_are_refused(count: int) -> None:
    """A name of nothing would hide one that is elsewhere."""
    _, records = await started()
    with pytest.raises(BadRequest, match="needs 1 to 64 addresses"):
        await records.add("nas", "", [NAS] * count, note="", until=None, dry=False)


async def test_what_is_over_already_or_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that people read has an end."""
    host, records = await started()
    with pytest.raises(BadRequest, match="would be over already"):
        await records.add("nas", "", [NAS], note="", until=host.clock.now(), dry=False)
    monkeypatch.setattr(dns_records, "MOST", 1)
    await records.add("nas", "", [NAS], note="", until=None, dry=False)
    with pytest.raises(Conflict, match="which is the most"):
        await records.add("tv", "", [NAS], note="", until=None, dry=False)
