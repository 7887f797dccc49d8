"""The checker of histories: planted faults of each kind are found, and what is right is not held to be wrong."""

from __future__ import annotations

import pytest

from mooring.testing.address_history import AddressHistory, What, at_rest, loaded

X = "10.0.0.5"


def history(*events: tuple[What, str, str]) -> AddressHistory:
    """What, where and whose, a second apart."""
    made = AddressHistory()
    for at, (what, host, user) in enumerate(events):
        made.note(float(at), what, host, X, user)
    return made


GRANTED, RELEASED, SIGHTED, GONE = What.GRANTED, What.RELEASED, What.SIGHTED, What.GONE


@pytest.mark.parametrize("events", [
    [(GRANTED, "A", "c1"), (SIGHTED, "A", "c1"), (GONE, "A", "c1"), (RELEASED, "A", "c1"), (GRANTED, "B", "c2")],
    [(GRANTED, "A", "c1"), (GRANTED, "A", "c1"), (RELEASED, "A", "c1"), (GRANTED, "B", "c2"), (SIGHTED, "B", "c2")],
    [(RELEASED, "A", "c1"), (GONE, "B", "c2")],
])  # fmt: skip
def test_one_user_after_another_is_right(events: list[tuple[What, str, str]]) -> None:
    """So is what is said twice, and the end of what never was."""
    assert history(*events).faults() == []


@pytest.mark.parametrize(("events", "fault"), [
    ([(GRANTED, "A", "c1"), (GRANTED, "B", "c2")], "1.000 10.0.0.5 was granted to c2 on B while c1 on A has it"),
    ([(GRANTED, "A", "c1"), (RELEASED, "B", "c1"), (GRANTED, "B", "c1")],
     "2.000 10.0.0.5 was granted to c1 on B while c1 on A has it"),
    ([(GRANTED, "A", "c1"), (SIGHTED, "A", "c1"), (RELEASED, "A", "c1"), (GRANTED, "B", "c2"), (SIGHTED, "B", "c2")],
     "4.000 10.0.0.5 was sighted to c2 on B while c1 on A has it"),
    ([(SIGHTED, "A", "c1")], "0.000 10.0.0.5 is in A's kernel for c1 without a grant"),
])  # fmt: skip
def test_a_planted_fault_is_found(events: list[tuple[What, str, str]], fault: str) -> None:
    """Granted twice, also to one container on two hosts; in two kernels at a time; in a kernel without a grant."""
    assert history(*events).faults() == [fault]


def test_what_is_held_at_the_end_is_compared_with_what_is_on_record() -> None:
    """A lost address, one that is on record for somebody else, and a leaked one."""
    made = history((GRANTED, "A", "c1"), (RELEASED, "A", "c1"), (GRANTED, "B", "c2"))
    assert made.held() == {("B", X): "c2"}
    assert at_rest(made.held(), {("B", X): "c2"}) == []
    assert at_rest(made.held(), {}) == ["10.0.0.5 of c2 on B is lost: it is on record for nobody"]
    assert at_rest(made.held(), {("B", X): "c9"}) == ["10.0.0.5 of c2 on B is lost: it is on record for c9"]
    leaked = {("B", X): "c2", ("A", X): "c1"}
    assert at_rest(made.held(), leaked) == ["10.0.0.5 on A has leaked: it is on record for c1, who is not there"]


def test_histories_of_several_hosts_are_put_together_by_their_time() -> None:
    """Lines in any order."""
    made = history((GRANTED, "A", "c1"), (GRANTED, "B", "c2"))
    lines = made.dumped().splitlines(keepends=True)
    assert loaded("".join(reversed(lines))) == made
