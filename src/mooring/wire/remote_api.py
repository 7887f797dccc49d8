"""libnetwork's remote network and IPAM protocols, in both directions.

Rules: field names are Go's, as in libnetwork's drivers/remote/api/api.go and ipams/remote/api/api.go; an absent field,
a null list or map and Go's zero value are the same thing, and unknown fields are passed over, but a wrong type is
refused; nothing here decides anything: values go in and out as they are on the wire.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from mooring.core.faults import HTTP_STATUS, BadRequest, Fault, Unavailable

MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json"  # moby pkg/plugins/transport/mimetype.go
IMPLEMENTS = ("NetworkDriver", "IpamDriver")
GATEWAY_KEY = "com.docker.network.gateway"
ADDRESS_TYPE_KEY = "RequestAddressType"
NAME_KEY = "com.docker.network.endpoint.name"
NEXT_HOP, CONNECTED = 0, 1  # libnetwork/types/types.go

_GO = {"id": "ID", "ipv4": "IPv4", "ipv6": "IPv6"}


def _go_name(name: str) -> str:
    return "".join(_GO.get(part, part.capitalize()) for part in name.split("_"))


class Message(msgspec.Struct, frozen=True, rename=_go_name):
    """What every request and reply has in common: Go's field names."""


class Empty(Message, frozen=True):
    """A request or reply that says nothing."""


class Activation(Message, frozen=True):
    """Reply of Plugin.Activate."""

    implements: list[str] | None = None


class NetworkCapabilities(Message, frozen=True):
    """Reply of NetworkDriver.GetCapabilities. Scopes: "local" or "global"."""

    scope: str = ""
    connectivity_scope: str = ""
    gw_alloc_checker: bool = False


class GatewayCheck(Message, frozen=True):
    """GwAllocCheck: the options are those of CreateNetwork."""

    options: dict[str, Any] | None = None


class GatewayChecked(Message, frozen=True):
    """Reply of GwAllocCheck: True means that no gateway address is wanted in that family."""

    skip_ipv4: bool = msgspec.field(name="SkipIPv4", default=False)
    skip_ipv6: bool = msgspec.field(name="SkipIPv6", default=False)


class IpamData(Message, frozen=True, omit_defaults=True):
    """One subnet of a network: addresses with prefix lengths, gateway "" for none.

    What is not said is left out: libnetwork's own reader (driverapi.IPAMData) refuses an empty gateway.
    """

    address_space: str = ""
    pool: str = ""
    gateway: str = ""
    aux_addresses: dict[str, str] | None = None


class NetworkCreation(Message, frozen=True):
    """CreateNetwork and AllocateNetwork."""

    network_id: str
    options: dict[str, Any] | None = None
    ipv4_data: list[IpamData] | None = None
    ipv6_data: list[IpamData] | None = None


class NetworkAllocated(Message, frozen=True):
    """Reply of AllocateNetwork."""

    options: dict[str, str] | None = None


class NetworkReference(Message, frozen=True):
    """DeleteNetwork and FreeNetwork."""

    network_id: str


class EndpointInterface(Message, frozen=True):
    """Addresses with prefix lengths; "" for what is not said."""

    address: str = ""
    address_ipv6: str = msgspec.field(name="AddressIPv6", default="")
    mac_address: str = ""


class EndpointCreation(Message, frozen=True):
    """CreateEndpoint."""

    network_id: str
    endpoint_id: str
    interface: EndpointInterface | None = None
    options: dict[str, Any] | None = None


class EndpointCreated(Message, frozen=True, omit_defaults=True):
    """Reply of CreateEndpoint: only what the request left open (libnetwork/drivers/remote/driver.go)."""

    interface: EndpointInterface | None = None


class EndpointReference(Message, frozen=True):
    """DeleteEndpoint, EndpointOperInfo, Leave and RevokeExternalConnectivity."""

    network_id: str
    endpoint_id: str


class EndpointInfo(Message, frozen=True):
    """Reply of EndpointOperInfo."""

    value: dict[str, Any] | None = None


class Joining(Message, frozen=True):
    """Join. sandbox_key: a path that may not exist yet (engines before 28)."""

    network_id: str
    endpoint_id: str
    sandbox_key: str = ""
    options: dict[str, Any] | None = None


