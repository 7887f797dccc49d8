"""What Docker's API answers, as core's values.

Rules: null, a missing field and a text that is no address are nothing, never an error; a name has no slash; a MAC is in
lower case; what of an answer is not needed is not decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec

from mooring.core.containers import Container, EngineEndpoint, EngineEvent, EngineNetwork, Happening, Plug
from mooring.core.networks import Subnet


class _Form(msgspec.Struct, rename="pascal"):
    """Docker's fields are in Pascal case."""


class _IpamSubnet(_Form):
    subnet: str | None = ""


class _Ipam(_Form):
    config: list[_IpamSubnet] | None = None


# How the key of an endpoint begins that belongs to no container (moby daemon/network.go, buildContainerAttachments).
_NOBODY = "ep-"


class _Attached(_Form):
    name: str | None = ""
    endpoint_id: str | None = msgspec.field(name="EndpointID", default="")
    ipv4_address: str | None = msgspec.field(name="IPv4Address", default="")
    ipv6_address: str | None = msgspec.field(name="IPv6Address", default="")

    def value(self, key: str) -> EngineEndpoint:
        """As core knows it. key: what it is listed under."""
        v4, v6 = ((text or "").partition("/")[0] for text in (self.ipv4_address, self.ipv6_address))
        container = "" if key.startswith(_NOBODY) else key
        ident = self.endpoint_id or key.removeprefix(_NOBODY)
        return EngineEndpoint(ident, container, (self.name or "").lstrip("/"), _v4(v4), _v6(v6))


class NetworkAnswer(_Form):
    """GET /networks, one of them, and GET /networks/{id}; only the latter has containers."""

    id: str
    name: str | None = ""
    driver: str | None = ""
    enable_ipv6: bool | None = msgspec.field(name="EnableIPv6", default=False)
    options: dict[str, str] | None = None
    ipam: _Ipam | None = msgspec.field(name="IPAM", default=None)
    containers: dict[str, _Attached | None] | None = None

    def value(self) -> EngineNetwork:
        """As core knows it."""
        endpoints = tuple((each or _Attached()).value(key) for key, each in (self.containers or {}).items())
        return EngineNetwork(self.id, self.name or "", self.driver or "", bool(self.enable_ipv6), endpoints)


class InfoAnswer(msgspec.Struct):
    """GET /info."""

    id: str = msgspec.field(name="ID")


class VersionAnswer(_Form):
    """GET /version."""

    api_version: str = msgspec.field(name="ApiVersion")

    def value(self) -> tuple[int, int]:
        """(1, 41) for 1.41. Raises ValueError."""
        major, _, minor = self.api_version.partition(".")
        return int(major), int(minor)


class _Wanted(_Form):
    ipv4_address: str | None = msgspec.field(name="IPv4Address", default="")
    ipv6_address: str | None = msgspec.field(name="IPv6Address", default="")


class _Endpoint(_Form):
    ipam_config: _Wanted | None = msgspec.field(name="IPAMConfig", default=None)
    network_id: str | None = msgspec.field(name="NetworkID", default="")
    endpoint_id: str | None = msgspec.field(name="EndpointID", default="")
    ip_address: str | None = msgspec.field(name="IPAddress", default="")
    global_ipv6_address: str | None = msgspec.field(name="GlobalIPv6Address", default="")
    mac_address: str | None = ""

    def plug(self, name: str, ids: Mapping[str, str], wanted_mac: str = "") -> Plug:
        """The place in the network of the name. ids: network name -> id, for what never ran and has only the name."""
        wanted = self.ipam_config or _Wanted()
        return Plug(
            network=self.network_id or ids.get(name, ""),
            name=name,
            wanted4=_v4(wanted.ipv4_address),
            wanted6=_v6(wanted.ipv6_address),
            wanted_mac=wanted_mac,
            ipv4=_v4(self.ip_address),
            ipv6=_v6(self.global_ipv6_address),
            mac=(self.mac_address or "").lower(),
            endpoint=self.endpoint_id or "",
        )


class _Settings(_Form):
    networks: dict[str, _Endpoint | None] | None = None


