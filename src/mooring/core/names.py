"""Names of endpoints as DNS sees them, as values.

Rules: a name is lower-case and without the dot at its end; an answer says what is known and decides nothing about the
wire; within a sandbox its own links come first, then the networks in the order of its gateways; an endpoint that is
attached to nothing has no name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from mooring.core.endpoints import Endpoint, State
from mooring.core.networks import NULL, Address, Network
from mooring.core.sandboxes import Member

# Record types (RFC 1035, 3.2.2 and 3.2.3; RFC 3596; RFC 2782).
A, PTR, AAAA, SRV, ANY = 1, 12, 28, 33, 255

_VERSIONS = {A: 4, AAAA: 6}
_REVERSE4, _REVERSE6 = ".in-addr.arpa", ".ip6.arpa"
_HEXADECIMAL = set("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Question:
    """name: as asked, lower-case, without the dot at its end. kind: the record type's number."""

    name: str
    kind: int


class Verdict(Enum):
    """FOUND: see the answer. EMPTY: the name is known, not with that type. ABSENT: nobody has the name, here or
    elsewhere. FORWARD: not known here, ask elsewhere. REFUSED: not known here, and nobody may be asked (the sandbox has
    no way out; or it may be known soon)."""

    FOUND = "found"
    EMPTY = "empty"
    ABSENT = "absent"
    FORWARD = "forward"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A service's place: `name` has the address, and listens on the port."""

    port: int
    name: str
    address: Address


@dataclass(frozen=True, slots=True)
class Answer:
    """addresses for A and AAAA, names for PTR, targets for SRV. near: so many addresses at the beginning are to be told
    before all others, which are otherwise in no order."""

    verdict: Verdict
    addresses: tuple[Address, ...] = ()
    names: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    near: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What one sandbox can ask for.

    members: the endpoints that are attached to it, the gateway first. named(network id, name): the attached endpoints
    of the network that have the name. at(network id, address): its endpoint with the address. out: whether a network
    leads out of the host. ndots: whether the sandbox's user set that option, so that his resolver tries a name of one
    label with the search list, too.
    """

    members: Sequence[Member]
    named: Callable[[str, str], Iterable[Endpoint]]
    at: Callable[[str, Address], Endpoint | None]
    out: bool
    ndots: bool = False


def names_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What the endpoint is called in its network: its name, then its aliases; none while it is attached to nothing."""
    if endpoint.state is not State.ATTACHED:
        return ()
    return tuple(dict.fromkeys(_spelled(name) for name in (endpoint.name, *endpoint.aliases) if _spelled(name)))


def leads_out(members: Iterable[Member]) -> bool:
    """Whether any of the sandbox's networks leads out of the host (libnetwork/sandbox.go)."""
    return any(not member.network.internal and member.network.driver != NULL for member in members)


def address_of(name: str) -> Address | None:
    """The address that a name of the reverse zones stands for (RFC 1035, 3.5; RFC 3596, 2.5), else None."""
    if name.endswith(_REVERSE4):
        try:
            return IPv4Address(".".join(reversed(name.removesuffix(_REVERSE4).split("."))))
        except ValueError:
            return None
    digits = name.removesuffix(_REVERSE6).split(".")
    if name.endswith(_REVERSE6) and len(digits) == 32 and all(len(digit) == 1 for digit in digits):
        text = "".join(reversed(digits))
        return IPv6Address(int(text, 16)) if set(text) <= _HEXADECIMAL else None
    return None


def lookup(question: Question, view: View) -> Answer:
    """What the sandbox is told, addresses in their order (libnetwork/resolver.go).

    `a.b.c` is looked for as a name in all networks of the sandbox, then as `a.b` in the network called `c`, then as `a`
    in `b.c` (libnetwork/sandbox.go, ResolveName). The first that knows the name answers for it, whatever the type: a
    name of ours is never asked of other nameservers.
    """
    answer = _known(question, view)
    if answer is not None:
        return answer
    if not view.out:
        return Answer(Verdict.REFUSED)
    if view.ndots and question.kind in _VERSIONS and "." not in question.name:
        return Answer(Verdict.EMPTY)
    return Answer(Verdict.FORWARD)


