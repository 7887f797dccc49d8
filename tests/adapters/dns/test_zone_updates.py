"""What an update demands and does. A real server has the last word: tests/adapters/dns/test_site_zones.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode
import pytest

from mooring.adapters.dns import zone_updates
from mooring.adapters.dns.tsig import KeyFile
from mooring.adapters.dns.zone_updates import MOST_REFUSALS, Owned, ZoneUpdates, update
from mooring.core.faults import Unavailable
from tests.adapters.dns.zones import ToldExport, entry, free_place, key_file

Some = frozenset[tuple[str, str]]
ONE, TWO = frozenset({("A", "10.32.0.2")}), frozenset({("A", "10.32.0.3")})


class Asked:
    """A server in the place of `ask`. names: those that it was sent, one for each message. says: the rcode for a
    name."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.says: Callable[[str], dns.rcode.Rcode] = lambda _: dns.rcode.NOERROR

    async def ask(self, message: dns.message.Message, *_: object) -> dns.message.Message:
        """A reply."""
        message.to_wire()
        name = next(rrset for rrset in (*message.sections[1], *message.sections[0])).name.to_text(omit_final_dot=True)
        self.names.append(name)
        reply = dns.message.make_response(message)
        reply.set_rcode(self.says(name))
        return reply


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


@pytest.fixture
def export() -> ToldExport:
    """Nothing is told yet."""
    return ToldExport("example.org")


@pytest.fixture
async def updates(export: ToldExport, tmp_path: Path) -> ZoneUpdates:
    """They know already that nothing of ours is there."""
    keys, zones = KeyFile(key_file(tmp_path)), ("example.org", "32.10.in-addr.arpa")
    made = ZoneUpdates(export, keys, free_place(), zones, "mooring=1", lambda *_: None)
    made._owned, made._looked = {}, asyncio.get_running_loop().time()
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A server that says yes to everything."""
    made = Asked()
    monkeypatch.setattr(zone_updates, "ask", made.ask)
    return made


async def round_of(updates: ZoneUpdates) -> None:
    """All of what was told."""
    updates._changed.clear()
    await updates.once()


async def test_what_no_message_can_carry_is_said_and_ends_nothing(
    updates: ZoneUpdates, export: ToldExport, asked: Asked
) -> None:
    """A mark has strings of 255 bytes, and a message 65535: a way back to a name that is longer than that, and a
    service of thousands."""

    def says(name: str) -> dns.rcode.Rcode:
        if name.startswith("app."):
            raise dns.exception.TooBig  # as of 2500 addresses, which take a second
        return dns.rcode.NOERROR

    asked.says, label = says, "x" * 59
    export.tell(
        entry(f"{label}.{label}.{label}.{label[:56]}", "10.32.0.2"),
        entry("app", "10.33.0.2"),
        entry("db", "10.33.99.2"),
    )
    await round_of(updates)
    assert sorted(updates._later) == ["2.0.32.10.in-addr.arpa", "app.web.example.org"]
    assert "app.web.example.org: it cannot be written: " in updates._not_kept()
    assert [name[:3] for name in asked.names] == ["db.", "app", "xxx"]


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


async def test_nothing_is_removed_while_somebody_may_not_be_known_yet(
    updates: ZoneUpdates, export: ToldExport, asked: Asked
) -> None:
    """As after a restart: not a name, and not one replica of two; what is new is written."""
    before = {"db.web.example.org": ONE, "app.web.example.org": ONE | TWO}
    updates._owned = dict(before)
    export.tell(entry("app", "10.32.0.2"), entry("late", "192.0.2.1"), whole=False)
    await round_of(updates)
    assert asked.names == ["late.web.example.org", "2.0.32.10.in-addr.arpa"]
    assert {name: updates._owned[name] for name in before} == before
    export.tell(entry("app", "10.32.0.2"), entry("late", "192.0.2.1"))
    await round_of(updates)
    assert asked.names[2:] == ["db.web.example.org", "app.web.example.org"]


async def test_refused_names_keep_no_other_waiting(updates: ZoneUpdates, export: ToldExport, asked: Asked) -> None:
    """Though they are the newest, and so many that the server itself could be what refuses: the next round begins with
    the others, and the findings have the refused ones."""
    asked.says = lambda name: dns.rcode.REFUSED if name.startswith("bad") else dns.rcode.NOERROR
    export.tell(entry("db", "192.0.2.1"), *(entry(f"bad{number}", "192.0.2.2") for number in range(7)))
    with pytest.raises(Unavailable, match="REFUSED"):
        await round_of(updates)
    assert len(asked.names) == MOST_REFUSALS
    await round_of(updates)
    assert asked.names[MOST_REFUSALS:] == ["bad1.web.example.org", "bad0.web.example.org", "db.web.example.org",
                                           "bad2.web.example.org"]  # fmt: skip
    assert updates._not_kept().endswith("and 4 more")
    asked.says = lambda _: dns.rcode.NOERROR
    updates._later = {name: (0.0, why) for name, (_, why) in updates._later.items()}
    await round_of(updates)
    assert (updates._not_kept(), len(updates._owned)) == ("", 8)


async def test_what_the_server_may_have_done_is_looked_at_before_the_next_try(
    updates: ZoneUpdates, export: ToldExport, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went away before its answer, and the name is no container's any more."""

    async def lost(*_: object) -> None:
        raise Unavailable("no answer")

    export.tell(entry("db", "192.0.2.1"))
    with monkeypatch.context() as away:
        away.setattr(zone_updates, "ask", lost)
        with pytest.raises(Unavailable):
            await round_of(updates)
    export.tell()
    say = iter([dns.rcode.NXRRSET, dns.rcode.NOERROR])
    asked.says = lambda _: next(say)
    await round_of(updates)
    assert (asked.names, updates._owned) == (["db.web.example.org"] * 2, {})