class ContainerRow(_Form):
    """GET /containers/json, one of them."""

    id: str
    names: list[str] | None = None
    created: float | None = 0.0
    state: str | None = ""
    labels: dict[str, str] | None = None
    network_settings: _Settings | None = None

    def value(self, ids: Mapping[str, str]) -> Container:
        """As core knows it. ids: network name -> id."""
        own = [name for name in self.names or () if "/" not in name[1:]]  # the others are links to it
        endpoints = (self.network_settings.networks if self.network_settings else None) or {}
        return Container(
            id=self.id,
            name=own[0].lstrip("/") if own else "",
            running=self.state in ("running", "paused", "restarting"),
            created=self.created or 0.0,
            labels=self.labels or {},
            plugs=tuple((endpoint or _Endpoint()).plug(name, ids) for name, endpoint in endpoints.items()),
        )


class _State(_Form):
    running: bool | None = False


class _Config(_Form):
    labels: dict[str, str] | None = None
    mac_address: str | None = ""


class _HostConfig(_Form):
    network_mode: str | None = ""


class ContainerAnswer(_Form):
    """GET /containers/{id}/json."""

    id: str
    name: str | None = ""
    created: str | None = ""
    state: _State | None = None
    config: _Config | None = None
    host_config: _HostConfig | None = None
    network_settings: _Settings | None = None

    def value(self, ids: Mapping[str, str]) -> Container:
        """As core knows it. ids: network name -> id."""
        config = self.config or _Config()
        mode = (self.host_config.network_mode if self.host_config else "") or ""
        endpoints = (self.network_settings.networks if self.network_settings else None) or {}
        plugs = []
        for name, endpoint in endpoints.items():
            main = mode in (name, (endpoint or _Endpoint()).network_id)
            mac = (config.mac_address or "").lower() if main else ""
            plugs.append((endpoint or _Endpoint()).plug(name, ids, mac))
        return Container(
            id=self.id,
            name=(self.name or "").lstrip("/"),
            running=bool(self.state and self.state.running),
            created=_seconds(self.created or ""),
            labels=config.labels or {},
            plugs=tuple(plugs),
        )


class _Actor(_Form):
    id: str | None = msgspec.field(name="ID", default="")
    attributes: dict[str, str] | None = None


class EventAnswer(_Form):
    """One line of GET /events."""

    type: str | None = ""
    action: str | None = ""
    actor: _Actor | None = None
    time_nano: int = msgspec.field(name="timeNano", default=0)

    def value(self) -> EngineEvent | None:
        """As core knows it, None for what it does not."""
        actor = self.actor or _Actor()
        try:
            what = Happening(self.action)
        except ValueError:
            return None
        of_network = what in (Happening.CONNECTED, Happening.DISCONNECTED)
        if self.type == "network" and of_network:
            container = (actor.attributes or {}).get("container", "")
            return EngineEvent(what, container, self.time_nano, actor.id or "") if container else None
        if self.type == "container" and not of_network and actor.id:
            return EngineEvent(what, actor.id, self.time_nano)
        return None


class MessageAnswer(msgspec.Struct):
    """A refusal."""

    message: str = ""


def subnets_of(networks: list[NetworkAnswer]) -> frozenset[Subnet]:
    """Every subnet of the networks. Raises ValueError for what is none."""
    found: set[Subnet] = set()
    for network in networks:
        for config in (network.ipam.config if network.ipam else None) or ():
            if config.subnet:
                found.add(ip_network(config.subnet, strict=False))
    return frozenset(found)


def bridges_of(networks: list[NetworkAnswer]) -> frozenset[str]:
    """Interface names of the networks of Docker's bridge driver (libnetwork/drivers/bridge/bridge_linux.go)."""
    return frozenset(
        (network.options or {}).get("com.docker.network.bridge.name") or f"br-{network.id[:12]}"
        for network in networks
        if network.driver == "bridge"
    )


def _v4(text: str | None) -> IPv4Address | None:
    address = _address(text)
    return address if isinstance(address, IPv4Address) else None


def _v6(text: str | None) -> IPv6Address | None:
    address = _address(text)
    return address if isinstance(address, IPv6Address) else None


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text) if text else None
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """RFC 3339 with nanoseconds, as seconds since the epoch; 0 for what is not."""
    try:
        whole, _, rest = text.partition(".")
        return datetime.fromisoformat(f"{whole}Z" if rest else text).timestamp()
    except ValueError:
        return 0.0
