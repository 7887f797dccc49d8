"""The form of what a host advertises of an endpoint.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from mooring.core.advertisements import Advertisement, advertised_at
from mooring.core.networks import Address
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.wire.forms.elements import Stored, text_of
from mooring.wire.forms.endpoints import ServiceV1, service_form

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class IngressV1(Stored, tag="IngressV1"):
    """A port of every host that leads to the endpoint; host "" is every address of a host."""

    protocol: Protocol
    port: int
    target: str
    target_port: int
    host: str = ""

    def value(self) -> PortBinding:
        """The port binding as core knows it."""
        if not (0 < self.port < 65536 and 0 < self.target_port < 65536):
            raise ValueError(f"{self.port} or {self.target_port} is no port")
        host, target = _zoneless(self.host) if self.host else None, _zoneless(self.target)
        if host is not None and host.version != target.version:
            raise ValueError(f"a port at {host} cannot lead to {target}")
        return PortBinding(self.protocol, host, self.port, target, self.target_port)


class AdvertisementV1(Stored, tag=1):
    """The endpoint in the key."""

    mac: str
    addresses: tuple[str, ...]
    underlay: str
    container: str = ""
    names: tuple[str, ...] = ()
    services: tuple[ServiceV1, ...] = ()
    healthy: bool = True
    ports: tuple[IngressV1, ...] = ()

    def record(self, key: str) -> Advertisement:
        """See stored.Form."""
        host, network, endpoint = advertised_at(key)
        if not _MAC.fullmatch(self.mac):
            raise ValueError(f"{self.mac!r} is no MAC")
        return Advertisement(
            network=network, host=host, endpoint=endpoint, mac=self.mac,
            addresses=tuple(map(_zoneless, self.addresses)), underlay=ip_address(self.underlay),
            container=self.container, names=self.names, services=tuple(each.value() for each in self.services),
            healthy=self.healthy, ports=tuple(each.value() for each in self.ports),
        )  # fmt: skip


def _zoneless(text: str) -> Address:
    """The address. One with a zone equals none that the kernel tells of. Raises ValueError."""
    address = ip_address(text)
    if address.version == 6 and address.scope_id is not None:
        raise ValueError(f"{address} has a zone")
    return address


def advertisement_form(advertisement: Advertisement) -> AdvertisementV1:
    """The newest form of an advertisement."""
    return AdvertisementV1(
        mac=advertisement.mac, addresses=tuple(map(str, advertisement.addresses)), underlay=str(advertisement.underlay),
        container=advertisement.container, names=advertisement.names,
        services=tuple(map(service_form, advertisement.services)), healthy=advertisement.healthy,
        ports=tuple(map(_ingress_form, advertisement.ports)),
    )  # fmt: skip


def _ingress_form(port_binding: PortBinding) -> IngressV1:
    return IngressV1(
        protocol=port_binding.protocol, port=port_binding.host_port, target=str(port_binding.target),
        target_port=port_binding.target_port, host=text_of(port_binding.host),
    )  # fmt: skip