class InterfaceName(Message, frozen=True):
    """The interface's name on the host, and what its name in the sandbox begins with. dst_name: heard by
    engines from 29.8 on."""

    src_name: str = ""
    dst_name: str = ""
    dst_prefix: str = ""


class Route(Message, frozen=True):
    """route_type: NEXT_HOP or CONNECTED."""

    destination: str = ""
    route_type: int = 0
    next_hop: str = ""


class Joined(Message, frozen=True):
    """Reply of Join. gateway, gateway_ipv6: addresses without prefix length, on-link; "" for none."""

    interface_name: InterfaceName | None = None
    gateway: str = ""
    gateway_ipv6: str = msgspec.field(name="GatewayIPv6", default="")
    static_routes: list[Route] | None = None
    disable_gateway_service: bool = False


class ExternalConnectivity(Message, frozen=True):
    """ProgramExternalConnectivity."""

    network_id: str
    endpoint_id: str
    options: dict[str, Any] | None = None


class Discovery(Message, frozen=True):
    """DiscoverNew and DiscoverDelete. discovery_type: 1 is a node."""

    discovery_type: int = 0
    discovery_data: Any = None


class IpamCapabilities(Message, frozen=True):
    """Reply of IpamDriver.GetCapabilities."""

    requires_mac_address: bool = msgspec.field(name="RequiresMACAddress", default=False)
    requires_request_replay: bool = False


class AddressSpaces(Message, frozen=True):
    """Reply of GetDefaultAddressSpaces."""

    local_default_address_space: str = ""
    global_default_address_space: str = ""


class PoolQuery(Message, frozen=True):
    """RequestPool. pool, sub_pool: subnets, "" for none."""

    address_space: str = ""
    pool: str = ""
    sub_pool: str = ""
    options: dict[str, str] | None = None
    v6: bool = False


class PoolAnswer(Message, frozen=True):
    """Reply of RequestPool."""

    pool_id: str = ""
    pool: str = ""
    data: dict[str, str] | None = None


class PoolReference(Message, frozen=True):
    """ReleasePool."""

    pool_id: str


class AddressQuery(Message, frozen=True):
    """RequestAddress. address: without prefix length, "" to choose one."""

    pool_id: str
    address: str = ""
    options: dict[str, str] | None = None


class AddressAnswer(Message, frozen=True):
    """Reply of RequestAddress. address: with the pool's prefix length."""

    address: str = ""
    data: dict[str, str] | None = None


class AddressReference(Message, frozen=True):
    """ReleaseAddress. address: without prefix length."""

    pool_id: str
    address: str


# Method -> what is asked and what is answered.
METHODS: dict[str, tuple[type[Message], type[Message]]] = {
    "Plugin.Activate": (Empty, Activation),
    "NetworkDriver.GetCapabilities": (Empty, NetworkCapabilities),
    "NetworkDriver.GwAllocCheck": (GatewayCheck, GatewayChecked),
    "NetworkDriver.AllocateNetwork": (NetworkCreation, NetworkAllocated),
    "NetworkDriver.FreeNetwork": (NetworkReference, Empty),
    "NetworkDriver.CreateNetwork": (NetworkCreation, Empty),
    "NetworkDriver.DeleteNetwork": (NetworkReference, Empty),
    "NetworkDriver.CreateEndpoint": (EndpointCreation, EndpointCreated),
    "NetworkDriver.DeleteEndpoint": (EndpointReference, Empty),
    "NetworkDriver.EndpointOperInfo": (EndpointReference, EndpointInfo),
    "NetworkDriver.Join": (Joining, Joined),
    "NetworkDriver.Leave": (EndpointReference, Empty),
    "NetworkDriver.ProgramExternalConnectivity": (ExternalConnectivity, Empty),
    "NetworkDriver.RevokeExternalConnectivity": (EndpointReference, Empty),
    "NetworkDriver.DiscoverNew": (Discovery, Empty),
    "NetworkDriver.DiscoverDelete": (Discovery, Empty),
    "IpamDriver.GetCapabilities": (Empty, IpamCapabilities),
    "IpamDriver.GetDefaultAddressSpaces": (Empty, AddressSpaces),
    "IpamDriver.RequestPool": (PoolQuery, PoolAnswer),
    "IpamDriver.ReleasePool": (PoolReference, Empty),
    "IpamDriver.RequestAddress": (AddressQuery, AddressAnswer),
    "IpamDriver.ReleaseAddress": (AddressReference, Empty),
}


