"""The forms of endpoints.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from urllib.parse import unquote

from msgspec import field

from mooring.core.endpoints import Attachment, Endpoint, Event, Service
from mooring.core.endpoints import State as EndpointState
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.wire.forms.elements import (
    PortRequestV1,
    RouteV1,
    Stored,
    address_of,
    port_request_form,
    route_form,
    text_of,
)


class PortBindingV1(Stored, tag="PublicationV1"):
    """A port that is published."""

    protocol: Protocol
    host_port: int
    target: str
    target_port: int
    host: str = ""

    def value(self) -> PortBinding:
        """The port binding as core knows it."""
        target = ip_address(self.target)
        return PortBinding(self.protocol, address_of(self.host), self.host_port, target, self.target_port)


class EndpointV1(Stored, tag=1):
    """An endpoint; its id and its network's are in the key."""

    mac: str
    created: float
    state: EndpointState
    ipv4: str = ""
    ipv6: str = ""
    sandbox: str = ""
    ports: tuple[PortRequestV1, ...] = ()
    published: tuple[PortBindingV1, ...] = ()
    options: dict[str, str] = field(default_factory=dict)

    def record(self, key: str) -> Endpoint:
        """The endpoint that is kept under the key."""
        _, network, ident = key.split("/")
        return Endpoint(
            id=unquote(ident),
            network=unquote(network),
            ipv4=IPv4Interface(self.ipv4) if self.ipv4 else None,
            ipv6=IPv6Interface(self.ipv6) if self.ipv6 else None,
            mac=self.mac,
            created=self.created,
            state=self.state,
            sandbox=self.sandbox,
            ports=tuple(each.value() for each in self.ports),
            published=tuple(each.value() for each in self.published),
            options=self.options,
        )


class AttachmentV1(Stored, tag="AttachmentV1"):
    """What a driver answered to a join; a gateway "" is none."""

    link: str
    prefix: str
    gateway4: str = ""
    gateway6: str = ""
    routes: tuple[RouteV1, ...] = ()
    gateway_service: bool = False
    name: str = ""

    def value(self) -> Attachment:
        """The attachment as core knows it."""
        return Attachment(
            link=self.link,
            prefix=self.prefix,
            gateway4=address_of(self.gateway4),
            gateway6=address_of(self.gateway6),
            routes=tuple(route.value() for route in self.routes),
            gateway_service=self.gateway_service,
            name=self.name,
        )


class ServiceV1(Stored, tag="ServiceV1"):
    """A port that is served under a name."""

    name: str
    protocol: Protocol
    port: int

    def value(self) -> Service:
        """The service as core knows it."""
        return Service(self.name, self.protocol, self.port)


class EndpointV2(EndpointV1, tag=2):
    """An endpoint with what an engine would keep to itself, and with what is between it and its driver."""

    name: str = ""
    aliases: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    services: tuple[ServiceV1, ...] = ()
    priority: int = 0
    interface: str = ""
    attachment: AttachmentV1 | None = None
    pending: Event | None = None

    def record(self, key: str) -> Endpoint:
        """The endpoint that is kept under the key."""
        return replace(
            EndpointV1.record(self, key),
            name=self.name,
            aliases=self.aliases,
            links=self.links,
            services=tuple(each.value() for each in self.services),
            priority=self.priority,
            interface=self.interface,
            attachment=self.attachment.value() if self.attachment is not None else None,
            pending=self.pending,
        )


class ExposedV1(Stored, tag="ExposedV1"):
    """A port that a container listens on."""

    protocol: Protocol
    port: int


class EndpointV3(EndpointV2, tag=3):
    """An endpoint with what its container listens on."""

    exposed: tuple[ExposedV1, ...] = ()

    def record(self, key: str) -> Endpoint:
        """The endpoint that is kept under the key."""
        return replace(EndpointV2.record(self, key), exposed=tuple((each.protocol, each.port) for each in self.exposed))


def _port_binding_form(port_binding: PortBinding) -> PortBindingV1:
    return PortBindingV1(
        protocol=port_binding.protocol,
        host=text_of(port_binding.host),
        host_port=port_binding.host_port,
        target=str(port_binding.target),
        target_port=port_binding.target_port,
    )


def service_form(service: Service) -> ServiceV1:
    """The newest form of a service."""
    return ServiceV1(name=service.name, protocol=service.protocol, port=service.port)


def _attachment_form(attachment: Attachment) -> AttachmentV1:
    return AttachmentV1(
        link=attachment.link,
        prefix=attachment.prefix,
        gateway4=text_of(attachment.gateway4),
        gateway6=text_of(attachment.gateway6),
        routes=tuple(map(route_form, attachment.routes)),
        gateway_service=attachment.gateway_service,
        name=attachment.name,
    )


def endpoint_form(endpoint: Endpoint) -> EndpointV3:
    """The newest form of an endpoint."""
    return EndpointV3(
        mac=endpoint.mac,
        created=endpoint.created,
        state=endpoint.state,
        ipv4=text_of(endpoint.ipv4),
        ipv6=text_of(endpoint.ipv6),
        sandbox=endpoint.sandbox,
        ports=tuple(map(port_request_form, endpoint.ports)),
        published=tuple(map(_port_binding_form, endpoint.published)),
        options=endpoint.options,
        name=endpoint.name,
        aliases=endpoint.aliases,
        links=endpoint.links,
        services=tuple(map(service_form, endpoint.services)),
        priority=endpoint.priority,
        interface=endpoint.interface,
        attachment=_attachment_form(endpoint.attachment) if endpoint.attachment is not None else None,
        pending=endpoint.pending,
        exposed=tuple(ExposedV1(protocol=protocol, port=port) for protocol, port in endpoint.exposed),
    )
