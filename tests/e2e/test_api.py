"""What programs ask of a daemon with a real engine: lists by pages and filters, changes, and the first question."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from mooring.client import Client, Conflict, NotFound
from tests.e2e.lab import Host
from tests.e2e.lab.connections import SocketConnection

V4, DUAL = ("--subnet", "10.77.0.0/24"), ("--subnet", "10.78.0.0/29", "--ipv6", "--subnet", "fd00:78::/64")


def ask(host: Host, target: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of a GET."""
    connection = SocketConnection(str(host.daemon.api_socket), 10)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, json.loads(answer.read())
    finally:
        connection.close()


def test_programs_ask_by_filters_and_pages(host: Host) -> None:
    """By what Docker calls things; a page leads to the next one, and all of them are the list."""
    client = Client(str(host.daemon.api_socket))
    web, back = host.create_network("web", *V4), host.create_network("back", *DUAL)
    first, second = (
        host.run_container(name, "--network", name_of) for name, name_of in (("one", "web"), ("two", "back"))
    )
    assert [row.id for row in client.networks(name="we")] == [web]
    assert [row.name for row in client.networks(subnet="10.78.0.0/29")] == ["back"]
    assert [row.subnet for row in client.pools(network="back")] == ["10.78.0.0/29", "fd00:78::/64"]
    assert {row.address for row in client.leases(container="two")} == set(host.addresses("two", "back"))
    assert {row.container for row in client.leases(container=first[:12])} == {first}
    (row,) = client.leases(container="one")
    assert [each.address for each in client.leases(mac=row.mac.upper())] == [row.address]
    whole, pages, target = [each.address for each in client.leases()], [], "/v1/leases?limit=2"
    while target:
        _, headers, rows = ask(host, target)
        pages += [each["address"] for each in rows]
        target = headers.get("link", "").partition(">")[0].removeprefix("<")
    assert pages == whole
    assert second in {each.container for each in client.leases(network=back)}


def test_a_full_pool_is_found(host: Host) -> None:
    """Before somebody meets it."""
    client = Client(str(host.daemon.api_socket))
    host.create_network("small", "--subnet", "10.79.0.0/30")
    assert client.pools(full=True) == []
    host.run_container("only", "--network", "small")
    assert [row.network_name for row in client.pools(full=True)] == ["small"]


def test_a_refusal_is_a_problem_and_the_description_is_served(host: Host) -> None:
    """Of a name that Docker has and Mooring has not, too."""
    status, headers, problem = ask(host, "/v1/networks/bridge")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert problem["detail"] == problem["message"]
    assert "its driver is bridge" in problem["detail"]
    assert ask(host, problem["type"])[2]["kind"] == problem["kind"] == "not found"
    OpenAPIV31SpecValidator(ask(host, "/v1/openapi.json")[2]).validate()
    with pytest.raises(NotFound, match="its driver is bridge"):
        Client(str(host.daemon.api_socket)).network("bridge")


def test_what_was_acknowledged_to_a_program_is_there_after_a_crash(host: Host) -> None:
    """A reservation over the API, and a daemon killed behind its answer."""
    client = Client(str(host.daemon.api_socket))
    host.create_network("web", *V4)
    assert client.reserve("10.77.0.9", whom="db", note="licence").changes
    host.daemon.kill9()
    host.daemon.start()
    (row,) = client.lease("10.77.0.9")
    assert (row.state, row.whom, row.note) == ("reserved", "db", "licence")
    with pytest.raises(Conflict):
        client.reserve("10.77.0.9", whom="other")
    client.release("10.77.0.9")


def test_the_first_question_holds_up_no_container(host: Host) -> None:
    """A daemon is asked by many at once before it has loaded what answers, and containers start meanwhile."""
    host.create_network("web", *V4)
    host.daemon.stop()
    host.daemon.start()
    client = Client(str(host.daemon.api_socket))
    with ThreadPoolExecutor(20) as threads:
        questions = [threads.submit(client.networks) for _ in range(20)]
        started = threads.submit(host.run_container, "first", "--network", "web")
        assert {each.result()[0].name for each in questions} == {"web"}
        assert started.result()
    assert client.leases(container="first")
