"""Addresses by id over the API, in Weave Net's words and with its codes."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from pathlib import Path

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import NotFound
from mooring.services.operations.addresses_by_id import Where
from tests.cli.daemons import served
from tests.servers.api.asking import api
from tests.services.samples import WEB

ID = "d" * 64


async def test_an_id_allocates_looks_up_and_releases() -> None:
    """Text and 200, nothing and 204, 404 when there is nothing."""
    asked = await api()
    assert (await asked.get("/v1/ip/lab-1")).status == 404
    got = await asked.post("/v1/ip/lab-1?network=1f6b2c")
    assert (got.status, got.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    again = await asked.post("/v1/ip/lab-1/10.32.0.0/24?network=1f6b2c&space=default")
    assert again.body == got.body
    assert (await asked.get("/v1/ip/lab-1")).body == got.body
    assert (await asked.get("/v1/ip/lab-1/10.32.0.0/24")).body == got.body
    address = got.body.decode().partition("/")[0]
    owned = (await asked.get("/v1/ip")).json["owned"]
    assert {"containerid": "lab-1", "addrs": [f"{address}/24"], "name": ""} in owned
    assert (await asked.ask("DELETE", f"/v1/ip/lab-1/{address}")).status == 204
    assert (await asked.ask("DELETE", "/v1/ip/lab-1")).status == 404


async def test_a_claim_is_204_and_a_refusal_says_who_has_it() -> None:
    """409 where Weave had 400 for everything."""
    asked = await api()
    assert (await asked.ask("PUT", "/v1/ip/lab-1/10.32.0.77/24?space=default")).status == 204
    refused = await asked.ask("PUT", "/v1/ip/lab-2/10.32.0.77/24?space=default")
    assert (refused.status, refused.json["message"]) == (
        409,
        "address 10.32.0.77 is not free (held by the reservation for lab-1); see `mooring explain 10.32.0.77`",
    )
    assert (await asked.ask("PUT", "/v1/ip/lab-2/192.168.9.9/24")).status == 404
    assert (await asked.ask("PUT", "/v1/ip/lab-2/192.168.9.9/24?noErrorOnUnknown=true")).status == 204


async def test_who_waits_and_hangs_up_gets_nothing(tmp_path: Path) -> None:
    """At the socket: the wait of a minute ends with the client, and what is free later is not his."""
    async with served(tmp_path) as daemon:
        addresses = daemon.host.operations.addresses_by_id
        part = Where(ip_network("10.32.0.64/31"), "1f6b2c")
        for ident in ("one", "two"):
            await addresses.allocate(ident, part, check_alive=False, wait=0.0, hung_up=asyncio.Event())
        reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
        target = b"/v1/ip/late/10.32.0.64/31?network=1f6b2c&wait=60"
        writer.write(b"POST " + target + b" HTTP/1.1\r\nHost: mooring\r\n\r\n")
        writer.write_eof()
        async with asyncio.timeout(30):
            assert (await reader.read()).startswith(b"HTTP/1.1 507 ")
        writer.close()
        await addresses.release("one", None, Where())
        with pytest.raises(NotFound):
            await addresses.look_up("late", Where())


async def test_check_alive_asks_the_engine() -> None:
    """As Weave's scripts write it; the answer for a container that is not there is 404."""
    asked = await api()
    target = "/v1/ip/db?check-alive=true&network=1f6b2c&space=default"
    assert (await asked.post(target)).status == 404
    asked.host.engine.create(ID, "db", ContainerEndpoint(WEB, "web"))
    assert (await asked.post(target)).status == 409
    asked.host.engine.start(ID)
    assert (await asked.post(target)).status == 200
    owned = (await asked.get("/v1/ip")).json["owned"]
    assert [(each["containerid"], each["name"]) for each in owned if each["name"]] == [(ID, "db")]


@pytest.mark.parametrize(
    ("method", "target", "says"),
    [
        ("POST", "/v1/ip/web-*", "'web-*' cannot be an ID"),
        ("POST", "/v1/ip/lab-1/10.32.0.1/24", "write 10.32.0.0/24"),
        ("POST", "/v1/ip/lab-1/10.32.0.0/x", "10.32.0.0/x"),
        ("PUT", "/v1/ip/lab-1/10.32.0.9/16?space=default", "write 10.32.0.9/24"),
        ("POST", "/v1/ip/lab-1?wait=-1", "parameter wait is '-1'"),
        (
            "POST",
            "/v1/ip/lab-1?check_alive=true",
            "parameter 'check_alive' is not known; known are network, space, check-alive",
        ),
        ("DELETE", "/v1/ip/lab-1/nothing", "is not an IP address"),
    ],
)
async def test_what_cannot_be_is_one_line(method: str, target: str, says: str) -> None:
    """With what would do."""
    refused = await (await api()).ask(method, target)
    assert refused.status == 400
    assert says in refused.json["message"]
