"""A network plugin as a driver: what it is told, what is believed of its answers, how it is told of ends.

The cases are those of libnetwork/drivers/remote/driver_test.go, and of what its driver does with each answer.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.plugins.client import Unreachable
from mooring.adapters.plugins.network_driver import RemoteDriver
from mooring.core.endpoints import Attachment
from mooring.core.faults import Conflict, Fault, Unavailable
from mooring.core.networks import NULL_IPAM, StaticRoute
from mooring.core.port_bindings import Protocol
from mooring.core.requests import EndpointGrant, JoinRequest, NetworkSpec, SubnetSpec
from tests.adapters.plugins.fakes import Asked, FakePlugin, Script, always, line, replies, reply
from tests.adapters.plugins.samples import BARE, EXPOSED, KEY, MAC, PORT_MAP, PORTS, E, N, endpoint, network

IDS = {"NetworkID": N, "EndpointID": E}
EMPTY = {"Address": "", "AddressIPv6": "", "MacAddress": ""}


@asynccontextmanager
async def remote(folder: Path, script: Script, checks: bool = False) -> AsyncIterator[tuple[RemoteDriver, FakePlugin]]:
    """A driver of the plugin."""
    async with line(folder, script) as to:
        yield RemoteDriver(to.client, checks), to.plugin


def test_the_driver_says_how_it_is_to_be_treated() -> None:
    """It must hear of every end, publishes by itself, and its interfaces go back to the host."""
    assert (RemoteDriver.remembers, RemoteDriver.forwards, RemoteDriver.returns) == (True, False, True)


# Networks.


async def test_a_network_is_told_with_its_options_and_subnets(tmp_path: Path) -> None:
    """The user's options under their own key, families as booleans, `internal` only when it is."""
    options: dict[str, Any] = {
        "com.docker.network.enable_ipv4": True,
        "com.docker.network.enable_ipv6": True,
        "com.docker.network.generic": {"parent": "eth1"},
    }
    addresses = {"Pool": "10.9.0.0/24", "Gateway": "10.9.0.1/24", "AuxAddresses": {"printer": "10.9.0.5/24"}}
    ipv4 = [{"AddressSpace": "s", **addresses}]
    ipv6 = [{"AddressSpace": "s", "Pool": "fd09::/64"}]
    async with remote(tmp_path, replies()) as (driver, plugin):
        await driver.create_network(network())
        await driver.create_network(network(internal=True))
        told = [asked.json for asked in plugin.asked]
    assert told[0] == {"NetworkID": N, "Options": options, "IPv4Data": ipv4, "IPv6Data": ipv6}
    assert told[1]["Options"] == {**options, "com.docker.network.internal": True}


async def test_a_network_without_addresses_has_everything(tmp_path: Path) -> None:
    """With the null IPAM driver, as libnetwork tells it: the plugin chooses."""
    async with remote(tmp_path, replies()) as (driver, plugin):
        await driver.create_network(network(segments=False, ipam=NULL_IPAM))
        told = plugin.asked[0].json
    assert told["IPv4Data"] == [{"AddressSpace": "null", "Pool": "0.0.0.0/0"}]
    assert told["Options"]["com.docker.network.enable_ipv4"] is True
    assert told["Options"]["com.docker.network.enable_ipv6"] is False


async def test_a_network_that_the_plugin_refuses_is_refused(tmp_path: Path) -> None:
    """With its text (TestDriverError)."""
    async with remote(tmp_path, always({"Err": "no parent"}, 500)) as (driver, _):
        with pytest.raises(Unavailable, match=r"^plugin p: no parent$"):
            await driver.create_network(network())


async def test_a_network_goes_with_the_endpoints_that_are_left(tmp_path: Path) -> None:
    """The plugin hears of each."""
    async with remote(tmp_path, replies()) as (driver, plugin):
        await driver.delete_network(network(), [endpoint()])
        assert [(asked.method, asked.json) for asked in plugin.asked] == [
            ("NetworkDriver.DeleteEndpoint", IDS),
            ("NetworkDriver.DeleteNetwork", {"NetworkID": N}),
        ]


