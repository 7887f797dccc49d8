"""VNICs as people are shown them.

Rules: as in mooring.core.views.
"""

from __future__ import annotations

import msgspec


class VnicRow(msgspec.Struct, frozen=True):
    """A line of the list of VNICs.

    mac, mtu (bytes): of the container's side. link: that side, as it is called on the host; host_end, bridge: of one
    that was made, "" for an adopted link. container: who has it, "" for nobody. gateway: None for no default route.
    network: full id, "" while there is none; network_name: what the engine calls it.
    """

    id: str
    tenant: str
    subnet: str
    address: str
    mac: str
    mtu: int
    instance: str
    gateway: str | None
    routes: list[str]
    adopted: bool
    link: str
    host_end: str
    bridge: str
    container: str
    network: str
    network_name: str
    created: float


class VnicNetwork(msgspec.Struct, frozen=True):
    """What is to be done about the Docker network of a VNIC, and the command for it, "" for nothing.

    state: `create` (the VNIC has none yet), `there`, `remove` (it has no VNIC any more), `none` (neither has). name: of
    the network, there or to come.
    """

    state: str
    name: str
    command: str


class VnicDetail(msgspec.Struct, frozen=True):
    """One VNIC. run: what `docker run` is told so that the container gets it."""

    vnic: VnicRow
    network: VnicNetwork
    run: str
