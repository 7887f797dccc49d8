"""A network plugin as a Driver, told in libnetwork's remote protocol (libnetwork/drivers/remote/driver.go).

Rules: what a plugin answers is believed only as far as it can be read, and a thing that was made with an answer that
cannot be is ended again; what was given to it is never changed by it; at the end of a thing an error of the plugin's is
logged and the thing is ended, but a plugin that was not reached must be told again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Interface, ip_address
from typing import Any

import msgspec

from mooring.adapters.plugins.client import PluginClient, Unreachable
from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.networks import NULL_IPAM, Address, Interface, Network, Segment, StaticRoute
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import EndpointGrant, JoinRequest, NetworkSpec
from mooring.ports import Driver
from mooring.wire import remote_api as api
from mooring.wire.remote_api import shown
from mooring.wire.remote_options import (
    EXPOSED_KEY,
    MAC_KEY,
    PORTS_KEY,
    encode_exposed,
    encode_mac,
    encode_network_options,
    encode_ports,
    parse_interface,
    parse_mac,
)

log = logging.getLogger(__name__)

# What libnetwork's null IPAM driver grants (libnetwork/ipams/null/null.go).
_NULL_DATA = [api.IpamData(NULL_IPAM, "0.0.0.0/0")]
_LINK_BYTES = 15  # IFNAMSIZ - 1
_PREFIX_BYTES = 12  # leaves room for a number


class RemoteDriver(Driver):
    """The network driver of a plugin that was activated. checks_gateways: it answers GwAllocCheck.

    Every method raises, besides what it says, the fault that the plugin told, and Unreachable when it told nothing.
    """

    remembers = True
    forwards = False
    returns = True

    def __init__(self, client: PluginClient, checks_gateways: bool = False) -> None:
        self.name = client.name
        self._client = client
        self._checks_gateways = checks_gateways

    async def wants_gateways(self, spec: NetworkSpec) -> tuple[bool, bool]:
        """Whether the network is to have a gateway address, for IPv4 and IPv6. GwAllocCheck."""
        if not self._checks_gateways:
            return True, True
        versions = {subnet.version for subnet in spec.subnets}
        options = encode_network_options(spec.options, spec.internal, ipv4=4 in versions, ipv6=6 in versions)
        reply = await self._client.call("NetworkDriver.GwAllocCheck", api.GatewayCheck(options))
        assert isinstance(reply, api.GatewayChecked)
        return not reply.skip_ipv4, not reply.skip_ipv6

    async def create_network(self, network: Network) -> None:
        """See Driver."""
        ipv4, ipv6 = [_data(segment) for segment in network.ipv4], [_data(segment) for segment in network.ipv6]
        if not network.segments and network.ipam == NULL_IPAM:
            ipv4 = _NULL_DATA
        options = encode_network_options(network.raw, network.internal, ipv4=bool(ipv4), ipv6=bool(ipv6))
        await self._client.call("NetworkDriver.CreateNetwork", api.NetworkCreation(network.id, options, ipv4, ipv6))

    async def delete_network(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """See Driver. The endpoints that are left are deleted first."""
        for endpoint in endpoints:
            await self.delete_endpoint(network, endpoint)
        await self._end("DeleteNetwork", api.NetworkReference(network.id))

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:
        """See Driver. Raises Conflict when the plugin wants other addresses or another MAC than were given."""
        options: dict[str, Any] = {**endpoint.options, **_port_options(endpoint.ports, _targets(endpoint))}
        if endpoint.mac:
            options[MAC_KEY] = encode_mac(endpoint.mac)
        given = api.EndpointInterface(_text(endpoint.ipv4), _text(endpoint.ipv6), endpoint.mac)
        reply = await self._client.call(
            "NetworkDriver.CreateEndpoint", api.EndpointCreation(network.id, endpoint.id, given, options)
        )
        assert isinstance(reply, api.EndpointCreated)
        try:
            return self._grant(endpoint, reply.interface or api.EndpointInterface())
        except Fault:
            await self._undo("DeleteEndpoint", network, endpoint)
            raise

    async def delete_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._end("DeleteEndpoint", api.EndpointReference(network.id, endpoint.id))

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:
        """See Driver. The interface is on the host, whatever the request says of the sandbox."""
        options = _port_options(request.ports, request.exposed)
        reply = await self._client.call(
            "NetworkDriver.Join", api.Joining(network.id, endpoint.id, request.key, options)
        )
        assert isinstance(reply, api.Joined)
        try:
            return self._attachment(reply)
        except Fault:
            await self._undo("Leave", network, endpoint)
            raise

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._end("Leave", api.EndpointReference(network.id, endpoint.id))

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver. A plugin that does not know the method (404) publishes nothing, which is its right."""
        options = _port_options(endpoint.ports, _targets(endpoint))
        message = api.ExternalConnectivity(network.id, endpoint.id, options)
        try:
            await self._client.call("NetworkDriver.ProgramExternalConnectivity", message)
        except NotFound as fault:
            log.debug("ports of endpoint %s are not published: %s", endpoint.id[:12], fault)

    async def unpublish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._end("RevokeExternalConnectivity", api.EndpointReference(network.id, endpoint.id))

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:
        """See Driver. What is not text comes as JSON."""
        reply = await self._client.call(
            "NetworkDriver.EndpointOperInfo", api.EndpointReference(network.id, endpoint.id)
        )
        assert isinstance(reply, api.EndpointInfo)
        return {
            key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for key, value in (reply.value or {}).items()
        }

    async def _end(self, method: str, message: api.Message) -> None:
        """The plugin has heard of it. libnetwork/endpoint.go and network.go log what it says, and go on."""
        try:
            await self._client.call(f"NetworkDriver.{method}", message)
        except Unreachable:
            raise
        except NotFound as fault:
            log.debug("%s: %s", method, fault)
        except Fault as fault:
            log.warning("%s, treated as done: %s", method, fault)

    async def _undo(self, method: str, network: Network, endpoint: Endpoint) -> None:
        """End what cannot be used; another fault is on its way, and this one must not hide it."""
        try:
            await self._end(method, api.EndpointReference(network.id, endpoint.id))
        except Unreachable as fault:
            log.warning("%s: endpoint %s may be left with the plugin: %s", method, endpoint.id[:12], fault)

    def _grant(self, endpoint: Endpoint, reply: api.EndpointInterface) -> EndpointGrant:
        """What the plugin chose; an address counts by its own family (libnetwork/endpoint_info.go, SetIPAddress)."""
        chosen: dict[int, Interface] = {}
        given = {4: endpoint.ipv4, 6: endpoint.ipv6}
        for what, text in (("Address", reply.address), ("AddressIPv6", reply.address_ipv6)):
            if not text:
                continue
            interface = self._read(what, text)
            present = given[interface.version] or chosen.get(interface.version)
            if present is not None:
                raise self._modified("address", str(present), str(interface))
            chosen[interface.version] = interface
        mac = reply.mac_address
        if mac and endpoint.mac:
            raise self._modified("MAC", endpoint.mac, shown(mac))
        try:
            mac = parse_mac("MacAddress", mac) if mac else ""
        except BadRequest as fault:
            raise self._unreadable(fault) from fault
        ipv4, ipv6 = chosen.get(4), chosen.get(6)
        assert ipv4 is None or isinstance(ipv4, IPv4Interface)
        assert not isinstance(ipv6, IPv4Interface)
        return EndpointGrant(ipv4, ipv6, mac)

    def _attachment(self, reply: api.Joined) -> Attachment:
        name = reply.interface_name or api.InterfaceName()
        try:
            link = _link("SrcName", name.src_name, _LINK_BYTES) if name.src_name else ""
            prefix = _link("DstPrefix", name.dst_prefix, _PREFIX_BYTES) if name.dst_prefix else "eth"
            return Attachment(
                link,
                prefix,
                _gateway("Gateway", reply.gateway, 4),
                _gateway("GatewayIPv6", reply.gateway_ipv6, 6),
                tuple(_route(route) for route in reply.static_routes or ()),
                gateway_service=not reply.disable_gateway_service,
            )
        except BadRequest as fault:
            raise self._unreadable(fault) from fault

    def _read(self, what: str, text: str) -> Interface:
        try:
            return parse_interface(what, text)
        except BadRequest as fault:
            raise self._unreadable(fault) from fault

    def _unreadable(self, fault: BadRequest) -> Unavailable:
        return Unavailable(f"plugin {self.name}: {fault.what}")

    def _modified(self, what: str, given: str, other: str) -> Conflict:
        return Conflict(
            f"driver {self.name} modified the {what} {given}: it answered {other}, where none was asked for"
        )


