"""What Docker's API answers, as core's values.

Rules: null, a missing field and a text that is no address are nothing, never an error; a name has no slash; a MAC is
written aa:bb:cc:dd:ee:ff; a container has one place in a network; what of an answer is not needed is not decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec

from mooring.adapters.docker.container_states import ConfigAnswer, HostConfigAnswer, StateAnswer, healthy_by_status
from mooring.core.containers import Container, ContainerEndpoint, EngineEndpoint, EngineNetwork, EngineSubnet
from mooring.core.networks import Subnet


class _Form(msgspec.Struct, rename="pascal"):
    """Docker's fields are in Pascal case."""


class _IpamSubnet(_Form):
    subnet: str | None = ""
    ip_range: str | None = msgspec.field(name="IPRange", default="")
    gateway: str | None = ""
    auxiliary_addresses: dict[str, str | None] | None = None

    def value(self) -> EngineSubnet | None:
        """As core knows it, None for what is no subnet. 20.10 writes the prefix length to the gateway of a subnet that
        it was given."""
        subnet, part = _subnet(self.subnet), _subnet(self.ip_range)
        named = {
            name: _address((text or "").partition("/")[0]) for name, text in (self.auxiliary_addresses or {}).items()
        }
        auxiliary = {name: address for name, address in named.items() if address is not None}
        gateway = _address((self.gateway or "").partition("/")[0])
        return EngineSubnet(subnet, part, gateway, auxiliary) if subnet is not None else None


class _Ipam(_Form):
    driver: str | None = ""
    options: dict[str, str | None] | None = None
    config: list[_IpamSubnet] | None = None


# The API of Docker 25: a MAC for every endpoint.
_ENDPOINT_MACS = (1, 44)
_RELEASE = re.compile(r"v?(\d{1,4})\.(\d{1,4})")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}")
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
    internal: bool | None = False
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    ipam: _Ipam | None = msgspec.field(name="IPAM", default=None)
    containers: dict[str, _Attached | None] | None = None

    def value(self) -> EngineNetwork:
        """As core knows it."""
        endpoints = tuple((each or _Attached()).value(key) for key, each in (self.containers or {}).items())
        ipam = self.ipam or _Ipam()
        return EngineNetwork(
            self.id, self.name or "", self.driver or "", bool(self.enable_ipv6), endpoints, bool(self.internal),
            self.options or {}, ipam.driver or "", {name: text or "" for name, text in (ipam.options or {}).items()},
            tuple(subnet for config in ipam.config or () if (subnet := config.value()) is not None), self.labels or {},
        )  # fmt: skip


