"""A cluster and the hosts in it: who they are, how the servers are reached, and what two hosts may not share.

Rules: a host's id is made when it joins and is nobody's before; a host is known to be there by its session alone, which
ends by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from urllib.parse import quote, urlsplit

from mooring.core.networks import Subnet
from mooring.core.subnet_index import Holdings

CLUSTER = "cluster"
"""The key of the cluster's own record."""
HOSTS = "host/"
"""What the keys of all hosts begin with."""
SESSIONS = "session/"
"""What the keys of all sessions begin with."""


def host_key(host: str) -> str:
    """Where the host's record is."""
    return f"{HOSTS}{quote(host, safe='')}"


def session_key(host: str) -> str:
    """What is there while the host is heard; its value is the id of the host's boot."""
    return f"{SESSIONS}{quote(host, safe='')}"


def tag_of(machine: str) -> str:
    """Tells machines apart. machine: its id, which is nobody else's business (machine-id(5)) and does not follow."""
    return sha256(f"mooring cluster {machine}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """How the servers are reached, and which cluster is expected there. prefix: of all its keys. ca, certificate, key:
    PEM, "" for none."""

    cluster: str
    endpoints: tuple[str, ...]
    prefix: str = "mooring/"
    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a host keeps of the cluster that it is in. host: its id there. machine: the machine that it was then.
    underlay: what the operator said, an interface, an address, or ""."""

    access: ClusterAccess
    host: str
    name: str
    machine: str
    underlay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecord:
    """A cluster. made: seconds since the epoch. by: the name of the host that made it."""

    id: str
    made: float
    by: str


@dataclass(frozen=True, slots=True)
class Underlay:
    """Where a host is reached by the others. address: without prefix length. mtu: of the link."""

    address: str
    link: str
    mtu: int


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """How the others encrypt for a host (core/wireguard.py). keys: public ones; the first is in use, a second one will
    be, or was until a moment ago. port: of UDP, at the host's address in the underlay."""

    keys: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHost:
    """A host as the others know it. machine: tells machines apart, without being the machine's own id. joined: seconds
    since the epoch. tunnel: None: it has no WireGuard. drained: it is to take no new addresses of the cluster's
    networks, an operator says. vxlan_port: of UDP, where its tunnels end; 0: it does not say."""

    id: str
    name: str
    machine: str
    boot: str
    underlay: Underlay
    version: str
    joined: float
    tunnel: TunnelEnd | None = None
    drained: bool = False
    vxlan_port: int = 0


class Verdict(Enum):
    """What a check says of joining."""

    OK = "ok"
    NOTE = "note"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at before joining. text: what was found, with what to do where it is in the way."""

    what: str
    verdict: Verdict
    text: str


# Seconds by which clocks may differ unsaid: etcd tells whole ones.
CLOCK_NOTED = 2.0
# What VXLAN over IPv6 takes of every packet, and the least that IPv6 has inside (RFC 8200, 5).
LEAST_MTU = 1280 + 70


def checks(
    mine: ClusterHost, others: Sequence[ClusterHost], heard: Collection[str], offset: float | None
) -> Iterator[Check]:
    """What there is to say about this host's joining. heard: ids of the hosts that are. offset: seconds by which this
    host's clock is ahead of the servers', None when they do not tell."""
    yield _identity(mine, others, heard)
    yield _underlay(mine, others)
    yield _mtu(mine, others)
    yield _vxlan_port(mine, others)
    yield _clock(offset)
    yield _version(mine, others)


def reach(endpoints: Sequence[str]) -> Iterator[Check]:
    """What there is to say about the endpoints that are told to the hosts that come."""
    if own := [each for each in endpoints if (urlsplit(each).hostname or "") in ("localhost", "127.0.0.1", "::1")]:
        yield Check("endpoints", Verdict.NOTE, f"no other host reaches {', '.join(own)}; give one that all can reach")


def overlapping(shared: Iterable[Subnet], held: Holdings) -> Iterator[Check]:
    """What there is to say about subnets of the cluster that this host has, or reaches. held: all that it does."""
    for subnet in sorted(shared, key=lambda each: (each.version, each)):
        found = [f"{name or 'a route'} ({other})" for other, name in held.overlapping(subnet)]
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            text = f"{subnet} is a subnet of the cluster, and here are {', '.join(found[:3])}{more}"
            yield Check("subnets", Verdict.NOTE, f"{text}: its network cannot be on this host beside them")


def _identity(mine: ClusterHost, others: Sequence[ClusterHost], heard: Collection[str]) -> Check:
    for other in others:
        if other.machine == mine.machine:
            text = (
                f"host {other.name} ({other.id}) has the same machine id: if this is a copy of it, run `rm"
                " /etc/machine-id; systemd-machine-id-setup` and reboot; if it is the same machine, installed anew, run"
                f" `mooring cluster hosts forget {other.id}` on another host"
            )
            return Check("identity", Verdict.REFUSED, text)
        if other.name == mine.name:
            state = "is heard" if other.id in heard else "is not heard; if it is gone, forget it"
            text = f"host {other.id} is called {mine.name} as well, and {state}; give this one another --name"
            return Check("identity", Verdict.REFUSED, text)
    return Check("identity", Verdict.OK, f"{mine.name}, a host that the cluster does not know")


def _underlay(mine: ClusterHost, others: Sequence[ClusterHost]) -> Check:
    where = f"{mine.underlay.address} on {mine.underlay.link}"
    if mine.underlay.link == "lo":
        return Check("underlay", Verdict.NOTE, f"{where} is reached by no other host; name another with --underlay")
    for other in others:
        if other.underlay.address == mine.underlay.address:
            text = f"{where} is the address of host {other.name}, too; give this one another with --underlay"
            return Check("underlay", Verdict.REFUSED, text)
    here = ":" in mine.underlay.address
    apart = [other.name for other in others if (":" in other.underlay.address) != here]
    if apart:
        family = "IPv4" if here else "IPv6"
        text = f"{where}, but {', '.join(apart)} {'is' if len(apart) == 1 else 'are'} reached by {family}"
        return Check("underlay", Verdict.NOTE, f"{text}; give all hosts addresses of one family with --underlay")
    return Check("underlay", Verdict.OK, where)


def _mtu(mine: ClusterHost, others: Sequence[ClusterHost]) -> Check:
    here = mine.underlay.mtu
    if here < LEAST_MTU:
        return Check("mtu", Verdict.NOTE, f"{here} is too small for an overlay with IPv6, which needs {LEAST_MTU}")
    differing = [f"{other.name} {other.underlay.mtu}" for other in others if other.underlay.mtu != here]
    if differing:
        return Check("mtu", Verdict.NOTE, f"{here} here, but {', '.join(differing)}: check that it is meant")
    return Check("mtu", Verdict.OK, str(here))


def other_ports(port: int, others: Iterable[ClusterHost]) -> list[ClusterHost]:
    """Those whose tunnels end at another port, so that neither hears the other."""
    return [other for other in others if other.vxlan_port not in (0, port)]


def _vxlan_port(mine: ClusterHost, others: Sequence[ClusterHost]) -> Check:
    if differing := [f"{other.name} {other.vxlan_port}" for other in other_ports(mine.vxlan_port, others)]:
        text = f"{mine.vxlan_port} here, but {', '.join(differing)}: give all hosts one, or no overlay reaches this one"
        return Check("vxlan_port", Verdict.NOTE, text)
    return Check("vxlan_port", Verdict.OK, str(mine.vxlan_port))


def _clock(offset: float | None) -> Check:
    if offset is None:
        return Check("clock", Verdict.NOTE, "the servers do not tell the time, not compared")
    if abs(offset) > CLOCK_NOTED:
        way = "ahead of" if offset > 0 else "behind"
        return Check("clock", Verdict.NOTE, f"{abs(offset):.0f} s {way} the servers'; run an NTP client on all hosts")
    return Check("clock", Verdict.OK, "as the servers'")


def _version(mine: ClusterHost, others: Sequence[ClusterHost]) -> Check:
    differing = [f"{other.name} {other.version}" for other in others if other.version != mine.version]
    if differing:
        return Check("version", Verdict.NOTE, f"{mine.version} here, but {', '.join(differing)}: bring all to one")
    return Check("version", Verdict.OK, mine.version)
