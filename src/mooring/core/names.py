"""Names of endpoints as DNS sees them, as values.

Rules: a name is lower-case and without the dot at its end; an answer says what is known and decides nothing about the
wire; within a sandbox its own links come first, then the networks in the order of its gateways.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mooring.core.networks import Address

# Record types (RFC 1035, 3.2.2; RFC 3596; RFC 2782).
A, PTR, AAAA, SRV = 1, 12, 28, 33


@dataclass(frozen=True, slots=True)
class Question:
    """name: as asked, lower-case, without the dot at its end. kind: the record type's number."""

    name: str
    kind: int


class Verdict(Enum):
    """FOUND: see the answer. EMPTY: the name is known, not with that type. FORWARD: not known here, ask elsewhere.
    REFUSED: not known here, and nobody may be asked (the sandbox has no way out)."""

    FOUND = "found"
    EMPTY = "empty"
    FORWARD = "forward"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A service's place: `name` has the address, and listens on the port."""

    port: int
    name: str
    address: Address


@dataclass(frozen=True, slots=True)
class Answer:
    """addresses for A and AAAA, names for PTR, targets for SRV."""

    verdict: Verdict
    addresses: tuple[Address, ...] = ()
    names: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
