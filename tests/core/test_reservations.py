"""core/reservations: what an operator does with an address by hand."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import BadRequest, Conflict
from mooring.core.leases import Active, Lease, Place, State
from mooring.core.reservations import (
    belonging,
    ending,
    key_named,
    line,
    reserved,
    reserved_later,
    unreserved,
    whom_named,
    without_reservation,
)

NOW = 1_000.0
ADDRESS = ip_address("10.0.0.9")
PLACE = Place("default", ADDRESS, "p1")


def lease(state: State, **fields: object) -> Lease:
    """A lease of 10.0.0.9 in the state."""
    return Lease(space="default", address=ADDRESS, pool="p1", state=state, since=1.0, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [None, lease(State.COOLING, mac="m", owner="o", until=5.0)])
def test_what_nobody_holds_can_be_reserved(before: Lease | None) -> None:
    """Nothing of a cooling lease is left in it."""
    after = reserved(before, PLACE, "db", "why", 9.0, NOW)
    assert after == Lease(
        space="default", address=ADDRESS, pool="p1", state=State.RESERVED, since=NOW, whom="db", note="why", until=9.0
    )


def test_a_reservation_that_is_changed_is_as_old_as_it_was() -> None:
    """since is the last change of state, and there was none."""
    assert reserved(lease(State.RESERVED, whom="a"), PLACE, "b", "", None, NOW).since == 1.0


@pytest.mark.parametrize("state", [State.GATEWAY, State.AUXILIARY, State.DYNAMIC, State.FIXED])
def test_what_somebody_holds_cannot_be_reserved(state: State) -> None:
    """The table says so."""
    with pytest.raises(Conflict, match=r"10\.0\.0\.9 cannot be reserved"):
        reserved(lease(state), PLACE, "b", "", None, NOW)


@pytest.mark.parametrize("state", [State.RESERVED, State.COOLING])
def test_what_is_kept_from_everybody_is_free_when_it_is_given_up(state: State) -> None:
    """Reservation and cooldown end."""
    assert unreserved(lease(state, until=NOW + 5), NOW, 60.0) is None


def test_a_fixed_address_that_is_given_up_rests() -> None:
    """It cools, is free at once without a cooldown, or goes back to its reservation."""
    fixed = lease(State.FIXED, key="key:db", holders=frozenset({"c"}), active=Active("e", "h", "b"))
    after = unreserved(fixed, NOW, 60.0)
    assert after is not None
    assert (after.state, after.until, after.holders) == (State.COOLING, NOW + 60, frozenset())
    assert unreserved(fixed, NOW, 0.0) is None
    back = unreserved(lease(State.FIXED, key="key:db", whom="db"), NOW, 60.0)
    assert back is not None
    assert (back.state, back.whom, back.key) == (State.RESERVED, "db", "")


@pytest.mark.parametrize("state", [State.GATEWAY, State.AUXILIARY, State.DYNAMIC])
def test_what_ends_with_its_network_or_container_is_not_given_up(state: State) -> None:
    """The table says so."""
    with pytest.raises(Conflict, match=r"10\.0\.0\.9 cannot lose its reservation"):
        unreserved(lease(state), NOW, 60.0)


def test_the_time_of_a_key_begins_when_nobody_holds_it() -> None:
    """With a holder, or in use, or reserved, the hold time waits; without it is from now on."""
    fixed = lease(State.FIXED, key="key:a", until=NOW + 1)
    assert belonging(fixed, "", 60.0, NOW).until == NOW + 60
    assert belonging(fixed, "key:b", None, NOW) == lease(State.FIXED, key="key:b", until=NOW + 1)
    held = belonging(lease(State.FIXED, key="key:a", holders=frozenset({"c"})), "", 60.0, NOW)
    assert (held.key, held.hold, held.until) == ("key:a", 60.0, None)
    assert belonging(lease(State.FIXED, key="key:a", whom="w"), "", 60.0, NOW).until is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", ""), ("db", "key:db"), (" db ", "key:db"), ("key:db", "key:db"), ("name:db", "name:db"),
        ("compose:a/b/1", "compose:a/b/1"), ("a:b", "key:a:b"),
    ],
)  # fmt: skip
def test_a_key_is_written_as_it_is_shown_or_as_the_label(text: str, key: str) -> None:
    """A container's key is not given by hand."""
    assert key_named(text) == key


@pytest.mark.parametrize("text", ["container:abc", "a\nb", "x" * 201])
def test_a_key_that_cannot_be_is_refused(text: str) -> None:
    """One line of a size that people read, and nothing that only a container has."""
    with pytest.raises(BadRequest):
        key_named(text)


@pytest.mark.parametrize("text", ["", "db", "web-*", "a=b", "a=b,c!=d", "a="])
def test_for_whom_may_be_a_name_a_pattern_or_a_selector(text: str) -> None:
    """It is taken as it is."""
    assert whom_named(text) == text


@pytest.mark.parametrize("text", ["a=b,c", "=b", "!=b", "a=b,"])
def test_a_selector_that_could_hold_for_nobody_is_refused(text: str) -> None:
    """A mistake in it would keep the address from everybody."""
    with pytest.raises(BadRequest, match="is not a label selector"):
        whom_named(text)


@pytest.mark.parametrize("hold", [0.0, -1.0, 1e15])
def test_a_time_that_no_calendar_has_is_refused(hold: float) -> None:
    """It could not be shown, and would be no mistake that anybody wants."""
    with pytest.raises(BadRequest, match="in the past, or in no calendar"):
        belonging(lease(State.FIXED, key="key:a"), "", hold, NOW)


def test_a_line_is_one_line() -> None:
    """Without spaces around it; a control character could move somebody's cursor."""
    assert line("  why ", "a note") == "why"
    with pytest.raises(BadRequest, match="a note is one line of at most 200 characters"):
        line("a\x1b[2J", "a note")


def test_a_refusal_says_what_to_do() -> None:
    """Of the time, the key and the selector."""
    for refused, words in (
        (lambda: key_named("container:abc"), "container's own key cannot be given; leave --key out"),
        (lambda: key_named("a\nb"), "a key is one line"),
        (lambda: ending(NOW, NOW), "give a time in the future"),
        (lambda: whom_named("=b"), "write it as key=value,other!=value"),
        (lambda: whom_named("a\nb"), "a name, a pattern or a label selector is one line"),
    ):
        with pytest.raises(BadRequest, match=words):
            refused()


def test_a_reservation_is_put_on_and_taken_off_what_is_in_use() -> None:
    """Its user notices nothing; what is nothing but reserved is free without."""
    used = lease(State.DYNAMIC, mac="02::1")
    later = reserved_later(used, "db", "why")
    assert (later.state, later.mac, later.whom, later.note) == (State.DYNAMIC, "02::1", "db", "why")
    assert without_reservation(later) == used
    assert without_reservation(used) is used
    assert without_reservation(lease(State.RESERVED, whom="db")) is None
