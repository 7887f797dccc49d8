"""The plugin door: each method asks one service for one thing, and answers as dockerd wants it."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Any

import pytest

from mooring.core.endpoints import Attachment
from mooring.core.faults import Conflict, NotFound
from mooring.core.networks import StaticRoute
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import (
    AddressRequest,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    PoolRequest,
    Role,
    SegmentRequest,
)
from mooring.wire import remote_api as api
from tests.servers.doubles import Desk, E, N

MAC = "02:42:0a:20:00:02"


@pytest.fixture
def desk() -> Desk:
    """A door."""
    return Desk()


# What is fixed.


async def test_activation_names_both_drivers(desk: Desk) -> None:
    """With no body, as engines send it; the daemon hears of it."""
    assert await desk.ok("Plugin.Activate") == {"Implements": ["NetworkDriver", "IpamDriver"]}
    assert desk.activations == 1


async def test_capabilities_are_local_with_macs_and_without_replay(desk: Desk) -> None:
    """Swarm is not served; gateways may be left out; what is durable needs no replay."""
    assert await desk.ok("NetworkDriver.GetCapabilities") == {
        "Scope": "local",
        "ConnectivityScope": "local",
        "GwAllocChecker": True,
    }
    assert await desk.ok("IpamDriver.GetCapabilities") == {"RequiresMACAddress": True, "RequiresRequestReplay": False}
    assert await desk.ok("IpamDriver.GetDefaultAddressSpaces") == {
        "LocalDefaultAddressSpace": "default",
        "GlobalDefaultAddressSpace": "global",
    }


async def test_discovery_is_heard_and_passed_over(desk: Desk) -> None:
    """Nodes of a swarm are nothing to us."""
    node = {"DiscoveryType": 1, "DiscoveryData": {"Address": "10.0.0.1", "BindAddress": "", "Self": True}}
    assert await desk.ok("NetworkDriver.DiscoverNew", node) == {}
    assert await desk.ok("NetworkDriver.DiscoverDelete", node) == {}


@pytest.mark.parametrize("method", ["NetworkDriver.AllocateNetwork", "NetworkDriver.FreeNetwork"])
async def test_swarm_networks_are_refused(desk: Desk, method: str) -> None:
    """With the reason."""
    status, text = await desk.refused(method, {"NetworkID": N})
    assert status == 403
    assert "swarm" in text


async def test_every_method_of_the_protocol_is_in_the_table(desk: Desk) -> None:
    """The table and the codecs agree."""
    assert desk.door.methods.keys() == api.METHODS.keys()


# RequestPool.


async def pool(desk: Desk, **fields: Any) -> PoolRequest:
    """What the service is asked for."""
    await desk.ok("IpamDriver.RequestPool", {"AddressSpace": "default"} | fields)
    request = desk.calls[-1][1]
    assert isinstance(request, PoolRequest)
    return request


async def test_a_pool_is_requested_as_the_user_wrote_it(desk: Desk) -> None:
    """Subnet, range, family and options."""
    request = await pool(desk, Pool="10.9.0.0/24", SubPool="10.9.0.128/25", Options={"gateway": "none"}, V6=False)
    assert request == PoolRequest(
        "default", 4, ip_network("10.9.0.0/24"), range=ip_network("10.9.0.128/25"), options={"gateway": "none"}
    )
    assert await pool(desk, Pool="fd09::/64", V6=True) == PoolRequest("default", 6, ip_network("fd09::/64"))
    assert await pool(desk, Pool="", V6=True, Options=None) == PoolRequest("default", 6)


async def test_an_unspecified_subnet_means_any_of_its_length(desk: Desk) -> None:
    """`0.0.0.0/28` and `::/80`, as Docker's own driver has it."""
    assert await pool(desk, Pool="0.0.0.0/28") == PoolRequest("default", 4, length=28)
    assert await pool(desk, Pool="::/80", V6=True) == PoolRequest("default", 6, length=80)


async def test_a_tenant_is_an_address_space(desk: Desk) -> None:
    """`--ipam-opt tenant=acme`."""
    assert (await pool(desk, Options={"tenant": "acme"})).space == "acme"
    assert (await pool(desk, Options={"mooring.tenant": "acme"})).space == "acme"
    assert (await pool(desk, AddressSpace="")).space == "default"


