"""The forms of estates.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from msgspec import field

from mooring.core.estates import KeptAddress, KeptNetwork
from mooring.wire.forms.elements import Stored, id_of


class KeptAddressV1(Stored):
    """An address that waits for its key."""

    address: str
    key: str
    until: float
    mac: str = ""
    name: str = ""
    hold: float = 0.0

    def value(self) -> KeptAddress:
        """As core knows it."""
        return KeptAddress(
            address=ip_address(self.address), key=self.key, until=self.until, mac=self.mac, name=self.name,
            hold=self.hold,
        )  # fmt: skip


class KeptNetworkV1(Stored, tag=1):
    """What a network left; its id is in the key."""

    name: str
    space: str
    since: float
    subnets: list[str] = field(default_factory=list)
    heirlooms: list[KeptAddressV1] = field(default_factory=list)

    def record(self, key: str) -> KeptNetwork:
        """See stored.Form."""
        return KeptNetwork(
            id=id_of(key), name=self.name, space=self.space, since=self.since,
            subnets=tuple(ip_network(subnet) for subnet in self.subnets),
            heirlooms=tuple(each.value() for each in self.heirlooms),
        )  # fmt: skip


def estate_form(estate: KeptNetwork) -> KeptNetworkV1:
    """The newest form of an estate."""
    return KeptNetworkV1(
        name=estate.name, space=estate.space, since=estate.since,
        subnets=[str(subnet) for subnet in estate.subnets],
        heirlooms=[
            KeptAddressV1(
                address=str(each.address), key=each.key, until=each.until, mac=each.mac, name=each.name, hold=each.hold
            )
            for each in estate.heirlooms
        ],
    )  # fmt: skip
