"""Endpoints and their life cycle, as values and one table.

Rules: an endpoint is made with its addresses and keeps them until it is deleted; it is attached to at most one sandbox;
every event may come twice, late, or for something never heard of, so the table answers every (state, event) pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from mooring.core.faults import Conflict
from mooring.core.networks import Address, StaticRoute
from mooring.core.port_bindings import PortBinding, PortRequest, Protocol


class State(Enum):
    """Where an endpoint is in its life."""

    ABSENT = "absent"
    CREATED = "created"
    ATTACHED = "attached"

    def __str__(self) -> str:
        return self.value


class Event(Enum):
    """What can happen to an endpoint; on Docker's wire ATTACH is Join and DETACH is Leave."""

    CREATE = "create"
    ATTACH = "attach"
    DETACH = "detach"
    DELETE = "delete"


# A pair that is missing is refused. DETACH and DELETE of what is not there succeed: dockerd repeats them and sends
# them for endpoints that we never heard of (libnetwork/endpoint.go logs their errors only). ATTACH of the attached
# succeeds when it is the same sandbox, which `advance` checks.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.ABSENT, Event.CREATE): State.CREATED,
    (State.ABSENT, Event.DETACH): State.ABSENT,
    (State.ABSENT, Event.DELETE): State.ABSENT,
    (State.CREATED, Event.ATTACH): State.ATTACHED,
    (State.CREATED, Event.DETACH): State.CREATED,
    (State.CREATED, Event.DELETE): State.ABSENT,
    (State.ATTACHED, Event.ATTACH): State.ATTACHED,
    (State.ATTACHED, Event.DETACH): State.CREATED,
    (State.ATTACHED, Event.DELETE): State.ABSENT,
}


def advance(state: State, event: Event, subject: str = "endpoint") -> State:
    """The state after the event. Raises Conflict, with the subject named, when the table does not allow it."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(f"cannot {event.value} {subject}: it is {state.value}") from None


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is to be done in the sandbox: Join's reply.

    link: the interface's name as the driver made it, "" for none; prefix: of its name inside; name: that name, "" where
    the prefix and a number make it. gateway4, gateway6: next
    hops. gateway_service: False when the sandbox needs no default gateway of the engine's because of this endpoint.
    """

    link: str
    prefix: str
    gateway4: Address | None
    gateway6: Address | None
    routes: tuple[StaticRoute, ...] = ()
    gateway_service: bool = False
    name: str = ""

    def gateway(self, version: int) -> Address | None:
        """The next hop of the family (4 or 6)."""
        return self.gateway4 if version == 4 else self.gateway6


@dataclass(frozen=True, slots=True)
class Service:
    """A port that an endpoint serves under a name, for SRV records: `_<name>._<protocol>.<endpoint>` (RFC 2782)."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Joins one sandbox to one network and owns its addresses.

    ipv4, ipv6: address with the subnet's prefix length, or None for a family that it does not have.
    mac: `aa:bb:cc:dd:ee:ff`; never empty: when nobody gives one, one is chosen.
    sandbox: the sandbox key while attached, else "".
    ports: what the container asked to publish; published: what is published now; exposed: what it listens on besides,
    as far as an engine told it.
    created: seconds since the epoch.

    What an engine keeps to itself and the library keeps here: name, "" or unique in the network; aliases: more names of
    it, for everybody in the network; links: names that its own sandbox has for others, alias -> name; services: for
    SRV; priority: the sandbox's gateway is the endpoint with the highest; interface: the name inside while attached;
    attachment: what the driver answered to the join. pending: what was begun with a driver that remembers, and not yet
    answered: a start finishes or undoes it.
    """

    id: str
    network: str
    ipv4: IPv4Interface | None
    ipv6: IPv6Interface | None
    mac: str
    created: float
    state: State = State.CREATED
    sandbox: str = ""
    ports: tuple[PortRequest, ...] = ()
    published: tuple[PortBinding, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    name: str = ""
    aliases: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    priority: int = 0
    interface: str = ""
    attachment: Attachment | None = None
    pending: Event | None = None
    exposed: tuple[tuple[Protocol, int], ...] = ()

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses without prefix lengths, IPv4 first."""
        return tuple(interface.ip for interface in (self.ipv4, self.ipv6) if interface is not None)