def _known(question: Question, view: View) -> Answer | None:
    address = address_of(question.name)
    if address is not None:
        name = _name_at(address, view)
        found = Answer(Verdict.FOUND, names=(name,)) if question.kind == PTR else Answer(Verdict.EMPTY)
        return found if name else None
    if question.kind == SRV and question.name.startswith("_"):
        return _service(question.name, view)
    return _addresses(_find(question.name, view), _VERSIONS.get(question.kind))


_Group = tuple[Network, Sequence[Endpoint]]


def _spelled(name: str) -> str:
    return name.lower().removesuffix(".")


def _full_name(network: Network, endpoint: Endpoint) -> str:
    """The name that is known in every network of the sandbox: the endpoint's first with that of its network."""
    return ".".join(part for part in (names_of(endpoint)[0], _spelled(network.name)) if part)


def steps(name: str, networks: Iterable[str]) -> list[tuple[str, str]]:
    """(name, network's name) in the order of trying; "" stands for every network. Only networks that there are get a
    step, so that a name of many labels costs no more than another."""
    ends = {network for network in networks if network and name.endswith(f".{network}")}
    return [(name, ""), *((name[: -len(end) - 1], end) for end in sorted(ends, key=len))]


def _find(name: str, view: View) -> list[_Group]:
    """Who has the name, by network, at the first step that knows it."""
    networks = [(member, _spelled(member.network.name), _links(member.endpoint)) for member in view.members]
    for wanted, where in steps(name, [called for _, called, _ in networks]):
        here = [(member.network, links) for member, called, links in networks if where in ("", called)]
        for candidates in (
            [(network, links[wanted]) for network, links in here if wanted in links],
            [(network, wanted) for network, links in here if wanted not in links],
        ):
            groups = [(network, list(view.named(network.id, called))) for network, called in candidates]
            if any(endpoints for _, endpoints in groups):
                return [(network, endpoints) for network, endpoints in groups if endpoints]
    return []


def _links(endpoint: Endpoint) -> dict[str, str]:
    return {_spelled(alias): _spelled(name) for alias, name in endpoint.links.items()}


def _addresses(groups: Sequence[_Group], version: int | None) -> Answer | None:
    """The addresses in the first network that has any of the family."""
    for _, endpoints in groups:
        addresses = {address for endpoint in endpoints for address in endpoint.addresses}
        if found := sorted(address for address in addresses if address.version == version):
            return Answer(Verdict.FOUND, addresses=tuple(found))
    return Answer(Verdict.EMPTY) if groups else None


def _name_at(address: Address, view: View) -> str:
    """The name of the address in the first network that has one, else ""."""
    for member in view.members:
        endpoint = view.at(member.network.id, address)
        if endpoint is not None and names_of(endpoint):
            return _full_name(member.network, endpoint)
    return ""


def _service(name: str, view: View) -> Answer | None:
    """Where the service is (RFC 2782), one target for each address; EMPTY when only the name after
    `_service._protocol.` is known."""
    service, _, rest = name.partition(".")
    protocol, _, owner = rest.partition(".")
    groups = _find(owner, view) if owner else []
    for network, endpoints in groups:
        targets = [
            Target(offer.port, _full_name(network, endpoint), address)
            for endpoint in endpoints
            for offer in endpoint.services
            if (f"_{_spelled(offer.name)}", f"_{offer.protocol.label}") == (service, protocol)
            for address in endpoint.addresses
        ]
        if targets:
            targets.sort(key=lambda target: (target.name, target.port, target.address.version, target.address))
            return Answer(Verdict.FOUND, targets=tuple(targets))
    return Answer(Verdict.EMPTY) if groups else None
