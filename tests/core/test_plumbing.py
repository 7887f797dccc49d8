"""Plans between sets of facts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.plumbing import (
    Add,
    Alter,
    Bridge,
    DockerAccept,
    Fact,
    LinkAddress,
    Member,
    Op,
    Remove,
    Ruleset,
    Setting,
    Veth,
    plan,
)


def bridge(number: int) -> Bridge:
    """One of a few bridges."""
    return Bridge(f"mr-{number}", f"mooring:network:{number}", 1500, "02:00:00:00:00:01")


def veth(number: int) -> Veth:
    """One of a few veth pairs."""
    return Veth(f"mv-{number}", "mooring:endpoint:x", "mr-1", False, peer="mp", peer_mac="", mtu=1500)


FACTS = st.one_of(
    st.integers(1, 3).map(bridge),
    st.integers(1, 3).map(veth),
    st.builds(LinkAddress, st.sampled_from(["mr-1", "mr-2"]), st.sampled_from([ip_interface("10.0.0.1/24")])),
    st.builds(Setting, st.sampled_from(["net/a", "net/b"]), st.sampled_from(["0", "1"])),
    st.builds(Ruleset, st.sampled_from(["one", "two"])),
    st.builds(Member, st.just("map"), st.sampled_from(["1", "2"]), st.sampled_from(["x", "y"])),
    st.builds(DockerAccept, st.sampled_from([4, 6])),
)
SETS = st.lists(FACTS, unique_by=lambda fact: fact.key).map(frozenset)


def after(facts: frozenset[Fact], ops: list[Op]) -> frozenset[Fact]:
    """The facts that hold when the ops were carried out."""
    have = {fact.key: fact for fact in facts}
    for op in ops:
        match op:
            case Add(fact):
                assert fact.key not in have
                have[fact.key] = fact
            case Remove(fact):
                assert have.pop(fact.key) == fact
            case Alter(before, fact):
                assert have[before.key] == before
                have[fact.key] = fact
    return frozenset(have.values())


@given(SETS, SETS)
def test_carrying_out_a_plan_gives_what_is_desired(desired: frozenset[Fact], observed: frozenset[Fact]) -> None:
    """All that is desired holds then, and of the rest only settings and Docker's chains, which are never removed."""
    result = after(observed, plan(desired, observed))
    assert desired <= result
    assert all(isinstance(fact, Setting | DockerAccept) for fact in result - desired)


@given(SETS)
def test_a_plan_between_equals_is_empty(facts: frozenset[Fact]) -> None:
    """What is right is not touched."""
    assert plan(facts, facts) == []


@given(SETS, SETS)
def test_undoing_a_plan_gives_what_was_observed(desired: frozenset[Fact], observed: frozenset[Fact]) -> None:
    """The inverses in reverse order lead back."""
    ops = plan(desired, observed)
    assert after(after(observed, ops), [op.inverse() for op in reversed(ops)]) == observed


def test_bridges_come_before_their_ports_and_go_after_them() -> None:
    """Additions in the order of dependence, removals in the reverse, and additions before removals."""
    made = plan([veth(1), bridge(1)], [])
    assert made == [Add(bridge(1)), Add(veth(1))]
    assert plan([bridge(2)], [bridge(1), veth(1)]) == [Add(bridge(2)), Remove(veth(1)), Remove(bridge(1))]


def test_the_far_end_of_a_veth_does_not_count() -> None:
    """It cannot be seen from the host once a container has it."""
    assert plan([veth(1)], [replace(veth(1), peer="", peer_mac="?", mtu=9)]) == []
