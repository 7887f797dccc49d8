"""Containers over the API."""

from __future__ import annotations

from tests.servers.api.asking import api


async def test_a_container_that_there_is_not_is_not_fixed() -> None:
    """The service's refusal is the answer."""
    answer = await (await api()).post("/v1/containers/fix", {"container": "nobody"})
    assert answer.status in (404, 503)
    assert "nobody" in answer.json["message"] or "Docker" in answer.json["message"]
