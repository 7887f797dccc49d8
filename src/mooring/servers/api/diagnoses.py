"""The doctor: what is not as it should be."""

from __future__ import annotations

from mooring.core.findings import Diagnosis
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import FixFindings


class Diagnoses:
    """Records, Docker and kernel compared."""

    def __init__(self, operations: Operations) -> None:
        self._doctor = operations.doctor

    @route("GET", "/v1/doctor")
    async def diagnosis(self) -> Diagnosis:
        """What is not as it should be, with proof, age and remedy."""
        return await self._doctor.examine()

    @route("POST", "/v1/doctor", dry_run=True)
    async def fix_findings(self, body: FixFindings) -> Diagnosis:
        """What can be put right is; what was done, and what is left."""
        return await self._doctor.fix(body.dry_run)
