"""Network ports over the API."""

from __future__ import annotations

from tests.servers.api.asking import api


async def test_a_port_is_made_listed_shown_noted_and_removed() -> None:
    """With filters, pages and dry runs."""
    asked = await api()
    (network, *_) = (await asked.get("/v1/networks")).json
    body = {"network": network["id"], "name": "db", "mac": "02-00-00-00-00-0D"}
    draft = (await asked.post("/v1/ports/create", {**body, "dry_run": True})).json
    assert (draft["dry_run"], draft["port"]["warning"]) == (True, "")
    assert (await asked.get("/v1/ports")).json == []
    port = (await asked.post("/v1/ports/create", body)).json["port"]
    assert (port["name"], port["state"], port["mac"]) == ("db", "DOWN", "02:00:00:00:00:0d")
    await asked.post("/v1/ports/create", {"network": network["id"], "name": "web"})
    first = await asked.get("/v1/ports?limit=1")
    assert [row["name"] for row in first.json] == ["db"]
    assert 'rel="next"' in first.headers["link"]
    assert [row["name"] for row in (await asked.get("/v1/ports?state=DOWN&name=w")).json] == ["web"]
    detail = (await asked.get("/v1/ports/db")).json
    assert detail["options"].endswith("--mac-address 02:00:00:00:00:0d")
    assert (await asked.post("/v1/ports/set", {"port": "db", "note": "x"})).json["port"]["note"] == "x"
    assert (await asked.post("/v1/ports/create", body)).status == 409
    assert (await asked.post("/v1/ports/remove", {"port": "db"})).json["port"]["warning"] == ""
    assert (await asked.post("/v1/ports/remove", {"port": "db"})).status == 404


async def test_bad_input_is_one_refusal() -> None:
    """With its status."""
    asked = await api()
    (network, *_) = (await asked.get("/v1/networks")).json
    for more in (
        {"mac": "01:00:00:00:00:00"}, {"mac": "x"}, {"addresses": ["x"]}, {"subnets": ["10.0.0.1/8"]}, {"name": "a b"},
        {"color": "red"}, {"network": " "}, {"addresses": ["10.32.0.3"] * 2},
    ):  # fmt: skip
        assert (await asked.post("/v1/ports/create", {"network": network["id"], **more})).status == 400, more
    assert (await asked.post("/v1/ports/create", {"network": "nope"})).status == 404
    assert (await asked.get("/v1/ports?state=up")).status == 400
    assert (await asked.get("/v1/ports/nope")).status == 404