def decode_request(method: str, body: bytes) -> Message:
    """The request of a method of METHODS. Raises BadRequest. A method that asks nothing ignores the body."""
    kind = METHODS[method][0]
    if kind is Empty:
        return Empty()
    return _decode("request", kind, body)


def encode_request(request: Message) -> bytes:
    """As dockerd sends it; nothing for a method that asks nothing."""
    return b"" if isinstance(request, Empty) else msgspec.json.encode(request) + b"\n"


def decode_reply(method: str, status: int, body: bytes) -> Message:
    """The reply of a method of METHODS, as dockerd reads it (moby pkg/plugins/client.go).

    Raises the fault that the other side told, of the kind that its status stands for, and Unavailable for a reply that
    is none: an empty one, or one that is not of the method's form. Field names are read as Go reads them, whatever
    their case, and null is the same as absent. An error is one under either driver's key, where dockerd reads only the
    one: nobody means success by it.
    """
    if status != 200:
        text = _error_text(body) or body.decode(errors="replace").strip()
        raise _told(status, text or f"{method}: status {status}")
    if text := _error_text(body):
        raise Unavailable(text)
    kind = METHODS[method][1]
    try:
        document = msgspec.json.decode(body)
        if document is None:
            return kind()
        if not isinstance(document, dict):
            raise msgspec.ValidationError(f"expected an object, got {type(document).__name__}")
        return msgspec.convert(_as_go_reads(kind, document), kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unavailable(f"{method}: reply body: {shown(str(error), 200)}") from error


# Fields of replies that hold messages themselves.
_INNER: dict[str, type[Message]] = {
    "Interface": EndpointInterface,
    "InterfaceName": InterfaceName,
    "StaticRoutes": Route,
}


@cache
def _fields(kind: type[Message]) -> dict[str, str]:
    """Lower-case name -> name, of the message's fields."""
    return {field.encode_name.lower(): field.encode_name for field in msgspec.structs.fields(kind)}


def _as_go_reads(kind: type[Message], document: dict[str, Any]) -> dict[str, Any]:
    """The document with the message's own field names, and without nulls (Go, encoding/json, Unmarshal)."""
    read: dict[str, Any] = {}
    for key, value in document.items():
        name = _fields(kind).get(key.lower())
        if name is None or value is None:
            continue
        inner = _INNER.get(name)
        if inner is not None and isinstance(value, dict):
            value = _as_go_reads(inner, value)
        elif inner is not None and isinstance(value, list):
            value = [_as_go_reads(inner, item) if isinstance(item, dict) else item for item in value]
        read[name] = value
    return read


def encode_reply(reply: Message) -> bytes:
    """A JSON object; `{}` when there is nothing to say."""
    return b"{}" if isinstance(reply, Empty) else msgspec.json.encode(reply)


def encode_error(text: str) -> bytes:
    """The network driver reads `Err`, the IPAM driver `Error`, so both are there."""
    return msgspec.json.encode({"Err": text, "Error": text})


@cache
def _decoder(kind: type[Message]) -> msgspec.json.Decoder[Message]:
    return msgspec.json.Decoder(kind)


def _decode(what: str, kind: type[Message], body: bytes) -> Message:
    try:
        return _decoder(kind).decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRequest(f"{what} body: {shown(str(error), 200)}") from error


def _error_text(body: bytes) -> str:
    """What the body says under one of the two keys, "" for nothing."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    texts = {key.lower(): text for key, text in document.items() if isinstance(text, str)}
    return next((text for key in ("err", "error") if (text := texts.get(key))), "")


def _told(status: int, text: str) -> Fault:
    kinds = {HTTP_STATUS[kind.kind]: kind for kind in Fault.__subclasses__()}
    return kinds.get(status, Unavailable)(text)


def shown(text: str, most: int = 80) -> str:
    """The text as errors show it: on one line, without control characters, not longer than `most`."""
    clean = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 3] + "..."
