"""The doctor over the API."""

from __future__ import annotations

from mooring.core.leases import State
from tests.servers.api.asking import api
from tests.services.samples import START, leased


async def test_the_doctor_is_asked_and_told_to_fix() -> None:
    """The same form answers both, with what was done and what is left; a try changes nothing."""
    asked = await api(leased("10.32.0.30", State.RESERVED, until=START + 10))
    found = (await asked.get("/v1/doctor")).json
    assert any("10.32.0.30 is still reserved" in finding["text"] for finding in found["findings"])
    tried = (await asked.post("/v1/doctor", {"dry_run": True})).json
    assert any("10.32.0.30" in finding["text"] for finding in tried["findings"])
    fixed = (await asked.post("/v1/doctor")).json
    assert any("10.32.0.30 is still reserved" in line for line in fixed["done"])
    assert not any("10.32.0.30" in finding["text"] for finding in fixed["findings"])
