"""Recorded requests of engines 20.10, 25, 28 and master are accepted, or refused for a reason that is listed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mooring.servers.http import Request
from tests.servers.doubles import Desk

TRACES = sorted((Path(__file__).parents[1] / "data" / "traces").glob("*.jsonl"))
# (method, what the refusal says): why a recorded request is refused.
REASONS = [
    # The recordings had made-up options, which Mooring refuses by name.
    ("IpamDriver.RequestPool", "unknown IPAM option io"),
    ("NetworkDriver.GwAllocCheck", "unknown network option x"),
    ("NetworkDriver.GwAllocCheck", "unknown network option do"),
    ("NetworkDriver.CreateNetwork", "unknown network option x"),
    ("NetworkDriver.CreateNetwork", "unknown network option do"),
    ("NetworkDriver.CreateNetwork", "unknown network option alloc"),
    ("NetworkDriver.CreateEndpoint", "unknown endpoint option k1"),
    ("NetworkDriver.CreateEndpoint", "unknown endpoint option epk"),
    # Swarm mode.
    ("NetworkDriver.AllocateNetwork", "swarm mode"),
    ("NetworkDriver.FreeNetwork", "swarm mode"),
    # Blind retries of what a plugin that had hung up may have carried out.
    ("NetworkDriver.CreateNetwork", "without a body is a retry"),
]


def calls(path: Path) -> list[tuple[str, bytes]]:
    """Each recorded call: method and body."""
    found = []
    for line in path.read_text().splitlines():
        call = json.loads(line)
        if "m" in call:
            found.append((call["m"], json.dumps(call["req"]).encode() + b"\n" if "req" in call else b""))
    return found


async def refusals(path: Path) -> list[tuple[str, int, str]]:
    """Method, status and text of each refusal of the door."""
    found = []
    desk = Desk()
    for method, body in calls(path):
        response = await desk.door(Request("POST", f"/{method}", "", body))
        if response.status != 200:
            found.append((method, response.status, json.loads(response.body)["Err"]))
    return found


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
async def test_recorded_requests_are_accepted_or_refused_for_a_known_reason(path: Path) -> None:
    """One line, and no 500, for each."""
    for method, status, text in await refusals(path):
        assert status in (400, 403), text
        assert any(method == known and reason in text for known, reason in REASONS), (method, text)


async def test_every_reason_is_met() -> None:
    """A reason that no recording meets any more would hide the next refusal."""
    told = [refusal for path in TRACES for refusal in await refusals(path)]
    unmet = [
        (known, reason)
        for known, reason in REASONS
        if not any(method == known and reason in text for method, _, text in told)
    ]
    assert unmet == []
