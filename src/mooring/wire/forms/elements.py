"""What several forms have in common: their base, values as text, routes and requests for ports.

Rules: see mooring.wire.forms; "" stands for what is not there.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from urllib.parse import unquote

import msgspec

from mooring.core.networks import Address, Interface, StaticRoute
from mooring.core.port_bindings import PortRequest, Protocol


class Stored(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="v"):
    """Text, numbers and lists only. A field more or less is a new version."""


def id_of(key: str) -> str:
    """The last part of the key."""
    return unquote(key.rpartition("/")[2])


def text_of(value: object | None) -> str:
    """The value as text, "" for None."""
    return "" if value is None else str(value)


def address_of(text: str) -> Address | None:
    """The address, None for "". Raises ValueError, as those below do."""
    return ip_address(text) if text else None


def v4_of(text: str) -> IPv4Address | None:
    """The IPv4 address, None for ""."""
    return IPv4Address(text) if text else None


def v6_of(text: str) -> IPv6Address | None:
    """The IPv6 address, None for ""."""
    return IPv6Address(text) if text else None


def interface_of(text: str) -> Interface | None:
    """The address with its prefix length, None for ""."""
    return ip_interface(text) if text else None


class RouteV1(Stored, tag="RouteV1"):
    """A static route; via "" is on-link."""

    destination: str
    via: str = ""

    def value(self) -> StaticRoute:
        """The route as core knows it."""
        return StaticRoute(ip_network(self.destination), address_of(self.via))


def route_form(route: StaticRoute) -> RouteV1:
    """The newest form of a route."""
    return RouteV1(destination=str(route.destination), via=text_of(route.via))


class PortRequestV1(Stored, tag="PortRequestV1"):
    """A port that a container asked for; host "" is every address of the host."""

    protocol: Protocol
    port: int
    host: str = ""
    first: int = 0
    last: int = 0

    def value(self) -> PortRequest:
        """The request as core knows it."""
        return PortRequest(self.protocol, self.port, address_of(self.host), self.first, self.last)


def port_request_form(request: PortRequest) -> PortRequestV1:
    """The newest form of a request for a port."""
    return PortRequestV1(
        protocol=request.protocol, port=request.port, host=text_of(request.host), first=request.first, last=request.last
    )
