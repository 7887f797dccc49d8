"""Running containers, and the host, put into networks over the API."""

from __future__ import annotations

from tests.servers.api.asking import api
from tests.services.samples import WEB

ID = "d" * 64


async def test_a_container_is_attached_once_and_detached_once() -> None:
    """The view of it, and whether anything changed."""
    asked = await api()
    engine = asked.host.engine
    engine.names[WEB] = "web"
    engine.create(ID, "db")
    engine.start(ID)
    body = {"container": "db", "network": "1f6b2c"}
    first, second = [(await asked.post("/v1/containers/attach", body)).json for _ in range(2)]
    assert first == {
        "container": ID, "name": "db", "network": WEB, "network_name": "web", "addresses": [], "changed": True,
    }  # fmt: skip
    assert second == {**first, "changed": False}
    assert [(await asked.post("/v1/containers/detach", body)).json["changed"] for _ in range(2)] == [True, False]


async def test_what_is_no_container_network_or_address_is_refused() -> None:
    """By its kind."""
    asked = await api()
    asked.host.engine.create(ID, "db")
    for body, status, says in (
        ({"container": " ", "network": "web"}, 400, "must not be empty"),
        ({"container": "nobody", "network": "web"}, 404, "no container"),
        ({"container": "db", "network": "nowhere"}, 404, "no network"),
        ({"container": "db", "network": "1f6b2c", "addresses": ["10.32.0.0/24"]}, 400, "is not an IP address"),
    ):
        answer = await asked.post("/v1/containers/attach", body)
        assert (answer.status, says in answer.json["message"]) == (status, True), answer.json


async def test_the_host_is_exposed_and_hidden() -> None:
    """Besides the gateway that it has; by the kernel's word, a network that has no bridge is refused."""
    asked = await api()
    await asked.host.services.repair.once()  # the bridge is there
    body = {"network": "1f6b2c", "addresses": ["10.32.0.99"]}
    told = [(await asked.post(f"/v1/networks/{what}", body)).json for what in ("expose", "expose", "hide", "hide")]
    assert [("10.32.0.99/24" in each["addresses"], each["changed"]) for each in told] == [
        (True, True), (True, False), (False, True), (False, False),
    ]  # fmt: skip
    for wrong, status in (({"network": " "}, 400), ({"network": "nowhere"}, 404)):
        assert (await asked.post("/v1/networks/expose", wrong)).status == status
