"""A plugin that answers anything at all: what comes out is a value of the right kind or a Fault of one line."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.adapters.plugins import PluginClient, RemoteDriver, RemoteIpam
from mooring.core.endpoints import Attachment
from mooring.core.faults import Fault
from mooring.core.requests import AddressRequest, EndpointGrant, JoinRequest, NetworkSpec, PoolGrant, PoolRequest, Role
from mooring.wire import remote_api as api
from tests.adapters.plugins.fakes import always, line
from tests.adapters.plugins.samples import BARE, network

TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "10.9.0.2/24", "10.9.0.2", "fd09::2/64", "fd09::1", "02:00:00:00:00:bb", "eth0", "../x", "P", "0.0.0.0/0",
        "::/0", "10.9.0.1/24", "fe80::1%1/64", "10.9.0.0/24", "1/1", "local", "\x00", "\u2028",
    ]
)  # fmt: skip
FIELDS = st.sampled_from(
    [
        "Implements", "Scope", "GwAllocChecker", "Interface", "Address", "AddressIPv6", "MacAddress", "InterfaceName",
        "SrcName", "DstPrefix", "Gateway", "GatewayIPv6", "StaticRoutes", "Destination", "RouteType", "NextHop",
        "PoolID", "Pool", "Data", "Err", "Error", "SkipIPv4", "pool", "Value", "com.docker.network.gateway",
    ]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=10
)
BODIES = st.binary(max_size=50) | st.dictionaries(FIELDS, JSON, max_size=6).map(lambda lie: json.dumps(lie).encode())
ROUTES = st.lists(st.fixed_dictionaries({"Destination": TEXTS, "NextHop": TEXTS, "RouteType": st.integers(0, 2)}))
ANSWERS = BODIES | st.fixed_dictionaries(
    {
        "Interface": st.fixed_dictionaries({"Address": TEXTS, "AddressIPv6": TEXTS, "MacAddress": TEXTS}),
        "InterfaceName": st.fixed_dictionaries({"SrcName": TEXTS, "DstPrefix": TEXTS}),
        "Gateway": TEXTS,
        "GatewayIPv6": TEXTS,
        "StaticRoutes": ROUTES,
        "PoolID": TEXTS,
        "Pool": TEXTS,
        "Address": TEXTS,
        "Data": st.dictionaries(FIELDS, TEXTS),
        "Value": st.dictionaries(TEXTS, LEAVES),
    }
).map(lambda lie: json.dumps(lie).encode())


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(api.METHODS)), st.sampled_from([200, 200, 200, 404, 500, 299, 999]), BODIES)
def test_a_client_gets_a_reply_or_a_fault(
    tmp_path_factory: pytest.TempPathFactory, method: str, status: int, lie: bytes
) -> None:
    """Over a real socket: wrong types, wrong fields, no JSON at all."""

    async def ask(folder: Path) -> object:
        async with line(folder, always(lie, status)) as to:
            try:
                return await to.client.call(method, api.EndpointReference("n", "e"))
            except Fault as fault:
                return fault

    got = asyncio.run(ask(tmp_path_factory.getbasetemp()))
    assert isinstance(got, (Fault, api.METHODS[method][1]))
    assert str(got).isprintable() or not isinstance(got, Fault)


class Liar:
    """Stands for a PluginClient: decodes the same lie for every call."""

    name = "p"

    def __init__(self, lie: bytes) -> None:
        self._lie = lie

    async def call(self, method: str, request: api.Message | None = None) -> api.Message:
        """See PluginClient."""
        return api.decode_reply(method, 200, self._lie)


CALLS: dict[str, tuple[type, Callable[[RemoteDriver, RemoteIpam], Awaitable[object]]]] = {
    "wants_gateways": (tuple, lambda driver, ipam: driver.wants_gateways(NetworkSpec("w", "p"))),
    "create_endpoint": (EndpointGrant, lambda driver, ipam: driver.create_endpoint(network(), BARE)),
    "join": (Attachment, lambda driver, ipam: driver.join(network(), BARE, JoinRequest("/k"))),
    "info": (dict, lambda driver, ipam: driver.info(network(), BARE)),
    "leave": (type(None), lambda driver, ipam: driver.leave(network(), BARE)),
    "default_space": (str, lambda driver, ipam: ipam.default_space()),
    "request_pool": (PoolGrant, lambda driver, ipam: ipam.request_pool(PoolRequest("s", 4))),
    "request_address": (object, lambda driver, ipam: ipam.request_address(AddressRequest("P", Role.ENDPOINT))),
    "release_pool": (type(None), lambda driver, ipam: ipam.release_pool("P")),
}


@settings(deadline=None)
@given(st.sampled_from(sorted(CALLS)), ANSWERS)
def test_a_driver_gives_a_value_or_a_fault(name: str, lie: bytes) -> None:
    """Whatever is in the fields; nothing that it lets through has another type than it says."""
    logging.disable()
    kind, call = CALLS[name]
    client = cast("PluginClient", Liar(lie))

    async def ask() -> object:
        try:
            return await call(RemoteDriver(client, checks_gateways=True), RemoteIpam(client))
        except Fault as fault:
            return fault

    try:
        got = asyncio.run(ask())
    finally:
        logging.disable(logging.NOTSET)
    assert isinstance(got, (Fault, kind))
    assert str(got).isprintable() or not isinstance(got, Fault)
    if isinstance(got, EndpointGrant):
        assert isinstance(got.ipv4, IPv4Interface | None)
        assert isinstance(got.ipv6, IPv6Interface | None)
    if isinstance(got, Attachment):
        assert "/" not in got.link + got.prefix
