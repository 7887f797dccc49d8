"""Names as an operator sees and tries them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.faults import BadRequest, Unavailable
from mooring.core.filters import DnsFilter, DnsQuestion
from mooring.services.operations.dns_rows import DnsRows
from mooring.services.records.engine_names import NOBODY_ASKED
from tests.services.samples import WEB, sample
from tests.services.test_remote_names import advertised


async def test_a_record_of_a_network_is_shown_with_its_network() -> None:
    """By name, and it answers to who is in it, with the zone or without; nobody else is asked if it is internal."""
    host = await sample()
    rows = host.operations.dns_rows
    row, changed = await rows.add("nas", ["192.0.2.9"], WEB, "", None, False, NOBODY_ASKED)
    assert changed
    assert (row.name, row.network_id) == ("nas.1f6b2c000000.mooring", WEB)
    page = await rows.page(DnsFilter(network=WEB, origin="stored"), NOBODY_ASKED)
    assert page.rows == [row]
    assert rows.lookup(DnsQuestion(name="nas", network=WEB), NOBODY_ASKED).records == ["192.0.2.9"]
    assert rows.lookup(DnsQuestion(name="nas"), NOBODY_ASKED).verdict == "forward"
    network = host.cache.network(WEB)
    assert network is not None
    await host.cache.commit(put=[replace(network, internal=True)])
    assert rows.lookup(DnsQuestion(name="nas", network=WEB), NOBODY_ASKED).records == ["192.0.2.9"]
    assert rows.lookup(DnsQuestion(name="elsewhere", network=WEB), NOBODY_ASKED).verdict == "refused"
    await rows.remove("nas", WEB, False, NOBODY_ASKED)
    assert not (await rows.page(DnsFilter(origin="stored"), NOBODY_ASKED)).rows


async def test_a_name_among_those_of_a_network_is_that_networks() -> None:
    """Nobody means everybody by it; with the network, and where no network is called so, it is as ever."""
    rows = (await sample()).operations.dns_rows
    for name in ("nas.1f6b2c000000.mooring", "nas.1f6b2c000000", "a.nas.1f6b2c000000"):
        with pytest.raises(BadRequest, match=r"for everybody; name it (a\.)?nas, with `--network 1f6b2c000000`"):
            await rows.add(name, ["192.0.2.9"], "", "", None, False, NOBODY_ASKED)
    row, _ = await rows.add("nas.1f6b2c000000.mooring", ["192.0.2.9"], WEB, "", None, False, NOBODY_ASKED)
    assert (row.name, row.names) == ("nas.1f6b2c000000.mooring", ["nas"])
    assert (await rows.remove("nas.1f6b2c000000.mooring", WEB, False, NOBODY_ASKED)).names == ["nas"]
    row, _ = await rows.add("nas.elsewhere", ["192.0.2.9"], "", "", None, False, NOBODY_ASKED)
    assert (row.name, row.network) == ("nas.elsewhere.mooring", "")


async def test_without_an_engine_there_are_no_names() -> None:
    """Nobody has a container whose name could be told."""
    rows = DnsRows((await sample()).cache, None)
    with pytest.raises(Unavailable, match="no engine's containers"):
        rows.lookup(DnsQuestion(name="nas"), NOBODY_ASKED)


async def test_names_of_other_hosts_are_shown_with_the_hosts_name() -> None:
    """And this host's with its own; one that is not heard is said to be so. A look-up says whose each record is."""
    host = await sample()
    assert host.services.keeping is not None
    rows, remote = host.operations.dns_rows, host.services.keeping.host_names.remote
    remote.begin("h0", "web0")
    remote.take_part("shared", WEB)
    remote.note("ep/h1/shared/e1", advertised("h1", "e1", "far", "10.32.0.90"))
    remote.names = {**remote.names, "h1": "web1"}
    await rows.add("nas", ["192.0.2.9"], WEB, "", None, False, NOBODY_ASKED)
    page = await rows.page(DnsFilter(network=WEB), NOBODY_ASKED)
    assert [(row.names[0], row.host, row.origin, row.heard) for row in page.rows] == [
        ("db", "web0", "container", True), ("far", "web1", "container", True), ("nas", "web0", "stored", True),
    ]  # fmt: skip
    remote.note_silent(frozenset({"h1"}))
    (row,) = (await rows.page(DnsFilter(host="web1"), NOBODY_ASKED)).rows
    assert (row.name, row.addresses, row.heard) == ("far.1f6b2c000000.mooring", ["10.32.0.90"], False)
    for name, kind, record in (
        ("far", "A", "10.32.0.90"),
        ("10.32.0.90", "", "far.1f6b2c000000.mooring."),
        ("_80._tcp.far", "SRV", "0 0 80 far.1f6b2c000000.mooring."),
    ):
        answer = rows.lookup(DnsQuestion(name=name, type=kind, network=WEB), NOBODY_ASKED)
        assert (answer.records, answer.hosts) == ([record], {record: "web1"})
    assert rows.lookup(DnsQuestion(name="db", network=WEB), NOBODY_ASKED).hosts == {}
