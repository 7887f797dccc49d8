"""Subnet pools over the API."""

from __future__ import annotations

import pytest

from tests.servers.api.asking import api


async def test_a_subnet_pool_is_made_changed_shown_and_removed() -> None:
    """Each answer is as the description says; a dry run changes nothing."""
    asked = await api()
    body = {"name": "lab", "prefixes": ["10.64.0.0/22", "10.70.0.0/24"], "length": 26, "position": 5, "note": "CI"}
    assert (await asked.post("/v1/subnet-pools/create", {**body, "dry_run": True})).json["dry_run"]
    assert [row["name"] for row in (await asked.get("/v1/subnet-pools")).json] == ["default-v4"]
    made = (await asked.post("/v1/subnet-pools/create", body)).json
    assert {"name": "lab", "what": "length", "before": "", "after": "/26"} in made["changes"]
    assert (await asked.post("/v1/subnet-pools/create", body)).json["changes"] == []
    (detail,) = (await asked.get("/v1/subnet-pools/lab")).json
    assert detail["subnet_pool"]["left"][-1] == {"length": 26, "number": 20}
    assert detail["subnet_pool"]["default"] == 1
    changed = {"name": "lab", "add": ["10.70.1.0/24"], "remove": ["10.64.0.0/23"], "new_name": "labs", "position": 0}
    assert len((await asked.post("/v1/subnet-pools/set", changed)).json["changes"]) == 3
    (row,) = (await asked.get("/v1/subnet-pools?origin=stored")).json
    assert (row["name"], row["prefixes"], row["default"]) == ("labs", ["10.64.2.0/23", "10.70.0.0/23"], 0)
    assert (await asked.post("/v1/subnet-pools/remove", {"name": "labs"})).status == 200
    assert (await asked.post("/v1/subnet-pools/remove", {"name": "labs"})).status == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["default-v4", "lab", "blue"]),
        ("family=6", []),
        ("space=tenant", ["blue"]),
        ("origin=configuration", ["default-v4"]),
        ("origin=stored&limit=1", ["lab"]),
    ],
)
async def test_subnet_pools_are_filtered_by_all_that_is_given(query: str, found: list[str]) -> None:
    """By family, space and name."""
    asked = await api()
    await asked.post("/v1/subnet-pools/create", {"name": "lab", "prefixes": ["10.64.0.0/22"]})
    await asked.post("/v1/subnet-pools/create", {"name": "blue", "prefixes": ["10.64.0.0/22"], "space": "tenant"})
    assert [row["name"] for row in (await asked.get(f"/v1/subnet-pools?{query}")).json] == found


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("create", {"name": "lab"}, 400, "missing required field `prefixes`"),
        ("create", {"name": "lab", "prefixes": []}, 400, "needs a prefix"),
        ("create", {"name": "lab", "prefixes": ["10.64.0.1/22"]}, 400, "host bits"),
        ("create", {"name": "lab", "prefixes": ["x"]}, 400, "is not a subnet"),
        ("create", {"name": "a/b", "prefixes": ["10.64.0.0/22"]}, 400, "cannot be the name of a subnet pool"),
        ("create", {"name": "lab", "prefixes": ["10.64.0.0/22"], "space": "a b"}, 400, "name of an address space"),
        ("create", {"name": "lab", "prefixes": ["10.64.0.0/22"], "position": -1}, 400, "position -1"),
        ("create", {"name": "lab", "prefixes": ["10.64.0.0/22"], "length": 0}, 400, "prefix length 0"),
        ("create", {"name": "lab", "prefixes": ["10.64.0.0/22"], "note": "a\nb"}, 400, "a note is one line"),
        ("create", {"name": "lab", "prefixes": ["10.64.0.0/22"], "colour": 1}, 400, "unknown field `colour`"),
        ("create", {"name": "lab", "prefixes": ["10.32.7.0/24"]}, 409, "subnet pool default-v4 of the configuration"),
        ("set", {"name": "default-v4", "note": "x"}, 403, "is declared in the configuration"),
        ("set", {"name": "nope", "note": "x"}, 404, "there is no subnet pool 'nope'; there are default-v4"),
        ("remove", {"name": "default-v4"}, 403, "is declared in the configuration"),
    ],
)
async def test_what_cannot_be_is_one_line(path: str, body: object, status: int, words: str) -> None:
    """With the status of its kind; nothing is half done."""
    asked = await api()
    answer = await asked.post(f"/v1/subnet-pools/{path}", body)
    assert (answer.status, words in answer.json["message"]) == (status, True), answer.json
    assert len((await asked.get("/v1/subnet-pools")).json) == 1
