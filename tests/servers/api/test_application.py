"""The API's application: paths, methods, waiting, refusals, and pages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import unquote

import pytest

from mooring.core.faults import Conflict
from mooring.core.filters import Page
from mooring.core.networks import Network, NetworkOptions
from mooring.servers.api.application import BATCH, encoded
from mooring.servers.api.routes import Route, route
from tests.servers.api.asking import api
from tests.services.samples import START, WEB


@pytest.mark.parametrize(
    "target",
    [
        "/v1/version", "/v1/status", "/v1/networks", f"/v1/networks/{WEB}", "/v1/networks/10.32.0.0/24",
        "/v1/networks/10.32.0.0%2F24", "/v1/leases", "/v1/leases?space=tenant", "/v1/leases/10.32.0.2",
        "/v1/explain/10.32.0.2", "/v1/explain/fd00:32::ffff", "/v1/explain/db", "/v1/leases?fixed=1", "/v1/pools",
        "/v1/pools/p4", "/v1/pools/10.32.0.0/24", "/v1/doctor", "/v1/openapi.json", "/v1/problems/not-found",
    ],
)  # fmt: skip
async def test_every_question_has_an_answer_as_it_is_described(target: str) -> None:
    """200 and JSON of the described form; HEAD answers the same."""
    asked = await api()
    answer = await asked.get(target)
    assert answer.status == 200
    assert (await asked.ask("HEAD", target)).headers["content-type"] == answer.headers["content-type"]


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/", 404, "GET /v1/status"),
        ("/v1", 404, "known are GET /v1/version"),
        ("/v1/nothing", 404, "there is no path '/v1/nothing'; GET /v1/openapi.json tells which there are"),
        (
            "/v1/vnics/",
            404,
            "known are GET /v1/vnics, GET /v1/vnics/{vnic}, POST /v1/vnics/create, POST /v1/vnics/remove",
        ),
        ("/v1/networks/", 404, "there is no path"),
        ("/v1/explain/", 404, "there is no path"),
        ("/v1/pools/", 404, "there is no path"),
        ("/v1/leases/", 404, "there is no path"),
        ("/v1/status/", 404, "there is no path"),
        ("/v2/status", 404, "API version 'v2' is not supported; paths begin with /v1/"),
        ("*", 404, "there is no path"),
        ("/v1/networks/ffff", 404, "Mooring has no network 'ffff'"),
        ("/v1/networks/a/b/c", 404, "Mooring has no network 'a/b/c'"),
        ("/v1/networks/%00", 404, "Mooring has no network"),
        ("/v1/networks/%0a", 404, "there is no path"),
        ("/v1/leases/1.2.3.4", 404, "nothing holds 1.2.3.4"),
        ("/v1/leases/x", 400, "'x' is not an IP address"),
        ("/v1/leases/::ffff:127.0.0.1", 400, "is IPv4-mapped; write 127.0.0.1"),
        ("/v1/pools/none", 404, "there is no pool"),
        ("/v1/pools/p", 409, "2 pools have ids"),
        ("/v1/explain/nobody", 404, "nobody"),
        ("/v1/problems/none", 404, "known are bad-request"),
        ("/v1/leases?after=x", 400, "parameter after is 'x', where no page ends; use the Link header"),
        ("/v1/leases?after=WzEsMl0", 400, "where no page ends"),
        ("/v1/networks?subnet=10.0.0.1/8", 400, "is not a subnet"),
        ("/v1/networks?space=none", 404, "there is no address space 'none'"),
        ("/v1/pools?network=none", 404, "Mooring has no network 'none'"),
    ],
)
async def test_a_refusal_has_the_status_of_its_kind_and_says_what_to_write(
    target: str, status: int, words: str
) -> None:
    """A problem detail whose message is one line."""
    answer = await (await api()).get(target)
    assert (answer.status, words in answer.json["message"]) == (status, True), answer.json
    assert answer.json["type"] == f"/v1/problems/{answer.json['kind'].replace(' ', '-')}"


async def test_where_a_problem_leads_it_is_explained() -> None:
    """Its type is a path of the API."""
    asked = await api()
    problem = (await asked.get("/v1/networks/ffff")).json
    assert problem["title"] == "Not found"
    explained = (await asked.get(problem["type"])).json
    assert (explained["kind"], explained["status"]) == (problem["kind"], problem["status"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/status", "HEAD, GET"),
        ("GET", "/v1/backup", "POST"),
        ("GET", "/v1/leases/reserve", "POST"),
        ("PUT", "/v1/doctor", "HEAD, GET, POST"),
        ("OPTIONS", "/v1/networks/x", "HEAD, GET"),
    ],
)
async def test_another_method_is_told_those_there_are(method: str, path: str, allowed: str) -> None:
    """405 with Allow (RFC 9110, 15.5.6), and in the line."""
    answer = await (await api()).ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert f"{method} is not possible on {path}; use " in answer.json["message"]
    assert answer.json["kind"] == "bad request"


async def test_a_question_waits_until_the_records_are_loaded() -> None:
    """It is queued, not refused; a question that can never be answered is refused at once."""
    loaded = asyncio.Event()

    async def wait(_: Route) -> None:
        await loaded.wait()

    asked = await api(wait=wait)
    assert (await asked.get("/v1/nothing")).status == 404
    assert (await asked.get("/v1/leases?state=odd")).status == 400
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(asked.get("/v1/status"))
        await asyncio.sleep(0)
        assert not waiting.done()
        loaded.set()
    assert waiting.result().status == 200


async def test_a_fault_of_the_wait_is_an_answer() -> None:
    """Whatever refuses, the client reads it."""

    async def wait(_: Route) -> None:
        raise Conflict("no")

    assert (await (await api(wait=wait)).get("/v1/status")).status == 409


@pytest.mark.parametrize("path", ["/v1/networks", "/v1/pools", "/v1/leases"])
async def test_pages_are_the_list(path: str) -> None:
    """Page after page, by the Link header alone, is the whole list in its order."""
    asked = await api()
    whole = (await asked.get(path)).json
    rows, target = [], f"{path}?limit=2"
    while target:
        answer = await asked.get(target)
        assert 0 < len(answer.json) <= 2
        rows += answer.json
        target, _, relation = answer.headers.get("link", "").partition(">")
        assert relation in ("", '; rel="next"')
        target = target.removeprefix("<")
    assert rows == whole


async def test_a_page_goes_on_where_the_one_before_ended_whatever_happened_meanwhile() -> None:
    """What came before it and what went is neither repeated nor hides what stays; filters go on holding."""
    asked = await api()
    one = Network("b" * 64, NetworkOptions(), False, (), (), START + 50)
    await asked.host.cache.commit(put=[one, replace(one, id="c" * 64, created=START + 60)])
    first = await asked.get("/v1/networks?limit=2&mode=bridge")
    assert "mode=bridge" in unquote(first.headers["link"])
    last = first.json[-1]["id"]
    await asked.host.cache.commit(put=[replace(one, id="a" * 64, created=START - 100)], delete=[one])
    left = (await asked.get(first.headers["link"].partition(">")[0][1:])).json
    whole = [row["id"] for row in (await asked.get("/v1/networks?mode=bridge")).json]
    assert last in {row["id"] for row in first.json}
    assert [row["id"] for row in left] == [each for each in whole if each == "c" * 64 and each not in first.json]


async def test_networks_of_one_moment_are_on_one_page_each() -> None:
    """Times that no decimal says exactly, and many that are the same: no row is on two pages, and none on no page."""
    one = Network("b" * 64, NetworkOptions(), False, (), (), START + 1 / 3)
    others = [replace(one, id=f"{number:064x}", created=START + number // 4 / 3) for number in range(12)]
    asked = await api(one, *others)
    rows, target = [], "/v1/networks?limit=1"
    while target:
        answer = await asked.get(target)
        rows += [row["id"] for row in answer.json]
        target = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert rows == [row["id"] for row in (await asked.get("/v1/networks")).json]
    assert len(rows) == len(set(rows)) == 15


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 3 * BATCH])
async def test_a_long_list_is_encoded_as_a_short_one(count: int) -> None:
    """In parts or at once: the same array."""
    rows = [f"row {number}" for number in range(count)]
    expected = "[" + ",".join(f'"{row}"' for row in rows) + "]\n"
    assert await encoded(rows) == await encoded(Page(rows)) == expected.encode()


async def test_the_first_resource_has_a_path_that_two_have() -> None:
    """So that a daemon in trouble answers for itself what it can."""
    from mooring.servers.api.application import application
    from tests.servers.api.asking import ask, ready

    class First:
        @route("GET", "/v1/x")
        async def one(self) -> str:
            """One."""
            return "first"

    class Second:
        @route("GET", "/v1/x")
        async def other(self) -> str:
            """Other."""
            return "second"

    assert (await ask(application([First(), Second], ready), "GET", "/v1/x")).body == b"first\n"


async def test_a_reply_may_be_text_or_nothing() -> None:
    """As Weave Net's API has it: an address as it is, and 204. What may wait is told when its client is gone."""
    from mooring.servers.api.application import application
    from tests.servers.api.asking import ask, ready

    class Words:
        @route("GET", "/v1/text")
        async def text(self, hung_up: asyncio.Event) -> str:
            """Text."""
            return f"there: {not hung_up.is_set()}"

        @route("PUT", "/v1/nothing")
        async def nothing(self) -> None:
            """Nothing."""

    answering = application([Words()], ready)
    said = await ask(answering, "GET", "/v1/text")
    assert (said.status, said.body, said.headers["content-type"]) == (
        200, b"there: True\n", "text/plain; charset=utf-8",
    )  # fmt: skip
    said = await ask(answering, "PUT", "/v1/nothing")
    assert (said.status, said.body) == (204, b"")
