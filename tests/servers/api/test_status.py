"""The daemon itself over the API."""

from __future__ import annotations

from mooring.core.faults import Kind
from tests.servers.api.asking import api


async def test_the_daemon_says_what_it_is_and_holds() -> None:
    """Version and counts."""
    asked = await api()
    assert (await asked.get("/v1/version")).json["api"] == ["v1"]
    assert (await asked.get("/v1/status")).json["networks"] == 2


async def test_every_kind_of_refusal_is_explained() -> None:
    """By the path that refusals lead to."""
    asked = await api()
    for kind in Kind:
        answer = await asked.get(f"/v1/problems/{kind.value.replace(' ', '-')}")
        assert answer.json["kind"] == kind.value
        assert answer.json["text"]
