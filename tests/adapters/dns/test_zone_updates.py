"""What an update demands and does. A real server has the last word: tests/adapters/dns/test_site_zones.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mooring.adapters.dns.tsig import KeyFile
from mooring.adapters.dns.zone_updates import Owned, ZoneUpdates, update
from tests.adapters.dns.zones import ToldExport, entry, free_place, key_file

Some = frozenset[tuple[str, str]]
ONE, TWO = frozenset({("A", "10.32.0.2")}), frozenset({("A", "10.32.0.3")})


def sections(before: Some | None, after: Some) -> list[str]:
    """What must be so, and what is done, a line each."""
    lines = update("example.org", "db.example.org", "mooring=1", before, after).to_text().splitlines()
    return [line for line in lines[lines.index(";PREREQ") :] if not line.startswith(";")]


def test_a_new_name_is_nobody_s() -> None:
    """And gets its mark."""
    assert sections(None, ONE) == [
        "db.example.org. NONE ANY", "db.example.org. 10 IN A 10.32.0.2",
        'db.example.org. 10 IN TXT "mooring=1" "A 10.32.0.2"',
    ]  # fmt: skip


def test_a_change_needs_the_mark_and_removes_what_we_wrote_and_no_more() -> None:
    """Record by record, and never all of a type."""
    assert sections(ONE, TWO) == [
        'db.example.org. 0 IN TXT "mooring=1" "A 10.32.0.2"', "db.example.org. 0 NONE A 10.32.0.2",
        'db.example.org. 0 NONE TXT "mooring=1" "A 10.32.0.2"', "db.example.org. 10 IN A 10.32.0.3",
        'db.example.org. 10 IN TXT "mooring=1" "A 10.32.0.3"',
    ]  # fmt: skip


def test_a_name_that_goes_takes_its_mark_along() -> None:
    """With the same demand."""
    assert sections(ONE, frozenset()) == [
        'db.example.org. 0 IN TXT "mooring=1" "A 10.32.0.2"', "db.example.org. 0 NONE A 10.32.0.2",
        'db.example.org. 0 NONE TXT "mooring=1" "A 10.32.0.2"',
    ]  # fmt: skip


async def test_the_newest_names_come_first_and_a_change_is_not_kept_waiting(tmp_path: Path) -> None:
    """What is over is removed before anything is written."""
    export, asked = ToldExport("example.org"), list[str]()
    keys = KeyFile(key_file(tmp_path))
    updates = ZoneUpdates(export, keys, free_place(), ("example.org",), "mooring=1", lambda *_: None)

    async def put(name: str, owned: Owned, records: frozenset[tuple[str, str]]) -> None:
        asked.append(name.partition(".")[0])
        if name.startswith("c2"):
            export.tell(entry("late", "10.32.0.9"))

    updates._put = put  # type: ignore[method-assign]
    updates._owned, updates._looked = {"gone.web.example.org": ONE}, asyncio.get_running_loop().time()
    export.tell(*(entry(f"c{number}", f"10.32.0.{number + 2}") for number in range(4)))
    updates._changed.clear()
    await updates.once()
    assert asked == ["gone", "c3", "c2"]
