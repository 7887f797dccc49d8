"""The deny list over the API."""

from __future__ import annotations

from tests.servers.api.asking import api


async def test_the_deny_list_is_read_and_changed() -> None:
    """Both parts of it; a part of it by subnet and origin, and by pages."""
    asked = await api()
    declared = (await asked.get("/v1/deny")).json
    assert declared
    assert {row["origin"] for row in declared} == {"configuration"}
    for subnet in ("10.8.0.0/16", "10.32.0.0/16"):
        reply = (await asked.post("/v1/deny/add", {"subnet": subnet, "note": "x"})).json
        assert (reply["entry"]["subnet"], reply["changed"], reply["dry_run"]) == (subnet, True, False)
    rows = (await asked.get("/v1/deny?origin=stored")).json
    assert [(row["subnet"], row["note"], bool(row["networks"])) for row in rows] == [
        ("10.8.0.0/16", "x", False), ("10.32.0.0/16", "x", True),
    ]  # fmt: skip
    assert [row["subnet"] for row in (await asked.get("/v1/deny?subnet=10.8.3.0/24")).json] == ["10.8.0.0/16"]
    first = await asked.get("/v1/deny?limit=1")
    assert [row["subnet"] for row in first.json] == ["10.8.0.0/16"]
    reply = (await asked.post("/v1/deny/remove", {"subnet": "10.8.0.0/16", "dry_run": True})).json
    assert reply["dry_run"]
    assert (await asked.post("/v1/deny/remove", {"subnet": "10.8.0.0/16"})).status == 200
    assert (await asked.post("/v1/deny/remove", {"subnet": "10.8.0.0/16"})).status == 404
    assert (await asked.post("/v1/deny/remove", {"subnet": declared[0]["subnet"]})).status == 409


async def test_what_is_no_subnet_or_origin_is_refused() -> None:
    """In one line."""
    asked = await api()
    assert (await asked.post("/v1/deny/add", {"subnet": "10.8.0.1/16"})).status == 400
    assert (await asked.get("/v1/deny?subnet=x")).status == 400
    assert (await asked.get("/v1/deny?origin=mine")).status == 400