def _release(version: str) -> tuple[int, int]:
    match = _RELEASE.match(version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class InfoAnswer(msgspec.Struct):
    """GET /info."""

    id: str = msgspec.field(name="ID")
    version: str | None = msgspec.field(name="ServerVersion", default="")

    def release(self) -> tuple[int, int]:
        """As VersionAnswer's."""
        return _release(self.version or "")


class VersionAnswer(_Form):
    """GET /version."""

    api_version: str = msgspec.field(name="ApiVersion")
    version: str = ""

    def value(self) -> tuple[int, int]:
        """(1, 41) for 1.41. Raises ValueError."""
        major, _, minor = self.api_version.partition(".")
        return int(major), int(minor)

    def release(self) -> tuple[int, int]:
        """(29, 1) for 29.1.3+dfsg1; (0, 0) for what has no number, as builds from a branch."""
        return _release(self.version)


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
    aliases: list[str] | None = None
    dns_names: list[str] | None = msgspec.field(name="DNSNames", default=None)  # from 25 on

    def endpoint(self, key: str, ids: Mapping[str, str]) -> ContainerEndpoint:
        """The place in the network. key: what it is listed under. ids: network name -> id."""
        wanted = self.ipam_config or _Wanted()
        network, name = self.network_id or "", key
        if not network:
            network, name = _meant(key, ids)
        return ContainerEndpoint(
            network, name, wanted4=_v4(wanted.ipv4_address), wanted6=_v6(wanted.ipv6_address),
            ipv4=_v4(self.ip_address), ipv6=_v6(self.global_ipv6_address),
            # Without an endpoint it is what was asked for, not what it has.
            mac=_mac(self.mac_address) if self.endpoint_id else "",
            endpoint=self.endpoint_id or "",
        )  # fmt: skip


class SettingsAnswer(_Form):
    """Where a container is, of both answers."""

    networks: dict[str, _Endpoint | None] | None = None

    def endpoints(self, ids: Mapping[str, str]) -> dict[str, ContainerEndpoint]:
        """Key -> endpoint."""
        return {key: (each or _Endpoint()).endpoint(key, ids) for key, each in (self.networks or {}).items()}


class ContainerRow(_Form):
    """GET /containers/json, one of them."""

    id: str
    names: list[str] | None = None
    created: float | None = 0.0
    state: str | None = ""
    status: str | None = ""
    labels: dict[str, str] | None = None
    host_config: HostConfigAnswer | None = None
    network_settings: SettingsAnswer | None = None

    def value(self, ids: Mapping[str, str]) -> Container:
        """As core knows it. ids: network name -> id."""
        own = [name for name in self.names or () if "/" not in name[1:]]  # the others are links to it
        return Container(
            id=self.id,
            name=own[0].lstrip("/") if own else "",
            running=self.state in ("running", "paused", "restarting"),
            created=self.created or 0.0, labels=self.labels or {},
            endpoints=_once((self.network_settings or SettingsAnswer()).endpoints(ids).values()),
            mode=(self.host_config.network_mode if self.host_config else "") or "",
            healthy=healthy_by_status(self.status or ""),
        )  # fmt: skip


class ContainerAnswer(_Form):
    """GET /containers/{id}/json."""

    id: str
    name: str | None = ""
    created: str | None = ""
    state: StateAnswer | None = None
    config: ConfigAnswer | None = None
    host_config: HostConfigAnswer | None = None
    network_settings: SettingsAnswer | None = None

    def value(self, ids: Mapping[str, str], version: tuple[int, int] = (1, 0)) -> Container:
        """As core knows it. ids: network name -> id. version: of the API that the engine answered in."""
        config, state = self.config or ConfigAnswer(), self.state or StateAnswer()
        host_config = self.host_config or HostConfigAnswer()
        settings = self.network_settings or SettingsAnswer()
        container_endpoints = settings.endpoints(ids)
        mode = host_config.network_mode or ""
        main = _main(mode, container_endpoints)
        for key, endpoint in container_endpoints.items():
            # The configuration has the main network's MAC on every engine (moby daemon/inspect.go fills it in again).
            # From 25 on each endpoint may have its own, which is told until the container runs for the first time;
            # older ones tell it too, and do not use it.
            mac = _mac(config.mac_address) if key == main else ""
            told = (settings.networks or {})[key] or _Endpoint()
            if not mac and not endpoint.endpoint and version >= _ENDPOINT_MACS:
                mac = _mac(told.mac_address)
            aliases = (*(told.aliases or ()), *(told.dns_names or ()))
            container_endpoints[key] = replace(endpoint, wanted_mac=mac, aliases=tuple(dict.fromkeys(aliases)))
        return Container(
            id=self.id,
            name=(self.name or "").lstrip("/"),
            running=bool(state.running),
            # What a container that does not run has left of its last check says nothing.
            healthy=not config.is_checked or bool(state.running and state.is_healthy),
            created=_seconds(self.created or ""),
            labels=config.labels or {},
            endpoints=_once(container_endpoints.values()),
            mode=mode,
            mac=_mac(config.mac_address) if version < _ENDPOINT_MACS else "",
            restarts=host_config.restarts and state.has_run,
            failure=(not state.running and state.error) or "",
        )


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


def elsewhere_of(networks: list[NetworkAnswer]) -> dict[Subnet, str]:
    """The subnets of networks that have no interface on the host with an address of theirs, and which network it is."""
    hidden = [network for network in networks if network.driver in ("macvlan", "ipvlan", "overlay")]
    return {
        subnet: f"{network.driver} network {network.name or network.id[:12]} of Docker's"
        for network in hidden
        for subnet in subnets_of([network])
    }


def ids_of(networks: Iterable[NetworkAnswer]) -> dict[str, str]:
    """Name -> id; not of names that several have: the engine does not know which is meant, either."""
    found: dict[str, str] = {}
    for network in networks:
        name = network.name or ""
        found[name] = "" if name in found else network.id
    return {name: ident for name, ident in found.items() if name and ident}


def bridges_of(networks: list[NetworkAnswer]) -> frozenset[str]:
    """Interface names of the networks of Docker's bridge driver (libnetwork/drivers/bridge/bridge_linux.go)."""
    return frozenset(
        (network.options or {}).get("com.docker.network.bridge.name") or f"br-{network.id[:12]}"
        for network in networks
        if network.driver == "bridge"
    )


def _meant(reference: str, ids: Mapping[str, str]) -> tuple[str, str]:
    """Id and name of the network that has the name or whose id begins so; no id for none and for several.

    What never ran has no more than what its user wrote (20.10 replaces a full id by the name, and no beginning).
    """
    if reference in ids or not reference:
        return ids.get(reference, ""), reference
    found = [(ident, name) for name, ident in ids.items() if ident.startswith(reference)]
    return found[0] if len(found) == 1 else ("", reference)


def _main(mode: str, container_endpoints: Mapping[str, ContainerEndpoint]) -> str:
    """The key of the network that a container's mode names, by name, id or its beginning; "" for none of them."""
    mode = "bridge" if mode == "default" else mode
    if mode in container_endpoints or not mode:
        return mode
    named = (key for key, endpoint in container_endpoints.items() if endpoint.name == mode)
    begun = (key for key, endpoint in container_endpoints.items() if endpoint.network.startswith(mode))
    return next(named, "") or next(begun, "")


def _once(container_endpoints: Iterable[ContainerEndpoint]) -> tuple[ContainerEndpoint, ...]:
    """One endpoint a network, under the network's name. What was made with the beginning of an id is listed twice from
    its first start on, under that and under the name, with the same endpoint (20.10 does so)."""
    found: dict[str, ContainerEndpoint] = {}
    for endpoint in container_endpoints:
        key = endpoint.network or f"name {endpoint.name}"
        known = found.get(key)
        if known is None:
            found[key] = endpoint
            continue
        name = endpoint.name if endpoint.network.startswith(known.name) else known.name
        found[key] = replace(known, name=name, wanted_mac=known.wanted_mac or endpoint.wanted_mac)
    return tuple(found.values())


def _mac(text: str | None) -> str:
    """aa:bb:cc:dd:ee:ff of what Go's net.ParseMAC reads as six octets; "" for what is none."""
    if not text or not _MAC.fullmatch(text):
        return ""
    return bytes.fromhex(re.sub("[:.-]", "", text)).hex(":")


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


def _subnet(text: str | None) -> Subnet | None:
    try:
        return ip_network(text, strict=False) if text else None
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """RFC 3339 with nanoseconds, as seconds since the epoch; 0 for what is not."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return 0.0
