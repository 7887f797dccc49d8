"""A finding is logged once, not at every pass."""

from __future__ import annotations

import logging

import pytest

from mooring.core.findings import Report
from mooring.services.networking.report_log import ReportLog


def test_a_finding_is_said_once_until_it_is_over_or_another(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever else the passes do meanwhile; again when it comes back."""
    caplog.set_level(logging.INFO)
    passes = ReportLog()
    for number in range(23):
        passes.tell(
            Report(float(number), (f"network {number}: 1 item repaired",), ("a port is not held", "a port is not held"))
        )
    passes.tell(Report(23.0, (), ("a port is not held", "another is not held")))
    passes.tell(Report(24.0))
    passes.tell(Report(25.0, (), ("a port is not held",)))
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith(("finding", "resolved"))]
    assert said == [
        "finding: a port is not held",
        "finding: another is not held",
        "resolved: a port is not held",
        "resolved: another is not held",
        "finding: a port is not held",
    ]
    assert sum("repaired" in record.getMessage() for record in caplog.records) == 23
