"""Containers as an engine tells of them, and the labels (`fixed-ip`, `mooring.key`) and keys by which an address is
theirs: a key may be a container, a text, a name, or compose's project, service and number (`key_of`).

Rules: a container is its full id, never its name or the beginning of its id; what its configuration asks for and what
it has at the moment are two things; a label means what it meant to Minions and Barrel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

import msgspec

from mooring.core.networks import Address, Sticky, Subnet

FIXED_LABEL = "fixed-ip"
KEY_LABEL = "mooring.key"
# How the key of an address begins that belongs to a container and ends with it.
CONTAINER_KEY = "container:"
LONGEST_KEY = 200
_COMPOSE = ("com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.container-number")


@dataclass(frozen=True, slots=True)
class ContainerEndpoint:
    """A container's place in one network.

    network: full id, "" for a network that the engine does not have. name: of the network. wanted4, wanted6,
    wanted_mac: what the configuration asks for, None and "" for nothing (an engine's list does not tell the MAC).
    ipv4, ipv6, mac, endpoint: what it has while it runs.
    """

    network: str
    name: str
    wanted4: IPv4Address | None = None
    wanted6: IPv6Address | None = None
    wanted_mac: str = ""
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    mac: str = ""
    endpoint: str = ""

    @property
    def wanted(self) -> tuple[Address, ...]:
        """The addresses that the configuration names, IPv4 first."""
        return tuple(address for address in (self.wanted4, self.wanted6) if address is not None)

    @property
    def proof(self) -> str:
        """The MAC that its configuration makes it have at each start, "" for none: an engine may tell one that it does
        not use (one named at a connect, before 29.3)."""
        return self.wanted_mac if self.wanted_mac == self.mac else ""

    @property
    def held(self) -> tuple[Address, ...]:
        """The addresses that it has now, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of an engine. id: full. name: without the slash. created: seconds since the epoch.

    mode: its network mode. mac: the container-wide one, on engines that use it (before 25, for the network whose name
    is the mode), else "".
    """

    id: str
    name: str
    running: bool
    created: float
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[ContainerEndpoint, ...] = ()
    mode: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class EngineEndpoint:
    """An endpoint as its engine knows it. container: full id, "" when the engine has none for it. name: the endpoint's,
    which is that of the container it was made for."""

    id: str
    container: str
    name: str
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class EngineSubnet:
    """A subnet of a network, as its engine tells it; gateway None where it does not."""

    subnet: Subnet
    range: Subnet | None = None
    gateway: Address | None = None
    auxiliary: Mapping[str, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineNetwork:
    """A network as its engine knows it. ipv6: whether containers get IPv6 addresses in it. endpoints: those in use.

    options: of its driver. ipam, ipam_options: its IPAM driver, and what that was told.
    """

    id: str
    name: str
    driver: str
    ipv6: bool = False
    endpoints: tuple[EngineEndpoint, ...] = ()
    internal: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    ipam: str = ""
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    subnets: tuple[EngineSubnet, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class EventKind(Enum):
    """What an engine tells of a container."""

    CREATED = "create"
    STARTED = "start"
    DIED = "die"
    DESTROYED = "destroy"
    RENAMED = "rename"
    CONNECTED = "connect"
    DISCONNECTED = "disconnect"


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event. container: full id. network: full id for CONNECTED and DISCONNECTED, else ""; a CREATED with a network
    and without a container is about the network. at: nanoseconds since the epoch by the engine's clock."""

    what: EventKind
    container: str
    at: int
    network: str = ""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A container that holds fixed addresses. engine: id of the engine that has it. since: seconds since the epoch.
    oldest, newest: of the versions of the API that engines spoke while they had it, (0, 0) when not known."""

    id: str
    engine: str
    name: str
    since: float
    oldest: tuple[int, int] = (0, 0)
    newest: tuple[int, int] = (0, 0)


def is_on(value: str | None) -> bool:
    """Whether a `fixed-ip` label with this value means yes; None: there is no such label.

    Everything is on but `0` and `false`, in any case of letters; the empty text is on (Minions driver/helper.go,
    Barrel proxy/docker/helper.go).
    """
    return value is not None and value != "0" and value.lower() != "false"


def is_sound(key: str) -> bool:
    """Whether the text can be a key: printable, and not longer than a line."""
    return key.isprintable() and len(key) <= LONGEST_KEY


def key_in_words(key: str) -> str:
    """What an address belongs to, without the container's name, which a key does not have."""
    kind, _, text = key.partition(":")
    if kind == "compose" and text.count("/") == 2:
        project, service, number = text.split("/")
        return f"compose service {project}/{service}, number {number}"
    if kind in ("key", "name") and text:
        return f"{kind} {text}"
    if key.startswith(CONTAINER_KEY):
        return f"container {text[:12]}"
    return f"key {key}"


def key_of(labels: Mapping[str, str], name: str, sticky: Sticky, container: str) -> str:
    """What an address of the container belongs to in a network with this stickiness; "" for nothing.

    name: the container's, "" when it is not known yet. container: its full id, or what stands for it until it has one.
    The keys are `key:<text of the label mooring.key>`, `compose:<project>/<service>/<number>`, `name:<name>` and
    `container:<id>`. `fixed-ip=0` says no, whatever the network says. `fixed-ip` means the container, as it did to
    Minions and Barrel, but where compose made it: compose removes it at each change of its file, and makes it anew.
    """
    fixed = labels.get(FIXED_LABEL)
    if fixed is not None and not is_on(fixed):
        return ""
    if (text := labels.get(KEY_LABEL, "")) and is_sound(text):
        return f"key:{text}"
    if sticky is Sticky.NAME or is_on(fixed):
        compose = [labels.get(each, "").replace("%", "%25").replace("/", "%2F") for each in _COMPOSE]
        # What `docker compose run` makes is nobody's successor, and its name is a random one.
        once = is_on(labels.get("com.docker.compose.oneoff", "false"))
        if all(compose) and all(map(is_sound, compose)) and not once:
            return "compose:" + "/".join(compose)
        if sticky is Sticky.NAME and name and not once:
            return f"name:{name.lstrip('/')}"
    if is_on(fixed) or sticky is not Sticky.OFF:
        return CONTAINER_KEY + container
    return ""


def compose_replica(labels: Mapping[str, str]) -> tuple[str, str]:
    """Project and service as `shop/web`, and the number, of a container that compose made to stay; "" for others."""
    project, service, number = (labels.get(each, "") for each in _COMPOSE)
    if not (project and service and number) or is_on(labels.get("com.docker.compose.oneoff", "false")):
        return "", ""
    return f"{project}/{service}", number


def outlives(key: str) -> bool:
    """Whether the key means something after its container is gone."""
    return bool(key) and not key.startswith(CONTAINER_KEY)
