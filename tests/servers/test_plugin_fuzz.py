"""Arbitrary JSON at the plugin door: never a 500, a traceback or a call that a service cannot bear."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.servers.http import Request
from mooring.wire import remote_api as api
from tests.servers.doubles import Desk

# Names and values that occur in the protocol, so that the search gets past the first check.
DOCKER = "com.docker.network."
FIELDS = """NetworkID EndpointID PoolID Options Interface Address AddressIPv6 MacAddress Pool SubPool V6
    AddressSpace IPv4Data IPv6Data Gateway AuxAddresses SandboxKey Proto Port HostIP HostPort HostPortEnd DiscoveryType
    RequestAddressType"""
OPTIONS = ["generic", "internal", "portmap", "endpoint.exposedports", "endpoint.macaddress", "endpoint.name"]
WORDS = ["mode", "bridge", "routes", "tenant", "gateway"]
KEYS = st.sampled_from([*FIELDS.split(), *(DOCKER + option for option in OPTIONS), *WORDS])
TEXTS = st.text() | st.sampled_from(
    [
        "", "n1", "10.9.0.0/24", "10.9.0.1/24", "10.9.0.1", "0.0.0.0/28", "::/80", "fd09::/64", "fd09::1", "fe80::1%1",
        "02:00:00:00:00:aa", "AgAAAACq", "com.docker.network.gateway", "none", "null", "on", "999.9.9.9/99", "1/1/1",
    ]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=6),
    max_leaves=25,
)
IDS = st.fixed_dictionaries({"NetworkID": TEXTS, "EndpointID": TEXTS, "PoolID": TEXTS})
BODIES = st.dictionaries(KEYS, JSON, max_size=10) | st.builds(
    lambda ids, rest: {**ids, **rest}, IDS, st.dictionaries(KEYS, JSON, max_size=8)
)


def check(method: str, body: bytes) -> None:
    """The door's answer is JSON, of one line when it is a refusal, and never a 500."""
    desk = Desk()
    response = asyncio.run(desk.door(Request("POST", f"/{method}", "", body)))
    reply = json.loads(response.body)
    assert response.status in (200, 400, 403, 404), reply
    if response.status != 200:
        assert reply["Err"] == reply["Error"]
        assert reply["Err"].isprintable()
        assert desk.calls == []


@settings(deadline=None, max_examples=3 * settings().max_examples)
@given(st.sampled_from(sorted(api.METHODS)), BODIES)
def test_arbitrary_objects_never_break_the_door(method: str, body: dict[str, Any]) -> None:
    """Objects with the protocol's own names, and everything wrong in them."""
    check(method, json.dumps(body).encode())


@settings(deadline=None)
@given(
    st.sampled_from(sorted(api.METHODS)) | st.text(), JSON.map(lambda value: json.dumps(value).encode()) | st.binary()
)
def test_arbitrary_bytes_never_break_the_door(method: str, body: bytes) -> None:
    """Any method name, any JSON, any bytes."""
    check(method, body)
