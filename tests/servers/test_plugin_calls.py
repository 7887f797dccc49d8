"""What holds for every call at the plugin door: retries, faults, deadlines, the log."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from mooring.core.faults import Conflict, Exhausted, Fault
from mooring.servers.http import Request, Response
from mooring.servers.plugin.dispatch import fail
from mooring.wire import remote_api as api
from tests.servers.doubles import Desk, E, N, served


@pytest.fixture
def desk() -> Desk:
    """A door."""
    return Desk()


@pytest.mark.parametrize("method", sorted(name for name, (asked, _) in api.METHODS.items() if asked is not api.Empty))
async def test_an_empty_body_is_a_blind_retry_and_changes_nothing(desk: Desk, method: str) -> None:
    """dockerd re-sends a consumed buffer; the call may have been carried out."""
    for body in (b"", b"\n"):
        response = await desk.door(Request("POST", f"/{method}", "", body))
        assert response.status == 400
        assert b"retry" in response.body
    assert desk.calls == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Exhausted("pool p-1 is full", holder="254 endpoints", hint="see `mooring lease ls`"), 507),
        (Conflict("taken"), 409),
    ],
)
async def test_a_fault_is_told_whole(desk: Desk, fault: Fault, status: int) -> None:
    """What, who and what next, under both keys."""
    desk.ipam.fault = fault
    assert await desk.refused("IpamDriver.RequestAddress", {"PoolID": "p-1"}) == (status, str(fault))


async def test_a_mistake_is_a_500_without_a_traceback(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is in the log."""
    desk.ipam.fault = ZeroDivisionError("secret\ndetails")
    status, text = await desk.refused("IpamDriver.RequestAddress", {"PoolID": "p-1"})
    assert (status, "ZeroDivisionError" in text, "secret" in text) == (500, True, False)
    assert "secret" in caplog.text


async def test_a_call_that_hangs_is_given_up(desk: Desk) -> None:
    """Before dockerd gives up and asks again blindly."""
    desk.ipam.hang = True
    desk.door = desk.make(deadline=0.01)
    status, text = await desk.refused("IpamDriver.RequestAddress", {"PoolID": "p-1"})
    assert (status, "timed out after 0.01 s" in text) == (503, True)


async def test_a_timeout_inside_a_service_is_not_taken_for_the_deadline(desk: Desk) -> None:
    """It is a mistake of ours, and told as one."""
    desk.ipam.fault = TimeoutError()
    assert (await desk.refused("IpamDriver.RequestAddress", {"PoolID": "p-1"}))[0] == 500


async def test_calls_wait_until_the_daemon_is_ready(desk: Desk) -> None:
    """They are queued, not refused; what is fixed is answered at once; a bad one is refused at once."""
    desk.ready.clear()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(desk.ok("IpamDriver.RequestAddress", {"PoolID": "p-1"}))
        assert await desk.ok("Plugin.Activate")
        assert (await desk.refused("IpamDriver.RequestAddress", {}))[0] == 400
        assert desk.calls == []
        desk.ready.set()
    assert waiting.result()["Address"] == "10.32.0.2/24"


async def test_unknown_methods_and_verbs_are_refused(desk: Desk) -> None:
    """As JSON with both keys."""
    assert (await desk.refused("NetworkDriver.Dance", {}))[0] == 404
    assert (await desk.refused("", {}))[0] == 404
    for verb in ("GET", "PUT", "DELETE", "HEAD"):
        assert (await desk.door(Request(verb, "/Plugin.Activate", "", b""))).status == 405


async def test_each_call_is_one_line_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Changes at info, queries at debug, refusals at warning; long ids are shortened."""
    caplog.set_level(logging.DEBUG, "mooring.servers.plugin.dispatch")
    await desk.ok("NetworkDriver.DeleteEndpoint", {"NetworkID": N, "EndpointID": E})
    await desk.ok("Plugin.Activate")
    await desk.refused("NetworkDriver.Leave", {"NetworkID": "a\nb"})
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG", "WARNING"]
    assert f"network={'n' * 12} endpoint={'e' * 12} ok" in caplog.messages[0]
    assert all("\n" not in message for message in caplog.messages)


async def test_the_door_works_at_its_socket(desk: Desk, tmp_path: Path) -> None:
    """As dockerd calls it: over one kept connection."""
    async with served(tmp_path, desk.door, fail=fail) as running:
        client = await running.client()
        assert (await client.post("/Plugin.Activate")).body == b'{"Implements":["NetworkDriver","IpamDriver"]}'
        answer = await client.post("/IpamDriver.RequestAddress", b'{"PoolID":"p-1","Address":"","Options":null}\n')
        assert (answer.status, answer.body) == (200, b'{"Address":"10.32.0.2/24","Data":{}}')
        assert (await client.post("/IpamDriver.RequestAddress")).status == 400


def test_the_servers_own_refusals_have_both_keys() -> None:
    """In one line, and not endless."""
    response: Response = fail(400, "x\ny" * 10_000)
    reply = json.loads(response.body)
    assert reply["Err"] == reply["Error"]
    assert len(reply["Err"]) == 1000
    assert "\n" not in reply["Err"]
