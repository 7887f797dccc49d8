"""Time that a wall clock which is wrong for a while does not fool."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.steady_time import LASTING, LEAST, SteadyTime


@given(st.floats(-1e9, 1e9).filter(lambda step: abs(step) > 2 * LEAST), st.lists(st.floats(0.1, 60), max_size=8))
def test_a_step_that_is_taken_back_has_never_been(step: float, waits: list[float]) -> None:
    """Whatever its size, and however often one looks meanwhile: time passes as the boot clock says."""
    time = SteadyTime(1e9)
    boot = 100.0
    for wait in waits:
        boot += wait
        assert abs(time.at(1e9 + boot + step, boot) - (1e9 + boot)) < LEAST
        assert abs(time.step - step) < 1
    assert abs(time.at(1e9 + boot, boot) - (1e9 + boot)) < LEAST
    assert time.step == 0.0


@given(st.floats(-1e9, 1e9).filter(lambda step: abs(step) > 2 * LEAST))
def test_a_step_that_lasts_is_believed(step: float) -> None:
    """Somebody has set the clock right."""
    time = SteadyTime(1e9)
    time.at(1e9 + step, 0.0)
    assert abs(time.at(1e9 + LASTING - 1 + step, LASTING - 1) - (1e9 + LASTING - 1)) < LEAST
    assert abs(time.at(1e9 + LASTING + step, LASTING) - (1e9 + LASTING + step)) < LEAST
    assert time.step == 0.0


@given(st.lists(st.floats(-LEAST / 2, LEAST / 2), max_size=20))
def test_slewing_is_followed_at_once(slews: list[float]) -> None:
    """An NTP daemon at work is no step."""
    time = SteadyTime(1e9)
    lead, boot = 1e9, 0.0
    for slew in slews:
        lead, boot = lead + slew, boot + 10
        assert abs(time.at(lead + boot, boot) - (lead + boot)) < 1e-3
        assert time.step == 0.0


def test_a_clock_that_wanders_from_one_wrong_time_to_another_is_not_believed() -> None:
    """Each step has to last by itself."""
    time = SteadyTime(1e9)
    for turn in range(20):
        boot = turn * LASTING / 2
        assert abs(time.at(1e9 + boot + 3600 * (turn + 1), boot) - (1e9 + boot)) < LEAST


def test_how_long_a_step_lasts_counts_from_its_first_sight() -> None:
    """However long the host is up by then."""
    time = SteadyTime(1e9)
    time.at(1e9 + 5000, 5000.0)
    time.at(1e9 + 5000 + 100, 5000.0)
    assert time.at(1e9 + 5000 + LASTING - 1 + 100, 5000 + LASTING - 1) == 1e9 + 5000 + LASTING - 1
    assert time.step == 100.0
    assert time.at(1e9 + 5000 + LASTING + 100, 5000 + LASTING) == 1e9 + 5000 + LASTING + 100
    assert time.step == 0.0


def test_a_step_that_drifts_is_the_same_step() -> None:
    """A clock that is wrong may be slewed, too: less than LEAST from one look to the next begins nothing anew."""
    time = SteadyTime(0.0, lasting=10.0)
    for boot, step in ((1.0, 100.0), (5.0, 104.0), (9.0, 108.0)):
        assert time.at(boot + step, boot) == boot
        assert time.step == step
    assert time.at(10.9 + 108, 10.9) == 10.9
    assert time.at(11.0 + 108, 11.0) == 11.0 + 108


def test_from_least_on_it_is_a_step_and_another_step() -> None:
    """The bound itself is one already, either way."""
    for sign in (1, -1):
        time = SteadyTime(0.0, lasting=10.0)
        assert time.at(sign * LEAST, 0.0) == 0.0
        assert time.step == sign * LEAST
        assert time.at(9.0 + sign * 2 * LEAST, 9.0) == 9.0
        assert time.at(10.0 + sign * 2 * LEAST, 10.0) == 10.0  # the second lasts for a second by now
        assert time.at(19.0 + sign * 2 * LEAST, 19.0) == 19.0 + sign * 2 * LEAST
