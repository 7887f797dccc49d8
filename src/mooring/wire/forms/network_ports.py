"""The form of network ports.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.network_ports import NetworkPort
from mooring.wire.forms.elements import Stored, id_of


class NetworkPortV1(Stored, tag=1):
    """A port; its id is in the key."""

    name: str
    network: str
    network_name: str
    space: str
    mac: str
    addresses: list[str]
    created: float
    note: str = ""

    def record(self, key: str) -> NetworkPort:
        """See stored.Form."""
        return NetworkPort(
            id=id_of(key), name=self.name, network=self.network, network_name=self.network_name, space=self.space,
            mac=self.mac, addresses=tuple(map(ip_address, self.addresses)), created=self.created, note=self.note,
        )  # fmt: skip


def network_port_form(port: NetworkPort) -> NetworkPortV1:
    """The newest form of a port."""
    return NetworkPortV1(
        name=port.name, network=port.network, network_name=port.network_name, space=port.space, mac=port.mac,
        addresses=[str(address) for address in port.addresses], created=port.created, note=port.note,
    )  # fmt: skip