async def test_gateways_are_asked_about_where_the_plugin_wants_it(tmp_path: Path) -> None:
    """GwAllocCheck, only with its capability; what it skips is not wanted."""
    spec = NetworkSpec("web", "p", (SubnetSpec(4),), internal=True, options={"a": "b"})
    async with remote(tmp_path, replies(GwAllocCheck={"SkipIPv4": True}), checks=True) as (driver, plugin):
        assert await driver.wants_gateways(spec) == (False, True)
        assert plugin.asked[0].json["Options"] == {
            "com.docker.network.enable_ipv4": True,
            "com.docker.network.enable_ipv6": False,
            "com.docker.network.generic": {"a": "b"},
            "com.docker.network.internal": True,
        }
    async with remote(tmp_path, replies()) as (driver, plugin):
        assert await driver.wants_gateways(spec) == (True, True)
        assert plugin.asked == []


# Endpoints.


async def test_an_endpoint_is_told_with_what_it_has(tmp_path: Path) -> None:
    """Addresses with lengths, the MAC as text and as base64, ports, and its own options beside them."""
    async with remote(tmp_path, replies()) as (driver, plugin):
        made = endpoint(ports=PORTS, options={"com.docker.network.endpoint.ifname": "web0"})
        assert await driver.create_endpoint(network(), made) == EndpointGrant()
        assert plugin.asked[0].method == "NetworkDriver.CreateEndpoint"
        assert plugin.asked[0].json == {
            **IDS,
            "Interface": {"Address": "10.9.0.2/24", "AddressIPv6": "fd09::2/64", "MacAddress": MAC},
            "Options": {
                "com.docker.network.endpoint.ifname": "web0",
                "com.docker.network.endpoint.macaddress": "AgAAAACq",
                "com.docker.network.endpoint.exposedports": EXPOSED,
                "com.docker.network.portmap": PORT_MAP,
            },
        }


async def test_an_endpoint_that_has_nothing_is_told_so(tmp_path: Path) -> None:
    """Empty texts, no options."""
    async with remote(tmp_path, replies()) as (driver, plugin):
        assert await driver.create_endpoint(network(), BARE) == EndpointGrant()
        assert plugin.asked[0].json == {**IDS, "Interface": EMPTY, "Options": {}}


@pytest.mark.parametrize("interface", [None, {}, EMPTY, {"Address": None}])
async def test_an_answer_may_say_nothing(tmp_path: Path, interface: object) -> None:
    """Whatever was given (TestMissingValues)."""
    async with remote(tmp_path, replies(CreateEndpoint={"Interface": interface})) as (driver, plugin):
        assert await driver.create_endpoint(network(), endpoint()) == EndpointGrant()
        assert await driver.create_endpoint(network(), BARE) == EndpointGrant()
        assert plugin.methods == ["CreateEndpoint"] * 2


V4, V6 = IPv4Interface("10.9.0.7/24"), IPv6Interface("fd09::7/64")


@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        (
            {"Address": "10.9.0.7/24", "AddressIPv6": "fd09::7/64", "MacAddress": "02-00-00-00-00-BB"},
            EndpointGrant(V4, V6, "02:00:00:00:00:bb"),
        ),
        ({"Address": "fd09::7/64"}, EndpointGrant(None, V6)),
        ({"Address": "fd09::7/64", "AddressIPv6": "10.9.0.7/24"}, EndpointGrant(V4, V6)),
        ({"address": "10.9.0.7/24", "new": 1}, EndpointGrant(V4)),
    ],
)
async def test_what_was_left_open_is_the_plugins_choice(
    tmp_path: Path, interface: object, expected: EndpointGrant
) -> None:
    """An address counts by its own family, wherever it stands; case and unknown fields do not matter."""
    async with remote(tmp_path, replies(CreateEndpoint={"Interface": interface})) as (driver, plugin):
        assert await driver.create_endpoint(network(), BARE) == expected
        assert plugin.methods == ["CreateEndpoint"]


