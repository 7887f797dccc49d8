"""The form of operators' DNS records.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import unquote

from mooring.core.dns_records import DnsRecord
from mooring.wire.forms.elements import Stored


class DnsRecordV1(Stored, tag=1):
    """The addresses of a name; network and name are in the key."""

    addresses: list[str]
    created: float
    note: str = ""
    until: float | None = None

    def record(self, key: str) -> DnsRecord:
        """See stored.Form."""
        _, network, name = key.split("/")
        return DnsRecord(
            name=unquote(name),
            addresses=tuple(ip_address(each) for each in self.addresses),
            network=unquote(network),
            note=self.note,
            created=self.created,
            until=self.until,
        )


def dns_record_form(record: DnsRecord) -> DnsRecordV1:
    """The newest form of a DNS record."""
    return DnsRecordV1(
        addresses=[str(each) for each in record.addresses], created=record.created, note=record.note, until=record.until
    )
