"""Claims of single addresses: who may take one, and what a move leaves of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.address_claims import AddressClaim, Spec, held, may_move, moved, used, without
from mooring.core.sessions import SessionRule, Standing

SUBNET, X = ip_network("10.32.0.0/24"), ip_address("10.32.0.17")
RULE = SessionRule(ttl=15, margin=5, grace=5, refresh=4)
HEARD, JUST, LONG = Standing(True), Standing(False, 2.0), Standing(False, 60.0)


def claim(boot: str = "b1", moves: bool = False, host: str = "A") -> AddressClaim:
    spec = Spec("default", SUBNET, "s1", key="key:db", mac="02:00:00:00:00:05", holder="c1", moves=moves)
    return used(spec.claim(X, host, 5.0), boot, 7.0)


@pytest.mark.parametrize(("now", "standing", "force", "allowed", "rule"), [
    (claim(), HEARD, False, False, "it is in use on host A, which is heard"),
    (claim(), HEARD, True, False, "it is in use on host A, which is heard"),
    (claim(""), HEARD, False, True, "its host says that it is idle"),
    (claim(""), LONG, False, True, "its host says that it is idle"),
    (claim(), JUST, True, False, "host A has only just gone silent"),
    (claim(moves=True), JUST, False, False, "host A has only just gone silent"),
    (claim(), LONG, False, False, "host A is not heard, and may still use it"),
    (claim(), LONG, True, True, "host A is not heard, and the move is forced"),
    (claim(moves=True), LONG, False, True, "host A is not heard, and the address moves by itself"),
    (claim(host=""), LONG, False, True, "no other host has it"),
    (claim(host="B"), LONG, False, True, "no other host has it"),
])  # fmt: skip
def test_a_claim_moves_when_its_host_says_idle_or_is_silent_and_the_policy_says_so(
    now: AddressClaim, standing: Standing, force: bool, allowed: bool, rule: str
) -> None:
    """A host that is heard keeps what it uses, whoever forces."""
    verdict = may_move(now, "B", standing, RULE, force)
    assert (verdict.allowed, verdict.rule) == (allowed, rule)


def test_a_refusal_names_the_holder_its_host_and_since_when() -> None:
    """And the way out."""
    verdict = may_move(claim(), "B", JUST, RULE)
    assert verdict.holder == "key db on host A, in use since 1970-01-01 00:00:07 UTC"
    assert verdict.hint == "try again in 3 s"


def test_a_move_raises_the_generation_and_keeps_the_allocation_with_its_holders() -> None:
    """Idle, with the MAC, and with the container that it is for among the holders."""
    there = moved(claim(), "B", "c2", 9.0)
    assert (there.host, there.boot, there.generation, there.sequence) == ("B", "", 2, "s1")
    assert there.holders == {"A/c1", "B/c2"}
    assert there.mac == "02:00:00:00:00:05"
    assert there.since == 9.0


def test_holders_go_by_host() -> None:
    """All of one host, none of another with a similar name."""
    both = held(held(claim(), "A", "c3"), "AB", "c4")
    assert without(both, "A").holders == {"AB/c4"}
    assert without(both, "B") == both


def test_the_moment_of_use_stays_while_the_use_does() -> None:
    """Saying it again changes nothing."""
    now = claim("b1")
    assert used(now, "b1", 99.0) == now
    assert used(now, "", 99.0).since == 99.0
