"""What a program's drivers say becomes what dockerd reads, and nothing is announced that was not given."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mooring import plugin
from mooring.core.faults import BadRequest
from mooring.plugin.methods import methods_of
from mooring.servers.http import Request
from mooring.servers.plugin.dispatch import ProtocolDoor
from mooring.wire.remote_api import METHODS

IDS = {"NetworkID": "n" * 64, "EndpointID": "e" * 64}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """One, as a plugin has when nothing is said."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def ask(door: ProtocolDoor, method: str, **body: object) -> tuple[int, dict[str, Any]]:
    """One call: status and document."""
    response = await door(Request("POST", f"/{method}", "", json.dumps(body).encode()))
    return response.status, json.loads(response.body)


class Quiet(plugin.NetworkDriver):
    """Overrides nothing."""


class Fixed(plugin.IpamDriver):
    """One subnet, one address."""

    requires_mac_address = True

    async def request_pool(self, request: plugin.PoolQuery) -> plugin.PoolAnswer:
        """In the loop."""
        return plugin.PoolAnswer("one", request.pool or "10.1.0.0/24")

    def request_address(self, request: plugin.AddressQuery) -> plugin.AddressAnswer:
        """In a thread."""
        assert threading.current_thread() is not threading.main_thread()
        return plugin.AddressAnswer("10.1.0.9/24")


async def test_what_is_given_is_announced(threads: ThreadPoolExecutor) -> None:
    """One driver or the other or both; a method of the one that is missing is not there."""
    both = ProtocolDoor(methods_of(Quiet(), Fixed(), threads))
    assert await ask(both, "Plugin.Activate") == (200, {"Implements": ["NetworkDriver", "IpamDriver"]})
    alone = ProtocolDoor(methods_of(None, Fixed(), threads))
    assert await ask(alone, "Plugin.Activate") == (200, {"Implements": ["IpamDriver"]})
    status, reply = await ask(alone, "NetworkDriver.Join", **IDS)
    assert status == 404
    assert reply["Err"] == reply["Error"]
    with pytest.raises(BadRequest, match="a plugin needs a driver"):
        methods_of(None, None, threads)


async def test_what_is_not_overridden_does_nothing(threads: ThreadPoolExecutor) -> None:
    """Every method of the protocol but the gateway question, which is asked only of those who announce it."""
    table = methods_of(Quiet(), Fixed(), threads)
    assert set(METHODS) - set(table) == {"NetworkDriver.GwAllocCheck"}
    door = ProtocolDoor(table)
    assert await ask(door, "NetworkDriver.GetCapabilities") == (
        200, {"Scope": "local", "ConnectivityScope": "local", "GwAllocChecker": False},
    )  # fmt: skip
    assert (await ask(door, "NetworkDriver.CreateNetwork", **IDS)) == (200, {})
    assert (await ask(door, "NetworkDriver.CreateEndpoint", **IDS)) == (200, {})
    assert (await ask(door, "NetworkDriver.EndpointOperInfo", **IDS)) == (200, {"Value": {}})
    status, joined = await ask(door, "NetworkDriver.Join", **IDS)
    assert (status, joined["InterfaceName"]) == (200, None)


async def test_plain_and_async_methods_answer(threads: ThreadPoolExecutor) -> None:
    """With what they were asked."""
    door = ProtocolDoor(methods_of(None, Fixed(), threads))
    assert (await ask(door, "IpamDriver.GetCapabilities"))[1]["RequiresMACAddress"] is True
    assert (await ask(door, "IpamDriver.RequestPool", Pool="10.9.0.0/16"))[1]["Pool"] == "10.9.0.0/16"
    assert (await ask(door, "IpamDriver.RequestAddress", PoolID="one"))[1]["Address"] == "10.1.0.9/24"


@pytest.mark.parametrize(
    ("error", "method", "status", "text"),
    [
        (plugin.Conflict("taken", holder="db"), "CreateEndpoint", 409, "taken (held by db)"),
        (ValueError("two\nlines"), "CreateEndpoint", 500, "NetworkDriver.CreateEndpoint: ValueError: two lines"),
        (plugin.NotFound("unknown"), "CreateEndpoint", 404, "unknown"),
        (plugin.NotFound("unknown"), "DeleteEndpoint", 200, ""),
        (KeyError("x"), "DeleteEndpoint", 500, "NetworkDriver.DeleteEndpoint: KeyError: 'x'"),
    ],
)
async def test_what_is_raised_is_told(
    threads: ThreadPoolExecutor, error: Exception, method: str, status: int, text: str
) -> None:
    """One line under both keys; what is to go and is not there has gone."""

    class Failing(plugin.NetworkDriver):
        def create_endpoint(self, request: plugin.EndpointCreation) -> None:
            raise error

        async def delete_endpoint(self, request: plugin.EndpointReference) -> None:
            raise error

    def told(name: str, raised: Exception) -> str:
        return f"{name}: {type(raised).__name__}: {raised}"

    door = ProtocolDoor(methods_of(Failing(), None, threads), internal=told)
    assert await ask(door, f"NetworkDriver.{method}", **IDS) == (
        status, {"Err": text, "Error": text} if text else {},
    )  # fmt: skip


async def test_an_answer_of_another_kind_is_the_programs_mistake(threads: ThreadPoolExecutor) -> None:
    """Never sent as it is: dockerd would take it for something."""

    class Wrong(plugin.NetworkDriver):
        def join(self, request: plugin.Joining) -> plugin.Joined:
            return {"gateway": "10.0.0.1"}  # type: ignore[return-value]

    door = ProtocolDoor(methods_of(Wrong(), None, threads), internal=lambda name, error: f"{name}: {error}")
    status, reply = await ask(door, "NetworkDriver.Join", **IDS)
    assert (status, reply["Err"]) == (500, "NetworkDriver.Join: join returned dict, not Joined")


async def test_plain_methods_run_one_at_a_time_while_the_loop_goes_on(threads: ThreadPoolExecutor) -> None:
    """So that a driver of thirty lines needs no lock; a second thread is asked for."""
    busy, most = 0, 0

    class Slow(plugin.NetworkDriver):
        def create_network(self, request: plugin.NetworkCreation) -> None:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            threading.Event().wait(0.02)
            busy -= 1

    door = ProtocolDoor(methods_of(Slow(), None, threads))
    calls = [ask(door, "NetworkDriver.CreateNetwork", NetworkID=f"n{number}") for number in range(4)]
    replies = await asyncio.gather(*calls, ask(door, "Plugin.Activate"))
    assert [status for status, _ in replies] == [200] * 5
    assert most == 1


async def test_a_call_that_takes_too_long_is_told_in_time(threads: ThreadPoolExecutor) -> None:
    """Before dockerd asks again without a body."""

    class Stuck(plugin.NetworkDriver):
        async def leave(self, request: plugin.EndpointReference) -> None:
            await asyncio.Event().wait()

    door = ProtocolDoor(methods_of(Stuck(), None, threads), deadline=0.01, when_slow="see the log of the plugin")
    status, reply = await ask(door, "NetworkDriver.Leave", **IDS)
    assert (status, reply["Err"]) == (
        503, "NetworkDriver.Leave timed out after 0.01 s; see the log of the plugin",
    )  # fmt: skip
