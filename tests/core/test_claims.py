"""What becomes of a lease when containers take it and go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.claims import Claim, claimed, left, renamed, started, unclaimed
from mooring.core.faults import Conflict
from mooring.core.leases import Active, Lease, Place, State, is_over, released

NOW = 1_000.0
ADDRESS = ip_address("10.0.0.9")
ACTIVE = Active("endpoint1", "host1", "boot1")
OLD, NEW = "a" * 64, "b" * 64


def lease(state: State, **fields: object) -> Lease:
    """A lease of 10.0.0.9 in the state."""
    return Lease(space="default", address=ADDRESS, pool="p1", state=state, **{"since": NOW - 100.0, **fields})  # type: ignore[arg-type]


def take(held: Lease | None, key: str = f"container:{NEW}", holder: str = NEW, mac: str = "02:01") -> Lease:
    """The lease after the container has claimed it."""
    return claimed(held, Place("default", ADDRESS, "p1"), Claim(key=key, holder=holder, mac=mac, name="web"), NOW)


def go(held: Lease, holder: str, hold: float = 0.0, cooldown: float = 60.0) -> Lease | None:
    """The lease without the holder."""
    return left(held, holder, NOW, hold, cooldown)


@pytest.mark.parametrize("before", [None, lease(State.COOLING, until=NOW + 9)])
def test_a_free_or_cooling_address_becomes_fixed(before: Lease | None) -> None:
    """With key, holder and MAC of who claims it."""
    after = take(before)
    assert (after.state, after.key, after.holders, after.mac) == (
        State.FIXED,
        f"container:{NEW}",
        frozenset({NEW}),
        "02:01",
    )
    assert after.until is None


def test_what_was_never_used_is_free_at_once_when_it_is_given_back() -> None:
    """And cools once an endpoint has had it."""
    fresh = take(None, holder="intent:1", key="container:intent:1")
    assert go(fresh, "intent:1") is None
    used = released(started(fresh, ACTIVE), NOW, 60.0)
    assert used is not None
    after = go(used, "intent:1")
    assert after is not None
    assert after.state is State.COOLING


def test_a_dynamic_address_does_not_keep_its_mac_when_it_becomes_fixed() -> None:
    """The engine drew it for one run of the container: at the next start it proves nothing, and another name would."""
    assert take(lease(State.DYNAMIC, mac="02:99", name="web")).mac == "02:01"


def test_a_reserved_address_is_reserved_again_when_the_last_holder_is_gone() -> None:
    """For the same, until the same time, with the same note."""
    reserved = lease(State.RESERVED, whom="web-*", note="soon", until=NOW + 50)
    after = go(take(reserved, key="key:k"), NEW, hold=900.0)
    assert after is not None
    assert (after.state, after.whom, after.note, after.until) == (State.RESERVED, "web-*", "soon", NOW + 50)
    assert (after.key, after.holders, after.mac) == ("", frozenset(), "")


@pytest.mark.parametrize("state", [State.GATEWAY, State.AUXILIARY])
def test_what_belongs_to_the_network_or_to_a_foreign_host_cannot_be_claimed(state: State) -> None:
    """The table says so."""
    with pytest.raises(Conflict):
        take(lease(state))


def test_a_successor_inherits_the_address_of_its_predecessor() -> None:
    """Create the new one, remove the old one: address and MAC stay, and belong to the new one."""
    both = take(lease(State.FIXED, key=f"container:{OLD}", holders=frozenset({OLD}), mac="02:77"))
    assert (both.key, both.holders, both.mac) == (f"container:{OLD}", frozenset({OLD, NEW}), "02:77")
    alone = go(both, OLD)
    assert alone is not None
    assert (alone.key, alone.holders, alone.mac) == (f"container:{NEW}", frozenset({NEW}), "02:77")


def test_a_container_is_preferred_to_an_intent_as_the_heir() -> None:
    """What is only begun may come to nothing."""
    held = lease(State.FIXED, key=f"container:{OLD}", holders=frozenset({OLD, NEW, "intent:0"}))
    after = go(held, OLD)
    assert after is not None
    assert after.key == f"container:{NEW}"


def test_a_key_that_outlives_its_containers_keeps_the_address_for_its_hold_time() -> None:
    """Nobody else gets it meanwhile, the next container of the key does, and after the time it is over."""
    waiting = go(lease(State.FIXED, key="key:db", holders=frozenset({OLD})), OLD, hold=100.0)
    assert waiting is not None
    assert (waiting.state, waiting.holders, waiting.until) == (State.FIXED, frozenset(), NOW + 100)
    assert not is_over(waiting, NOW + 99)
    assert is_over(waiting, NOW + 100)
    again = take(waiting, key="key:db")
    assert (again.until, again.holders) == (None, frozenset({NEW}))


def test_a_key_without_a_hold_time_and_a_container_let_the_address_cool() -> None:
    """At once, when the last holder is gone."""
    for key, hold in (("key:db", 0.0), (f"container:{OLD}", 900.0)):
        after = go(lease(State.FIXED, key=key, holders=frozenset({OLD})), OLD, hold=hold)
        assert after is not None
        assert after.state is State.COOLING


def test_a_lasting_key_takes_over_from_a_container_and_not_the_other_way_round() -> None:
    """While others hold the address, only a stronger key replaces theirs; when nobody does, the newcomer's counts."""
    assert take(lease(State.FIXED, key=f"container:{OLD}", holders=frozenset({OLD})), key="key:db").key == "key:db"
    assert take(lease(State.FIXED, key="key:db", holders=frozenset({OLD}))).key == "key:db"
    assert take(lease(State.FIXED, key="key:db")).key == f"container:{NEW}"


