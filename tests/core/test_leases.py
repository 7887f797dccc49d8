"""core/leases: the table of states, and who may take what."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.faults import Conflict
from mooring.core.leases import (
    TRANSITIONS,
    Active,
    Claimant,
    ClaimPolicy,
    Event,
    Lease,
    Phase,
    Place,
    State,
    advance,
    changed,
    cooled,
    ended,
    holder,
    is_holder,
    is_over,
    is_reserved_for,
    may_hold,
    may_take,
    phase,
    released,
    same_owner,
)

NOW = 1_000.0
ACTIVE = Active("endpoint1", "host1", "boot1")
EXPLICIT, HOLDERS = ClaimPolicy.EXPLICIT, ClaimPolicy.HOLDERS


def lease(state: State, **fields: object) -> Lease:
    """A lease of 10.0.0.9 in the state."""
    given_fields = {"since": NOW - 100.0, **fields}
    return Lease(space="default", address=ip_address("10.0.0.9"), pool="p1", state=state, **given_fields)  # type: ignore[arg-type]


# Everything that is allowed, written down a second time and by hand: letters stand for events, see EVENTS.
EVENTS = dict(zip("asqrctugxbevwd", [
    Event.APPOINT, Event.SET_ASIDE, Event.CHOOSE, Event.REQUEST, Event.CLAIM, Event.START, Event.RELEASE,
    Event.RESTORE, Event.UNCLAIM, Event.ROLL_BACK, Event.EXPIRE, Event.RESERVE, Event.UNRESERVE, Event.DROP,
], strict=True))  # fmt: skip
ALLOWED = {
    Phase.FREE: {"asqrcv": "GADDIR"},
    Phase.GATEWAY: {"ud": "--"},
    Phase.AUXILIARY: {"ud": "--"},
    Phase.DYNAMIC: {"r": "D", "c": "I", "ug": "CR", "d": "-"},
    Phase.IDLE: {"cu": "II", "t": "X", "xg": "CR", "bed": "---"},
    Phase.ACTIVE: {"ct": "XX", "u": "I", "xg": "CR", "d": "-"},
    Phase.RESERVED: {"rc": "DI", "uv": "RR", "ewd": "---"},
    Phase.COOLING: {"asqrcv": "GADDIR", "u": "C", "ed": "--"},
}
LETTERS = {
    "-": Phase.FREE, "G": Phase.GATEWAY, "A": Phase.AUXILIARY, "D": Phase.DYNAMIC, "I": Phase.IDLE, "X": Phase.ACTIVE,
    "R": Phase.RESERVED, "C": Phase.COOLING,
}  # fmt: skip
EXPECTED = {
    (before, EVENTS[event]): LETTERS[after]
    for before, rows in ALLOWED.items()
    for events, afters in rows.items()
    for event, after in zip(events, afters, strict=True)
}


@pytest.mark.parametrize(("before", "event"), list(product(Phase, Event)))
def test_every_pair_of_phase_and_event_has_its_answer(before: Phase, event: Event) -> None:
    """The phase after it, or a Conflict that names the address and what it is."""
    if (before, event) in EXPECTED:
        assert advance(before, event, "10.0.0.9") is EXPECTED[before, event]
    else:
        with pytest.raises(Conflict, match=rf"address 10\.0\.0\.9 cannot .*: it is {before.value}"):
            advance(before, event, "10.0.0.9")


def test_only_free_and_cooling_addresses_are_ever_chosen_automatically() -> None:
    """A fixed, reserved, gateway or auxiliary address is not (invariant 2)."""
    assert {before for before, event in TRANSITIONS if event is Event.CHOOSE} == {Phase.FREE, Phase.COOLING}


@given(st.sampled_from([Phase.IDLE, Phase.ACTIVE]), st.lists(st.sampled_from(Event)))
def test_a_fixed_address_leaves_its_key_only_when_its_time_is_over_or_it_is_abandoned_given_back_or_dropped(
    before: Phase, events: list[Event]
) -> None:
    """No order of starts, stops, releases and requests takes it away."""
    for event in events:
        if event in (Event.UNCLAIM, Event.RESTORE, Event.ROLL_BACK, Event.DROP, Event.EXPIRE):
            continue
        try:
            before = advance(before, event, "10.0.0.9")
        except Conflict:
            continue
        assert before in (Phase.IDLE, Phase.ACTIVE)


def test_what_ends_a_use_may_come_twice() -> None:
    """After a release, another one is success, from every phase that has a record."""
    for before in set(Phase) - {Phase.FREE}:
        after = advance(before, Event.RELEASE, "10.0.0.9")
        assert after is Phase.FREE or advance(after, Event.RELEASE, "10.0.0.9") is after
        assert advance(before, Event.DROP, "10.0.0.9") is Phase.FREE


def test_every_stored_state_has_its_phase() -> None:
    """And fixed has two: idle, and active when an endpoint uses it."""
    assert phase(None) is Phase.FREE
    assert phase(lease(State.FIXED)) is Phase.IDLE
    assert phase(lease(State.FIXED, active=ACTIVE)) is Phase.ACTIVE
    assert {phase(lease(state)) for state in State} == set(Phase) - {Phase.FREE, Phase.ACTIVE}


@pytest.mark.parametrize(
    ("held", "claimant", "policy", "allowed", "holder_"),
    [
        (None, Claimant(), HOLDERS, True, ""),
        (lease(State.COOLING, until=NOW + 50), Claimant(), HOLDERS, True, ""),
        (lease(State.GATEWAY), Claimant(name="web"), EXPLICIT, False, "pool p1"),
        (lease(State.AUXILIARY), Claimant(name="web"), EXPLICIT, False, "pool p1"),
        (lease(State.DYNAMIC, name="web"), Claimant(name="web"), EXPLICIT, True, ""),
        (lease(State.DYNAMIC, name="web"), Claimant(name="db"), EXPLICIT, False, "container web"),
        (lease(State.DYNAMIC, mac="02:00"), Claimant(mac="02:00"), EXPLICIT, True, ""),
        (lease(State.DYNAMIC, mac="02:00"), Claimant(mac="02:01"), EXPLICIT, False, "MAC 02:00"),
        (lease(State.DYNAMIC), Claimant(), EXPLICIT, False, "pool p1"),
        (lease(State.FIXED, key="k"), Claimant(key="k"), HOLDERS, True, ""),
        (lease(State.FIXED, holders=frozenset({"c" * 64})), Claimant(container="c" * 64), HOLDERS, True, ""),
        (lease(State.FIXED, mac="02:00"), Claimant(mac="02:00"), HOLDERS, True, ""),
        (lease(State.FIXED, holders=frozenset({"c" * 64})), Claimant(name="x"), EXPLICIT, True, ""),
        (lease(State.FIXED, holders=frozenset({"c1"})), Claimant(name="x"), HOLDERS, False, "container c1"),
        (lease(State.FIXED, key="k", hold=101.0), Claimant(name="x"), HOLDERS, False, "key k"),
        (lease(State.FIXED, key="k", hold=100.0), Claimant(name="x"), HOLDERS, True, ""),
        (lease(State.FIXED, key="k", active=ACTIVE), Claimant(key="k"), EXPLICIT, False, "key k"),
        (lease(State.RESERVED, whom="web-*"), Claimant(name="web-1"), EXPLICIT, True, ""),
        (lease(State.RESERVED, whom="web-*"), Claimant(name="db"), EXPLICIT, False, ""),
        (lease(State.RESERVED), Claimant(name="db"), EXPLICIT, False, ""),
        (lease(State.RESERVED, until=NOW), Claimant(name="db"), EXPLICIT, True, ""),
    ],
)  # fmt: skip
def test_who_names_an_address_gets_it_as_the_rules_say(
    held: Lease | None, claimant: Claimant, policy: ClaimPolicy, allowed: bool, holder_: str
) -> None:
    """Each rule in both directions; a refusal says which rule, who holds it, and what to do (invariant 6)."""
    verdict = may_take(held, claimant, policy, NOW)
    assert (verdict.allowed, verdict.holder) == (allowed, holder_)
    assert verdict.rule
    assert allowed or verdict.hint


CLAIMANTS = st.builds(
    Claimant,
    name=st.sampled_from(["", "web", "db"]),
    mac=st.sampled_from(["", "02:01", "02:02"]),
    labels=st.sampled_from([{}, {"role": "web"}]),
    container=st.sampled_from(["", "c1", "c2"]),
    key=st.sampled_from(["", "k1", "k2"]),
)
LEASES = st.builds(
    lease,
    st.sampled_from(State),
    name=st.sampled_from(["", "web"]),
    mac=st.sampled_from(["", "02:01"]),
    key=st.sampled_from(["", "k1"]),
    holders=st.sampled_from([frozenset(), frozenset({"c1"})]),
    active=st.sampled_from([None, ACTIVE]),
    hold=st.sampled_from([0.0, 1e6]),
    until=st.sampled_from([None, NOW - 1, NOW + 1]),
    whom=st.sampled_from(["", "web", "w*", "role=web"]),
)


@given(LEASES, CLAIMANTS, st.sampled_from(ClaimPolicy))
def test_the_verdict_never_contradicts_the_table(held: Lease, claimant: Claimant, policy: ClaimPolicy) -> None:
    """What the verdict allows, the table does; an anonymous stranger gets nothing that somebody uses."""
    verdict = may_take(held, claimant, policy, NOW)
    if verdict.allowed:
        advance(phase(held), Event.CLAIM, "10.0.0.9")
    if claimant == Claimant() and phase(held) in (Phase.DYNAMIC, Phase.ACTIVE, Phase.GATEWAY):
        assert not verdict.allowed


@given(LEASES, CLAIMANTS)
def test_the_policy_holders_allows_no_more_than_explicit(held: Lease, claimant: Claimant) -> None:
    """It only ever refuses more."""
    if may_take(held, claimant, HOLDERS, NOW).allowed:
        assert may_take(held, claimant, EXPLICIT, NOW).allowed


@pytest.mark.parametrize(
    ("whom", "name", "labels", "meant"),
    [
        ("web", "web", {}, True),
        ("web", "/web", {}, True),
        ("web", "web2", {}, False),
        ("web-*", "web-2", {}, True),
        ("web-?", "web-22", {}, False),
        ("web-[12]", "web-2", {}, True),
        ("", "", {}, False),
        ("*", "", {}, False),
        ("role=web", "", {"role": "web"}, True),
        ("role=web", "role=web", {}, False),
        ("role=web,tier=2", "", {"role": "web"}, False),
        ("role=web, tier=2", "", {"role": "web", "tier": "2"}, True),
        ("role!=web", "", {"role": "db"}, True),
        ("role!=web", "", {"role": "web"}, False),
        ("role!=web", "", {}, False),
        ("role=", "", {"role": ""}, True),
        ("role=web,", "", {"role": "web"}, False),
    ],
)
def test_a_reservation_is_for_a_name_a_pattern_or_labels(
    whom: str, name: str, labels: dict[str, str], meant: bool
) -> None:
    """And means nobody of whom the call says nothing."""
    assert is_reserved_for(whom, Claimant(name=name, labels=labels)) is meant


@pytest.mark.parametrize(
    ("mine", "claimant", "same"),
    [
        ({"mac": "02:01"}, Claimant(mac="02:01"), True),
        ({"mac": "02:01", "name": "web"}, Claimant(mac="02:01"), True),
        ({"mac": "02:01", "name": "web"}, Claimant(mac="02:01", name="db"), False),
        ({"mac": "02:01", "name": "web"}, Claimant(mac="02:02", name="web"), True),
        ({"mac": "02:01"}, Claimant(mac="02:02", name="web"), False),
        ({}, Claimant(), False),
    ],
)
def test_the_same_owner_has_the_same_mac_or_name(mine: dict[str, str], claimant: Claimant, same: bool) -> None:
    """Two names are two owners, whatever their MACs; nobody is not the same as nobody."""
    assert same_owner(lease(State.DYNAMIC, **mine), claimant) is same


@given(LEASES, st.sampled_from([0.0, 60.0]))
def test_a_release_follows_the_table(held: Lease, cooldown: float) -> None:
    """The record after it is in the phase that the table says (free instead of cooling without a cooldown), and
    releasing again changes nothing more."""
    after = released(held, NOW, cooldown)
    event = Event.RELEASE
    if held.whom and (held.state is State.DYNAMIC or (held.state is State.FIXED and not held.holders)):
        event = Event.RESTORE  # a reservation is back when nobody holds the address any more
    elif held.state is State.FIXED and not held.holders and held.until is not None and held.until <= NOW:
        event = Event.UNCLAIM  # the hold time of its key ran out while an endpoint still had it
    expected = advance(phase(held), event, "10.0.0.9")
    if expected is Phase.COOLING and cooldown == 0.0 and held.state in (State.DYNAMIC, State.FIXED):
        expected = Phase.FREE
    assert phase(after) is expected
    if after is not None:
        assert released(after, NOW, cooldown) == (None if phase(after) in (Phase.GATEWAY,) else after)
        assert (after.space, after.address, after.pool) == (held.space, held.address, held.pool)


def test_a_released_fixed_address_keeps_key_holders_and_mac() -> None:
    """Only its use is over."""
    held = lease(State.FIXED, key="k", holders=frozenset({"c1"}), mac="02:01", active=ACTIVE)
    after = released(held, NOW, 60.0)
    assert after == lease(State.FIXED, key="k", holders=frozenset({"c1"}), mac="02:01", since=NOW)


def test_cooling_lasts_for_the_cooldown() -> None:
    """From its release on; no time is no cooling."""
    after = cooled(lease(State.DYNAMIC, name="web"), Event.RELEASE, NOW, 60.0)
    assert after is not None
    assert (after.state, after.since, after.until) == (State.COOLING, NOW, NOW + 60.0)
    assert not is_over(after, NOW + 59.9)
    assert is_over(after, NOW + 60.0)
    assert cooled(lease(State.DYNAMIC), Event.RELEASE, NOW, 0.0) is None


def test_time_ends_only_what_ends_by_itself() -> None:
    """Cooling and reserved with an end, and fixed when only its key keeps it; never what somebody uses."""
    over = {state for state in State if is_over(lease(state, until=NOW), NOW)}
    assert over == {State.COOLING, State.RESERVED, State.FIXED}
    assert not is_over(lease(State.FIXED, until=NOW, holders=frozenset({"c1"})), NOW)
    assert not is_over(lease(State.FIXED, until=NOW, active=ACTIVE), NOW)
    assert not any(is_over(lease(state), NOW) for state in State)


def test_a_holder_is_named_by_the_best_that_is_known() -> None:
    """Containers, then key, name, MAC, and the pool at last."""
    assert holder(lease(State.FIXED, holders=frozenset({"b" * 64, "a" * 64}), key="k")).startswith(
        "container aaaaaaaaaaaa,"
    )
    assert holder(lease(State.DYNAMIC)) == "pool p1"


@pytest.mark.parametrize(
    ("held", "claimant", "policy", "allowed"),
    [
        (lease(State.FIXED, key="k", active=ACTIVE), Claimant(key="k"), HOLDERS, True),
        (lease(State.FIXED, holders=frozenset({"c1"}), active=ACTIVE), Claimant(name="x"), EXPLICIT, True),
        (lease(State.FIXED, holders=frozenset({"c1"}), active=ACTIVE, mac="02:01"), Claimant(name="x"), HOLDERS, False),
        (lease(State.DYNAMIC, name="web"), Claimant(name="x"), EXPLICIT, False),
        (None, Claimant(), HOLDERS, True),
    ],
)
def test_a_successor_may_be_made_while_its_predecessor_runs(
    held: Lease | None, claimant: Claimant, policy: ClaimPolicy, allowed: bool
) -> None:
    """Who may have the address when it is idle may be made a holder of it while it is in use."""
    assert may_hold(held, claimant, policy, NOW).allowed is allowed


def test_who_cannot_prove_who_he_is_is_let_in_where_no_mac_could_be_set() -> None:
    """Under `holders` an address without a MAC of its own goes to whoever names it; one with a MAC does not."""
    stranger = Claimant(mac="02:09")
    assert may_take(lease(State.FIXED, holders=frozenset({"c1"})), stranger, HOLDERS, NOW).allowed
    assert not may_take(lease(State.FIXED, holders=frozenset({"c1"}), mac="02:01"), stranger, HOLDERS, NOW).allowed


@pytest.mark.parametrize(
    ("fields", "claimant", "mine"),
    [
        ({"key": "k", "hold": 1e6}, Claimant(key="k"), True),
        ({"key": "k", "hold": 1e6}, Claimant(key="other"), False),
        ({"key": "", "hold": 1e6}, Claimant(), False),
        ({"holders": frozenset({"c1"})}, Claimant(container="c1"), True),
        ({"holders": frozenset({"c1"})}, Claimant(container="c2"), False),
        ({"holders": frozenset({"c1"}), "mac": "02:01"}, Claimant(mac="02:01"), True),
        ({"holders": frozenset({"c1"}), "mac": "02:01"}, Claimant(mac="02:02"), False),
        ({"holders": frozenset({"c1"})}, Claimant(), False),
    ],
)
def test_a_fixed_address_is_whose_key_container_or_mac_it_has(
    fields: dict[str, object], claimant: Claimant, mine: bool
) -> None:
    """Each alone is enough, and nothing that is not said."""
    held = lease(State.FIXED, **fields)
    assert is_holder(held, claimant) is mine
    assert may_take(held, claimant, HOLDERS, NOW).allowed is mine


def test_what_changed_is_told_with_the_time_and_place_of_it() -> None:
    """A new state has what the event says and the reservation; the same state keeps what the event does not say."""
    place = Place("default", ip_address("10.0.0.9"), "p1")
    reserved = changed(None, Event.RESERVE, place, 5.0, whom="db", note="why", until=99.0)
    assert reserved == lease(State.RESERVED, since=5.0, whom="db", note="why", until=99.0)
    given = changed(reserved, Event.REQUEST, place, 6.0, owner="name:db", name="db")
    assert given == lease(State.DYNAMIC, since=6.0, owner="name:db", name="db", whom="db", note="why", until=99.0)
    assert changed(given, Event.RESTORE, given, 7.0) == msgspec.structs.replace(reserved, since=7.0)
    cooling = lease(State.COOLING, until=99.0, mac="02:01", name="db", owner="o")
    assert changed(cooling, Event.REQUEST, place, 8.0) == lease(State.DYNAMIC, since=8.0)
    moved = changed(cooling, Event.REQUEST, Place("default", place.address, "p2"), 8.0)
    assert moved.pool == "p2"


def test_what_is_not_free_after_the_event_does_not_end() -> None:
    """Its record stays."""
    with pytest.raises(Conflict):
        ended(lease(State.DYNAMIC), Event.EXPIRE)


@pytest.mark.parametrize(
    ("held", "rule", "hint"),
    [
        (lease(State.DYNAMIC, name="web"), "it is in use", "stop that container"),
        (lease(State.FIXED, key="k", active=ACTIVE), "it is fixed and in use", "stop that container"),
        (lease(State.FIXED, key="k", hold=1e6), "the claim policy is `holders`", "remove that container"),
        (lease(State.RESERVED, whom="db", note="soon"), "reserved it for db (soon)", "mooring lease release 10.0.0.9"),
        (lease(State.RESERVED), "reserved it for no container", "mooring lease release 10.0.0.9"),
        (lease(State.GATEWAY), "it is a gateway", "leave the choice to Mooring"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(held: Lease, rule: str, hint: str) -> None:
    """In words of the case."""
    verdict = may_take(held, Claimant(name="x"), HOLDERS, NOW)
    assert rule in verdict.rule
    assert "(" not in verdict.rule or held.note
    assert hint in verdict.hint


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"holders": frozenset({"a" * 64}), "key": "k"}, "container aaaaaaaaaaaa"),
        ({"key": "k", "name": "n"}, "key k"),
        ({"name": "n", "mac": "m"}, "container n"),
        ({"mac": "m", "owner": "o"}, "MAC m"),
        ({"owner": "o"}, "o"),
        ({}, "pool p1"),
    ],
)
def test_each_kind_of_holder_has_its_words(fields: dict[str, object], words: str) -> None:
    """The best that is known alone."""
    assert holder(lease(State.FIXED, **fields)) == words
