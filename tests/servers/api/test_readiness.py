"""Probes over the API."""

from __future__ import annotations

from mooring.core.findings import Report
from tests.servers.api.asking import api


async def test_a_probe_is_200_or_503() -> None:
    """Alive at once; ready when the kernel was compared; the status says both."""
    asked = await api()
    assert (await asked.get("/v1/live")).json == {"live": True}
    refused = await asked.get("/v1/ready")
    assert (refused.status, refused.json["kind"]) == (503, "unavailable")
    status = (await asked.get("/v1/status")).json
    assert (status["ready"], len(status["waits"])) == (False, 2)
    asked.host.report = Report(5.0)
    assert [part["name"] for part in (await asked.get("/v1/ready")).json["parts"]] == ["records", "kernel", "docker"]
    assert (await asked.get("/v1/status")).json["ready"]


async def test_a_status_is_none_before_the_records_are_read() -> None:
    """Counts would be wrong."""
    asked = await api()
    asked.host.operations.readiness.loaded = None
    assert (await asked.get("/v1/status")).status == 503
