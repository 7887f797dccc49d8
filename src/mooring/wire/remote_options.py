"""What the options of the remote network protocol bear besides text: ports, MACs, the user's own options.

Rules: each value is read where it is needed and refused when it has a wrong type; keys are Docker's, from
libnetwork/netlabel/labels.go.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Any

import msgspec

from mooring.core.faults import BadRequest
from mooring.core.networks import Interface
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.wire.remote_api import shown

MAC_KEY = "com.docker.network.endpoint.macaddress"
PORTS_KEY = "com.docker.network.portmap"
IPV6_ELSEWHERE_KEY = "com.docker.network.driver.private.no_proxy_6to4"
EXPOSED_KEY = "com.docker.network.endpoint.exposedports"
GENERIC_KEY = "com.docker.network.generic"
INTERNAL_KEY = "com.docker.network.internal"
IPV4_KEY = "com.docker.network.enable_ipv4"
IPV6_KEY = "com.docker.network.enable_ipv6"

# The most ports that one container publishes, ranges counted port by port. Ranges for RTP have 10 001 to 20 001.
MOST_PORTS = 20480


def weight(options: Mapping[str, Any] | None) -> int:
    """About how many bytes of the options are ports, by which one may tell whether reading them takes long."""
    return 100 * sum(len(value) for value in (options or {}).values() if isinstance(value, list))


def network_options(options: Mapping[str, Any] | None) -> tuple[dict[str, str], bool]:
    """The user's options (`-o`), and whether the network is internal. Raises BadRequest for a wrong type.

    Other keys are the engine's own, of which the families that are enabled show in the data.
    """
    options = options or {}
    raw = _convert(GENERIC_KEY, options.get(GENERIC_KEY), dict[str, str] | None)
    return raw or {}, bool(_convert(INTERNAL_KEY, options.get(INTERNAL_KEY), bool | None))


def encode_network_options(raw: Mapping[str, str], internal: bool, *, ipv4: bool, ipv6: bool) -> dict[str, Any]:
    """The options of CreateNetwork and GwAllocCheck; `internal` is there only when it is true, as dockerd has it."""
    options: dict[str, Any] = {IPV4_KEY: ipv4, IPV6_KEY: ipv6, GENERIC_KEY: dict(raw)}
    if internal:
        options[INTERNAL_KEY] = True
    return options


class _Port(msgspec.Struct, frozen=True):
    """types.PortBinding and types.TransportPort of libnetwork/types/types.go."""

    Proto: int
    Port: int
    IP: str = ""
    HostIP: str = ""
    HostPort: int = 0
    HostPortEnd: int = 0


def port_requests(options: Mapping[str, Any] | None) -> tuple[PortRequest, ...]:
    """The port map among the options of CreateEndpoint, Join or ProgramExternalConnectivity, without repetitions.

    Raises BadRequest for a wrong type, protocol, port or address, for a range that ends before it begins, and for more
    than MOST_PORTS.
    """
    asked = (options or {}).get(PORTS_KEY)
    if isinstance(asked, list) and len(asked) > MOST_PORTS:
        raise BadRequest(
            f"the container publishes {len(asked)} ports; Mooring supports at most {MOST_PORTS} per container",
            hint="publish a smaller range, or run that container with --network host",
        )
    bindings = _convert(PORTS_KEY, (options or {}).get(PORTS_KEY), list[_Port] | None) or []
    return tuple(dict.fromkeys(_port_request(binding) for binding in bindings))


def ipv6_elsewhere(options: Mapping[str, Any] | None) -> bool:
    """Whether ProgramExternalConnectivity says that the sandbox has a gateway for each family (engines from 28 on).

    The key is the engine's own, for its bridge driver: not to serve IPv6 clients at an IPv4 address. Raises BadRequest
    for a wrong type.
    """
    return bool(_convert(IPV6_ELSEWHERE_KEY, (options or {}).get(IPV6_ELSEWHERE_KEY), bool | None))


def exposed_ports(options: Mapping[str, Any] | None) -> tuple[tuple[Protocol, int], ...]:
    """What the image exposes. It is not published by that. Raises BadRequest as port_requests."""
    ports = _convert(EXPOSED_KEY, (options or {}).get(EXPOSED_KEY), list[_Port] | None) or []
    return tuple((_protocol(EXPOSED_KEY, port.Proto), _in_range(EXPOSED_KEY, port.Port, 1)) for port in ports)


def encode_ports(ports: tuple[PortRequest, ...]) -> list[dict[str, Any]]:
    """The value of the port map that `port_requests` reads."""
    return [
        {
            "Proto": int(port.protocol),
            "IP": "",
            "Port": port.port,
            "HostIP": "" if port.host is None else str(port.host),
            "HostPort": port.first,
            "HostPortEnd": port.last,
        }
        for port in ports
    ]


def encode_exposed(ports: Iterable[tuple[Protocol, int]]) -> list[dict[str, int]]:
    """The value that `exposed_ports` reads."""
    return [{"Proto": int(protocol), "Port": port} for protocol, port in ports]


def decode_mac(options: Mapping[str, Any] | None) -> str:
    """The MAC among the options of CreateEndpoint, which Go writes as base64; "" when there is none.

    Raises BadRequest when it is not six octets.
    """
    value = (options or {}).get(MAC_KEY)
    if value is None or value == "":
        return ""
    try:
        octets = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) != 6:
        raise BadRequest(f"option {MAC_KEY} is not the base64 of six octets")
    return parse_mac(MAC_KEY, octets.hex(":"))


def encode_mac(mac: str) -> str:
    """As `decode_mac` reads it."""
    return base64.b64encode(bytes.fromhex(mac.replace(":", ""))).decode()


def parse_mac(what: str, text: str) -> str:
    """`aa:bb:cc:dd:ee:ff` in lower case. Raises BadRequest, naming `what`, for another form, a group or zero."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}", text):
        raise BadRequest(f"{what} {shown(text)} is not a MAC address of six octets")
    mac = text.lower().replace("-", ":")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise BadRequest(f"{what} {mac} is not the address of one interface")
    return mac


