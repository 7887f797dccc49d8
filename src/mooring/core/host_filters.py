"""Chains of the host's own firewall that drop what our networks forward: what the doctor says of one.

Rule: what our table has accepted bears a bit (core/firewall.py), and a chain that drops it is to accept that; what
firewalld writes is changed in firewalld's words, as it would write it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.core.firewall import ACCEPTED_MARK, PRIORITY

_FIREWALLD = "firewalld"


@dataclass(frozen=True, slots=True)
class HostFilter:
    """A base chain of nftables at the hook of forwarded packets. table: with its family, as `inet filter`. by_policy:
    it drops in the end, and by no rule. bridges: those of ours whose containers it cuts off, sorted."""

    table: str
    chain: str
    priority: int
    by_policy: bool
    bridges: tuple[str, ...]

    @property
    def place(self) -> str:
        """As nft's commands name it."""
        return f"{self.table} {self.chain}"

    @property
    def remedy(self) -> str:
        """What lets our traffic through."""
        if self.table.endswith(f" {_FIREWALLD}"):
            bridges = " ".join(f"--add-interface={bridge}" for bridge in self.bridges[:5])
            return f"`firewall-cmd --permanent --zone=trusted {bridges}`, then `firewall-cmd --reload`"
        mark = f"{ACCEPTED_MARK:#x}"
        rule = f"`nft insert rule {self.place} meta mark and {mark} == {mark} accept`, and that in /etc/nftables.conf"
        if self.priority <= PRIORITY:
            rule += f", in a chain of a priority above {PRIORITY}: before that nothing bears the mark"
        return rule
