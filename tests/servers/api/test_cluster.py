"""The cluster over the API."""

from __future__ import annotations

from tests.servers.api.asking import api
from tests.services.samples import ETCD, WEB


async def test_a_cluster_is_made_seen_and_left() -> None:
    """With a token that another host could join with."""
    asked = await api()
    assert (await asked.get("/v1/cluster")).json["id"] == ""
    assert (await asked.get("/v1/cluster/hosts")).status == 404
    assert (await asked.get("/v1/cluster/token")).status == 404
    assert (await asked.post("/v1/cluster/publish", {"network": WEB})).status == 404
    tried = (await asked.post("/v1/cluster/init", {"endpoints": [ETCD], "name": "web1", "dry_run": True})).json
    assert (tried["changed"], tried["dry_run"], tried["token"]) == (True, True, "")
    assert (tried["cluster"], tried["name"]) == ("", "web1")  # an id that was drawn nobody would ever see again
    made = (await asked.post("/v1/cluster/init", {"endpoints": [ETCD], "name": "web1", "prefix": "p"})).json
    assert {check["verdict"] for check in made["checks"]} <= {"ok", "note"}
    assert (await asked.get("/v1/cluster/token")).json == {"token": made["token"]}
    again = (await asked.post("/v1/cluster/join", {"token": made["token"]})).json
    assert (again["changed"], again["host"]) == (False, made["host"])
    view = (await asked.get("/v1/cluster")).json
    assert (view["id"], view["name"], view["prefix"], view["hosts"]) == (made["cluster"], "web1", "p/", 1)
    [row] = (await asked.get("/v1/cluster/hosts?heard=false")).json
    assert row == (await asked.get("/v1/cluster/hosts/web1")).json
    assert (row["here"], row["address"]) == (True, "192.0.2.1")
    assert (await asked.post("/v1/cluster/drain", {"host": "web1"})).json["host"]["drained"]
    assert not (await asked.post("/v1/cluster/drain", {"host": "web1", "off": True})).json["host"]["drained"]
    assert (await asked.post("/v1/cluster/drain", {"host": "web9"})).status == 404
    assert (await asked.post("/v1/cluster/forget", {"host": "web1"})).status == 409
    assert (await asked.post("/v1/cluster/publish", {"network": "nowhere"})).status == 404
    assert (await asked.post("/v1/cluster/publish", {"network": WEB})).status == 409  # it has a reservation
    assert (await asked.post("/v1/cluster/leave", {"dry_run": True})).json["dry_run"]
    assert (await asked.post("/v1/cluster/leave", {})).json["cluster"] == made["cluster"]
    assert (await asked.post("/v1/cluster/leave", {})).status == 404


async def test_what_cannot_be_is_refused() -> None:
    """A token that is none, no endpoint, a name that is no word, an etcd that is not there."""
    asked = await api()
    for path, body, status in [
        ("join", {"token": "x"}, 400),
        ("init", {"endpoints": []}, 400),
        ("init", {"endpoints": [ETCD], "name": "a b"}, 400),
        ("init", {"endpoints": [ETCD], "name": "a" * 65}, 400),
        ("init", {"endpoints": ["https://gone:1"]}, 503),
        ("init", {"endpoints": [ETCD], "underlay": "wg9"}, 400),
    ]:
        answer = await asked.post(f"/v1/cluster/{path}", body)
        assert answer.status == status, (path, body, answer.json)