def _data(segment: Segment) -> api.IpamData:
    length = segment.subnet.prefixlen
    auxiliary = {name: f"{address}/{length}" for name, address in segment.auxiliary.items()}
    return api.IpamData(segment.space, str(segment.subnet), _text(segment.gateway), auxiliary or None)


def _text(interface: Interface | None) -> str:
    return "" if interface is None else str(interface)


def _targets(endpoint: Endpoint) -> list[tuple[Protocol, int]]:
    """The container's ports that are wanted published."""
    return list(dict.fromkeys((port.protocol, port.port) for port in endpoint.ports))


def _port_options(ports: tuple[PortRequest, ...], exposed: Iterable[tuple[Protocol, int]]) -> dict[str, Any]:
    """Both lists, where they have anything."""
    options = {EXPOSED_KEY: encode_exposed(exposed), PORTS_KEY: encode_ports(ports)}
    return {key: value for key, value in options.items() if value}


def _link(what: str, text: str, most: int) -> str:
    """An interface's name as the kernel takes it (net/core/dev.c, dev_valid_name). Raises BadRequest."""
    bad = text in (".", "..") or not text.isprintable() or any(c in "/:" or c.isspace() for c in text)
    if bad or len(text.encode()) > most:
        raise BadRequest(f"{what} {shown(text)!r} is not the name of an interface of at most {most} bytes")
    return text


def _gateway(what: str, text: str, version: int) -> Address | None:
    """An address without a prefix length, None for "". Raises BadRequest."""
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise BadRequest(f"{what} {shown(text)} is not an IP address") from None
    if "%" in text or address.version != version:
        raise BadRequest(f"{what} {shown(text)} is not an IPv{version} address without a zone")
    return address


def _route(route: api.Route) -> StaticRoute:
    """Host bits are dropped; of a connected route the next hop does not count. Raises BadRequest."""
    destination = parse_interface("StaticRoutes: Destination", route.destination).network
    if route.route_type == api.CONNECTED:
        return StaticRoute(destination, None)
    if route.route_type != api.NEXT_HOP:
        raise BadRequest(f"StaticRoutes: RouteType {shown(str(route.route_type))} is neither 0 nor 1")
    via = _gateway("StaticRoutes: NextHop", route.next_hop, destination.version)
    if via is None:
        raise BadRequest(f"StaticRoutes: the route to {destination} has no next hop")
    return StaticRoute(destination, via)
