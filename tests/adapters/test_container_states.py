"""What Docker tells of a container's last start, and of what is to become of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mooring.adapters.docker.container_states import healthy_by_status
from mooring.adapters.docker.engine_answers import ContainerAnswer

RAN, NEVER = "2026-05-06T07:08:09.123456789Z", "0001-01-01T00:00:00Z"


def last_start(state: dict[str, Any], policy: object = "always") -> tuple[bool, str]:
    """restarts and failure."""
    answer = {"Id": "c1", "State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}}
    container = msgspec.json.decode(json.dumps(answer), type=ContainerAnswer).value({})
    return container.restarts, container.failure


@pytest.mark.parametrize(
    ("state", "policy", "told"),
    [
        ({"Running": False, "Error": "no", "StartedAt": RAN}, "always", (True, "no")),
        ({"Running": False, "Error": "no", "StartedAt": RAN}, "unless-stopped", (True, "no")),
        ({"Running": False, "Error": "no", "StartedAt": RAN}, "on-failure", (True, "no")),
        ({"Running": False, "Error": "no", "StartedAt": RAN}, "no", (False, "no")),
        ({"Running": False, "Error": "no", "StartedAt": RAN}, "", (False, "no")),
        ({"Running": False, "Error": "no", "StartedAt": RAN}, None, (False, "no")),
        ({"Running": False, "Error": "no", "StartedAt": NEVER}, "always", (False, "no")),
        ({"Running": True, "Error": "left over", "StartedAt": RAN}, "always", (True, "")),
        ({"Running": False, "Error": None, "StartedAt": None}, "always", (False, "")),
        ({}, "always", (False, "")),
    ],
)
def test_a_last_start_is_told(state: dict[str, Any], policy: object, told: tuple[bool, str]) -> None:
    """Who never ran was to be started by somebody who was told that it failed."""
    assert last_start(state, policy) == told


@pytest.mark.parametrize(
    ("status", "healthy"),
    [("Up 5 minutes", True), ("Up 5 minutes (unhealthy)", False), ("Up 1 second (health: starting)", False),
     ("Restarting (1) 2 seconds ago", None), ("Up 2 hours (Paused)", None)],
)  # fmt: skip
def test_health_is_told_by_a_list_in_words(status: str, healthy: bool | None) -> None:
    """Where it tells it."""
    assert healthy_by_status(status) is healthy
