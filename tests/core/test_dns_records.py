"""A record of an operator's ends when its time is over."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.dns_records import DnsRecord


def test_a_record_is_over_at_the_moment_that_was_said() -> None:
    """And one without an end never is."""
    record = DnsRecord(name="nas", addresses=(ip_address("192.0.2.9"),), until=10.0)
    assert (record.is_over(9.9), record.is_over(10.0)) == (False, True)
    assert not DnsRecord(name="nas", addresses=()).is_over(1e12)
