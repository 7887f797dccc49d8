"""The API's door: made when it is asked, and what the server itself says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mooring.servers.api.door import ApiDoor, refuse
from tests.servers.api.asking import ask, ready

LOADED = "import sys, mooring.daemon, mooring.degraded; print(*sorted(sys.modules))"
WHEN_ASKED = (
    "starlette",
    "uvicorn",
    "anyio",
    "h11",
    "mooring.servers.api.application",
    "mooring.servers.api.connections",
    "mooring.adapters.etcd",  # when the host is in a cluster
    "grpc",
)


async def test_what_answers_is_made_when_it_is_called() -> None:
    """With nothing to ask but its description."""
    answer = await ask(ApiDoor([], ready)(), "GET", "/v1/openapi.json")
    assert list(answer.json["paths"]) == ["/v1/openapi.json"]


def test_a_daemon_loads_nothing_of_the_framework_before_it_is_asked() -> None:
    """Its start and its memory are those of before."""
    found = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split()
    assert "mooring.servers.api.door" in found
    assert [name for name in found if name.startswith(WHEN_ASKED)] == []


@pytest.mark.parametrize("status", [400, 408, 413, 431, 500, 503])
def test_the_servers_own_refusals_are_problems(status: int) -> None:
    """A request that cannot be read at all is answered in the same form."""
    response = refuse(status, "malformed")
    problem = json.loads(response.body)
    assert (response.status, response.content_type) == (status, "application/problem+json")
    assert (problem["status"], problem["detail"], problem["message"]) == (status, "malformed", "malformed")
