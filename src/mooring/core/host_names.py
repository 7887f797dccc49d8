"""Names of a host's containers as the daemon's DNS server tells them: who may ask for what, and what the answer is.

Rules: whoever asks sees the names of his own networks, and of those that are open to these; a name of the zone is never
asked of other nameservers, so that no name of ours leaves the host; a name that is there without an address of the
family asked for is empty and not missing, or else who asks for AAAA first would not ask for A.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mooring.core.endpoints import Service
from mooring.core.faults import BadRequest
from mooring.core.names import AAAA, ANY, PTR, SRV, A, Answer, Question, Target, Verdict, address_of
from mooring.core.networks import Address
from mooring.core.options import shown

# What ANY may be answered with is ours to choose (RFC 8482, 4.1).
_VERSIONS = {A: (4,), AAAA: (6,), ANY: (4, 6)}
LABEL_BYTES, NAME_BYTES = 63, 253
# Of those that stand in names of hosts (RFC 1123, 2.1), and what Docker allows besides.
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who has names in a network. names: relative to the network, the one that PTR and SRV tell first.

    network: its name, "" for names that are in no network. host: the id of another host of the cluster that has it, ""
    for this one.
    """

    names: tuple[str, ...]
    addresses: tuple[Address, ...]
    network: str = ""
    services: tuple[Service, ...] = ()
    host: str = ""

    def full_name(self, zone: str) -> str:
        """The one that everybody knows who may."""
        return ".".join(part for part in (self.names[0], self.network, zone) if part)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by full ids of networks.

    own: those that he is in, the one that the question came by first. open: those besides whose names he may ask for
    with the network's name behind it; None for the host itself, which may ask for all. out: whether any of them leads
    out of the host: for who has no way out nobody else is asked, since what is asked is a way out (CVE-2024-29018).
    """

    own: tuple[str, ...] = ()
    open: frozenset[str] | None = None
    out: bool = True

    def may_see(self, network_id: str) -> bool:
        """Whether he may know who is in the network; "" is in sight of everybody."""
        return self.open is None or not network_id or network_id in self.own or network_id in self.open


class Directory(Protocol):
    """Who has which name. Names are lower-case."""

    def named(self, network_id: str, name: str) -> Collection[Entry]:
        """Those that have the name in the network; in no network for ""."""
        ...

    def networks_named(self, name: str) -> Collection[str]:
        """Full ids of the networks with the name."""
        ...

    def at(self, address: Address) -> Collection[tuple[str, Entry]]:
        """Those that have the address, each with the full id of its network."""
        ...

    def is_ours(self, address: Address, asker: Asker) -> bool:
        """Whether it is in a subnet of a network of ours, as far as the asker's routing goes: what another tenant has
        in his domain is nothing here."""
        ...


def parse_zone(what: str, text: str) -> str:
    """`mooring` or `dc1.example.org`, lower-case and without the dot at its end. Raises BadRequest, naming `what`."""
    return _checked(what, text, "a zone is labels of letters, digits and hyphens, joined by dots")


def parse_name(what: str, text: str) -> str:
    """A name of one label or several, lower-case and without the dot at its end. Raises BadRequest, naming `what`."""
    return _checked(what, text, "a name is labels of letters, digits, hyphens and underscores, joined by dots")


def dns_label(text: str) -> str:
    """What a container or network is called in DNS: lower-case; "" for what cannot be asked for."""
    name = text.lower().strip("/").rstrip(".")
    return name if _is_name(name) else ""


def lookup(question: Question, asker: Asker, directory: Directory, zone: str, *, local_first: bool = False) -> Answer:
    """What the asker is told, addresses in no order. local_first: those of this host are told before all others.

    A name in the zone that nobody has is ABSENT, and EMPTY where names are below it. Outside of the zone only short
    names and `<name>.<network>` of the asker's own networks are known, and addresses in subnets
    of ours, which are ABSENT when nobody in sight has them; what else is asked is FORWARD, or REFUSED.
    """
    elsewhere = Answer(Verdict.FORWARD if asker.out else Verdict.REFUSED)
    address = address_of(question.name)
    if address is not None:
        names = tuple(entry.full_name(zone) for network, entry in directory.at(address) if asker.may_see(network))
        if not names:
            # Nobody else knows either, and whoever is asked might not answer (moby#50044).
            return Answer(Verdict.ABSENT) if directory.is_ours(address, asker) else elsewhere
        found = Answer(Verdict.FOUND, names=tuple(sorted(names)))
        return found if question.kind in (PTR, ANY) else Answer(Verdict.EMPTY)
    service, owner = _parts(question.name)
    groups = list(_groups(owner, asker, directory, zone))
    if groups and service and question.kind == SRV:
        return _services(groups, service, zone)
    named = list(_groups(question.name, asker, directory, zone)) if service else groups
    if named or groups:
        return _addresses(named, _VERSIONS.get(question.kind, ()), local_first)
    if not _is_in(owner, zone):
        return elsewhere
    return Answer(Verdict.EMPTY if _is_above(owner, asker, directory, zone) else Verdict.ABSENT)


def _checked(what: str, text: str, hint: str) -> str:
    name = text.lower().removesuffix(".")
    if not _is_name(name):
        raise BadRequest(f"{what} {shown(text)} is not a DNS name", hint=hint)
    return name


def _is_name(name: str) -> bool:
    return (
        0 < len(name) <= NAME_BYTES
        and all(0 < len(label) <= LABEL_BYTES for label in name.split("."))
        and set(name) <= _CHARACTERS | {"."}
    )


def _is_in(name: str, zone: str) -> bool:
    return name == zone or name.endswith(f".{zone}")


def _parts(name: str) -> tuple[tuple[str, str], str] | tuple[None, str]:
    """`_http._tcp.web` is the service http by tcp of `web`."""
    if name.startswith("_"):
        service, _, rest = name.partition(".")
        protocol, _, owner = rest.partition(".")
        if protocol.startswith("_") and owner:
            return (service[1:], protocol[1:]), owner
    return None, name


def splits(name: str) -> Iterator[tuple[str, str]]:
    """Every way to take it for a name in a network: both may have dots."""
    at = name.find(".")
    while at > 0:
        yield name[:at], name[at + 1 :]
        at = name.find(".", at + 1)


def _groups(name: str, asker: Asker, directory: Directory, zone: str) -> Iterator[Sequence[Entry]]:
    """Those that have the name, by network, the asker's own ones first."""
    inside = _is_in(name, zone)
    relative = name.removesuffix(zone).removesuffix(".") if inside else name
    if not relative:
        return
    for network_id in (*asker.own, ""):
        if found := list(directory.named(network_id, relative)):
            yield found
    for wanted, network in splits(relative):
        for network_id in directory.networks_named(network):
            seen = asker.may_see(network_id) if inside else network_id in asker.own
            if seen and (found := list(directory.named(network_id, wanted))):
                yield found


