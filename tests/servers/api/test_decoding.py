"""Requests read as arguments: each mistake has its line."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from mooring.core.faults import BadRequest
from mooring.core.filters import LeaseFilter, NetworkMode
from mooring.core.leases import State
from mooring.servers.api.decoding import arguments
from mooring.servers.api.resources import RESOURCES
from mooring.servers.api.routes import routes_of
from mooring.wire.api import Backup, FixFindings, Reserve

ROUTES = {route.name: route for resource in RESOURCES for route in routes_of(resource)}


def read(name: str, query: str = "", body: bytes = b"", **places: str) -> dict[str, Any]:
    """What the operation is called with."""
    return arguments(ROUTES[name], places, query, body)


def test_parameters_are_typed() -> None:
    """By the annotations of the struct; what is empty was not given."""
    assert read("leases") == {"query": LeaseFilter()}
    query = "pool=p&state=cooling&fixed=true&text=a%20b%26c&limit=5&space="
    assert read("leases", query) == {
        "query": LeaseFilter(pool="p", state=State.COOLING, fixed=True, text="a b&c", limit=5)
    }
    assert read("networks", "mode=null")["query"].mode is NetworkMode.NULL
    assert [read("pools", f"full={value}")["query"].full for value in ("1", "0", "")] == [True, False, None]
    assert read("lease", address="fd00::2") == {"address": ip_address("fd00::2")}


def test_a_parameter_is_called_as_others_call_it() -> None:
    """By the name on the wire, which may be none that Python has; one that must be there is missed."""
    found = arguments(ROUTES["allocate_ip"], {"ident": "db"}, "check-alive=true&wait=2", b"")
    assert (found["ident"], found["query"].check_alive, found["query"].wait) == ("db", True, 2.0)
    with pytest.raises(BadRequest, match="parameter check-alive is given twice"):
        arguments(ROUTES["allocate_ip"], {"ident": "db"}, "check-alive=true&check-alive=false", b"")
    with pytest.raises(BadRequest, match="parameter name must be given"):
        arguments(ROUTES["look_up_name"], {}, "", b"")


def test_bodies_are_typed() -> None:
    """One that needs nothing may be missing."""
    body = b'{"first": "10.0.0.1", "until": 5}'
    assert read("reserve", body=body) == {"body": Reserve("10.0.0.1", until=5.0)}
    assert read("fix_findings") == {"body": FixFindings()}
    assert read("backup", body=b'{"path": "/x"}') == {"body": Backup("/x")}


@pytest.mark.parametrize(
    ("name", "query", "words"),
    [
        ("status", "verbose=1", "parameter 'verbose' is not known; this path takes none"),
        (
            "leases",
            "stat=cooling",
            "known are pool, network, space, state, text, fixed, key, container, mac, limit, after",
        ),
        ("leases", "state=x", "parameter state is 'x'; known are gateway,"),
        ("leases", "pool=a&pool=b", "parameter pool is given twice"),
        ("leases", "pool", "the query is not of the form"),
        ("leases", "fixed=2", "parameter fixed is '2'; use 1 or 0"),
        ("leases", "limit=0", "parameter limit is '0'; use a number from 1 to 10000"),
        ("leases", "limit=10001", "use a number from 1 to 10000"),
        ("leases", "limit=null", "use a number from 1 to 10000"),
        ("networks", "mode=macvlan", "parameter mode is 'macvlan'; known are bridge, vxlan, handoff, null"),
        ("pools", "full=maybe", "parameter full is 'maybe'; use 1 or 0"),
        ("pools", "&".join(f"a{number}=1" for number in range(50)), "the query is not of the form"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(name: str, query: str, words: str) -> None:
    """With those that can."""
    with pytest.raises(BadRequest) as refused:
        read(name, query)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("status", b"{}", "a GET request has no body here"),
        ("fix_findings", b'{"fix": true}', "doctor: "),
        ("reserve", b"{}", "reserve: Object missing required field `first`; the body is {"),
        ("reserve", b'{"first": 5}', "reserve: Expected `str`, got `int`"),
        ("reserve", b'{"first": "10.0.0.1", "until": "x"}', "reserve: "),
        ("release", b'{"address": "10.0.0.1", "now": true}', "unknown field `now`"),
        ("hold", b'{"address": "10.0.0.1", "hold": 0}', "hold: the hold time must be more than 0 seconds"),
        ("hold", b'{"address": "10.0.0.1", "hold": 1e999}', "hold: "),
        ("fix_container", b'{"container": " "}', "fix: the container must not be empty"),
        ("backup", b"", "backup: "),
        ("backup", b"[]", "backup: "),
        ("backup", b"\xff", "backup: "),
        ("backup", b'{"path": "\\ud800"}', "backup: "),
        ("backup", b"[" * 100_000, "backup: "),
        ("backup", b'{"path": 5}', "backup: "),
        ("backup", b'{"path": "/x", "to": ""}', 'unknown field `to`; the body is {"path": "/root/mooring.db"}'),
        ("backup", b'{"path": "x"}', "backup: the path must be absolute"),
    ],
)
def test_a_body_that_cannot_be_is_refused_with_one_that_can(name: str, body: bytes, words: str) -> None:
    """One line, with the field."""
    with pytest.raises(BadRequest) as refused:
        read(name, body=body)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