def parse_interface(what: str, text: str) -> Interface:
    """`10.0.0.1/24` as a value. Raises BadRequest, naming `what`: also without a prefix length, and for netmasks and
    zones."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit():
        raise BadRequest(f"{what} {shown(text)} has no prefix length")
    try:
        interface = ip_interface(text)
    except ValueError:
        raise BadRequest(f"{what} {shown(text)} is not an address with a prefix length") from None
    if "%" in address:
        raise BadRequest(f"{what} {shown(text)} has a zone, which an address in a subnet cannot have")
    return interface


def _port_request(binding: _Port) -> PortRequest:
    first = _in_range(PORTS_KEY, binding.HostPort, 0)
    last = _in_range(PORTS_KEY, binding.HostPortEnd, 0) or first
    if last < first or (last and not first):
        raise BadRequest(f"option {PORTS_KEY}: host ports {first}-{last} are not a range")
    protocol = _protocol(PORTS_KEY, binding.Proto)
    return PortRequest(protocol, _in_range(PORTS_KEY, binding.Port, 1), _host(binding.HostIP), first, last)


def _protocol(key: str, number: int) -> Protocol:
    try:
        return Protocol(number)
    except ValueError:
        raise BadRequest(f"option {key}: protocol {shown(str(number))} is not tcp, udp or sctp") from None


def _in_range(key: str, port: int, low: int) -> int:
    if not low <= port <= 65535:
        raise BadRequest(f"option {key}: {shown(str(port))} is not a port")
    return port


def _host(text: str) -> IPv4Address | IPv6Address | None:
    if not text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        raise BadRequest(f"option {PORTS_KEY}: {shown(text)} is not an IP address") from None


def _convert(key: str, value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRequest(f"option {key}: {shown(str(error), 200)}") from error
