"""The deny list, asked for and changed by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.views import DenyRow
from mooring.wire.api import Allow, Deny, DenyReply


class DenyEntries(Asking):
    """Subnets that no network may overlap from now on. dry_run: nothing is done, only tried."""

    def deny_entries(self, *, subnet: str = "", origin: str = "") -> list[DenyRow]:
        """The deny list, the configuration's part and that of operators. subnet: entries that overlap it."""
        return self._rows(DenyRow, "deny", {"subnet": subnet, "origin": origin})

    def deny(self, subnet: str, *, note: str = "", dry_run: bool = False) -> DenyReply:
        """No network gets an address in the subnet from now on; those that exist keep theirs. note: why."""
        return self._post(DenyReply, "deny/add", Deny(subnet, note, dry_run))

    def allow(self, subnet: str, *, dry_run: bool = False) -> DenyReply:
        """The entry of exactly this subnet ends."""
        return self._post(DenyReply, "deny/remove", Allow(subnet, dry_run))
