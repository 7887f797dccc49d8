"""What is ready and what is waited for, as values."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.readiness import ReadinessPart, must_be_ready, waits

READ = ReadinessPart("records", True, 100.0, "read")
SLOW = ReadinessPart("kernel", False, 103.0, "the kernel is being compared")
AWAY = ReadinessPart("docker", False, 101.0, "Docker does not answer", needed=False)


def test_ready_is_what_is_needed() -> None:
    """What else is waited for is among the parts."""
    answer = must_be_ready([READ, AWAY], 105.0)
    assert (answer.ready, answer.now, answer.parts) == (True, 105.0, [READ, AWAY])


def test_what_is_waited_for_is_said_with_its_time() -> None:
    """In the refusal that of what is needed alone; a clock that was set back gives no time below zero."""
    with pytest.raises(Unavailable, match=r"^not ready: the kernel is being compared, for 2\.0 s; `mooring"):
        must_be_ready([READ, SLOW, AWAY], 105.0)
    assert waits([READ, SLOW, AWAY], 102.0) == [
        "the kernel is being compared, for 0.0 s", "Docker does not answer, for 1.0 s",
    ]  # fmt: skip
