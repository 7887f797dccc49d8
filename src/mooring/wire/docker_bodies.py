"""The bodies of Docker's API that a proxy reads and patches: create, connect, disconnect, and their replies.

Rules: a body is read as Go's encoding/json reads it (see go_json); a patch changes the fields that it is about and
leaves every other byte as it is; what has another shape is nothing that we read, and the engine says what is wrong with
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mooring.core.docker_requests import ENDPOINT_MACS, MOST_NETWORKS, ContainerSpec, EndpointConfig
from mooring.core.endpoint_options import PORT
from mooring.wire.go_json import Members, Unread, encoded, read, with_keys, with_value

# Network modes that are no network of their own on Linux (moby api/types/container/hostconfig_unix.go).
_NO_NETWORK = frozenset({"", "default", "bridge", "host", "none"})

_ENDPOINTS = ("NetworkingConfig", "EndpointsConfig")


@dataclass(frozen=True, slots=True)
class AddressGrant:
    """What goes into the body for one network; "" leaves a field as it is. main: it is the mode's network,
    under whichever name."""

    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    main: bool = False


@dataclass(frozen=True, slots=True)
class ConnectSpec:
    """A container (as the body names it) that is to be connected."""

    container: str
    endpoint: EndpointConfig


@dataclass(frozen=True, slots=True)
class DisconnectSpec:
    """A container (as the body names it) that is to be disconnected."""

    container: str
    force: bool = False


def container_spec(body: bytes) -> ContainerSpec | None:
    """What a create asks for, None when the body is not of that shape."""
    try:
        top = read(body)
        mode, nameservers = top.members("HostConfig").text("NetworkMode"), top.members("HostConfig").listed("Dns")
        endpoints = top.members(*_ENDPOINTS)
        labels = top.members("Labels").texts()
        if (crowd := len(endpoints.names())) > MOST_NETWORKS:
            return ContainerSpec(labels, mode, (), "", crowd)
        container_endpoints = {name: _connect(name, entry) for name, entry in endpoints.entries().items()}
        if mode not in _NO_NETWORK and not mode.startswith("container:"):
            container_endpoints = {mode: container_endpoints.get(mode, EndpointConfig(mode)), **container_endpoints}
        return ContainerSpec(labels, mode, tuple(container_endpoints.values()), top.text("MacAddress"), 0, nameservers)
    except Unread:
        return None


def connect_spec(body: bytes) -> ConnectSpec | None:
    """What a connect asks for, None when the body is not of that shape."""
    try:
        top = read(body)
        return ConnectSpec(top.text("Container"), _connect("", top.members("EndpointConfig")))
    except Unread:
        return None


def disconnect_spec(body: bytes) -> DisconnectSpec | None:
    """What a disconnect asks for, None when the body is not of that shape."""
    try:
        top = read(body)
        return DisconnectSpec(top.text("Container"), top.flag("Force"))
    except Unread:
        return None


def with_grants(
    body: bytes,
    grants: Mapping[str, AddressGrant],
    version: tuple[int, int],
    spellings: Mapping[str, str] | None = None,
) -> bytes:
    """The create's body with the addresses and MACs in it. version: of the API that it is written in.

    spellings: how networks are to be written that the body writes otherwise; grants go by the new ones. Before 1.44
    there is room for the MAC of the mode's network only. A body that `container_spec` cannot read comes back as it is.
    """
    try:
        patched = _spelled(body, spellings or {})
        mode = read(patched).members("HostConfig").text("NetworkMode")
        # Where a body has both, they must be the same (moby daemon/server/router/container, handleMACAddressBC).
        top = read(patched)
        everywhere = version < ENDPOINT_MACS or bool(read(body).text("MacAddress"))
        patched, missing = _with_entries(patched, top.members(*_ENDPOINTS), grants, version)
        for name in missing:  # the mode's at most: a container has no other network that its body does not name
            after = _granted(b"null", grants[name], version)
            if after != b"null":
                patched = with_value(patched, (*_ENDPOINTS, name), after)
        for name, grant in grants.items():
            if grant.mac and (grant.main or name == mode) and everywhere:
                patched = with_value(patched, ("MacAddress",), encoded(grant.mac))
    except Unread:
        return body
    return patched


def with_nameservers(body: bytes, nameservers: Sequence[str]) -> bytes:
    """The create's body with these nameservers for the container. A body that cannot be read comes back as it is."""
    try:
        return with_value(body, ("HostConfig", "Dns"), msgspec.json.encode(list(nameservers)))
    except Unread:
        return body


def _spelled(body: bytes, spellings: Mapping[str, str]) -> bytes:
    """The body with these networks written otherwise, as mode and among the endpoints."""
    if not spellings:
        return body
    mode = read(body).members("HostConfig").text("NetworkMode")
    if mode in spellings:
        body = with_value(body, ("HostConfig", "NetworkMode"), encoded(spellings[mode]))
    return with_keys(body, _ENDPOINTS, spellings)


def _with_entries(
    body: bytes, endpoints: Members, grants: Mapping[str, AddressGrant], version: tuple[int, int]
) -> tuple[bytes, list[str]]:
    """The body with the grants for the endpoints that it has, in one walk over it; and the names that it has not."""
    places = endpoints.places()
    pieces, done = list[bytes](), 0
    for start, end, name in sorted((*places[name], name) for name in grants if name in places):
        pieces += [body[done:start], _granted(body[start:end], grants[name], version)]
        done = end
    return b"".join((*pieces, body[done:])), [name for name in grants if name not in places]


def connect_with_grant(body: bytes, grant: AddressGrant, version: tuple[int, int]) -> bytes:
    """As `with_grants`, for a connect."""
    try:
        return _patched(body, grant, version, ("EndpointConfig",))
    except Unread:
        return body


def created_id(body: bytes) -> str:
    """The full id in the reply to a create, "" when it has none."""
    try:
        return read(body).text("Id")
    except Unread:
        return ""


def with_warnings(body: bytes, warnings: Sequence[str]) -> bytes | None:
    """The reply to a create with more warnings than the engine's; None for what is none."""
    try:
        reply = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.MsgspecError:
        return None
    told = reply.get("Warnings")
    reply["Warnings"] = [*(told if isinstance(told, list) else ()), *warnings]
    return msgspec.json.encode(reply) + b"\n"


def pruned_ids(body: bytes) -> tuple[str, ...]:
    """The full ids in the reply to a prune."""
    try:
        return read(body).listed("ContainersDeleted")
    except Unread:
        return ()


def _connect(name: str, endpoint: Members) -> EndpointConfig:
    config = endpoint.members("IPAMConfig")
    return EndpointConfig(
        name,
        config.text("IPv4Address"),
        config.text("IPv6Address"),
        endpoint.text("MacAddress"),
        endpoint.members("DriverOpts").texts().get(PORT, ""),
    )


def _granted(endpoint: bytes, grant: AddressGrant, version: tuple[int, int]) -> bytes:
    """The endpoint's text with the grant in it."""
    return _patched(endpoint, grant, version, ())


def _patched(source: bytes, grant: AddressGrant, version: tuple[int, int], where: tuple[str, ...]) -> bytes:
    """where: the endpoint's place in the source."""
    mac = grant.mac if version >= ENDPOINT_MACS else ""
    for path, value in (
        (("IPAMConfig", "IPv4Address"), grant.ipv4),
        (("IPAMConfig", "IPv6Address"), grant.ipv6),
        (("MacAddress",), mac),
    ):
        if value:
            source = with_value(source, (*where, *path), encoded(value))
    return source
