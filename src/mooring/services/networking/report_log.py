"""What repair says in the log.

Rule: what was put right is said each time; what could not be is said once, until it is over or another: passes follow
each other fast while an engine starts, and a log that says the same again and again hides what is new in it.
"""

from __future__ import annotations

import logging

from mooring.core.findings import Report

log = logging.getLogger(__name__)


class ReportLog:
    """Hears of every pass."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()

    def tell(self, report: Report) -> None:
        """One line for each thing that was repaired, for each finding that the pass before had not, and for each that
        is over."""
        for line in report.repaired:
            log.info("repaired: %s", line)
        findings = frozenset(report.findings)
        for line in dict.fromkeys(report.findings):
            if line not in self._told:
                log.warning("finding: %s", line)
        for line in sorted(self._told - findings):
            log.info("resolved: %s", line)
        self._told = findings
