"""Leases over the API, and what is done with addresses by hand."""

from __future__ import annotations

from typing import Any

import pytest

from mooring.core.leases import State
from tests.servers.api.asking import api
from tests.services.samples import MAC, leased


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"mac={MAC.upper()}", ["10.32.0.2", "fd00:32::2"]),
        ("key=key:db", ["10.32.0.30"]),
        ("key=db", ["10.32.0.30"]),
        ("key=d", []),
        ("container=db", ["10.32.0.2", "10.32.0.2"]),
        ("container=" + "c" * 12, ["10.32.0.5"]),
        ("container=nobody", []),
        ("state=cooling", ["10.32.0.4"]),
        ("fixed=1&text=lb", []),
    ],
)
async def test_leases_are_filtered_by_all_that_is_given(query: str, found: list[str]) -> None:
    """By key, container and MAC beside what there always was."""
    answer = await (await api(leased("10.32.0.30", State.FIXED, key="key:db"))).get(f"/v1/leases?{query}")
    assert [row["address"] for row in answer.json] == found


@pytest.mark.parametrize(
    ("path", "body", "address", "after"),
    [
        ("reserve", {"first": "10.32.0.20", "whom": "x"}, "10.32.0.20", "reserved for x"),
        ("reserve", {"first": "10.32.0.20", "last": "10.32.0.20"}, "10.32.0.20", "reserved"),
        ("release", {"address": "10.32.0.6"}, "10.32.0.6", "free"),
        ("hold", {"address": "10.32.0.5", "key": "db"}, "10.32.0.5", "fixed for the key db (label mooring.key)"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_is_done_by_hand_is_told_before_and_after(
    path: str, body: dict[str, Any], address: str, after: str, dry_run: bool
) -> None:
    """Each change reaches its service and is answered with words; with dry_run the records stay as they were."""
    asked = await api()
    before = asked.host.cache.revision
    answer = await asked.post(f"/v1/leases/{path}", {**body, "space": "default", "dry_run": dry_run})
    assert answer.status == 200, answer.json
    (change,) = answer.json["changes"]
    assert (change["address"], answer.json["dry_run"]) == (address, dry_run)
    assert change["after"].startswith(after)
    assert (asked.host.cache.revision == before) is dry_run


async def test_a_move_is_asked_for_by_key_or_address() -> None:
    """Nobody has it in a cluster, where there is none."""
    asked = await api()
    for what, status in (("db", 404), ("10.32.0.5", 404), ("", 400)):
        assert (await asked.post("/v1/leases/move", {"what": what, "force": True})).status == status


async def test_what_is_no_address_is_refused() -> None:
    """In a body as in a path."""
    answer = await (await api()).post("/v1/leases/release", {"address": "10.32.0.0/24"})
    assert (answer.status, "leave out the prefix length" in answer.json["message"]) == (400, True)
