"""Zones as bytes, read by another library."""

from __future__ import annotations

import dns.message
import pytest

from mooring.wire.zone_messages import MESSAGE_BYTES, encode_start, encode_zone_record, transfer_messages

QUESTION = dns.message.make_query("mooring", "AXFR").to_wire()[12:]


def test_a_zone_of_any_size_comes_in_small_messages() -> None:
    """None is larger than a turn of the loop can bear, and no record is lost."""
    records = (
        encode_zone_record("mooring", f"c{number}.web.mooring", ("A", f"10.0.{number >> 8}.{number & 255}"))
        for number in range(1000)
    )
    found: list[str] = []
    for message in transfer_messages(7, QUESTION, records):
        assert len(message) <= MESSAGE_BYTES + 100
        read = dns.message.from_wire(message)
        assert read.id == 7
        found += [str(each) for rrset in read.answer for each in rrset]
    assert found == [f"10.0.{number >> 8}.{number & 255}" for number in range(1000)]


def test_every_record_is_read_as_it_was_meant() -> None:
    """The start, a nameserver, both families, the zone's own name, and the way back."""
    records = [
        encode_start("mooring", "ns1.mooring", 2**32 - 1),
        encode_zone_record("mooring", "mooring", ("NS", "ns1.mooring")),
        encode_zone_record("mooring", "a.b.mooring", ("AAAA", "fd00::1")),
        encode_zone_record("mooring", "mooring", ("PTR", "x.y.")),
    ]
    (message,) = transfer_messages(1, QUESTION, records)
    found = [f"{rrset.name} {each}" for rrset in dns.message.from_wire(message).answer for each in rrset]
    assert found == [
        "mooring. ns1.mooring. hostmaster.mooring. 4294967295 60 15 86400 10", "mooring. ns1.mooring.",
        "a.b.mooring. fd00::1", "mooring. x.y.",
    ]  # fmt: skip


@pytest.mark.parametrize("record", [("A", "no address"), ("PTR", "x" * 64), ("PTR", "a..b")])
def test_what_is_no_record_is_refused(record: tuple[str, str]) -> None:
    """With ValueError, and nothing else."""
    with pytest.raises(ValueError):
        encode_zone_record("mooring", "a.mooring", record)