@pytest.mark.parametrize(
    ("interface", "reason"),
    [
        ({"Address": "10.9.0.2/24"}, "driver p modified the address 10.9.0.2/24"),
        ({"Address": "10.9.0.3/24"}, "it answered 10.9.0.3/24"),
        ({"AddressIPv6": "fd09::2/64"}, "modified the address fd09::2/64"),
        ({"AddressIPv6": "10.9.0.3/24"}, "modified the address 10.9.0.2/24"),
        ({"MacAddress": MAC}, f"modified the MAC {MAC}"),
    ],
)
async def test_what_was_given_must_not_come_back(tmp_path: Path, interface: object, reason: str) -> None:
    """Not even the same value; the plugin hears that the endpoint is gone (TestRollback)."""
    async with remote(tmp_path, replies(CreateEndpoint={"Interface": interface})) as (driver, plugin):
        with pytest.raises(Conflict, match=reason):
            await driver.create_endpoint(network(), endpoint())
        assert plugin.methods == ["CreateEndpoint", "DeleteEndpoint"]
        assert plugin.asked[1].json == IDS


@pytest.mark.parametrize(
    "interface",
    [
        {"Address": "10.9.0.7"},
        {"Address": "junk/24"},
        {"Address": "10.9.0.7/255.255.255.0"},
        {"AddressIPv6": "fe80::1%eth0/64"},
        {"MacAddress": "02:00"},
        {"MacAddress": "01:00:5e:00:00:01"},
    ],
)
async def test_a_choice_that_cannot_be_read_ends_the_endpoint(tmp_path: Path, interface: object) -> None:
    """DeleteEndpoint is sent; the fault names plugin and field."""
    async with remote(tmp_path, replies(CreateEndpoint={"Interface": interface})) as (driver, plugin):
        with pytest.raises(Unavailable, match=r"^plugin p: (Address|MacAddress)"):
            await driver.create_endpoint(network(), BARE)
        assert plugin.methods == ["CreateEndpoint", "DeleteEndpoint"]


async def test_two_addresses_of_one_family_are_one_too_many(tmp_path: Path) -> None:
    """An endpoint has one of each."""
    interface = {"Address": "10.9.0.7/24", "AddressIPv6": "10.9.0.8/24"}
    async with remote(tmp_path, replies(CreateEndpoint={"Interface": interface})) as (driver, plugin):
        with pytest.raises(Conflict, match=r"10\.9\.0\.7/24: it answered 10\.9\.0\.8/24"):
            await driver.create_endpoint(network(), BARE)
        assert plugin.methods == ["CreateEndpoint", "DeleteEndpoint"]


async def test_an_endpoint_that_the_plugin_refuses_was_never_there(tmp_path: Path) -> None:
    """Nothing is sent after it."""
    async with remote(tmp_path, replies(CreateEndpoint={"Err": "boom"})) as (driver, plugin):
        with pytest.raises(Unavailable, match="plugin p: boom"):
            await driver.create_endpoint(network(), endpoint())
        assert plugin.methods == ["CreateEndpoint"]


# Joining.


async def join(driver: RemoteDriver) -> Attachment:
    """With ports of the sandbox."""
    request = JoinRequest(KEY, ports=PORTS, exposed=((Protocol.TCP, 80), (Protocol.UDP, 53)))
    return await driver.join(network(), endpoint(), request)


