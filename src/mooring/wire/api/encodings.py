"""Replies and refusals as bytes, and refusals read back.

Rule: JSON with a newline at its end, so that it reads well under curl.
"""

from __future__ import annotations

import msgspec

from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, Forbidden, NotFound, Unavailable
from mooring.wire.api.replies import ErrorReply, Reply

_FAULTS: dict[str, type[Fault]] = {
    fault.kind.value: fault for fault in (BadRequest, NotFound, Conflict, Exhausted, Forbidden, Unavailable)
}


def encode(reply: Reply | ErrorReply) -> bytes:
    """The reply's JSON."""
    return msgspec.json.encode(reply) + b"\n"


def error_of(fault: Fault) -> ErrorReply:
    """The reply for a fault."""
    return ErrorReply(str(fault), fault.kind.value)


def fault_of(body: bytes) -> Fault:
    """The fault that an error reply tells of; Unavailable for one that this version cannot read."""
    try:
        error = msgspec.json.decode(body, type=ErrorReply)
    except msgspec.DecodeError:
        return Unavailable("the daemon gave an answer that cannot be read", hint="are both of the same version?")
    return _FAULTS.get(error.kind, Unavailable)(error.message)
