"""Advertisements: what a host tells the others of its endpoints, so that they are reached, and found by their names.

Rules: only the host itself writes them; nothing waits for them, and no decision about an address is ever taken by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

import msgspec

from mooring.core.endpoints import Service
from mooring.core.networks import Address
from mooring.core.port_bindings import PortBinding

ADVERTISEMENTS = "ep/"
"""What the keys of all advertisements begin with."""


class Advertisement(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of a cluster network, or, where `endpoint` is "", the host's own addresses in it.

    network: the id of the ClusterNetwork. host: the id of the host. endpoint: full id. underlay: of the host.
    container: full id, "" while that is not known. names: lower-case labels: name, short id, compose service, aliases.
    healthy: whether its names have its addresses. ports: what every host of the network leads to it.
    """

    network: str
    host: str
    endpoint: str
    mac: str
    addresses: tuple[Address, ...]
    underlay: Address
    container: str = ""
    names: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    healthy: bool = True
    ports: tuple[PortBinding, ...] = ()

    def named_as(self, other: Advertisement) -> Advertisement:
        """This one, with all that the other says of names."""
        return msgspec.structs.replace(
            self, container=other.container, names=other.names, services=other.services, healthy=other.healthy
        )


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """What an endpoint is called on its own host. As of Advertisement."""

    names: tuple[str, ...] = ()
    container: str = ""
    services: tuple[Service, ...] = ()
    healthy: bool = True


def host_prefix(host: str) -> str:
    """What the keys of everything that the host advertises begin with."""
    return f"{ADVERTISEMENTS}{quote(host, safe='')}/"


def network_prefix(host: str, network: str) -> str:
    """What the keys of everything that the host advertises of the network with that id begin with."""
    return f"{host_prefix(host)}{quote(network, safe='')}/"


def advertisement_key(host: str, network: str, endpoint: str) -> str:
    """Where it is advertised."""
    return f"{network_prefix(host, network)}{quote(endpoint, safe='') or '-'}"


def advertised_at(key: str) -> tuple[str, str, str]:
    """Host, network and endpoint of a key. Raises ValueError for another text."""
    kind, host, network, endpoint = key.split("/")
    if f"{kind}/" != ADVERTISEMENTS:
        raise ValueError(f"{key} is the key of no advertisement")
    return unquote(host), unquote(network), "" if endpoint == "-" else unquote(endpoint)
