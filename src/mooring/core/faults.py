"""The one family of errors.

Three rules: a fault says in one line what was refused, who holds the thing, and what to do next; its kind, never its
text, decides what a door makes of it; foreign errors become faults in the adapter that met them.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of refusal a fault is; doors turn it into a status or an exit code."""

    BAD_REQUEST = "bad request"
    NOT_FOUND = "not found"
    CONFLICT = "conflict"
    EXHAUSTED = "exhausted"
    FORBIDDEN = "forbidden"
    UNAVAILABLE = "unavailable"


HTTP_STATUS: dict[Kind, int] = {
    Kind.BAD_REQUEST: 400,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.EXHAUSTED: 507,
    Kind.UNAVAILABLE: 503,
}

EXIT_CODE: dict[Kind, int] = {
    Kind.BAD_REQUEST: 2,
    Kind.FORBIDDEN: 1,
    Kind.NOT_FOUND: 3,
    Kind.CONFLICT: 4,
    Kind.EXHAUSTED: 5,
    Kind.UNAVAILABLE: 6,
}


class Fault(Exception):
    """An error of Mooring's own.

    what: what was refused and why, one line, no full stop.
    holder: who has the thing that was wanted, if anybody.
    hint: the next thing to do, usually a command.
    """

    kind: ClassVar[Kind] = Kind.UNAVAILABLE

    def __init__(self, what: str, *, holder: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.holder = holder
        self.hint = hint

    def __str__(self) -> str:
        text = self.what
        if self.holder:
            text += f" (held by {self.holder})"
        if self.hint:
            text += f"; {self.hint}"
        line = " ".join(text.split())
        # What others said may be in it, a plugin or a label: no terminal is to obey it.
        return line if line.isprintable() else "".join(each if each.isprintable() else "?" for each in line)


class BadRequest(Fault):
    """The request itself cannot be right, whatever the state."""

    kind = Kind.BAD_REQUEST


class NotFound(Fault):
    """The thing named is not known here."""

    kind = Kind.NOT_FOUND


class Conflict(Fault):
    """The request is well-formed, but what it wants is taken or in the way."""

    kind = Kind.CONFLICT


class Exhausted(Fault):
    """Nothing of the kind asked for is left."""

    kind = Kind.EXHAUSTED


class Forbidden(Fault):
    """A rule of the configuration or of the model refuses it."""

    kind = Kind.FORBIDDEN


class Unavailable(Fault):
    """Something that Mooring needs did not answer or did not work; trying again later may help."""

    kind = Kind.UNAVAILABLE


class NotSupported(Unavailable):
    """The kernel that runs has no such thing; trying again helps when another one does."""


class StaleRevision(Conflict):
    """A commit's expectation did not hold: another writer was first. Read again and decide again.

    key: the first key whose revision was not the expected one.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"record {key} was changed by another writer")
        self.key = key


class Compacted(Unavailable):
    """The shared store has forgotten the history that was asked for. Scan again, and follow it from there."""

    def __init__(self) -> None:
        super().__init__("the cluster's store has compacted that part of its history")
