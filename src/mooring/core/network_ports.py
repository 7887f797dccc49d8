"""Network ports, `mooring port`: an address record that is made before any container (OpenStack's port).

Rules: what a port has is fixed leases whose key is the port, and nothing else says who has them, so that whatever keeps
fixed addresses keeps ports; an endpoint has all of a port's addresses or none; what a container does, or its end, never
ends a port.
"""

from __future__ import annotations

import re

import msgspec

from mooring.core.faults import BadRequest
from mooring.core.kept_networks import KeptAddress, KeptNetwork
from mooring.core.keys import PORT_KEY
from mooring.core.leases import Event, Lease, Place, changed, cooled
from mooring.core.networks import Address, stable_mac
from mooring.core.reservations import LATEST
from mooring.core.states import PortState as PortState

# As Docker has it for containers, and no longer than a name in DNS.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,62}", re.ASCII)
# What every container may have in one network.
_EACH = "a container has one address of each family in a network"


class NetworkPort(msgspec.Struct, frozen=True, kw_only=True):
    """One port. name: unique in its network. network: full id of the one that it is in, or was in until that went.

    network_name: what the engine calls it. space: the address space. addresses: at most one of each family. created:
    seconds since the epoch.
    """

    id: str
    name: str
    network: str
    network_name: str
    space: str
    mac: str
    addresses: tuple[Address, ...]
    created: float
    note: str = ""

    @property
    def key(self) -> str:
        """What its leases belong to."""
        return PORT_KEY + self.name

    def address(self, version: int) -> Address | None:
        """The one of the family (4 or 6)."""
        return next((each for each in self.addresses if each.version == version), None)

    def noted(self, note: str) -> NetworkPort:
        """The port with that note."""
        return NetworkPort(**{**msgspec.structs.asdict(self), "note": note})

    def in_words(self) -> str:
        """For a sentence: the name, and what it has."""
        return f"{self.name} ({', '.join(map(str, self.addresses))})"

    def how(self, by_address: bool = True) -> str:
        """The options of `docker run` that ask for all of it. by_address: Docker takes an address by name there; its
        MAC alone is enough, and says less to who reads the container's configuration."""
        options = [f"{'--ip' if each.version == 4 else '--ip6'} {each}" for each in self.addresses if by_address]
        return " ".join([*options, f"--mac-address {self.mac}"])


def port_name(text: str, ident: str) -> str:
    """The name that is asked for; without one, the beginning of the id. Raises BadRequest."""
    name = text.strip() or ident[:12]
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name[:70]!r} cannot be the name of a port",
            hint="use letters, digits, `-`, `_` and `.`, at most 63, the first a letter or a digit",
        )
    return name


def references(label: str) -> list[str]:
    """The ports that a label names: ids or names, joined by commas."""
    return [each for part in label.split(",") if (each := part.strip())]


def port_mac(ident: str) -> str:
    """The MAC of a port for which none is given."""
    return stable_mac(f"port:{ident}")


def check_families(versions: list[int], what: str) -> None:
    """Raises BadRequest for two of one family."""
    for version in (4, 6):
        if versions.count(version) > 1:
            raise BadRequest(f"two {what} of IPv{version} for one port: {_EACH}", hint="create a second port")


def ported(port: NetworkPort, lease: Lease | None, place: Place, now: float) -> Lease:
    """The address as the port's: fixed, and it never ends by itself. lease: what it is now, free or cooling. Raises
    Conflict."""
    return changed(lease, Event.CLAIM, place, now, mac=port.mac, key=port.key, hold=LATEST)


def unported(lease: Lease, now: float, cooldown: float) -> Lease | None:
    """The lease of a port that is gone, and that no endpoint uses: cooling, or free (None)."""
    return cooled(lease, Event.UNCLAIM, now, cooldown)


def left_of(port: NetworkPort) -> KeptNetwork:
    """What waits for the port's network to come back, as if that had left nothing else."""
    return KeptNetwork(
        id=port.network, name=port.network_name, space=port.space, since=port.created, subnets=(),
        kept_addresses=tuple(
            KeptAddress(address=address, key=port.key, until=LATEST, mac=port.mac, hold=LATEST)
            for address in port.addresses
        ),
    )  # fmt: skip
