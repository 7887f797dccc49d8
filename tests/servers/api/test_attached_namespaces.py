"""Namespaces put into networks over the API."""

from __future__ import annotations

from mooring.core.datapath import host_end
from mooring.core.plumbing import Inside
from tests.servers.api.asking import api
from tests.services.samples import WEB


async def test_a_namespace_is_attached_confirmed_and_detached() -> None:
    """The view of it, each time; what is to be inside is in it."""
    asked = await api()
    await asked.host.services.repair.once()  # the bridge is there
    who = {"namespace": "boot:7", "network": "1f6b2c"}
    view = (await asked.post("/v1/namespaces/attach", {**who, "name": "lab-1", "taken": ["eth0"]})).json
    assert (view["name"], view["network"], view["changed"]) == ("lab-1", WEB, True)
    assert [each["name"] for each in view["interfaces"]] == ["eth1"]
    assert (await asked.post("/v1/namespaces/confirm", who)).status == 409
    asked.host.kernel.inside[host_end(view["endpoint"])] = Inside("", ())
    assert [(await asked.post("/v1/namespaces/confirm", who)).json["changed"] for _ in range(2)] == [True, False]
    body = {**who, "name": "lab-1"}
    dry = (await asked.post("/v1/namespaces/detach", {**body, "dry_run": True})).json
    assert (dry["addresses"], dry["changed"]) == (view["addresses"], True)
    assert [(await asked.post("/v1/namespaces/detach", body)).json["changed"] for _ in range(2)] == [True, False]


async def test_what_cannot_be_is_refused() -> None:
    """By its kind, in one line."""
    asked = await api()
    who = {"namespace": "boot:7", "name": "lab-1", "network": "1f6b2c"}
    for path, body, status, says in (
        ("attach", {**who, "namespace": " "}, 400, "must not be empty"),
        ("attach", {**who, "network": "nowhere"}, 404, "no network"),
        ("attach", {**who, "addresses": ["x"]}, 400, "is not an IP address"),
        ("attach", {**who, "namespace": "elsewhere:7"}, 409, "on another host"),
        ("confirm", {"namespace": "boot:7", "network": "1f6b2c"}, 404, "is not attached"),
        ("detach", {**who, "name": ""}, 400, "must not be empty"),
    ):
        answer = await asked.post(f"/v1/namespaces/{path}", body)
        assert (answer.status, says in answer.json["message"]) == (status, True), answer.json
