"""Which names leave the host, and when there is another snapshot of them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from mooring.services.containers.zone_export import NAMES_A_SECOND, PATIENCE, ZoneExport
from tests.services.test_host_names import Named
from tests.services.test_remote_names import advertised


def exported(host: Named, *chosen: str, everybody: bool = False) -> ZoneExport:
    """Of the host."""
    return ZoneExport(host.services.cache, host.names, host.clock, "mooring", chosen, everybody=everybody)


async def told(export: ZoneExport) -> list[str]:
    """Names that are told now."""
    await export.once()
    assert export.current is not None
    return sorted(export.current.forward)


async def member(host: Named, network: str, name: str, number: int) -> None:
    """A container with the name."""
    await host.endpoint(network, f"e{number}")
    host.note(network, name, f"e{number}")


async def after(export: ZoneExport, host: Named, seconds: float) -> int | None:
    """The serial then."""
    host.clock.advance(seconds)
    for _ in range(5):
        await asyncio.sleep(0)
    return export.current.serial if export.current is not None else None


async def test_names_leave_the_host_where_the_network_wants_names_and_can_be_reached() -> None:
    """Not those of internal networks and of networks without names, whatever is chosen; everybody's records do."""
    host = Named()
    await host.start()
    for number, (name, internal, dns) in enumerate(
        [("web", False, "on"), ("bare", False, "off"), ("inner", True, "on"), ("shop", False, "on")]
    ):
        await member(host, await host.network(name, internal=internal, dns=dns), f"c{number}", number)
    assert host.services.keeping is not None
    await host.services.keeping.dns_records.add(
        "nas", "", [ip_address("192.0.2.9")], note="", until=None, dry=False
    )  # fmt: skip
    assert await told(exported(host)) == ["c0.web.mooring", "c3.shop.mooring", "nas.mooring"]
    assert await told(exported(host, "shop", "inner", "bare")) == ["c3.shop.mooring", "nas.mooring"]


async def test_a_snapshot_is_made_of_what_changed_and_no_other() -> None:
    """Its serial rises, also when the clock goes back."""
    host = Named()
    await host.start()
    network = await host.network("web", dns="on")
    await member(host, network, "db", 1)
    export, heard = exported(host), list[int]()
    export.listen(lambda: heard.append(export.current.serial if export.current else -1))
    assert await export.once()
    assert not await export.once()
    host.clock.jump(-1000)
    await member(host, network, "late", 2)
    assert await export.once()
    first, second = heard
    assert second == first + 1
    assert export.current is not None
    assert export.current.reverse["3.0.32.10.in-addr.arpa"] == {("PTR", "late.web.mooring.")}


async def test_two_snapshots_are_a_second_apart_and_more_where_there_are_many_names() -> None:
    """Also the first of a start and the last before it, so that no serial is there twice."""
    host = Named()
    await host.start()
    network = await host.network("web", dns="on")
    export = exported(host)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(export.run())
        await asyncio.sleep(0)
        assert await after(export, host, 0.9) is None
        first = await after(export, host, 0.2)
        assert first == int(host.clock.now())
        await member(host, network, "db", 1)
        assert await after(export, host, 0.5) == first
        second = await after(export, host, 1.0)
        assert second is not None
        assert second > first
        assert export.current is not None
        assert len(export.current.forward) / NAMES_A_SECOND < 0.1
        running.cancel()


@pytest.mark.parametrize("told", [True, False])
async def test_after_a_start_there_is_no_zone_before_everybody_is_known(told: bool) -> None:
    """So that a restart takes nobody's name from the LAN; one whom the engine never tells of is not waited for without
    end, and what is missing then is no proof."""
    host = Named()
    await host.start()
    network = await host.network("web", dns="on")
    await member(host, network, "db", 1)
    await member(host, network, "app", 2)
    await host.restart()
    host.names.note_loaded()
    export = exported(host)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(export.run())
        await asyncio.sleep(0)
        host.note(network, "db", "e1")
        for _ in range(3):
            assert await after(export, host, 1.1) is None
        if told:
            host.note(network, "app", "e2")
        serial = await after(export, host, 1.1 if told else PATIENCE)
        assert export.current is not None
        assert (sorted(export.current.forward), export.current.whole) == (
            (["app.web.mooring", "db.web.mooring"], True) if told else (["db.web.mooring"], False)
        )
        await host.services.endpoints.delete(network, "e2".ljust(64, "0"))
        later = await after(export, host, 1.1)
        assert (export.current.whole, later == serial) == (True, not told)
        running.cancel()


async def test_what_is_fetched_has_other_hosts_too_and_what_is_written_is_this_hosts_own() -> None:
    """So that no two hosts write one name; a host that is not heard is left out where another has the name."""
    host = Named()
    await host.start()
    network = await host.network("web", dns="on")
    await member(host, network, "db", 1)
    host.names.remote.take_part("shared", network)
    for number, name in ((1, "far app"), (2, "near app")):
        host.names.remote.note(f"ep/h{number}", advertised(f"h{number}", "e", name, f"10.32.0.{90 + number}"))
    whole, own = exported(host, everybody=True), exported(host)
    assert await told(own) == ["db.web.mooring"]
    assert await told(whole) == [f"{name}.web.mooring" for name in ("app", "db", "far", "near")]
    assert whole.current is not None
    assert whole.current.forward["app.web.mooring"] == {("A", "10.32.0.91"), ("A", "10.32.0.92")}
    host.names.remote.note_silent(frozenset({"h1"}))
    assert "far.web.mooring" in await told(whole)
    host.names.remote.note("ep/h2", advertised("h2", "e", "far app", "10.32.0.92"))
    await told(whole)
    assert whole.current.forward["far.web.mooring"] == {("A", "10.32.0.92")}


async def test_a_zone_to_fetch_is_not_whole_before_the_other_hosts_have_been_heard() -> None:
    """That of this host alone is."""
    host = Named()
    await host.start()
    network = await host.network("web", dns="on")
    host.names.remote.take_part("shared", network)
    host.names.remote.begin("h0", "here")
    whole, own = exported(host, everybody=True), exported(host)
    for export, expected in ((whole, False), (own, True)):
        await told(export)
        assert export.current is not None
        assert export.current.whole == expected
    host.names.remote.note_scanned()
    await told(whole)
    assert whole.current is not None
    assert whole.current.whole
