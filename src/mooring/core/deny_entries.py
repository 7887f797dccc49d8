"""Deny entries: subnets in which no network of ours may be from now on, by the configuration or by an operator.

Rules: an entry forbids what is to come and takes nothing away; one that the configuration has is no record, and ends
only there.
"""

from __future__ import annotations

import msgspec

from mooring.core.networks import Subnet

CONFIGURATION = "configuration"
STORED = "stored"


class DenyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One subnet. note: an operator's, why. created: seconds since the epoch, 0.0 for one of the configuration."""

    subnet: Subnet
    note: str = ""
    created: float = 0.0
    origin: str = STORED

    @property
    def declared(self) -> bool:
        """Whether the configuration has it."""
        return self.origin == CONFIGURATION

    def in_words(self) -> str:
        """What it is, as a refusal names it: whose it is and why."""
        whose = "by the configuration" if self.declared else "by `mooring deny`"
        return f"{self.subnet} is denied {whose}" + (f": {self.note}" if self.note else "")

    def busy(self) -> str:
        """What is in the way of a subnet, for a list of such things."""
        return "the deny list" + (f" ({self.note})" if self.note else "")

    def way_out(self) -> str:
        """What ends it."""
        if self.declared:
            return "remove it from `deny` in the configuration"
        return f"`mooring deny rm {self.subnet}`"
