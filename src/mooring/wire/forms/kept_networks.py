"""The forms of kept networks.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from msgspec import field

from mooring.core.kept_networks import KeptAddress, KeptNetwork
from mooring.wire.forms.elements import Stored, id_of


class KeptAddressV1(Stored, tag="HeirloomV1"):
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
    kept_addresses: list[KeptAddressV1] = field(name="heirlooms", default_factory=list)

    def record(self, key: str) -> KeptNetwork:
        """See stored.Form."""
        return KeptNetwork(
            id=id_of(key), name=self.name, space=self.space, since=self.since,
            subnets=tuple(ip_network(subnet) for subnet in self.subnets),
            kept_addresses=tuple(each.value() for each in self.kept_addresses),
        )  # fmt: skip


def kept_network_form(kept_network: KeptNetwork) -> KeptNetworkV1:
    """The newest form of a kept network."""
    return KeptNetworkV1(
        name=kept_network.name, space=kept_network.space, since=kept_network.since,
        subnets=[str(subnet) for subnet in kept_network.subnets],
        kept_addresses=[
            KeptAddressV1(
                address=str(each.address), key=each.key, until=each.until, mac=each.mac, name=each.name, hold=each.hold
            )
            for each in kept_network.kept_addresses
        ],
    )  # fmt: skip