async def test_a_join_tells_the_sandbox_and_its_ports(tmp_path: Path) -> None:
    """And takes interface, gateways and routes from the answer (TestRemoteDriver)."""
    answer = {
        "InterfaceName": {"SrcName": "vethsrc", "DstName": "unheard", "DstPrefix": "vethdst"},
        "Gateway": "10.9.0.1",
        "GatewayIPv6": "fd09::1",
        "StaticRoutes": [
            {"Destination": "10.0.0.0/8", "RouteType": 0, "NextHop": "10.9.0.9"},
            {"Destination": "fd0a::1/48", "RouteType": 1, "NextHop": "ignored"},
        ],
        "DisableGatewayService": True,
    }
    async with remote(tmp_path, replies(Join=answer)) as (driver, plugin):
        assert await join(driver) == Attachment(
            "vethsrc",
            "vethdst",
            ip_address("10.9.0.1"),
            ip_address("fd09::1"),
            (StaticRoute(ip_network("10.0.0.0/8"), ip_address("10.9.0.9")), StaticRoute(ip_network("fd0a::/48"), None)),
            gateway_service=False,
        )
        assert plugin.asked[0].json == {
            **IDS,
            "SandboxKey": KEY,
            "Options": {"com.docker.network.endpoint.exposedports": EXPOSED, "com.docker.network.portmap": PORT_MAP},
        }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, Attachment("", "eth", None, None, gateway_service=True)),
        (None, Attachment("", "eth", None, None, gateway_service=True)),
        ({"InterfaceName": {"SrcName": "v0"}}, Attachment("v0", "eth", None, None, gateway_service=True)),
        ({"InterfaceName": None, "StaticRoutes": None}, Attachment("", "eth", None, None, gateway_service=True)),
    ],
)
async def test_a_join_may_be_answered_with_little(tmp_path: Path, answer: object, expected: Attachment) -> None:
    """No interface is legal (TestMissingValues)."""
    async with remote(tmp_path, always(answer)) as (driver, plugin):
        assert await join(driver) == expected
        assert plugin.methods == ["Join"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"Gateway": "10.9.0.1/24"}, "Gateway 10.9.0.1/24 is not an IP address"),
        ({"Gateway": "fd09::1"}, "Gateway fd09::1 is not an IPv4 address"),
        ({"GatewayIPv6": "fe80::1%eth0"}, "GatewayIPv6 fe80::1%eth0 is not an IPv6 address without a zone"),
        ({"StaticRoutes": [{"Destination": "10.0.0.0"}]}, "Destination 10.0.0.0 has no prefix length"),
        ({"StaticRoutes": [{"Destination": "10.0.0.0/8"}]}, "the route to 10.0.0.0/8 has no next hop"),
        ({"StaticRoutes": [{"Destination": "10.0.0.0/8", "NextHop": "fd09::1"}]}, "NextHop fd09::1 is not an IPv4"),
        ({"StaticRoutes": [{"Destination": "10.0.0.0/8", "RouteType": 7}]}, "RouteType 7 is neither 0 nor 1"),
        ({"InterfaceName": {"SrcName": "../all"}}, "SrcName '../all' is not the name of an interface"),
        ({"InterfaceName": {"SrcName": "a" * 16}}, "of at most 15 bytes"),
        ({"InterfaceName": {"SrcName": "v0", "DstPrefix": "a b"}}, "DstPrefix 'a b' is not the name"),
    ],
)
async def test_a_join_whose_answer_cannot_be_read_is_left(tmp_path: Path, answer: object, reason: str) -> None:
    """Leave is sent once; nothing that is no name of an interface gets near the kernel."""
    async with remote(tmp_path, replies(Join=answer)) as (driver, plugin):
        with pytest.raises(Unavailable) as caught:
            await join(driver)
        assert reason in str(caught.value)
        assert plugin.methods == ["Join", "Leave"]
        assert plugin.asked[1].json == IDS


async def test_an_answer_that_cannot_be_undone_is_still_told(tmp_path: Path) -> None:
    """The first fault comes out, not that of the way back."""

    def script(asked: Asked) -> bytes | None:
        return reply({"Gateway": "x"}) if asked.method.endswith("Join") else None

    async with remote(tmp_path, script) as (driver, _):
        with pytest.raises(Unavailable, match="Gateway x"):
            await join(driver)


