"""Faults: one line, and a kind that decides."""

from __future__ import annotations

import pytest

from mooring.core.faults import EXIT_CODE, HTTP_STATUS, Conflict, Fault, Kind, NotFound, StaleRevision


def test_a_fault_is_one_line_with_holder_and_hint() -> None:
    """What, who holds it, what to do next, whatever line breaks the parts had."""
    fault = Conflict("address 10.0.0.2\nis taken", holder="endpoint abc", hint="stop it")
    assert str(fault) == "address 10.0.0.2 is taken (held by endpoint abc); stop it"
    assert str(NotFound("no such pool")) == "no such pool"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_status_and_an_exit_code(kind: Kind) -> None:
    """The tables are whole, and no kind looks like success."""
    assert HTTP_STATUS[kind] >= 400
    assert EXIT_CODE[kind] > 0


def test_a_stale_revision_is_a_conflict_that_knows_its_key() -> None:
    """Services decide again for this one key."""
    fault = StaleRevision("pool/p1")
    assert isinstance(fault, Fault)
    assert fault.kind is Kind.CONFLICT
    assert fault.key == "pool/p1"


def test_a_fault_is_one_printable_line_whatever_others_said() -> None:
    """No line break and no control character of a plugin or a label reaches a terminal."""
    assert str(Conflict("a\n\x1b[2Jb", holder="c\x00d", hint="e\tf")) == "a ?[2Jb (held by c?d); e f"
