"""Attached network namespaces, as people are shown them.

Rules: as core/views.py; nothing of the records is imported here, since every command pays for it.
"""

from __future__ import annotations

import msgspec


class NamespaceInterface(msgspec.Struct, frozen=True):
    """An interface that is to be in the namespace. endpoint: its mark. name: inside; source: on the host, until it is
    fetched. ipv6: whether it has that family."""

    endpoint: str
    name: str
    source: str
    mac: str
    ipv6: bool
    addresses: list[str]


class NamespaceWay(msgspec.Struct, frozen=True):
    """A route that is to be in the namespace. via: the next hop, "" for none. link: the interface's name inside."""

    destination: str
    via: str
    link: str


class NamespaceView(msgspec.Struct, frozen=True):
    """A network namespace in a network, or out of it.

    name: what it is called here. network: full id. endpoint: id of its endpoint. addresses: those it has there, or had.
    changed: False when it was so already. interfaces, routes: all that it is to have of Mooring's, of every network.
    """

    name: str
    network: str
    network_name: str
    endpoint: str
    addresses: list[str]
    changed: bool
    interfaces: list[NamespaceInterface] = []
    routes: list[NamespaceWay] = []
