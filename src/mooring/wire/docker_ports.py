"""The engine's replies about containers, with the ports in them that a plugin publishes.

The engine fills in a container's ports from what its own drivers tell it (moby daemon/network.go,
getEndpointPortMapInfo) and shows none for a plugin's networks. What is put in has the form that it gives its own:
`Ports` of a list is a list of {IP, PrivatePort, PublicPort, Type}, without the host's part where a port is merely
exposed; `NetworkSettings.Ports` of an inspection is `80/tcp` -> a list of {HostIp, HostPort}, or null.

Rules: only these values change, no byte outside of them does; what the engine says itself stays; a reply of another
shape is Unread, and whoever asked leaves it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from mooring.core.port_bindings import PortBinding, Protocol
from mooring.wire.go_json import Unread, with_value

_KEY = re.compile(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?")

# What is before and between the elements of a list.
_BETWEEN = frozenset(b"[, \t\n\r")

Exposed = tuple[Protocol, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A container's place in one network: full ids as the engine has them. sandbox: the path of its namespace, where
    the reply names no networks (API versions before 1.21); the ids are "" then."""

    network: str
    endpoint: str
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class ShownPorts:
    """What is to be shown of one container. published: in any order. exposed: what it listens on besides.

    exposes: its own configuration, where the reply has it, says what else it listens on.
    """

    published: tuple[PortBinding, ...] = ()
    exposed: tuple[Exposed, ...] = ()
    exposes: bool = False


class _Endpoint(msgspec.Struct):
    network: str | None = msgspec.field(default=None, name="NetworkID")
    endpoint: str | None = msgspec.field(default=None, name="EndpointID")


class _Settings(msgspec.Struct):
    networks: dict[str, _Endpoint | None] | None = msgspec.field(default=None, name="Networks")
    sandbox: str | None = msgspec.field(default=None, name="SandboxKey")
    ports: dict[str, list[msgspec.Raw] | None] | None = msgspec.field(default=None, name="Ports")

    def places(self) -> tuple[Place, ...]:
        if self.networks is None:
            return (Place("", "", self.sandbox),) if self.sandbox else ()
        endpoints = (each for each in self.networks.values() if each is not None)
        return tuple(Place(each.network, each.endpoint) for each in endpoints if each.network and each.endpoint)


class _Row(msgspec.Struct):
    settings: _Settings | None = msgspec.field(default=None, name="NetworkSettings")
    ports: list[msgspec.Raw] | None = msgspec.field(default=None, name="Ports")


class _Exposing(msgspec.Struct):
    ports: dict[str, Any] | None = msgspec.field(default=None, name="ExposedPorts")


class _Binding(msgspec.Struct):
    ports: dict[str, Any] | None = msgspec.field(default=None, name="PortBindings")


class _Document(msgspec.Struct):
    settings: _Settings | None = msgspec.field(default=None, name="NetworkSettings")
    config: _Exposing | None = msgspec.field(default=None, name="Config")
    host: _Binding | None = msgspec.field(default=None, name="HostConfig")


class _Port(msgspec.Struct):
    host: str = msgspec.field(default="", name="IP")
    port: int = msgspec.field(default=0, name="PrivatePort")
    host_port: int = msgspec.field(default=0, name="PublicPort")
    label: str = msgspec.field(default="", name="Type")


class _Bound(msgspec.Struct):
    host: str = msgspec.field(default="", name="HostIp")
    host_port: str = msgspec.field(default="", name="HostPort")


# -- lists -------------------------------------------------------------------------------------------------------------


def listed_places(body: bytes) -> tuple[tuple[Place, ...], ...]:
    """Where each container of a list has its places, in the list's order. Raises Unread."""
    return tuple(row.settings.places() if row.settings is not None else () for row in _decoded(body, list[_Row]))


def with_listed_ports(body: bytes, shown: Mapping[int, ShownPorts]) -> bytes:
    """The list with these ports in it. shown: by the container's number in the list. Raises Unread."""
    pieces, done, at = list[bytes](), 0, 0
    for number, raw in enumerate(_decoded(body, list[msgspec.Raw])):
        text = bytes(raw)
        while body[at] in _BETWEEN:
            at += 1
        if number in shown:
            pieces += [body[done:at], _with_row(text, shown[number])]
            done = at + len(text)
        at += len(text)
    return b"".join((*pieces, body[done:]))