# Ports and information.


async def test_ports_are_told_when_the_endpoint_is_the_gateway(tmp_path: Path) -> None:
    """With what is wanted published, and taken back."""
    async with remote(tmp_path, replies()) as (driver, plugin):
        await driver.publish(network(), endpoint(ports=PORTS))
        await driver.unpublish(network(), endpoint(ports=PORTS))
        assert [asked.method for asked in plugin.asked] == [
            "NetworkDriver.ProgramExternalConnectivity",
            "NetworkDriver.RevokeExternalConnectivity",
        ]
        assert plugin.asked[0].json["Options"]["com.docker.network.portmap"] == PORT_MAP
        assert plugin.asked[1].json == IDS


async def test_a_plugin_that_publishes_nothing_may(tmp_path: Path) -> None:
    """404 is no error there; everything else is."""
    async with remote(tmp_path, always(b"404 page not found", 404)) as (driver, _):
        await driver.publish(network(), endpoint())
        await driver.unpublish(network(), endpoint())
    async with remote(tmp_path, always({"Err": "port taken"}, 409)) as (driver, _):
        with pytest.raises(Conflict, match="port taken"):
            await driver.publish(network(), endpoint())


async def test_operational_data_is_text(tmp_path: Path) -> None:
    """What is something else comes as JSON."""
    async with remote(tmp_path, replies(EndpointOperInfo={"Value": {"a": "b", "n": 1, "l": ["x"]}})) as (driver, _):
        assert await driver.info(network(), endpoint()) == {"a": "b", "n": "1", "l": '["x"]'}
    async with remote(tmp_path, replies()) as (driver, _):
        assert await driver.info(network(), endpoint()) == {}


# Ends.

ENDS: dict[str, Callable[[RemoteDriver], Awaitable[None]]] = {
    "DeleteNetwork": lambda driver: driver.delete_network(network(), ()),
    "DeleteEndpoint": lambda driver: driver.delete_endpoint(network(), endpoint()),
    "Leave": lambda driver: driver.leave(network(), endpoint()),
    "RevokeExternalConnectivity": lambda driver: driver.unpublish(network(), endpoint()),
}


@pytest.mark.parametrize("method", sorted(ENDS))
async def test_an_end_that_the_plugin_refuses_is_one(
    tmp_path: Path, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it answers; the log has it."""
    for status, document in ((200, {"Err": "refused"}), (500, b"refused"), (200, b""), (404, b"refused")):
        with caplog.at_level(logging.DEBUG):
            async with remote(tmp_path, always(document, status)) as (driver, plugin):
                await ENDS[method](driver)
                assert plugin.methods == [method]
        assert method in caplog.text
        caplog.clear()


@pytest.mark.parametrize("method", sorted(ENDS))
async def test_an_end_that_the_plugin_did_not_hear_of_is_none(tmp_path: Path, method: str) -> None:
    """Unavailable: it is to be told again."""
    async with remote(tmp_path, lambda _: None) as (driver, plugin):
        with pytest.raises(Unreachable):
            await ENDS[method](driver)
        assert plugin.methods == [method] * 5


async def test_every_call_of_a_silent_plugin_is_a_fault(tmp_path: Path) -> None:
    """Unavailable, whatever was asked."""
    async with remote(tmp_path, lambda _: None, checks=True) as (driver, _):
        calls: list[Awaitable[object]] = [
            driver.wants_gateways(NetworkSpec("web", "p")),
            driver.create_network(network()),
            driver.create_endpoint(network(), endpoint()),
            join(driver),
            driver.publish(network(), endpoint()),
            driver.info(network(), endpoint()),
        ]
        for call in calls:
            with pytest.raises(Fault):
                await call
