"""The largest of everything that dockerd may send, at the plugin door, with the real services behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mooring.servers.http import Limits, Request
from mooring.servers.plugin.dispatch import BODY_LIMIT, fail
from mooring.servers.plugin.door import PluginDoor
from mooring.wire.remote_options import EXPOSED_KEY, MOST_PORTS, PORTS_KEY
from tests.servers.doubles import served
from tests.services.hosts import MemoryHost
from tests.watchdog.probe import assert_short

pytestmark = pytest.mark.slow  # others on the machine would show in what it measures

E1, E2 = "e" * 64, "f" * 64


async def started() -> tuple[MemoryHost, PluginDoor, str]:
    """A host with a network of both families, and a door to it."""
    host = await MemoryHost().start()
    network = await host.network("a", v6=True)
    services = host.services
    return host, PluginDoor(services.ipam, services.networks, services.endpoints, deadline=600), network


async def encoded(query: Mapping[str, Any]) -> bytes:
    """The query as it is sent; what that takes is not the door's."""
    return await asyncio.to_thread(lambda: json.dumps(query).encode())


async def call(door: PluginDoor, method: str, query: Mapping[str, Any]) -> None:
    """It is carried out."""
    response = await door(Request("POST", f"/{method}", "", await encoded(query)))
    assert response.status == 200, response.body


async def endpoint(host: MemoryHost, door: PluginDoor, network: str, ident: str, options: Mapping[str, Any]) -> None:
    """RequestAddress for both families, CreateEndpoint and Join."""
    known = host.services.cache.network(network)
    assert known is not None
    given = {"MacAddress": f"02:00:00:00:00:{ident[:2]}"}
    for name, segment in (("Address", known.ipv4[0]), ("AddressIPv6", known.ipv6[0])):
        query = {"PoolID": segment.pool, "Options": {"com.docker.network.endpoint.macaddress": given["MacAddress"]}}
        body = json.dumps(query).encode()
        answer = await door(Request("POST", "/IpamDriver.RequestAddress", "", body))
        given[name] = json.loads(answer.body)["Address"]
    pair = {"NetworkID": network, "EndpointID": ident}
    await call(door, "NetworkDriver.CreateEndpoint", pair | {"Interface": given, "Options": options})
    await call(door, "NetworkDriver.Join", pair | {"SandboxKey": f"/run/docker/netns/{ident[:12]}", "Options": options})


def port_map(first: int, count: int, low: int = 0, high: int = 0) -> dict[str, Any]:
    """As dockerd sends `-p`, once asked for and once exposed. low, high: one range for all."""
    ports = range(first, first + count)
    return {
        PORTS_KEY: [
            {"Proto": 17, "IP": "", "Port": port, "HostIP": "", "HostPort": low or port, "HostPortEnd": high or port}
            for port in ports
        ],
        EXPOSED_KEY: [{"Proto": 17, "Port": port} for port in ports],
    }


@pytest.mark.parametrize(
    "options",
    [port_map(10000, MOST_PORTS), port_map(1, 4000, 1, 8000)],
    ids=["as many ports as are published", "many of one range"],
)
async def test_many_ports_hold_nothing_up(options: dict[str, Any]) -> None:
    """From CreateEndpoint to the end, through a removal and a second container beside it."""
    host, door, network = await started()

    async def life() -> None:
        pair = {"NetworkID": network, "EndpointID": E1}
        await endpoint(host, door, network, E1, options)
        await call(door, "NetworkDriver.ProgramExternalConnectivity", pair | {"Options": options})
        known = host.services.cache.endpoint(network, E1)
        assert known is not None
        assert len(known.published) == 2 * len(options[PORTS_KEY])
        await call(door, "NetworkDriver.ProgramExternalConnectivity", pair | {"Options": options})
        await call(door, "NetworkDriver.RevokeExternalConnectivity", pair)
        await call(door, "NetworkDriver.ProgramExternalConnectivity", pair | {"Options": options})
        await call(door, "NetworkDriver.Leave", pair)
        await call(door, "NetworkDriver.DeleteEndpoint", pair)
        assert host.guard.held == set()

    await assert_short(life)


async def test_a_range_that_is_taken_ends_in_one_line_and_holds_nothing_up() -> None:
    """The last port of many is somebody else's: none is held."""
    host, door, network = await started()
    host.guard.taken[17, 10000 + MOST_PORTS - 1] = "sip"  # type: ignore[index]
    options = port_map(10000, MOST_PORTS)
    await endpoint(host, door, network, E1, options)

    async def refused() -> None:
        query = {"NetworkID": network, "EndpointID": E1, "Options": options}
        body = await encoded(query)
        response = await door(Request("POST", "/NetworkDriver.ProgramExternalConnectivity", "", body))
        assert response.status == 409
        assert b"process sip" in response.body
        assert host.guard.held == set()

    await assert_short(refused)


async def test_more_ports_than_are_published_are_refused_in_one_line() -> None:
    """Before anything is made, with what to do instead."""
    _, door, network = await started()
    query = {"NetworkID": network, "EndpointID": E1, "Options": port_map(1, MOST_PORTS + 1)}
    response = await door(Request("POST", "/NetworkDriver.CreateEndpoint", "", json.dumps(query).encode()))
    assert response.status == 400
    assert f"at most {MOST_PORTS}".encode() in response.body


@pytest.mark.parametrize(
    "filling",
    [
        b'{"Options":{"x":[' + b"[]," * (BODY_LIMIT // 3 - 20) + b"[]]}}",
        b'{"Options":{"x":"' + b"x" * (BODY_LIMIT - 40) + b'"}}',
        b'{"NetworkID":"' + b"\\u0041" * (BODY_LIMIT // 6 - 10) + b'"}',
        b"[" * BODY_LIMIT,
        b'{"Options":' + b'{"a":' * (BODY_LIMIT // 5 - 20) + b"1}",
        b'{"IPv4Data":[' + b'{"Pool":"10.0.0.0/8"},' * (BODY_LIMIT // 23) + b"{}]}",
        b'{"Data":{' + b",".join(b'"%d":"10.0.0.1"' % number for number in range(BODY_LIMIT // 20)) + b"}}",
    ],
    ids=["lists", "text", "escapes", "open", "deep", "subnets", "addresses"],
)
@pytest.mark.parametrize(
    "method", ["NetworkDriver.CreateNetwork", "NetworkDriver.CreateEndpoint", "IpamDriver.RequestPool"]
)
async def test_a_body_of_the_largest_size_holds_nothing_up(tmp_path: Path, method: str, filling: bytes) -> None:
    """Whatever is in it, it is answered."""
    assert len(filling) <= BODY_LIMIT
    _, door, _ = await started()
    async with served(tmp_path, door, Limits(body=BODY_LIMIT), fail) as running:
        client = await running.client()

        async def ask() -> None:
            assert (await client.post(f"/{method}", filling)).status in (200, 400)

        await assert_short(ask)
