"""VNICs over the API."""

from __future__ import annotations

import pytest

from tests.servers.api.asking import api

ONE = {"subnet": "172.16.5.0/24", "address": "172.16.5.5", "tenant": "red"}


async def test_a_vnic_is_made_shown_and_removed_and_twice_is_once() -> None:
    """Each answer says what is to be done about the Docker network."""
    asked = await api()
    made = (await asked.post("/v1/vnics/create", {**ONE, "mtu": 1400, "routes": ["10.0.0.0/8 via 172.16.5.9"]})).json
    row = made["vnic"]
    assert (row["address"], row["mtu"], row["gateway"], row["routes"]) == (
        "172.16.5.5", 1400, "172.16.5.1", ["10.0.0.0/8 via 172.16.5.9"],
    )  # fmt: skip
    assert (made["changed"], made["network"]["state"]) == (True, "create")
    again = (await asked.post("/v1/vnics/create", {**ONE, "mtu": 1400, "routes": ["10.0.0.0/8 via 172.16.5.9"]})).json
    assert (again["changed"], again["vnic"]) == (False, row)
    assert (await asked.post("/v1/vnics/create", ONE)).status == 409
    assert [each["id"] for each in (await asked.get("/v1/vnics?tenant=red&limit=5")).json] == [row["id"]]
    assert (await asked.get("/v1/vnics?tenant=blue")).json == []
    assert (await asked.get(f"/v1/vnics/{row['id']}")).json["run"] == made["run"]
    assert (await asked.get("/v1/vnics/x")).status == 404
    gone = (await asked.post("/v1/vnics/remove", {"vnic": "172.16.5.5", "tenant": "red"})).json
    assert (gone["changed"], gone["vnic"]["id"], gone["network"]["state"]) == (True, row["id"], "none")
    absent = (await asked.post("/v1/vnics/remove", {"vnic": "172.16.5.5", "tenant": "red"})).json
    assert (absent["changed"], absent["vnic"]) == (False, None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"subnet": "172.16.5.1/24"}, "host bits"),
        ({"subnet": "fd00::/64"}, "VNICs have IPv4"),
        ({"address": "172.16.6.5"}, "not in subnet"),
        ({"address": "172.16.5.1"}, "is the gateway's; name another with --gateway"),
        ({"address": "x"}, "address"),
        ({"tenant": "a b"}, "tenant"),
        ({"mac": "01:00:00:00:00:01"}, "not the address of one interface"),
        ({"mtu": 10}, "MTU 10"),
        ({"gateway": "10.0.0.1"}, "gateway 10.0.0.1 is not in subnet"),
        ({"routes": ["10.0.0.0/8 by x"]}, "is not `SUBNET`"),
        ({"routes": ["10.0.0.0/8 via 10.9.9.9"]}, "next hop is not in subnet"),
        ({"instance": "a b"}, "instance"),
        ({"adopt": "a/b"}, "not the name of an interface"),
        ({"wait": 100}, "wait"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_line(wrong: dict[str, object], words: str) -> None:
    """With a status of the caller's fault."""
    answer = await (await api()).post("/v1/vnics/create", {**ONE, **wrong})
    assert answer.status == 400
    assert words in answer.json["message"]
