"""The bodies of Docker's API that a proxy reads and patches: create, connect, disconnect, and their replies.

Rules: a body is read as Go's encoding/json reads it: keys in any case of letters, of two the last, null is nothing;
a patch changes the fields that it is about and leaves the text of every other value as it is, numbers and unknown
fields included; what has another shape is nothing that we read, and the engine says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

# The first version of the API in which an endpoint has a MAC of its own (moby api/types/network, 1.44).
ENDPOINT_MACS = (1, 44)
# Network modes that are no network of their own (moby api/types/container/hostconfig.go).
_NO_NETWORK = frozenset({"", "default", "bridge", "host", "none", "nat"})

Raw = msgspec.Raw
_Object = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class PlugWish:
    """A network that a container is to be in, as the body names it, and what it asks for there; "" for nothing."""

    network: str
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class ContainerWish:
    """A container that is to be made. mode: HostConfig.NetworkMode. plugs: one for each network, that of the mode
    first. mac: of the mode's network, as older versions of the API have it, "" for none."""

    labels: dict[str, str]
    mode: str
    plugs: tuple[PlugWish, ...]
    mac: str = ""


@dataclass(frozen=True, slots=True)
class PlugGrant:
    """What goes into the body for one network; "" leaves a field as it is."""

    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class ConnectWish:
    """A container (as the body names it) that is to be plugged in."""

    container: str
    plug: PlugWish


@dataclass(frozen=True, slots=True)
class DisconnectWish:
    """A container (as the body names it) that is to be unplugged."""

    container: str
    force: bool = False


class _Unread(Exception):
    """The body has another shape."""


def container_wish(body: bytes) -> ContainerWish | None:
    """What a create asks for, None when the body is not of that shape."""
    try:
        top = _object(body)
        host = _object(_value(top, "HostConfig"))
        mode = _text(host, "NetworkMode")
        endpoints = _object(_value(_object(_value(top, "NetworkingConfig")), "EndpointsConfig"))
        plugs = {name: _plug(name, value) for name, value in endpoints.items()}
        if mode not in _NO_NETWORK and not mode.startswith("container:"):
            plugs = {mode: plugs.get(mode, PlugWish(mode)), **plugs}
        labels = {name: _string(value) for name, value in _object(_value(top, "Labels")).items()}
        return ContainerWish(labels, mode, tuple(plugs.values()), _text(top, "MacAddress"))
    except _Unread:
        return None


def connect_wish(body: bytes) -> ConnectWish | None:
    """What a connect asks for, None when the body is not of that shape."""
    try:
        top = _object(body)
        return ConnectWish(_text(top, "Container"), _plug("", _value(top, "EndpointConfig")))
    except _Unread:
        return None


def disconnect_wish(body: bytes) -> DisconnectWish | None:
    """What a disconnect asks for, None when the body is not of that shape."""
    try:
        top = _object(body)
        return DisconnectWish(_text(top, "Container"), bytes(_value(top, "Force") or b"").strip() == b"true")
    except _Unread:
        return None


def with_grants(body: bytes, grants: Mapping[str, PlugGrant], version: tuple[int, int]) -> bytes:
    """The create's body with the addresses and MACs in it. version: of the API that it is written in.

    Before 1.44 there is room for the MAC of the mode's network only. A body that `container_wish` cannot read comes
    back as it is.
    """
    try:
        top = _object(body)
        mode = _text(_object(_value(top, "HostConfig")), "NetworkMode")
        networking = _object(_value(top, "NetworkingConfig"))
        endpoints = _object(_value(networking, "EndpointsConfig"))
        for name, grant in grants.items():
            mac = grant.mac if version >= ENDPOINT_MACS else ""
            endpoints[name] = _granted(endpoints.get(name), PlugGrant(grant.ipv4, grant.ipv6, mac))
            if version < ENDPOINT_MACS and name == mode and grant.mac:
                _put(top, "MacAddress", _encode(grant.mac))
        _put(networking, "EndpointsConfig", _joined(endpoints))
        _put(top, "NetworkingConfig", _joined(networking))
        return bytes(_joined(top))
    except _Unread:
        return body


def connect_with_grant(body: bytes, grant: PlugGrant, version: tuple[int, int]) -> bytes:
    """As `with_grants`, for a connect."""
    try:
        top = _object(body)
        mac = grant.mac if version >= ENDPOINT_MACS else ""
        granted = _granted(_value(top, "EndpointConfig"), PlugGrant(grant.ipv4, grant.ipv6, mac))
        _put(top, "EndpointConfig", granted)
        return bytes(_joined(top))
    except _Unread:
        return body


def created_id(body: bytes) -> str:
    """The full id in the reply to a create, "" when it has none."""
    try:
        return _text(_object(body), "Id")
    except _Unread:
        return ""


def pruned_ids(body: bytes) -> tuple[str, ...]:
    """The full ids in the reply to a prune."""
    try:
        value = _value(_object(body), "ContainersDeleted")
        found = msgspec.json.decode(value, type=list[str] | None) if value else None
        return tuple(found or ())
    except (_Unread, msgspec.MsgspecError, ValueError, RecursionError):
        return ()


# -- reading -----------------------------------------------------------------------------------------------------------


def _object(raw: bytes | Raw | None) -> _Object:
    """The members of an object, their values as text; none for null and for nothing. Raises _Unread."""
    if raw is None or (len(raw_bytes := bytes(raw)) <= 16 and raw_bytes.strip() == b"null"):
        return {}
    try:
        return msgspec.json.decode(raw, type=_Object)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Unread from None


def _name(members: _Object, wanted: str) -> str | None:
    """The key under which a Go structure would find the field: the last one that is the same but for case."""
    found = None
    for key in members:
        if key == wanted or key.casefold() == wanted.casefold():
            found = key
    return found


def _value(members: _Object, wanted: str) -> Raw | None:
    name = _name(members, wanted)
    return members[name] if name is not None else None


def _string(raw: Raw | None) -> str:
    if raw is None:
        return ""
    try:
        return msgspec.json.decode(raw, type=str | None) or ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Unread from None


def _text(members: _Object, wanted: str) -> str:
    return _string(_value(members, wanted))


def _plug(name: str, raw: Raw | None) -> PlugWish:
    endpoint = _object(raw)
    config = _object(_value(endpoint, "IPAMConfig"))
    return PlugWish(name, _text(config, "IPv4Address"), _text(config, "IPv6Address"), _text(endpoint, "MacAddress"))


# -- patching ----------------------------------------------------------------------------------------------------------


def _encode(text: str) -> Raw:
    return Raw(msgspec.json.encode(text))


def _put(members: _Object, wanted: str, value: Raw) -> None:
    members[_name(members, wanted) or wanted] = value


def _joined(members: _Object) -> Raw:
    """The object with its members in their order and their values as they were."""
    parts = [msgspec.json.encode(key) + b":" + bytes(value) for key, value in members.items()]
    return Raw(b"{" + b",".join(parts) + b"}")


def _granted(raw: Raw | None, grant: PlugGrant) -> Raw:
    endpoint = _object(raw)
    config = _object(_value(endpoint, "IPAMConfig"))
    if grant.ipv4:
        _put(config, "IPv4Address", _encode(grant.ipv4))
    if grant.ipv6:
        _put(config, "IPv6Address", _encode(grant.ipv6))
    _put(endpoint, "IPAMConfig", _joined(config))
    if grant.mac:
        _put(endpoint, "MacAddress", _encode(grant.mac))
    return _joined(endpoint)
