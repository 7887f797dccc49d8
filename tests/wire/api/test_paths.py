"""The API's paths, parameters and bodies, both ways."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.addresses import parse_address
from mooring.core.faults import BadRequest, Fault, NotFound
from mooring.core.leases import State
from mooring.wire import api

CALLS: list[api.Call] = [
    api.GetVersion(),
    api.GetStatus(),
    api.ListNetworks(),
    api.GetNetwork("1f6b2c"),
    api.ListLeases(),
    api.ListLeases("p", "n", "tenant", State.COOLING, "a b&c=d/ä"),
    api.GetLease(ip_address("10.32.0.2")),
    api.ListLeases(fixed=True),
    api.ListPools(),
    api.GetPool("3f9a"),
    api.GetPool("fd00:32::/64"),
    api.Reserve(ip_address("10.32.0.2"), ip_address("10.32.0.9")),
    api.Reserve(ip_address("fd00::2"), ip_address("fd00::2"), "tenant", "a=b,c!=d", "why / ä", 1e9, True),
    api.Release(ip_address("10.32.0.2")),
    api.Release(ip_address("10.32.0.2"), "tenant", True, True),
    api.Hold(ip_address("10.32.0.2")),
    api.Hold(ip_address("10.32.0.2"), "tenant", "db", 60.0, True),
    api.Explain("fd00::2"),
    api.Explain("compose:shop/db/1"),
    api.Explain("02:42:0a:20:00:02"),
    api.Examine(),
    api.Fix(),
    api.Fix(True),
    api.Backup("/root/x y.db"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_what_is_written_is_what_is_read(call: api.Call) -> None:
    """A call's request parses to the same call."""
    method, target, body = api.target_of(call)
    path, _, query = target.partition("?")
    assert api.parse(method, unquote(path), query, body) == call


@pytest.mark.parametrize(
    ("method", "target", "body", "fault", "words"),
    [
        ("GET", "/", b"", NotFound, "GET /v1/status"),
        ("GET", "/v1", b"", NotFound, "known are GET /v1/version"),
        ("GET", "/v1/nothing", b"", NotFound, "there is no path '/v1/nothing'"),
        ("GET", "/v1/networks/", b"", NotFound, "there is no path"),
        ("GET", "/v1/networks/a/b/c", b"", NotFound, "there is no path"),
        ("GET", "*", b"", NotFound, "there is no path"),
        ("GET", "/v2/status", b"", NotFound, "API version 'v2' is not supported; paths begin with /v1/"),
        ("POST", "/v1/status", b"", BadRequest, "POST is not possible on /v1/status; use GET"),
        ("GET", "/v1/backup", b"", BadRequest, "use POST"),
        ("GET", "/v1/status", b"{}", BadRequest, "a GET request has no body"),
        ("GET", "/v1/status?verbose=1", b"", BadRequest, "parameter 'verbose' is not known; this path takes none"),
        ("GET", "/v1/leases?stat=cooling", b"", BadRequest, "known are pool, network, space, state, text, fixed"),
        ("GET", "/v1/leases?state=x", b"", BadRequest, "'x' is not a state of a lease; known are gateway,"),
        ("GET", "/v1/leases?pool=a&pool=b", b"", BadRequest, "parameter pool is given twice"),
        ("GET", "/v1/leases?pool", b"", BadRequest, "the query is not of the form"),
        ("GET", "/v1/leases/db", b"", BadRequest, "'db' is not an IP address; write it as"),
        ("GET", "/v1/leases/::ffff:127.0.0.1", b"", BadRequest, "is IPv4-mapped; write 127.0.0.1"),
        ("GET", "/v1/explain/", b"", NotFound, "there is no path"),
        ("GET", "/v1/pools/", b"", NotFound, "there is no path"),
        ("GET", "/v1/pools/a/b/c", b"", NotFound, "there is no path"),
        ("GET", "/v1/leases?fixed=2", b"", BadRequest, "parameter fixed is '2'; use 1 or 0"),
        ("GET", "/v1/leases/reserve", b"", BadRequest, "GET is not possible on /v1/leases/reserve; use POST"),
        ("PUT", "/v1/doctor", b"", BadRequest, "use POST or GET"),
        ("POST", "/v1/doctor", b'{"fix": true}', BadRequest, "doctor: "),
        ("POST", "/v1/leases/reserve", b"{}", BadRequest, "reserve: "),
        ("POST", "/v1/leases/reserve", b'{"first": "db"}', BadRequest, "'db' is not an IP address"),
        ("POST", "/v1/leases/reserve", b'{"first": "10.0.0.1", "until": "x"}', BadRequest, "reserve: "),
        ("POST", "/v1/leases/release", b'{"address": "10.0.0.1", "now": true}', BadRequest, "unknown field `now`"),
        ("POST", "/v1/leases/hold", b'{"address": "10.0.0.1", "hold": 0}', BadRequest, "more than 0 seconds"),
        ("POST", "/v1/backup", b"", BadRequest, "backup: "),
        ("POST", "/v1/backup", b"[]", BadRequest, "backup: "),
        ("POST", "/v1/backup", b'{"path": 5}', BadRequest, "backup: "),
        ("POST", "/v1/backup", b'{"path": "/x", "to": ""}', BadRequest, "unknown field `to`"),
        ("POST", "/v1/backup", b'{"path": "x"}', BadRequest, "the path must be absolute"),
    ],
)
def test_what_is_not_served_is_refused(method: str, target: str, body: bytes, fault: type[Fault], words: str) -> None:
    """Each mistake has its kind, and its text says what to write instead."""
    path, _, query = target.partition("?")
    with pytest.raises(fault) as caught:
        api.parse(method, path, query, body)
    assert words in str(caught.value)


def test_a_subnet_in_place_of_an_address_is_told_apart() -> None:
    """The usual mistake has its own hint."""
    with pytest.raises(BadRequest, match="leave out the prefix length"):
        parse_address("10.32.0.0/24")


@given(st.text(), st.text(), st.text(), st.binary())
def test_no_request_is_a_surprise(method: str, path: str, query: str, body: bytes) -> None:
    """Whatever comes, it is a call or a fault of one line."""
    try:
        api.parse(method, f"/v1/{path}", query, body)
    except Fault as fault:
        assert "\n" not in str(fault)  # noqa: PT017  any call is as good as any fault


def test_the_list_of_routes_is_the_readme_of_the_door() -> None:
    """Every route that is served is in servers/api/README.md."""
    from importlib.resources import files

    page = files("mooring.servers.api").joinpath("README.md").read_text()
    assert [route for route in api.ROUTES if f"`{route}" not in page] == []