def _is_above(name: str, asker: Asker, directory: Directory, zone: str) -> bool:
    """Whether it is the zone or a network, which have names below them (RFC 8020)."""
    relative = name.removesuffix(zone).removesuffix(".")
    return not relative or any(asker.may_see(each) for each in directory.networks_named(relative))


def _addresses(groups: Sequence[Sequence[Entry]], versions: Container[int], local_first: bool) -> Answer:
    """Those in the first network that has any of the families."""
    for entries in groups:
        near, far = set[Address](), set[Address]()
        for entry in entries:
            found = far if local_first and entry.host else near
            found.update(address for address in entry.addresses if address.version in versions)
        if near or far:
            first, second = _in_order(near), _in_order(far - near)
            return Answer(Verdict.FOUND, addresses=(*first, *second), near=len(first) if second else 0)
    return Answer(Verdict.EMPTY)


def _in_order(addresses: Collection[Address]) -> list[Address]:
    return sorted(addresses, key=lambda each: (each.version, each))


def _services(groups: Sequence[Sequence[Entry]], service: tuple[str, str], zone: str) -> Answer:
    """One target for each address of those who have the service, by its name or its port's number (RFC 2782)."""
    for entries in groups:
        targets = {
            Target(offer.port, entry.full_name(zone), address)
            for entry in entries
            for offer in entry.services
            if service in ((offer.name, offer.protocol.label), (str(offer.port), offer.protocol.label))
            for address in entry.addresses
        }
        if targets:
            order = sorted(targets, key=lambda each: (each.name, each.port, each.address.version, each.address))
            return Answer(Verdict.FOUND, targets=tuple(order))
    return Answer(Verdict.EMPTY)
