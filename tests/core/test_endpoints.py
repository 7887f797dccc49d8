"""The endpoint's life cycle, every pair of it."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address
from itertools import product

import pytest

from mooring.core.endpoints import TRANSITIONS, Endpoint, Event, State, advance
from mooring.core.faults import Conflict

REFUSED = {(State.ABSENT, Event.ATTACH), (State.CREATED, Event.CREATE), (State.ATTACHED, Event.CREATE)}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_in_the_table_or_refused_with_the_state_named(state: State, event: Event) -> None:
    """No pair is undecided, and a refusal changes nothing."""
    if (state, event) in REFUSED:
        assert (state, event) not in TRANSITIONS
        with pytest.raises(Conflict, match=f"cannot {event.value} endpoint e1: it is {state.value}"):
            advance(state, event, "endpoint e1")
    else:
        assert advance(state, event) is TRANSITIONS[state, event]


@pytest.mark.parametrize("event", [Event.DETACH, Event.DELETE])
@pytest.mark.parametrize("state", list(State))
def test_detach_and_delete_succeed_in_every_state_and_twice(state: State, event: Event) -> None:
    """dockerd repeats Leave and DeleteEndpoint, and sends them for what was never made."""
    once = advance(state, event)
    assert advance(once, event) is once


def test_addresses_are_told_without_prefix_length_ipv4_first() -> None:
    """A family that the endpoint lacks is left out."""
    both = Endpoint("e", "n", IPv4Interface("10.0.0.2/24"), IPv6Interface("fd00::2/64"), "02::", 0.0)
    assert both.addresses == (ip_address("10.0.0.2"), ip_address("fd00::2"))
    assert Endpoint("e", "n", None, IPv6Interface("fd00::2/64"), "02::", 0.0).addresses == (ip_address("fd00::2"),)
