"""The API's replies and refusals as bytes."""

from __future__ import annotations

import msgspec
import pytest

from mooring.core.faults import Conflict, Kind, Unavailable
from mooring.wire import api


def test_a_reply_ends_with_a_newline() -> None:
    """It reads well under curl, and is JSON all the same."""
    reply = api.VersionReply("1", ["v1"])
    assert api.encode(reply) == b'{"version":"1","api":["v1"]}\n'
    assert msgspec.json.decode(api.encode(reply), type=api.VersionReply) == reply


@pytest.mark.parametrize("kind", list(Kind))
def test_a_fault_survives_the_wire(kind: Kind) -> None:
    """The client raises a fault of the kind and with the text that the daemon had."""
    fault = api.fault_of(msgspec.json.encode(api.ErrorReply("what", kind.value)))
    assert (fault.kind, str(fault)) == (kind, "what")
    assert api.error_of(Conflict("x", holder="y")).message == "x (held by y)"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": 1}'])
def test_an_error_that_cannot_be_read_is_still_a_fault(body: bytes) -> None:
    """Another program at the socket does not give a traceback."""
    assert isinstance(api.fault_of(body), Unavailable)
