"""What is not as it should be, with its proof: the values that the doctor and the kernel reconciler show.

Rule: a finding says what is wrong, what proves it, since when, and what puts it right; it is found by looking, and
looking changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

AUTOMATIC = "Mooring repairs this automatically; act only if it stays"  # the remedy of what needs nobody


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    subject: what it is about, the same text for as long as it lasts. text: what is wrong, one line. proof: what was
    seen, one line. since: seconds since the epoch of the first sighting. remedy: what a person can do. fixable: Mooring
    puts it right when it is told to, or in time by itself.
    """

    subject: str
    text: str
    proof: str
    since: float
    remedy: str = ""
    fixable: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is not as it should be. done: what was put right, or with dry_run would be, one line each. notes: what is as
    it should be, and good to know: before an upgrade of the engine, say."""

    at: float
    findings: tuple[Finding, ...]
    done: tuple[str, ...] = ()
    dry_run: bool = False
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass over the kernel did. at: seconds since the epoch. repaired: one line each; findings: what it could
    not or would not do, one line each."""

    at: float
    repaired: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"repaired: {line}" for line in self.repaired] + [f"finding: {line}" for line in self.findings]
        return "\n".join(lines) or "nothing to repair"
