"""What is not as it should be, with its proof: the values that the doctor shows.

Rule: a finding says what is wrong, what proves it, since when, and what puts it right; it is found by looking, and
looking changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


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
