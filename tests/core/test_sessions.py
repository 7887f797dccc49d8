"""Sessions: how long a host may go on alone."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.sessions import SessionRule, alone_until, check_alone

RULE = SessionRule(ttl=15, margin=5, grace=5, refresh=4)


def test_a_host_may_go_on_until_a_margin_before_its_session_can_end() -> None:
    """Counted from before it asked for the last refresh that was confirmed."""
    check_alone("address 10.0.0.5", 109.9, 100.0, RULE)
    with pytest.raises(Unavailable, match=r"10\.0\.0\.5 cannot be used: the cluster has not been reached for 10 s"):
        check_alone("address 10.0.0.5", 110.0, 100.0, RULE)


def test_after_a_boot_it_may_not_before_it_was_heard() -> None:
    """Whatever was before: the clock began anew."""
    assert alone_until(None, RULE) == 0.0
    with pytest.raises(Unavailable, match="since this host's boot"):
        check_alone("address 10.0.0.5", 3.0, None, RULE)


def test_it_gives_up_before_others_may_take_over() -> None:
    """The margin is there, and refreshes come often enough."""
    default = SessionRule()
    assert default.margin > 0
    assert 2 * default.refresh <= default.ttl - default.margin
