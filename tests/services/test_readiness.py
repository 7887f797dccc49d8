"""What the daemon says of its own readiness, from its start on."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.findings import Report
from mooring.services.containers.engine_session import EngineSession
from mooring.services.operations.readiness import ReadinessChecks
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine


def test_a_start_is_told_step_by_step() -> None:
    """The records first, then the kernel; then it is ready, whatever was found, and whether or not Docker answers."""
    clock, reports = ManualClock(1000.0), list[Report]()
    session = EngineSession(MemoryEngine(), clock.now)
    checks = ReadinessChecks(clock, 990.0, lambda: reports[-1] if reports else None, session)
    with pytest.raises(Unavailable, match=r"the store is being read, for 10\.0 s"):
        checks.must_be_loaded()
    checks.note_loaded()
    checks.must_be_loaded()
    assert len(checks.waits()) == 2
    with pytest.raises(Unavailable, match=r"not ready: the kernel is being compared with the records, for 0\.0 s"):
        checks.ready()
    reports.append(Report(1001.0, findings=("one",)))
    parts = checks.ready().parts
    assert [(part.name, part.ready, part.since, part.needed) for part in parts] == [
        ("records", True, 1000.0, True), ("kernel", True, 1001.0, True), ("docker", False, 990.0, False),
    ]  # fmt: skip
    assert parts[1].text.endswith("1 finding")
    (line,) = checks.waits()
    assert line.startswith("Docker does not answer")


def test_docker_is_told_since_it_came_or_went() -> None:
    """Its word counts, however often it is asked."""
    clock = ManualClock(1000.0)
    session = EngineSession(MemoryEngine(), clock.now)
    checks = ReadinessChecks(clock, 990.0, lambda: Report(1.0), session)
    checks.note_loaded()
    seen = []
    for identity in ("one", "one", "", ""):
        clock.advance(1.0)
        session.meet(identity)
        docker = checks.ready().parts[2]
        seen.append((docker.ready, docker.since))
    assert seen == [(True, 1001.0), (True, 1001.0), (False, 1003.0), (False, 1003.0)]
    assert len(ReadinessChecks(clock, 990.0, lambda: None, None).waits()) == 2