async def test_the_pools_gateway_comes_with_it(desk: Desk) -> None:
    """That saves dockerd a call; without one there is nothing to tell."""
    reply = await desk.ok("IpamDriver.RequestPool", {"Pool": "10.32.0.0/24"})
    assert reply == {"PoolID": "p-1", "Pool": "10.32.0.0/24", "Data": {"com.docker.network.gateway": "10.32.0.1/24"}}
    desk.ipam.gateway = None
    assert (await desk.ok("IpamDriver.RequestPool", {"Pool": "10.32.0.0/24"}))["Data"] == {}


# RequestAddress and releases.


async def address(desk: Desk, **fields: Any) -> AddressRequest:
    """What the service is asked for."""
    await desk.ok("IpamDriver.RequestAddress", {"PoolID": "p-1", "Address": ""} | fields)
    request = desk.calls[-1][1]
    assert isinstance(request, AddressRequest)
    return request


async def test_what_an_address_is_for_follows_from_the_request(desk: Desk) -> None:
    """Gateway by its type, auxiliary by having neither MAC nor name, an endpoint's otherwise."""
    gateway = {"RequestAddressType": "com.docker.network.gateway"}
    mac, name = {"com.docker.network.endpoint.macaddress": MAC.upper()}, {"com.docker.network.endpoint.name": "/web"}
    ip = ip_address("10.9.0.5")
    assert await address(desk, Options=gateway) == AddressRequest("p-1", Role.GATEWAY)
    assert await address(desk, Options=gateway, Address="10.9.0.5") == AddressRequest("p-1", Role.GATEWAY, ip)
    assert await address(desk, Options=None, Address="10.9.0.5") == AddressRequest("p-1", Role.AUXILIARY, ip)
    assert await address(desk, Options=mac) == AddressRequest("p-1", Role.ENDPOINT, None, MAC)
    assert await address(desk, Options=mac, Address="10.9.0.5") == AddressRequest("p-1", Role.ENDPOINT, ip, MAC)
    assert await address(desk, Options=name, Address="10.9.0.5") == AddressRequest("p-1", Role.ENDPOINT, ip, "", "web")
    assert await address(desk, Options={}) == AddressRequest("p-1", Role.ENDPOINT)


async def test_an_address_comes_with_the_pools_length(desk: Desk) -> None:
    """dockerd gives the interface that mask."""
    assert await desk.ok("IpamDriver.RequestAddress", {"PoolID": "p-1"}) == {"Address": "10.32.0.2/24", "Data": {}}


async def test_releases_are_passed_on_and_forgiving(desk: Desk) -> None:
    """Also for what is not known, of whatever form other drivers' ids have."""
    assert await desk.ok("IpamDriver.ReleaseAddress", {"PoolID": "p-1", "Address": "10.9.0.5"}) == {}
    assert await desk.ok("IpamDriver.ReleasePool", {"PoolID": "LocalDefault/10.9.0.0/24"}) == {}
    assert desk.calls == [
        ("release_address", "p-1", ip_address("10.9.0.5")),
        ("release_pool", "LocalDefault/10.9.0.0/24"),
    ]
    desk.ipam.fault = NotFound("no such pool")
    assert await desk.ok("IpamDriver.ReleasePool", {"PoolID": "p-9"}) == {}


# Networks.


