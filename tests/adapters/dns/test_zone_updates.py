"""What an update demands and does. A real server has the last word: tests/adapters/dns/test_site_zones.py."""

from __future__ import annotations

from mooring.adapters.dns.zone_updates import update

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
