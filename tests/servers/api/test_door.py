"""The API's door, request by request, and over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

import msgspec
import pytest

from mooring.core.faults import Conflict
from mooring.core.leases import State
from mooring.servers.api.door import ApiDoor, refuse
from mooring.servers.http import Request
from mooring.wire import api
from tests.services.samples import START, WEB, leased, sample


async def nothing() -> None:
    """Ready at once."""


async def door(wait: Callable[[], Awaitable[None]] = nothing) -> ApiDoor:
    """A door over the sample host."""
    host = await sample()
    return ApiDoor(host.operations, host.store.backup, wait)


def get(target: str) -> Request:
    """A GET request."""
    path, _, query = target.partition("?")
    return Request("GET", path, query, b"")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/v1/version", api.VersionReply),
        ("/v1/status", api.HostStatus),
        ("/v1/networks", list[api.NetworkRow]),
        (f"/v1/networks/{WEB}", api.NetworkDetail),
        ("/v1/leases", list[api.LeaseRow]),
        ("/v1/leases?space=tenant", list[api.LeaseRow]),
        ("/v1/leases/10.32.0.2", list[api.LeaseRow]),
        ("/v1/explain/10.32.0.2", api.Explanation),
        ("/v1/explain/fd00:32::ffff", api.Explanation),
        ("/v1/explain/db", api.Explanation),
        ("/v1/leases?fixed=1", list[api.LeaseRow]),
        ("/v1/pools", list[api.PoolRow]),
        ("/v1/pools/p4", list[api.PoolDetail]),
        ("/v1/pools/10.32.0.0/24", list[api.PoolDetail]),
        ("/v1/doctor", api.Diagnosis),
    ],
)
async def test_every_question_has_an_answer_of_its_type(target: str, kind: type) -> None:
    """200, JSON, and what comes back is read as the documented struct."""
    response = await (await door())(get(target))
    assert (response.status, response.content_type) == (200, "application/json")
    msgspec.json.decode(response.body, type=kind)


@pytest.mark.parametrize(
    ("target", "status", "kind"),
    [
        ("/v1/nothing", 404, "not found"),
        ("/v1/networks/ffff", 404, "not found"),
        ("/v1/leases/1.2.3.4", 404, "not found"),
        ("/v1/leases/x", 400, "bad request"),
        ("/v1/networks/%00", 404, "not found"),
        ("/v1/pools/none", 404, "not found"),
        ("/v1/pools/p", 409, "conflict"),
        ("/v1/explain/nobody", 404, "not found"),
    ],
)
async def test_a_refusal_has_the_status_of_its_kind(target: str, status: int, kind: str) -> None:
    """The body has the message and the kind, nothing else."""
    response = await (await door())(get(target))
    assert response.status == status
    error = json.loads(response.body)
    assert (set(error), error["kind"]) == ({"message", "kind"}, kind)


async def test_a_backup_is_written_once() -> None:
    """The store's copy is made at the path; a second one to the same file is a conflict."""
    host = await sample()
    answer = ApiDoor(host.operations, host.store.backup, nothing)
    request = Request("POST", "/v1/backup", "", b'{"path": "/tmp/copy.db"}')
    assert json.loads((await answer(request)).body) == {"path": "/tmp/copy.db"}
    assert list(host.store.backups) == ["/tmp/copy.db"]
    assert (await answer(request)).status == 409


@pytest.mark.parametrize(
    ("call", "address", "after"),
    [
        (api.Reserve(ip_address("10.32.0.20"), ip_address("10.32.0.20"), whom="x"), "10.32.0.20", "reserved for x"),
        (api.Release(ip_address("10.32.0.6")), "10.32.0.6", "free"),
        (api.Hold(ip_address("10.32.0.5"), key="db"), "10.32.0.5", "fixed for the key db (label mooring.key)"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_is_done_by_hand_is_told_before_and_after(
    call: api.Reserve | api.Release | api.Hold, address: str, after: str, dry_run: bool
) -> None:
    """Each change reaches its service and is answered with words; with dry_run the records stay as they were."""
    host = await sample()
    before = host.cache.revision
    method, target, body = api.target_of(replace(call, space="default", dry_run=dry_run))
    response = await ApiDoor(host.operations, host.store.backup, nothing)(Request(method, target, "", body))
    assert response.status == 200
    reply = msgspec.json.decode(response.body, type=api.ChangesReply)
    (change,) = reply.changes
    assert (change.address, reply.dry_run) == (address, dry_run)
    assert change.after.startswith(after)
    assert (host.cache.revision == before) is dry_run


async def test_the_doctor_is_asked_and_told_to_fix() -> None:
    """The same form answers both, with what was done and what is left."""
    host = await sample(leased("10.32.0.30", State.RESERVED, until=START + 10))
    answer = ApiDoor(host.operations, host.store.backup, nothing)
    found = msgspec.json.decode((await answer(get("/v1/doctor"))).body, type=api.Diagnosis)
    assert any("10.32.0.30 is still reserved" in finding.text for finding in found.findings)
    fixed = msgspec.json.decode((await answer(Request("POST", "/v1/doctor", "", b""))).body, type=api.Diagnosis)
    assert any("10.32.0.30 is still reserved" in line for line in fixed.done)
    assert not any("10.32.0.30" in finding.text for finding in fixed.findings)


async def test_a_question_waits_until_the_store_is_loaded() -> None:
    """It is queued, not refused; a question that can never be answered is refused at once."""
    loaded = asyncio.Event()

    async def wait() -> None:
        await loaded.wait()

    answer = await door(wait)
    assert (await answer(get("/v1/nothing"))).status == 404
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(answer(get("/v1/status")))
        await asyncio.sleep(0)
        assert not waiting.done()
        loaded.set()
    assert waiting.result().status == 200


async def test_a_fault_of_the_wait_is_an_answer() -> None:
    """Whatever refuses, the client reads it."""

    async def wait() -> None:
        raise Conflict("no")

    assert (await (await door(wait))(get("/v1/status"))).status == 409


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "bad request"), (413, "bad request"), (500, "unavailable"), (409, "conflict")]
)
def test_the_servers_own_refusals_look_the_same(status: int, kind: str) -> None:
    """A request that cannot be read at all is answered in the same form."""
    response = refuse(status, "malformed")
    assert (response.status, json.loads(response.body)) == (status, {"message": "malformed", "kind": kind})
