"""Refusals on the wire, and read back."""

from __future__ import annotations

import msgspec
import pytest

from mooring.core.faults import HTTP_STATUS, Conflict, Kind, Unavailable
from mooring.wire.api import Problem, fault_of, problem_for, problem_of
from mooring.wire.api.problems import FAULTS


@pytest.mark.parametrize("kind", list(Kind))
def test_a_fault_survives_the_wire(kind: Kind) -> None:
    """The client raises a fault of the kind and with the text that the daemon had."""
    problem = problem_of(FAULTS[kind.value]("what"))
    fault = fault_of(msgspec.json.encode(problem))
    assert (fault.kind, str(fault), problem.status) == (kind, "what", HTTP_STATUS[kind])
    assert problem_of(Conflict("x", holder="y")).message == "x (held by y)"


def test_a_refusal_of_an_older_daemon_can_be_read() -> None:
    """It has a message and a kind, and nothing else."""
    fault = fault_of(b'{"message":"no","kind":"conflict"}')
    assert (type(fault), str(fault)) == (Conflict, "no")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": 1}', b"\xff"])
def test_a_refusal_that_cannot_be_read_is_still_a_fault(body: bytes) -> None:
    """Another program at the socket does not give a traceback."""
    assert isinstance(fault_of(body), Unavailable)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "bad request"), (413, "bad request"), (500, "unavailable"), (409, "conflict")]
)
def test_a_status_alone_has_a_kind(status: int, kind: str) -> None:
    """A request that cannot be read at all is refused in the same form; what v1 had comes first."""
    assert problem_for(status, "no") == Problem(
        "no", kind, f"/v1/problems/{kind.replace(' ', '-')}", kind.capitalize(), status, "no"
    )
