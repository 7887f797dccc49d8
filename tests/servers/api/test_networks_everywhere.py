"""Networks on every host over the API."""

from __future__ import annotations

from tests.servers.api.asking import api
from tests.services.samples import ETCD


async def test_a_network_is_asked_for_seen_and_ended() -> None:
    """Each subnet with what is in it."""
    asked = await api()
    assert (await asked.get("/v1/cluster/networks")).status == 404
    await asked.post("/v1/cluster/init", {"endpoints": [ETCD], "name": "web1"})
    await asked.host.services.cluster_runtime.once()
    body = {"name": "app", "subnets": ["10.40.0.0/24", "fd00:40::/64"], "gateways": ["10.40.0.1"],
            "ranges": ["10.40.0.0/25"], "auxiliary": {"a": "10.40.0.9"}}  # fmt: skip
    made = (await asked.post("/v1/cluster/networks", body)).json
    assert (made["subnets"], made["options"]) == (body["subnets"], {"scope": "cluster"})
    assert [row["state"] for row in made["hosts"]] == ["waiting"]
    assert (await asked.get("/v1/cluster/networks/app")).json == made
    assert (await asked.get("/v1/cluster/networks")).json == [made]
    assert (await asked.post("/v1/cluster/networks/remove", {"name": "app"})).json["ending"]
    for wrong in (
        {"name": "app", "subnets": ["10.40.0.0/24"], "gateways": ["10.41.0.1"]},
        {"name": "x", "subnets": []},
    ):
        assert (await asked.post("/v1/cluster/networks", wrong)).status == 400
