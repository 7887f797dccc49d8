"""The form of VNICs.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import unquote

from mooring.core.vnics import Vnic
from mooring.wire.forms.elements import RouteV1, Stored, address_of, route_form, text_of


class VnicV1(Stored, tag=1):
    """An interface that a launcher has made; tenant, subnet and address are in the key."""

    mac: str
    mtu: int
    created: float
    gateway: str = ""
    routes: tuple[RouteV1, ...] = ()
    instance: str = ""
    adopted: str = ""

    def record(self, key: str) -> Vnic:
        """See stored.Form."""
        _, tenant, place, address = key.split("/")
        digits, _, length = place.partition("p")
        return Vnic(
            tenant=unquote(tenant),
            subnet=ip_network((bytes.fromhex(digits), int(length))),
            address=ip_address(bytes.fromhex(address)),
            mac=self.mac,
            mtu=self.mtu,
            created=self.created,
            gateway=address_of(self.gateway),
            routes=tuple(route.value() for route in self.routes),
            instance=self.instance,
            adopted=self.adopted,
        )


def vnic_form(vnic: Vnic) -> VnicV1:
    """The newest form of a VNIC."""
    return VnicV1(
        mac=vnic.mac,
        mtu=vnic.mtu,
        created=vnic.created,
        gateway=text_of(vnic.gateway),
        routes=tuple(map(route_form, vnic.routes)),
        instance=vnic.instance,
        adopted=vnic.adopted,
    )