def _with_row(text: bytes, shown: ShownPorts) -> bytes:
    old = [(bytes(raw), _decoded(raw, _Port)) for raw in _decoded(text, _Row).ports or ()]
    known = {(port.host, port.host_port, port.port, port.label) for _, port in old}
    published = {(each.target_port, each.protocol.label) for each in shown.published}
    seen = published.union((port.port, port.label) for _, port in old)
    rows = [raw for raw, port in old if port.host_port or (port.port, port.label) not in published]
    for port, label in sorted((port, protocol.label) for protocol, port in shown.exposed):
        if (port, label) not in seen:
            rows.append(_text({"PrivatePort": port, "Type": label}))
    for each in _in_order(shown.published):
        host, label = _host(each), each.protocol.label
        if (host, each.host_port, each.target_port, label) not in known:
            row = {"IP": host, "PrivatePort": each.target_port, "PublicPort": each.host_port, "Type": label}
            rows.append(_text(row))
    return with_value(text, ("Ports",), b"[" + b",".join(rows) + b"]") if rows else text


# -- disk usage --------------------------------------------------------------------------------------------------------


_NOTHING = msgspec.Raw(b"null")


class _Items(msgspec.Struct):
    items: msgspec.Raw = msgspec.field(default=_NOTHING, name="Items")


class _Usage(msgspec.Struct):
    containers: msgspec.Raw = msgspec.field(default=_NOTHING, name="Containers")
    usage: _Items | None = msgspec.field(default=None, name="ContainerUsage")


def used(body: bytes) -> dict[tuple[str, ...], bytes]:
    """The lists of containers in a disk usage, by their places: before and from API 1.52 on. Raises Unread."""
    usage = _decoded(body, _Usage)
    found: dict[tuple[str, ...], msgspec.Raw] = {("Containers",): usage.containers}
    if usage.usage is not None:
        found["ContainerUsage", "Items"] = usage.usage.items
    return {path: bytes(raw) for path, raw in found.items() if bytes(raw) != b"null"}


# -- inspections -------------------------------------------------------------------------------------------------------


def inspected_places(body: bytes) -> tuple[Place, ...]:
    """Where the container has its places. Raises Unread."""
    settings = _decoded(body, _Document).settings
    return settings.places() if settings is not None else ()


def with_inspected_ports(body: bytes, shown: ShownPorts) -> bytes:
    """The inspection with these ports in it. Raises Unread."""
    document = _decoded(body, _Document)
    if document.settings is None:
        raise Unread
    ports: dict[str, list[bytes]] = {}
    known: dict[str, set[tuple[str, str]]] = {}
    for key, bindings in (document.settings.ports or {}).items():
        ports[key] = [bytes(raw) for raw in bindings or ()]
        known[key] = {(bound.host, bound.host_port) for bound in (_decoded(raw, _Bound) for raw in ports[key])}
    exposed = [f"{port}/{protocol.label}" for protocol, port in shown.exposed]
    if shown.exposes:
        exposed += [key for part in (document.config, document.host) for key in _keys(part)]
    for key in exposed:
        ports.setdefault(key, [])
    for each in _in_order(shown.published):
        key, host, host_port = f"{each.target_port}/{each.protocol.label}", _host(each), str(each.host_port)
        there = ports.setdefault(key, [])
        if (host, host_port) not in known.get(key, ()):
            there.append(_text({"HostIp": host, "HostPort": host_port}))
    if not ports:
        return body
    # Go writes a map in the order of its keys' text, and a port that is merely exposed as null.
    members = (
        _text(key) + b":" + (b"[" + b",".join(ports[key]) + b"]" if ports[key] else b"null") for key in sorted(ports)
    )
    return with_value(body, ("NetworkSettings", "Ports"), b"{" + b",".join(members) + b"}")


def _keys(part: _Exposing | _Binding | None) -> Iterable[str]:
    """The ports that a configuration names, written as the engine writes them. It leaves out what is no port, too."""
    for key in (part.ports if part is not None else None) or ():
        found = _KEY.fullmatch(key.lower())
        if found is not None and 0 < int(found[1]) < 1 << 16:
            yield f"{int(found[1])}/{found[2] or 'tcp'}"


# -- both --------------------------------------------------------------------------------------------------------------


def _in_order(published: Iterable[PortBinding]) -> list[PortBinding]:
    return sorted(
        published, key=lambda each: (each.target_port, each.protocol, each.target.version, each.host_port, _host(each))
    )


def _host(port_binding: PortBinding) -> str:
    if port_binding.host is not None:
        return str(port_binding.host)
    return "0.0.0.0" if port_binding.target.version == 4 else "::"


def _text(value: object) -> bytes:
    return msgspec.json.encode(value)


def _decoded(text: bytes | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unread from None
