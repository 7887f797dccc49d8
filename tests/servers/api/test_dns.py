"""Names over the API."""

from __future__ import annotations

import pytest

from tests.servers.api.asking import api

DB = "db.1f6b2c000000.mooring"


async def test_names_are_listed_looked_up_added_and_removed() -> None:
    """Those of containers and of operators, in one list and by the same questions."""
    asked = await api()
    body = {"name": "NAS.mooring", "addresses": ["192.0.2.9", "2001:db8::9"], "note": "Berlin"}
    added = (await asked.post("/v1/dns/add", body)).json
    assert (added["changed"], added["dry_run"]) == (True, False)
    assert not (await asked.post("/v1/dns/add", body)).json["changed"]
    rows = (await asked.get("/v1/dns")).json
    assert [(row["name"], row["origin"], row["note"]) for row in rows] == [
        (DB, "container", ""), ("nas.mooring", "stored", "Berlin"),
    ]  # fmt: skip
    assert [row["name"] for row in (await asked.get("/v1/dns?address=fd00:32::2")).json] == [DB]
    assert [row["name"] for row in (await asked.get("/v1/dns?origin=stored&name=na")).json] == ["nas.mooring"]
    assert len((await asked.get("/v1/dns?limit=1")).json) == 1
    assert [row["name"] for row in (await asked.get("/v1/dns?network=1f6b")).json] == [DB]
    reply = (await asked.post("/v1/dns/remove", {"name": "nas", "dry_run": True})).json
    assert (reply["record"]["addresses"], reply["dry_run"]) == (["192.0.2.9", "2001:db8::9"], True)
    assert (await asked.post("/v1/dns/remove", {"name": "nas"})).status == 200
    assert (await asked.post("/v1/dns/remove", {"name": "nas"})).status == 404


@pytest.mark.parametrize(
    ("query", "verdict", "records"),
    [
        (f"name={DB}", "found", ["10.32.0.2"]),
        ("name=db.1f6b2c000000&type=aaaa", "found", ["fd00:32::2"]),
        ("name=db&network=1f6b", "found", ["10.32.0.2"]),
        ("name=10.32.0.2", "found", [f"{DB}."]),
        ("name=_http._tcp.db&type=SRV&network=1f6b", "found", [f"0 0 80 {DB}."]),
        ("name=db", "forward", []),
        ("name=db&network=aaaa", "refused", []),
        (f"name={DB}&network=aaaa", "absent", []),
        ("name=mooring", "empty", []),
    ],
)
async def test_a_lookup_says_what_the_server_would_say(query: str, verdict: str, records: list[str]) -> None:
    """To the host, or to who is in a network; people may leave the zone out."""
    answer = (await (await api()).get(f"/v1/dns/lookup?{query}")).json
    assert (answer["verdict"], answer["records"]) == (verdict, records)


async def test_the_server_is_told() -> None:
    """Here there is none."""
    told = (await (await api()).get("/v1/dns/server")).json
    assert (told["setting"], told["serving"], told["trouble"]) == ("off", [], "")


async def test_what_is_no_name_address_or_network_is_refused() -> None:
    """In one line, and nothing is changed."""
    asked = await api()
    for body in (
        {"name": "a b", "addresses": ["192.0.2.9"]},
        {"name": "mooring", "addresses": ["192.0.2.9"]},
        {"name": "nas", "addresses": ["192.0.2"]},
        {"name": "nas", "addresses": []},
        {"name": "nas", "addresses": ["192.0.2.9"], "until": 1},
    ):
        assert (await asked.post("/v1/dns/add", body)).status == 400, body
    assert (await asked.post("/v1/dns/add", {"name": "n", "addresses": ["::1"], "network": "none"})).status == 404
    for query in ("lookup?name=a..b", "lookup?name=a&type=MX", "?origin=mine", "?address=x"):
        assert (await asked.get(f"/v1/dns{'/' if query[0] != '?' else ''}{query}")).status == 400, query
    assert len((await asked.get("/v1/dns")).json) == 1