def network(generic: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """A CreateNetwork as engine 28 sends it."""
    options = {"com.docker.network.enable_ipv4": True, "com.docker.network.generic": generic or {}}
    v4 = [
        {
            "AddressSpace": "default",
            "AuxAddresses": {"r": "10.9.0.5/24"},
            "Gateway": "10.9.0.1/24",
            "Pool": "10.9.0.0/24",
        }
    ]
    return {"NetworkID": N, "Options": options, "IPv4Data": v4, "IPv6Data": []} | fields


async def test_a_network_is_created_with_its_segments(desk: Desk) -> None:
    """Addresses without their lengths where they are addresses."""
    v6 = [{"AddressSpace": "default", "Pool": "fd09::/64"}]
    assert await desk.ok("NetworkDriver.CreateNetwork", network({"icc": "off"}, IPv6Data=v6)) == {}
    segment = SegmentRequest(
        "default", ip_network("10.9.0.0/24"), ip_interface("10.9.0.1/24"), {"r": ip_address("10.9.0.5")}
    )
    v6_segment = SegmentRequest("default", ip_network("fd09::/64"), None)
    assert desk.calls == [("create_network", NetworkRequest(N, {"icc": "off"}, False, (segment,), (v6_segment,)))]


async def test_an_internal_network_is_one(desk: Desk) -> None:
    """Null lists are none."""
    options = {"com.docker.network.internal": True, "com.docker.network.generic": None}
    await desk.ok("NetworkDriver.CreateNetwork", network(Options=options, IPv4Data=None, IPv6Data=None))
    assert desk.calls == [("create_network", NetworkRequest(N, {}, True, (), ()))]


async def test_bad_options_are_refused_before_anything_is_asked(desk: Desk) -> None:
    """Already at GwAllocCheck on engines that have it."""
    for method in ("NetworkDriver.CreateNetwork", "NetworkDriver.GwAllocCheck"):
        status, text = await desk.refused(method, network({"mode": "macvlan"}))
        assert (status, "not supported yet" in text) == (400, True)
    v6 = [{"AddressSpace": "default", "Pool": "fd09::/64"}]
    _, text = await desk.refused("NetworkDriver.CreateNetwork", network({"mtu": "1000"}, IPv6Data=v6))
    assert "IPv6 needs an MTU" in text
    assert desk.calls == []


@pytest.mark.parametrize(
    ("generic", "internal", "expected"),
    [
        ({}, False, (False, False)),
        ({"gateway": "none"}, False, (True, True)),
        ({"mode": "null"}, False, (True, True)),
        ({"gateway_mode6": "isolated"}, True, (False, True)),
    ],
)
async def test_no_gateway_address_is_wanted_where_there_is_none(
    desk: Desk, generic: dict[str, str], internal: bool, expected: tuple[bool, bool]
) -> None:
    """By option, by mode, and by family."""
    options = {"com.docker.network.generic": generic, "com.docker.network.internal": internal}
    reply = await desk.ok("NetworkDriver.GwAllocCheck", {"Options": options})
    assert (reply["SkipIPv4"], reply["SkipIPv6"]) == expected


async def test_deleting_is_passed_on_and_forgiving(desk: Desk) -> None:
    """A network that is not known is gone; one that cannot be deleted is told."""
    assert await desk.ok("NetworkDriver.DeleteNetwork", {"NetworkID": N}) == {}
    desk.networks.fault = NotFound("no such network")
    assert await desk.ok("NetworkDriver.DeleteNetwork", {"NetworkID": N}) == {}
    desk.networks.fault = Conflict("network has endpoints")
    assert await desk.refused("NetworkDriver.DeleteNetwork", {"NetworkID": N}) == (409, "network has endpoints")
    assert desk.calls == [("delete_network", N)] * 3


# Endpoints.


def endpoint(**fields: Any) -> dict[str, Any]:
    """A CreateEndpoint as engine 28 sends it."""
    interface = {"Address": "10.9.0.2/24", "AddressIPv6": "fd09::2/64", "MacAddress": MAC}
    return {"NetworkID": N, "EndpointID": E, "Interface": interface, "Options": {}} | fields


PORTS = {
    "com.docker.network.portmap": [{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 81, "HostPortEnd": 81}]
}


async def test_an_endpoint_is_created_with_what_docker_chose(desk: Desk) -> None:
    """The reply has nothing of what the request had, although the service says it."""
    assert await desk.ok("NetworkDriver.CreateEndpoint", endpoint(Options=PORTS)) == {}
    port = PortRequest(Protocol.TCP, 80, None, 81, 81)
    v4, v6 = IPv4Interface("10.9.0.2/24"), IPv6Interface("fd09::2/64")
    assert desk.calls == [("create_endpoint", EndpointRequest(N, E, v4, v6, MAC, (port,)))]


@pytest.mark.parametrize("interface", [None, {}, {"Address": "", "AddressIPv6": "", "MacAddress": ""}])
async def test_what_the_request_leaves_open_is_in_the_reply(desk: Desk, interface: object) -> None:
    """With another IPAM driver, or none."""
    reply = await desk.ok("NetworkDriver.CreateEndpoint", endpoint(Interface=interface))
    assert reply == {"Interface": {"Address": "10.32.0.2/24", "AddressIPv6": "", "MacAddress": "02:00:00:00:00:01"}}


async def test_a_mac_among_the_options_is_base64(desk: Desk) -> None:
    """It is the one of the interface; another one is a contradiction."""
    options = {"com.docker.network.endpoint.macaddress": "AgAAAACq"}
    interface = {"Address": "10.9.0.2/24"}
    assert await desk.ok("NetworkDriver.CreateEndpoint", endpoint(Interface=interface, Options=options)) == {}
    assert desk.calls[-1][1].mac == "02:00:00:00:00:aa"
    _, text = await desk.refused("NetworkDriver.CreateEndpoint", endpoint(Options=options))
    assert "contradict" in text


async def test_join_says_what_dockerd_is_to_do(desk: Desk) -> None:
    """Plain gateways, both kinds of routes, no second interface on docker_gwbridge."""
    routes = (
        StaticRoute(ip_network("10.0.0.0/8"), ip_address("10.9.0.9")),
        StaticRoute(ip_network("192.0.2.0/24"), None),
    )
    gateways = ip_address("10.9.0.1"), ip_address("fd09::1")
    desk.endpoints.attachment = Attachment("mrv1", "eth", *gateways, routes, name="lan0")
    body = {"NetworkID": N, "EndpointID": E, "SandboxKey": "/run/docker/netns/1", "Options": PORTS}
    assert await desk.ok("NetworkDriver.Join", body) == {
        "InterfaceName": {"SrcName": "mrv1", "DstName": "lan0", "DstPrefix": "eth"},
        "Gateway": "10.9.0.1",
        "GatewayIPv6": "fd09::1",
        "StaticRoutes": [
            {"Destination": "10.0.0.0/8", "RouteType": 0, "NextHop": "10.9.0.9"},
            {"Destination": "192.0.2.0/24", "RouteType": 1, "NextHop": ""},
        ],
        "DisableGatewayService": True,
    }
    assert desk.calls == [
        ("attach", N, E, JoinRequest("/run/docker/netns/1", ports=(PortRequest(Protocol.TCP, 80, None, 81, 81),)))
    ]


async def test_the_rest_of_an_endpoints_life_is_passed_on(desk: Desk) -> None:
    """Each call once, with both ids."""
    both = {"NetworkID": N, "EndpointID": E}
    await desk.ok("NetworkDriver.ProgramExternalConnectivity", both | {"Options": PORTS})
    apart = {"Options": PORTS | {"com.docker.network.driver.private.no_proxy_6to4": True}}
    await desk.ok("NetworkDriver.ProgramExternalConnectivity", both | apart)
    await desk.ok("NetworkDriver.RevokeExternalConnectivity", both)
    await desk.ok("NetworkDriver.Leave", both)
    await desk.ok("NetworkDriver.DeleteEndpoint", both)
    assert desk.calls == [
        ("publish", N, E, (PortRequest(Protocol.TCP, 80, None, 81, 81),), False),
        ("publish", N, E, (PortRequest(Protocol.TCP, 80, None, 81, 81),), True),
        ("unpublish", N, E),
        ("detach", N, E),
        ("delete_endpoint", N, E),
    ]
    assert await desk.ok("NetworkDriver.EndpointOperInfo", both) == {"Value": {"mooring.bridge": "mr-1"}}


async def test_teardown_of_the_unknown_succeeds_and_the_rest_does_not(desk: Desk) -> None:
    """dockerd gives up twice what it has; but a start with nothing behind it must fail.

    A 404 to ProgramExternalConnectivity would mean that the driver publishes no ports at all, and would be passed over.
    """
    both = {"NetworkID": N, "EndpointID": E}
    desk.endpoints.fault = NotFound("no such endpoint")
    for method in ("Leave", "DeleteEndpoint", "RevokeExternalConnectivity"):
        assert await desk.ok(f"NetworkDriver.{method}", both) == {}
    assert (await desk.refused("NetworkDriver.Join", both))[0] == 404
    assert (await desk.refused("NetworkDriver.ProgramExternalConnectivity", both))[0] == 500
    assert (await desk.refused("NetworkDriver.EndpointOperInfo", both | {"EndpointID": "gone"}))[0] == 404
