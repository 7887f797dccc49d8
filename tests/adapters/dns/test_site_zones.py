"""What the site's nameserver gets of the names: a BIND, configured as docs/names.md says it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import dns.update
import pytest

from mooring.adapters.dns import site_zones, zone_updates
from mooring.adapters.dns.site_zones import SiteZones
from mooring.adapters.dns.tsig import parse_keys
from mooring.adapters.dns.zone_exchanges import ask
from mooring.core.zones import Place, ZoneSettings, owner_mark
from tests.adapters.dns.zones import (
    KEY,
    OTHER_KEY,
    Named,
    ToldExport,
    dig,
    entry,
    free_place,
    key_file,
    named,
    needs_named,
    soon,
)
from tests.services.hosts import MemoryHost

pytestmark = [needs_named, pytest.mark.netns]

ZONE, REVERSE = "docker.example.org", "32.10.in-addr.arpa"
OWNER = owner_mark("this host")
DOCS = Path(__file__).parents[3] / "docs/names.md"


def documented(word: str, folder: Path, ours: Place) -> str:
    """The example of named.conf that has the word, with the test's files and port."""
    blocks = re.findall(r"^```conf\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    (found,) = (block for block in blocks if word in block)
    found = found.replace('include "/etc/bind/mooring.key";\n', "").replace("/var/lib/bind", str(folder))
    return str(found.replace("192.0.2.1 port 5353", f"{ours[0]} port {ours[1]}"))


@asynccontextmanager
async def running(zones: SiteZones) -> AsyncIterator[None]:
    """It runs until the end."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(zones.run())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def serving(zones: SiteZones, place: Place) -> AsyncIterator[None]:
    """It runs until the end, and its zone can be had."""
    async with running(zones):
        await soon(lambda: "hostmaster" in dig(place, "mooring", "SOA"))
        yield


def short(place: Place, name: str, kind: str = "A") -> str:
    """What the server says to anybody."""
    return " ".join(sorted(dig(place, "+short", name, kind, key="").split()))


def findings(zones: SiteZones) -> str:
    """All of them, each in a line."""
    return "\n".join(finding.text for finding in zones.findings())


# -- transfers ---------------------------------------------------------------------------------------------------------


async def test_a_secondary_follows_within_seconds(tmp_path: Path) -> None:
    """The zone, and the reverse zone that it wants; after a change it is told, and after our restart the serial goes
    on; what it is refused or not told is one line. A zone that only another has is none of its business."""
    ours, theirs, export = free_place(), free_place(), ToldExport()
    export.tell(entry("db", "10.32.0.2"))
    settings = ZoneSettings("mooring", key_file(tmp_path), transfer=(ours,), notify=(theirs,))
    zones = SiteZones(settings, export, OWNER, time.time)
    async with serving(zones, ours), named(tmp_path, documented('zone "mooring"', tmp_path, ours), theirs) as server:
        await soon(lambda: short(server.place, "db.web.mooring") == "10.32.0.2")
        await soon(lambda: short(server.place, "2.0.32.10.in-addr.arpa", "PTR") == "db.web.mooring.")
        await soon(lambda: "hostmaster" in dig(ours, "99.10.in-addr.arpa", "SOA"))  # another secondary, which has it
        export.tell(entry("db", "10.32.0.2"), entry("late", "10.32.0.3"))
        await soon(lambda: short(server.place, "late.web.mooring") == "10.32.0.3", 5)
        await soon(lambda: "99.10.in-addr.arpa" in server.log)
        await soon(lambda: short(server.place, "3.0.32.10.in-addr.arpa", "PTR") == "late.web.mooring.", 5)
        assert findings(zones) == ""
        key_file(tmp_path, OTHER_KEY)
        export.tell(entry("db", "10.32.0.4"))
        await soon(lambda: "BADSIG" in findings(zones))
        assert short(server.place, "db.web.mooring") == "10.32.0.2"
        key_file(tmp_path)
        await soon(lambda: short(server.place, "db.web.mooring") == "10.32.0.4")
        await soon(lambda: findings(zones) == "")
    again = SiteZones(settings, ToldExport(), OWNER, time.time)
    async with running(again):
        again._export.tell(entry("db", "10.32.0.9"))  # type: ignore[attr-defined]
        await soon(lambda: "secondary 127.0.0.1 is not told" in findings(again))


async def test_a_zone_of_ten_thousand_names_arrives_and_the_loop_goes_on(tmp_path: Path) -> None:
    """While it is transferred others have their turn."""
    ours, export = free_place(), ToldExport()
    export.tell(*(entry(f"c{number}", f"10.32.{number >> 8}.{number & 255}") for number in range(10_000)))
    zones = SiteZones(ZoneSettings("mooring", key_file(tmp_path), transfer=(ours,)), export, OWNER, time.time)
    async with serving(zones, ours), named(tmp_path, documented('zone "mooring"', tmp_path, ours)) as server:
        await soon(lambda: short(server.place, "c9999.web.mooring") == "10.32.39.15")
        await soon(lambda: "10003 records" in server.log)


# -- updates -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def primary(tmp_path: Path) -> AsyncIterator[Named]:
    """The site's, with somebody else's names in its zone."""
    start = "$TTL 10\n@ SOA ns host 1 60 15 86400 10\n NS ns.example.org.\n"
    (tmp_path / f"{ZONE}.zone").write_text(f"{start}nas A 192.0.2.9\ntaken.web A 192.0.2.8\n")
    (tmp_path / f"{REVERSE}.zone").write_text(start)
    async with named(tmp_path, documented(f'zone "{ZONE}"', tmp_path, free_place())) as made:
        yield made


def updating(folder: Path, place: Place, export: ToldExport | None = None) -> tuple[SiteZones, ToldExport]:
    """Kept at the server."""
    settings = ZoneSettings(ZONE, key_file(folder), update=place, update_zones=(ZONE, REVERSE))
    export = export or ToldExport(ZONE)
    return SiteZones(settings, export, OWNER, time.time), export


async def by_hand(place: Place, *changes: tuple[str, ...]) -> None:
    """Somebody else changes the zone."""
    (key,) = parse_keys(KEY).values()
    for verb, name, *rest in changes:
        message = dns.update.UpdateMessage(f"{ZONE}.")
        getattr(message, verb)(f"{name}.{ZONE}.", *rest)
        assert (await ask(message, place, key)).rcode() == 0


async def test_names_come_and_go_and_what_another_wrote_stays(tmp_path: Path, primary: Named) -> None:
    """At a start, with a stop, and where a name is another's; a record that another added to ours; and what was left
    by a daemon that was killed is found by its mark."""
    place = primary.place
    zones, export = updating(tmp_path, place)
    async with running(zones):
        export.tell(entry("db", "10.32.0.2"), entry("taken", "10.32.0.3"), entry("a_b", "10.32.0.4"))
        await soon(lambda: short(place, f"db.web.{ZONE}") == "10.32.0.2")
        await soon(lambda: short(place, f"2.0.{REVERSE}", "PTR") == f"db.web.{ZONE}.")
        await soon(lambda: f"taken.web.{ZONE}: another wrote it" in findings(zones))
        assert short(place, f"taken.web.{ZONE}") == "192.0.2.8"
        assert short(place, f"a_b.web.{ZONE}") == ""
        await by_hand(place, ("add", "db.web", "10", "A", "192.0.2.7"))
        export.tell(entry("db", "10.32.0.5", "10.32.0.6"))
        await soon(lambda: short(place, f"db.web.{ZONE}") == "10.32.0.5 10.32.0.6 192.0.2.7")
        await soon(lambda: findings(zones) == "")
    zones, export = updating(tmp_path, place)
    async with running(zones):  # it was killed, and the store was lost
        export.tell(entry("late", "10.32.0.7"))
        await soon(lambda: short(place, f"late.web.{ZONE}") == "10.32.0.7")
        await soon(lambda: short(place, f"db.web.{ZONE}") == "192.0.2.7")
        assert short(place, f"db.web.{ZONE}", "TXT") == ""
        assert short(place, f"2.0.{REVERSE}", "PTR") == ""
        export.tell()
        await soon(lambda: short(place, f"late.web.{ZONE}") == "")
        assert short(place, f"nas.{ZONE}") == "192.0.2.9"
        assert findings(zones) == ""


async def test_a_txt_record_of_another_beside_ours_keeps_nothing_there(tmp_path: Path, primary: Named) -> None:
    """What must be so is said of all of them; the other's stays, whatever is in it."""
    place = primary.place
    zones, export = updating(tmp_path, place)
    async with running(zones):
        export.tell(entry("db", "10.32.0.2"))
        await soon(lambda: short(place, f"db.web.{ZONE}") == "10.32.0.2")
        await by_hand(place, ("add", "db.web", "10", "TXT", '"v=1 \\"x\\" \\255;" "two"'))
        export.tell(entry("db", "10.32.0.3"))
        await soon(lambda: short(place, f"db.web.{ZONE}") == "10.32.0.3")
        export.tell()
        await soon(lambda: short(place, f"db.web.{ZONE}") == "")
        assert "mooring=" not in short(place, f"db.web.{ZONE}", "TXT")
        assert "two" in short(place, f"db.web.{ZONE}", "TXT")
        assert findings(zones) == ""


async def test_an_outage_is_told_and_afterwards_everything_is_as_it_should_be(
    tmp_path: Path, primary: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is away while names come and go; then our clock is off; then the key is another."""
    monkeypatch.setattr(zone_updates, "LATEST", 0.2)
    place = primary.place
    zones, export = updating(tmp_path, place)
    async with running(zones):
        export.tell(entry("db", "10.32.0.2"))
        await soon(lambda: short(place, f"db.web.{ZONE}") == "10.32.0.2")
        primary.stop()
        export.tell(entry("other", "10.32.0.3"))
        await soon(lambda: "names are not kept at 127.0.0.1: " in findings(zones))
        (finding,) = zones.findings()
        assert abs(finding.since - time.time()) < 30
        config = documented(f'zone "{ZONE}"', tmp_path, free_place())
        async with named(tmp_path, config, place):
            await soon(lambda: short(place, f"other.web.{ZONE}") == "10.32.0.3")
            await soon(lambda: short(place, f"db.web.{ZONE}") == "" and findings(zones) == "")
            real = time.time
            with monkeypatch.context() as clock:
                clock.setattr(time, "time", lambda: real() + 1000)
                export.tell(entry("third", "10.32.0.4"))
                await soon(lambda: "BADTIME" in findings(zones))
            key_file(tmp_path, KEY.replace('"mooring"', '"stranger"'))
            await soon(lambda: "BADKEY" in findings(zones))
            key_file(tmp_path, OTHER_KEY)
            await soon(lambda: "BADSIG" in findings(zones))
            key_file(tmp_path)
            await soon(lambda: short(place, f"third.web.{ZONE}") == "10.32.0.4" and findings(zones) == "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("update-policy { grant mooring zonesub ANY; };", ""), "REFUSED: it does not let the key change"),
        ((f'zone "{ZONE}"', 'zone "another.example.org"'), "NOTAUTH: it is not the primary server of"),
    ],
)
async def test_a_server_that_takes_no_updates_says_why(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """In one line, and it is asked no more often than the pause says."""
    config = documented(f'zone "{ZONE}"', tmp_path, free_place()).replace(*change)
    start = "$TTL 10\n@ SOA ns host 1 60 15 86400 10\n NS ns.example.org.\n"
    for zone in (ZONE, REVERSE):
        (tmp_path / f"{zone}.zone").write_text(start)
    async with named(tmp_path, config) as server:
        zones, export = updating(tmp_path, server.place)
        async with running(zones):
            export.tell(*(entry(f"c{number}", f"10.32.0.{number}") for number in range(20)))
            await soon(lambda: said in findings(zones))
            assert server.log.count("denied") + server.log.count("NOTAUTH") < 20


async def test_names_of_before_a_start_cannot_be_found_without_a_transfer(tmp_path: Path) -> None:
    """Everything else is done, also for a name that has a mark of ours already; and what was written since the start is
    removed with its container, whatever was between."""
    config = documented(f'zone "{ZONE}"', tmp_path, free_place()).replace("key mooring; };", "none; };")
    start = "$TTL 10\n@ SOA ns host 1 60 15 86400 10\n NS ns.example.org.\n"
    mark = f'db.web A 10.32.0.2\ndb.web TXT "{OWNER}" "A 10.32.0.2"\n'
    for zone, more in ((ZONE, mark), (REVERSE, "")):
        (tmp_path / f"{zone}.zone").write_text(start + more)
    async with named(tmp_path, config) as server:
        zones, export = updating(tmp_path, server.place)
        async with running(zones):
            export.tell(entry("db", "10.32.0.3"))
            await soon(lambda: short(server.place, f"db.web.{ZONE}") == "10.32.0.3")
            await soon(lambda: "cannot be found: REFUSED" in findings(zones))
            key_file(tmp_path, OTHER_KEY)
            export.tell()
            await soon(lambda: "BADSIG" in findings(zones))
            key_file(tmp_path)
            await soon(lambda: short(server.place, f"db.web.{ZONE}") == "")


async def test_an_address_that_cannot_be_had_and_a_file_of_keys_are_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are tried again."""
    monkeypatch.setattr(site_zones, "PERIOD", 0.05)
    place, keys = free_place(), key_file(tmp_path)
    keys.chmod(0o644)
    export = ToldExport()
    export.tell(entry("db", "10.32.0.2"))
    settings = ZoneSettings("mooring", keys, transfer=(place,), notify=((IPv4Address("127.0.0.1"), 9),))
    taken = await asyncio.start_server(lambda *_: None, str(place[0]), place[1])
    zones = SiteZones(settings, export, OWNER, time.time)
    async with running(zones):
        await soon(lambda: f"port {place[1]} of 127.0.0.1 is in use" in findings(zones))
        await soon(lambda: "everybody can read" in findings(zones))
        taken.close()
        await soon(lambda: "in use" not in findings(zones))
    assert replace(settings, transfer=()).wanted is False


async def test_an_error_of_ours_ends_one_part_for_a_while_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one line, the zones go on being given out, and a later run that goes well ends the line."""
    monkeypatch.setattr(site_zones, "LATEST", 0.2)
    ours, export = free_place(), ToldExport()
    export.tell(entry("db", "10.32.0.2"))
    runs = list[int]()

    async def run() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise RuntimeError("a mistake")
        await asyncio.Event().wait()

    monkeypatch.setattr(export, "run", run)
    zones = SiteZones(ZoneSettings("mooring", key_file(tmp_path), transfer=(ours,)), export, OWNER, time.time)
    async with serving(zones, ours):
        await soon(lambda: "internal error (RuntimeError: a mistake)" in findings(zones))
        await soon(lambda: len(runs) == 3 and findings(zones) == "")
        await soon(lambda: "db.web.mooring" in dig(ours, "mooring", "AXFR"))


async def test_a_host_that_is_renamed_has_its_names_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its marks say so; another host with the same machine-id, as a clone has, and a folder of its own has others."""
    host = MemoryHost()
    await host.start()
    settings = ZoneSettings(ZONE, key_file(tmp_path), update=free_place(), update_zones=(ZONE,))

    def owner(folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        made = site_zones.site_zones(settings, host.services.keeping, host.services.cache, host.clock, folder)
        assert made is not None
        return made._owner

    first = owner(tmp_path / "state")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="renamed"))
    assert owner(tmp_path / "state") == first != owner(tmp_path / "clone")


async def test_without_dnspython_the_daemon_goes_on_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, which says what brings it."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'dns'")

    monkeypatch.setattr(site_zones, "import_module", missing)
    zones, _ = updating(tmp_path, free_place())
    async with running(zones):
        await soon(lambda: "No module named 'dns': pip install 'mooring-net[dns]'" in findings(zones))
