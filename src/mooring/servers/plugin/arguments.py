"""What dockerd sends, as the services' values, and their answers as what dockerd reads.

Rules: text is parsed here, once, and refused here when it cannot be right whatever the state; a refusal is a BadRequest
that names the field; what dockerd says with a prefix length comes out with it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.addresses import parse_address
from mooring.core.endpoint_options import SUBNET, parse_endpoint_options
from mooring.core.endpoints import Attachment
from mooring.core.faults import BadRequest
from mooring.core.networks import GatewayMode, Mode
from mooring.core.options import parse_ipam_options, parse_network_options, parse_subnet, shown
from mooring.core.requests import (
    AddressRequest,
    EndpointGrant,
    EndpointRequest,
    NetworkRequest,
    PoolGrant,
    PoolRequest,
    Role,
    SegmentRequest,
)
from mooring.wire import remote_api as api
from mooring.wire.remote_options import (
    MAC_KEY,
    decode_mac,
    exposed_ports,
    network_options,
    parse_interface,
    parse_mac,
    port_requests,
)

LOCAL_SPACE = "default"
GLOBAL_SPACE = "global"
# dockerd sends 64 hexadecimal digits, and 25 letters and digits in a swarm.
ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
# Ours are shorter; those of other drivers and of older versions come as well, when dockerd gives up old networks.
POOL_ID = re.compile(r"[!-~]{1,256}")
SPACE = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,62}")
CONTAINER_NAME = re.compile(r"/?([0-9A-Za-z][0-9A-Za-z_.-]{0,254})")


def identifier(what: str, text: str) -> str:
    """The id of a network or an endpoint. Raises BadRequest."""
    if not ID.fullmatch(text):
        raise BadRequest(f"{what} {shown(text)} is not an id" if text else f"{what} is empty")
    return text


def pool_id(text: str) -> str:
    """A PoolID, perhaps not one of ours. Raises BadRequest."""
    if not POOL_ID.fullmatch(text):
        raise BadRequest(f"PoolID {shown(text)} is not the id of a pool" if text else "PoolID is empty")
    return text


def sandbox(text: str) -> str:
    """A sandbox key: a path, which may not exist yet. Raises BadRequest."""
    if len(text) > 4096 or not text.isprintable():
        raise BadRequest(f"SandboxKey {shown(text)} is not a path")
    return text


def pair(network_id: str, endpoint_id: str) -> tuple[str, str]:
    """The two ids of an endpoint. Raises BadRequest."""
    return identifier("NetworkID", network_id), identifier("EndpointID", endpoint_id)


def pool_request(query: api.PoolQuery) -> PoolRequest:
    """RequestPool. Raises BadRequest.

    `0.0.0.0/28` and `::/80` ask for any subnet of that length, as with Docker's own IPAM driver (29 and up).
    """
    options = parse_ipam_options(query.options or {})
    space = options.get("tenant") or query.address_space or LOCAL_SPACE
    if not SPACE.fullmatch(space):
        raise BadRequest(f"AddressSpace {shown(space)} is not the name of an address space")
    version = 6 if query.v6 else 4
    if not query.pool:
        if query.sub_pool:
            raise BadRequest(f"the range {shown(query.sub_pool)} needs a subnet that it is in", hint="add --subnet")
        return PoolRequest(space, version, options=options)
    subnet = parse_subnet("subnet", query.pool)
    if subnet.version != version:
        raise BadRequest(f"subnet {subnet} is IPv{subnet.version}, but an IPv{version} pool is asked for")
    if subnet.network_address.is_unspecified:
        if subnet.prefixlen == 0:
            raise BadRequest(f"subnet {subnet} is everything, which is not a pool")
        if query.sub_pool:
            raise BadRequest(f"subnet {subnet} means any of that length, so that it has no range yet")
        return PoolRequest(space, version, length=subnet.prefixlen, options=options)
    if not query.sub_pool:
        return PoolRequest(space, version, subnet, options=options)
    part = parse_subnet("range", query.sub_pool)
    if part.version != version or not (part.network_address in subnet and part.broadcast_address in subnet):
        raise BadRequest(f"range {part} is not in the subnet {subnet}")
    return PoolRequest(space, version, subnet, range=part, options=options)


def pool_answer(grant: PoolGrant) -> api.PoolAnswer:
    """RequestPool's reply; a gateway in it saves dockerd a call."""
    data = {} if grant.gateway is None else {api.GATEWAY_KEY: str(grant.gateway)}
    return api.PoolAnswer(grant.pool, str(grant.subnet), data)


def address_request(query: api.AddressQuery) -> AddressRequest:
    """RequestAddress. Raises BadRequest.

    Since we require MACs, every request for an endpoint bears one; an address without is one of --aux-address.
    """
    options = query.options or {}
    kind = options.get(api.ADDRESS_TYPE_KEY, "")
    if kind not in ("", api.GATEWAY_KEY):
        raise BadRequest(f"{api.ADDRESS_TYPE_KEY} {shown(kind)} is not known")
    address = parse_address(query.address, "Address") if query.address else None
    text = options.get(MAC_KEY, "")
    mac = parse_mac(MAC_KEY, text) if text else ""
    name = options.get(api.NAME_KEY, "")
    if name:
        match = CONTAINER_NAME.fullmatch(name)
        if match is None:
            raise BadRequest(f"{api.NAME_KEY} {shown(name)} is not a container's name")
        name = match[1]
    if kind:
        role = Role.GATEWAY
    elif address is not None and not mac and not name:
        role = Role.AUXILIARY
    else:
        role = Role.ENDPOINT
    return AddressRequest(pool_id(query.pool_id), role, address, mac, name)


