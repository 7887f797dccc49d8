"""Refusals: problem details (RFC 9457) with what this API always had, and the faults that they are for a client.

Rules: kind is what a program decides by, and the path in type says the same; message and detail are the same line, for
a person; a refusal of an older daemon, which has kind and message only, can be read as well.
"""

from __future__ import annotations

import msgspec

from mooring.core.faults import (
    HTTP_STATUS,
    BadRequest,
    Conflict,
    Exhausted,
    Fault,
    Forbidden,
    Kind,
    NotFound,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
FAULTS: dict[str, type[Fault]] = {
    fault.kind.value: fault for fault in (BadRequest, NotFound, Conflict, Exhausted, Forbidden, Unavailable)
}
_KIND_OF_STATUS = {status: kind for kind, status in HTTP_STATUS.items()}


class Problem(msgspec.Struct, frozen=True):
    """A refusal, in one line. kind: a value of core.faults.Kind. message, detail: what was refused, who holds it, what
    to do next. type: a path of this API that says what the kind means. title: the kind, for people."""

    message: str
    kind: str
    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""


def problem_of(fault: Fault) -> Problem:
    """What a client is told of a fault."""
    return _problem(HTTP_STATUS[fault.kind], fault.kind, str(fault))


def problem_for(status: int, text: str) -> Problem:
    """A refusal that has a status, and no fault: what cannot be read as a request at all, say."""
    kind = _KIND_OF_STATUS.get(status, Kind.BAD_REQUEST if status < 500 else Kind.UNAVAILABLE)
    return _problem(status, kind, str(Fault(text)))  # in one line, like any


def fault_of(body: bytes) -> Fault:
    """The fault that a refusal tells of; Unavailable for one that this version cannot read."""
    try:
        error = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return Unavailable("the daemon gave an answer that cannot be read", hint="are both of the same version?")
    return FAULTS.get(error.kind, Unavailable)(error.message)


def type_of(kind: Kind) -> str:
    """The path that stands for the kind."""
    return f"/v1/problems/{kind.value.replace(' ', '-')}"


def _problem(status: int, kind: Kind, text: str) -> Problem:
    return Problem(text, kind.value, type_of(kind), kind.value.capitalize(), status, text)
