"""The form of deny entries.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_network

from mooring.core.deny_entries import DenyEntry
from mooring.wire.forms.elements import Stored


class DenyEntryV1(Stored, tag=1):
    """A subnet that no network may overlap; it is in the key."""

    created: float
    note: str = ""

    def record(self, key: str) -> DenyEntry:
        """See stored.Form."""
        _, version, place = key.split("/")
        digits, _, length = place.partition("p")
        packed = bytes.fromhex(digits)
        if len(packed) != {"4": 4, "6": 16}[version]:
            raise ValueError(f"{place} is no subnet")
        return DenyEntry(subnet=ip_network((packed, int(length))), note=self.note, created=self.created)


def deny_entry_form(entry: DenyEntry) -> DenyEntryV1:
    """The newest form of a deny entry."""
    return DenyEntryV1(created=entry.created, note=entry.note)