def gateway_check(query: api.GatewayCheck) -> api.GatewayChecked:
    """GwAllocCheck: no gateway address is wanted where there will be no gateway. Raises BadRequest for bad options."""
    raw, internal = network_options(query.options)
    options = parse_network_options(raw, internal)
    none = not options.gateway or options.mode is Mode.NULL
    return api.GatewayChecked(
        skip_ipv4=none or options.gateway_mode4 is GatewayMode.ISOLATED,
        skip_ipv6=none or options.gateway_mode6 is GatewayMode.ISOLATED,
    )


def network_request(query: api.NetworkCreation) -> NetworkRequest:
    """CreateNetwork. Raises BadRequest, also for options that are refused."""
    raw, internal = network_options(query.options)
    ipv6 = tuple(_segment(data, 6) for data in query.ipv6_data or ())
    ipv4 = tuple(_segment(data, 4) for data in query.ipv4_data or ())
    parse_network_options(raw, internal, ipv6=bool(ipv6))
    return NetworkRequest(identifier("NetworkID", query.network_id), raw, internal, ipv4, ipv6)


def endpoint_request(query: api.EndpointCreation) -> EndpointRequest:
    """CreateEndpoint. Raises BadRequest, also for options that are refused."""
    network, endpoint = pair(query.network_id, query.endpoint_id)
    given = query.interface or api.EndpointInterface()
    ipv4 = parse_interface("Address", given.address) if given.address else None
    ipv6 = parse_interface("AddressIPv6", given.address_ipv6) if given.address_ipv6 else None
    if isinstance(ipv4, IPv6Interface):
        raise BadRequest(f"Address {ipv4} is not IPv4")
    if isinstance(ipv6, IPv4Interface):
        raise BadRequest(f"AddressIPv6 {ipv6} is not IPv6")
    asked = decode_mac(query.options)
    mac = parse_mac("MacAddress", given.mac_address) if given.mac_address else asked
    if asked and asked != mac:
        raise BadRequest(f"MacAddress {mac} and option {MAC_KEY} {asked} contradict each other")
    ports, options = port_requests(query.options), parse_endpoint_options(query.options or {})
    asked_for = {(port.protocol, port.port) for port in ports}
    exposed = tuple(each for each in dict.fromkeys(exposed_ports(query.options)) if each not in asked_for)
    subnets = (parse_subnet(SUBNET, options[SUBNET]),) if SUBNET in options else ()
    return EndpointRequest(network, endpoint, ipv4, ipv6, mac, ports, options, exposed=exposed, subnets=subnets)


def endpoint_created(request: EndpointRequest, grant: EndpointGrant) -> api.EndpointCreated:
    """CreateEndpoint's reply. dockerd refuses a value for what it had given itself, even the same one."""
    interface = api.EndpointInterface(
        str(grant.ipv4) if grant.ipv4 is not None and request.ipv4 is None else "",
        str(grant.ipv6) if grant.ipv6 is not None and request.ipv6 is None else "",
        "" if request.mac else grant.mac,
    )
    return api.EndpointCreated(interface if interface != api.EndpointInterface() else None)


def joined(attachment: Attachment) -> api.Joined:
    """Join's reply: gateways as plain addresses."""
    routes = [
        api.Route(str(route.destination), api.CONNECTED)
        if route.via is None
        else api.Route(str(route.destination), api.NEXT_HOP, str(route.via))
        for route in attachment.routes
    ]
    return api.Joined(
        api.InterfaceName(attachment.link, attachment.name, attachment.prefix),
        "" if attachment.gateway4 is None else str(attachment.gateway4),
        "" if attachment.gateway6 is None else str(attachment.gateway6),
        routes,
        not attachment.gateway_service,
    )


def _segment(data: api.IpamData, version: int) -> SegmentRequest:
    what = f"IPv{version}Data"
    subnet = parse_subnet(f"{what}: Pool", data.pool)
    gateway = parse_interface(f"{what}: Gateway", data.gateway) if data.gateway else None
    auxiliary = {
        name: parse_interface(f"{what}: AuxAddresses", text).ip for name, text in (data.aux_addresses or {}).items()
    }
    if subnet.version != version:
        raise BadRequest(f"{what}: Pool {subnet} is not IPv{version}")
    for address in (*([] if gateway is None else [gateway.ip]), *auxiliary.values()):
        if address not in subnet:
            raise BadRequest(f"{what}: {address} is not in the subnet {subnet}")
    if data.address_space and not SPACE.fullmatch(data.address_space):
        raise BadRequest(f"{what}: AddressSpace {shown(data.address_space)} is not the name of an address space")
    return SegmentRequest(data.address_space or LOCAL_SPACE, subnet, gateway, auxiliary)