def test_an_address_that_an_endpoint_has_is_not_taken_from_it() -> None:
    """Without holders it stays until the endpoint is gone, and cools then."""
    used = go(lease(State.FIXED, key=f"container:{OLD}", holders=frozenset({OLD}), active=ACTIVE), OLD)
    assert used is not None
    assert (used.state, used.active) == (State.FIXED, ACTIVE)
    assert not is_over(used, NOW + 1e9)
    after = released(used, NOW + 1, 60.0)
    assert after is not None
    assert after.state is State.COOLING


def test_a_placeholder_becomes_its_container() -> None:
    """In the holders and in a key of its own, and in no other key."""
    held = take(None, key="container:intent:1", holder="intent:1")
    assert renamed(held, "intent:1", NEW).key == f"container:{NEW}"
    assert renamed(held, "intent:1", NEW).holders == frozenset({NEW})
    assert renamed(take(None, key="key:x", holder="intent:1"), "intent:1", NEW).key == "key:x"


def test_who_does_not_hold_it_changes_nothing_by_going() -> None:
    """A removal may be told twice."""
    held = lease(State.FIXED, key="key:k", holders=frozenset({OLD}))
    assert go(held, NEW) is held


CONTAINERS = st.sampled_from(["c1", "c2", "c3", "intent:1"])
KEYS = st.sampled_from(["", "key:a", "name:b"])


@given(st.lists(st.tuples(st.sampled_from(["claim", "leave", "start", "stop"]), CONTAINERS, KEYS), max_size=30))
def test_an_address_is_held_by_exactly_those_who_claimed_it_and_have_not_left(
    steps: list[tuple[str, str, str]],
) -> None:
    """Whatever the order; and while somebody holds it, it is fixed and never free (invariants 1 and 2)."""
    held: Lease | None = None
    holders: set[str] = set()
    for step, who, key in steps:
        if step == "claim":
            held = take(held, key=key or f"container:{who}", holder=who)
            holders.add(who)
        elif held is None or held.state is not State.FIXED:
            continue
        elif step == "leave":
            held = go(held, who, hold=10.0)
            holders.discard(who)
        elif step == "start":
            held = started(held, ACTIVE)
        else:
            held = released(held, NOW, 60.0)
        if holders:
            assert held is not None
            assert held.state is State.FIXED
            assert held.holders == frozenset(holders)
            assert not is_over(held, NOW + 1e9)
            assert not held.key.startswith("container:") or held.key.removeprefix("container:") in holders


def test_what_is_abandoned_cools_unless_it_is_in_use() -> None:
    """A cooldown of nothing makes it free."""
    assert unclaimed(lease(State.FIXED, key="key:k"), NOW, 0.0) is None


def test_a_reservation_is_back_when_the_endpoint_of_a_gone_container_lets_go() -> None:
    """For the same, until the same time, although the last holder went while the address was in use."""
    reserved = lease(State.RESERVED, whom="web-*", note="soon", until=NOW + 50)
    used = go(started(take(reserved), ACTIVE), NEW)
    assert used is not None
    assert used.active == ACTIVE
    after = released(used, NOW + 1, 60.0)
    assert after is not None
    assert (after.state, after.whom, after.until) == (State.RESERVED, "web-*", NOW + 50)


def test_a_placeholder_that_is_renamed_leaves_what_others_made_alone() -> None:
    """Whoever made it gives it back unused; that is another one than who was renamed."""
    mine = take(None, key="container:intent:1", holder="intent:1")
    assert mine.owner == "intent:1"
    assert renamed(mine, "intent:1", NEW).owner == ""
    assert renamed(mine, "intent:2", NEW).owner == "intent:1"


def test_a_container_gives_its_name_to_what_it_takes() -> None:
    """For people; one that has none leaves the name that is there."""
    assert take(None).name == "web"
    held = lease(State.FIXED, key="key:k", holders=frozenset({OLD}), name="db")
    assert take(held).name == "web"
    nameless = claimed(held, held, Claim(key="key:k", holder=NEW), NOW)
    assert nameless.name == "db"


def test_a_key_remembers_for_how_long_it_keeps_the_address() -> None:
    """Also when it waits again later; a create that came to nothing changes nothing of its waiting."""
    waiting = go(lease(State.FIXED, key="key:db", holders=frozenset({OLD})), OLD, hold=100.0)
    assert waiting is not None
    assert (waiting.hold, waiting.until) == (100.0, NOW + 100)
    begun = claimed(waiting, waiting, Claim(key="", holder="intent:1"), NOW + 5)
    assert go(begun, "intent:1", hold=7.0) == waiting


def test_a_key_that_lasts_is_not_replaced_by_another_while_others_hold() -> None:
    """The first one stays."""
    held = lease(State.FIXED, key="key:a", holders=frozenset({OLD}))
    assert take(held, key="key:b").key == "key:a"
