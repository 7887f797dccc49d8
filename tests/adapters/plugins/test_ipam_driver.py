"""An IPAM plugin as a driver: what it is asked, which grants are honoured, how it hears of releases.

The cases are those of libnetwork/ipams/remote/remote_test.go, and of what its driver does with each answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.plugins.client import Unreachable
from mooring.adapters.plugins.ipam_driver import RemoteIpam
from mooring.core.faults import Conflict, Exhausted, Unavailable
from mooring.core.requests import AddressRequest, PoolGrant, PoolRequest, Role
from tests.adapters.plugins.fakes import FakePlugin, Script, always, line, replies

SUBNET = ip_network("10.9.0.0/24")
GATEWAY = "com.docker.network.gateway"
MAC = "02:00:00:00:00:aa"


@asynccontextmanager
async def remote(folder: Path, script: Script) -> AsyncIterator[tuple[RemoteIpam, FakePlugin]]:
    """A driver of the plugin."""
    async with line(folder, script) as to:
        yield RemoteIpam(to.client), to.plugin


def grants(**pool: Any) -> Script:
    """Grants pool P with the fields, and 10.9.0.2."""
    return replies(
        RequestPool={"PoolID": "P", "Pool": "10.9.0.0/24"} | pool,
        RequestAddress={"Address": "10.9.0.2/24"},
        GetDefaultAddressSpaces={"LocalDefaultAddressSpace": "local", "GlobalDefaultAddressSpace": "global"},
    )


async def test_the_default_space_is_the_local_one(tmp_path: Path) -> None:
    """It is asked for each time (TestGetDefaultAddressSpaces)."""
    async with remote(tmp_path, grants()) as (ipam, plugin):
        assert [await ipam.default_space() for _ in range(2)] == ["local", "local"]
        assert plugin.methods == ["GetDefaultAddressSpaces"] * 2
        assert plugin.asked[0].body == b""


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (PoolRequest("s", 4), {}),
        (PoolRequest("s", 4, SUBNET), {"Pool": "10.9.0.0/24"}),
        (
            PoolRequest("s", 4, SUBNET, range=ip_network("10.9.0.128/25"), options={"a": "b"}),
            {"Pool": "10.9.0.0/24", "SubPool": "10.9.0.128/25", "Options": {"a": "b"}},
        ),
        (PoolRequest("s", 4, length=24), {"Pool": "0.0.0.0/24"}),
        (PoolRequest("", 4), {"AddressSpace": "local"}),
    ],
)
async def test_a_pool_is_asked_for_as_it_is_wanted(tmp_path: Path, request_: PoolRequest, told: dict[str, Any]) -> None:
    """Subnet, range, options; nobody's space is the default one (TestRemoteDriver)."""
    async with remote(tmp_path, grants()) as (ipam, plugin):
        assert await ipam.request_pool(request_) == PoolGrant("P", SUBNET, None)
        expected = {"AddressSpace": "s", "Pool": "", "SubPool": "", "Options": {}, "V6": False}
        assert plugin.asked[-1].json == expected | told


async def test_a_pool_of_ipv6_is_asked_for_as_such(tmp_path: Path) -> None:
    """V6, and `::/80` for a length."""
    async with remote(tmp_path, grants(Pool="fd09::/80")) as (ipam, plugin):
        grant = await ipam.request_pool(PoolRequest("s", 6, length=80))
        assert grant.subnet == ip_network("fd09::/80")
        assert (plugin.asked[0].json["Pool"], plugin.asked[0].json["V6"]) == ("::/80", True)


