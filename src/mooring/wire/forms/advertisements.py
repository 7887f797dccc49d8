"""The form of what a host advertises of an endpoint.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from mooring.core.advertisements import Advertisement, advertised_at
from mooring.wire.forms.elements import Stored
from mooring.wire.forms.endpoints import ServiceV1, service_form

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class AdvertisementV1(Stored, tag=1):
    """The endpoint in the key."""

    mac: str
    addresses: tuple[str, ...]
    underlay: str
    container: str = ""
    names: tuple[str, ...] = ()
    services: tuple[ServiceV1, ...] = ()
    healthy: bool = True

    def record(self, key: str) -> Advertisement:
        """See stored.Form."""
        host, network, endpoint = advertised_at(key)
        if not _MAC.fullmatch(self.mac):
            raise ValueError(f"{self.mac!r} is no MAC")
        return Advertisement(
            network=network, host=host, endpoint=endpoint, mac=self.mac,
            addresses=tuple(map(ip_address, self.addresses)), underlay=ip_address(self.underlay),
            container=self.container, names=self.names, services=tuple(each.value() for each in self.services),
            healthy=self.healthy,
        )  # fmt: skip


def advertisement_form(advertisement: Advertisement) -> AdvertisementV1:
    """The newest form of an advertisement."""
    return AdvertisementV1(
        mac=advertisement.mac, addresses=tuple(map(str, advertisement.addresses)), underlay=str(advertisement.underlay),
        container=advertisement.container, names=advertisement.names,
        services=tuple(map(service_form, advertisement.services)), healthy=advertisement.healthy,
    )  # fmt: skip