async def test_the_gateway_may_come_with_the_pool(tmp_path: Path) -> None:
    """In the data; other data does not matter."""
    async with remote(tmp_path, grants(Data={GATEWAY: "10.9.0.1/24", "x": "y"})) as (ipam, _):
        grant = await ipam.request_pool(PoolRequest("s", 4))
        assert grant.gateway == ip_interface("10.9.0.1/24")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Pool": ""}, "Pool  has no prefix length"),
        ({"Pool": "10.9.0.0"}, "has no prefix length"),
        ({"Pool": "10.9.0.0/255.255.255.0"}, "has no prefix length"),
        ({"Pool": "junk/8"}, "not an address"),
        ({"Pool": "10.8.0.0/24"}, "granted 10.8.0.0/24 where 10.9.0.0/24 was asked for"),
        ({"Pool": "fd09::/64"}, "granted fd09::/64 where 10.9.0.0/24"),
        ({"Data": {GATEWAY: "10.9.0.1"}}, "has no prefix length"),
        ({"Data": {GATEWAY: "10.8.0.1/24"}}, "gateway 10.8.0.1/24 is not in the subnet"),
    ],
)
async def test_a_pool_that_cannot_be_used_is_given_back(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    """Where dockerd loses it."""
    async with remote(tmp_path, grants(**fields)) as (ipam, plugin):
        with pytest.raises(Unavailable) as caught:
            await ipam.request_pool(PoolRequest("s", 4, SUBNET))
        assert str(caught.value).startswith("plugin p: ")
        assert reason in str(caught.value) or reason.startswith("Pool  ")
        assert plugin.methods == ["RequestPool", "ReleasePool"]
        assert plugin.asked[1].json == {"PoolID": "P"}


async def test_a_pool_without_an_id_cannot_be_given_back(tmp_path: Path) -> None:
    """It is refused, and there is nothing to say about it."""
    async with remote(tmp_path, grants(PoolID="")) as (ipam, plugin):
        with pytest.raises(Unavailable, match="a pool without an ID"):
            await ipam.request_pool(PoolRequest("s", 4))
        assert plugin.methods == ["RequestPool"]


# Addresses.


@pytest.mark.parametrize(
    ("request_", "address", "options"),
    [
        (AddressRequest("P", Role.GATEWAY), "", {"RequestAddressType": GATEWAY}),
        (AddressRequest("P", Role.GATEWAY, ip_address("10.9.0.2")), "10.9.0.2", {"RequestAddressType": GATEWAY}),
        (AddressRequest("P", Role.AUXILIARY, ip_address("10.9.0.2")), "10.9.0.2", None),
        (AddressRequest("P", Role.ENDPOINT), "", None),
        (
            AddressRequest("P", Role.ENDPOINT, mac=MAC, name="web"),
            "",
            {"com.docker.network.endpoint.macaddress": MAC, "com.docker.network.endpoint.name": "web"},
        ),
    ],
)
async def test_an_address_is_asked_for_with_what_is_known(
    tmp_path: Path, request_: AddressRequest, address: str, options: dict[str, str] | None
) -> None:
    """The type for gateways; MAC as text and name for endpoints; nothing for auxiliary addresses."""
    async with remote(tmp_path, grants()) as (ipam, plugin):
        assert await ipam.request_address(request_) == ip_interface("10.9.0.2/24")
        assert plugin.asked[0].json == {"PoolID": "P", "Address": address, "Options": options}


@pytest.mark.parametrize(
    ("granted", "wanted", "released"),
    [
        ("10.9.0.2", None, "10.9.0.2"),
        ("10.9.0.2/99", None, "10.9.0.2"),
        ("10.9.0.3/24", "10.9.0.2", "10.9.0.3"),
        ("", "10.9.0.2", "10.9.0.2"),
        ("", None, None),
        ("junk", None, None),
    ],
)
async def test_an_address_that_cannot_be_used_is_given_back(
    tmp_path: Path, granted: str, wanted: str | None, released: str | None
) -> None:
    """As far as it is known which it is."""
    async with remote(tmp_path, replies(RequestAddress={"Address": granted})) as (ipam, plugin):
        address = ip_address(wanted) if wanted else None
        with pytest.raises(Unavailable, match=r"^plugin p: "):
            await ipam.request_address(AddressRequest("P", Role.ENDPOINT, address))
        given_back = [asked.json for asked in plugin.asked[1:]]
        assert given_back == ([{"PoolID": "P", "Address": released}] if released else [])


async def test_a_refusal_has_the_plugins_text_and_kind(tmp_path: Path) -> None:
    """A full pool is known as such when the status says so, and nothing is given back."""
    async with remote(tmp_path, always({"Error": "full"}, 507)) as (ipam, plugin):
        with pytest.raises(Exhausted, match="plugin p: full"):
            await ipam.request_address(AddressRequest("P", Role.ENDPOINT))
        assert plugin.methods == ["RequestAddress"]
    async with remote(tmp_path, always({"Error": "overlaps"}, 409)) as (ipam, _):
        with pytest.raises(Conflict, match="plugin p: overlaps"):
            await ipam.request_pool(PoolRequest("s", 4))


# Releases.

ENDS: dict[str, Callable[[RemoteIpam], Awaitable[None]]] = {
    "ReleasePool": lambda ipam: ipam.release_pool("P"),
    "ReleaseAddress": lambda ipam: ipam.release_address("P", ip_address("10.9.0.2")),
}


@pytest.mark.parametrize("method", sorted(ENDS))
async def test_a_release_that_the_plugin_refuses_is_one(tmp_path: Path, method: str) -> None:
    """Whatever it answers, as dockerd has it."""
    for status, document in ((200, {}), (200, {"Error": "unknown"}), (500, b"unknown"), (404, b"unknown")):
        async with remote(tmp_path, always(document, status)) as (ipam, plugin):
            await ENDS[method](ipam)
            assert plugin.methods == [method]
    assert plugin.asked[0].json == {"PoolID": "P"} | ({"Address": "10.9.0.2"} if method == "ReleaseAddress" else {})


@pytest.mark.parametrize("method", sorted(ENDS))
async def test_a_release_that_the_plugin_did_not_hear_of_is_none(tmp_path: Path, method: str) -> None:
    """Unavailable: it is to be told again."""
    async with remote(tmp_path, lambda _: None) as (ipam, _):
        with pytest.raises(Unreachable):
            await ENDS[method](ipam)


async def test_a_grant_that_cannot_be_given_back_is_told_as_what_it_is(tmp_path: Path) -> None:
    """The first fault comes out, not that of the way back."""

    def script(asked: Any) -> bytes | None:
        return grants(Pool="junk")(asked) if asked.method.endswith("RequestPool") else None

    async with remote(tmp_path, script) as (ipam, _):
        with pytest.raises(Unavailable, match="junk"):
            await ipam.request_pool(PoolRequest("s", 4))
