"""Whether other hosts are reached through the tunnels of overlays: what is asked, and what follows from the answers.

Rules: only who answers proves something; where nobody does it is said what was asked, not who is to blame; a tunnel
that carries one network carries all, so a host is told of once and not for each network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import ip_address

from mooring.core.cluster_hosts import ClusterHost
from mooring.core.findings import Finding
from mooring.core.networks import Address, Network
from mooring.core.overlays import OVERHEAD, Overlay, fitted_mtu
from mooring.core.wireguard import OVERHEAD as ENCRYPTION
from mooring.core.wireguard import inner_address

# Names that one finding has.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo request. source: an address of the host, in the routing domain. size: bytes of the whole packet, which is
    in no fragments; 0 is a small one."""

    source: Address
    target: Address
    size: int = 0
    domain: int = 0


class Answer(Enum):
    """What became of an echo request. UNASKED: it could not be sent, so nobody knows."""

    YES = "yes"
    NO = "no"
    UNASKED = "unasked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """From this host to another one in one network.

    network: its name. port: of UDP, at the hosts' addresses in the underlay. here: this host's. small: to what the
    other host has in the network, its own addresses first. full: to its own ones, as long as what containers send.
    inner: within WireGuard, None where the network is not encrypted. outer: in the underlay. longest: bytes of a full
    packet in the underlay.
    """

    host: ClusterHost
    network: str
    port: int
    here: Address
    small: tuple[Echo, ...]
    full: tuple[Echo, ...]
    outer: Echo
    inner: Echo | None = None
    longest: int = 0

    @property
    def echoes(self) -> tuple[Echo, ...]:
        """All that is asked."""
        return (*self.small, *self.full, self.outer, *((self.inner,) if self.inner is not None else ()))


Answers = Mapping[Echo, Answer]


def path_to(
    host: ClusterHost,
    own: Iterable[Address],
    others: Iterable[Address],
    network: Network,
    overlay: Overlay,
    here: tuple[Address, Address],
) -> Path:
    """The way to the host, which has these own addresses in the network, and containers with the others. here: this
    host's addresses within WireGuard and in the underlay."""
    sources = {each.version: each.ip for each in overlay.own}
    mine, theirs = (
        tuple(Echo(sources[each.version], each, domain=network.domain) for each in some if each.version in sources)
        for some in (own, others)
    )
    mtu, outer = fitted_mtu(network, overlay), Echo(here[1], ip_address(host.underlay.address))
    longest = mtu + OVERHEAD[overlay.local.version]
    path = Path(
        host=host, network=network.name or network.id[:12], port=overlay.port, here=here[1], small=(*mine, *theirs),
        full=tuple(replace(each, size=mtu) for each in mine), outer=outer, longest=longest,
    )  # fmt: skip
    if not network.options.encrypted or host.tunnel is None:
        return path
    inner, longest = Echo(here[0], inner_address(host.id)), longest + ENCRYPTION[here[1].version]
    return replace(path, port=host.tunnel.port, inner=inner, longest=longest)


def path_findings(paths: Iterable[Path], answers: Answers, now: float) -> Iterator[Finding]:
    """Hosts that do not answer in networks that they take part in, and those that full packets do not reach."""
    groups: dict[tuple[str, bool], list[Path]] = {}
    for path in paths:
        groups.setdefault((path.host.id, path.inner is not None), []).append(path)
    for found in groups.values():
        heard = [path for path in found if _one(path.small, answers, Answer.YES)]
        silent = [path for path in found if path not in heard and _one(path.small, answers, Answer.NO)]
        if silent:
            yield _silent(silent, heard, answers, now)
        short = [path for path in heard if _is_short(path, answers)]
        if short:
            yield _short(short, now)


def _one(echoes: Iterable[Echo], answers: Answers, wanted: Answer) -> bool:
    return any(answers.get(echo) is wanted for echo in echoes)


def _is_short(path: Path, answers: Answers) -> bool:
    """Whether small packets to one of its own addresses pass, and none that is full does."""
    answered = {echo.target for echo in path.small if answers.get(echo) is Answer.YES}
    full = [answers.get(echo) for echo in path.full if echo.target in answered]
    return Answer.NO in full and Answer.YES not in full


def _silent(silent: Sequence[Path], heard: Sequence[Path], answers: Answers, now: float) -> Finding:
    """heard: where the same host answers, by the same port."""
    path = silent[0]
    name, there = path.host.name, path.host.underlay.address
    subject = f"tunnel {path.host.id} {path.port}"
    text = f"host {name} does not answer in {_named(silent)}, in which it takes part"
    asked = f"pings to its addresses there, from this host's own ({path.small[0].source})"
    if heard:
        remedy = (
            f"the tunnel works; see `mooring doctor` on {name}, and whether its firewall drops pings in the network"
        )
        return Finding(subject, f"{text}, but does in {_named(heard)}", asked, now, remedy)
    text += ": what is sent to its containers may be lost"
    allow = f"let UDP port {path.port} pass between {path.here} and {there}, both ways"
    if path.inner is not None and answers.get(path.inner) is Answer.YES:
        remedy = f"the encrypted way works; see `mooring doctor` on {name}, and whether its firewall drops pings"
        return Finding(subject, text, f"{asked}; {path.inner.target} within WireGuard answers", now, remedy)
    if answers.get(path.outer) is Answer.YES:
        remedy = f"{allow}; where it does, the firewall of {name} drops pings in the network"
        return Finding(subject, text, f"{asked}; {there} in the underlay answers", now, remedy)
    remedy = f"see whether {there} is reached from here, then {allow}"
    return Finding(subject, text, f"{asked}; {there} in the underlay does not answer either", now, remedy)


def _short(short: Sequence[Path], now: float) -> Finding:
    path = max(short, key=lambda each: each.full[0].size)
    name, there, size = path.host.name, path.host.underlay.address, path.full[0].size
    text = f"host {name} answers small packets in {_named(short)}, and none of {size} bytes, which containers send"
    room = f"give all that is between {path.here} and {there} an MTU of {path.longest}"
    remedy = f"{room}, or make the networks with a smaller one (`-o mtu=`)"
    return Finding(f"tunnel-mtu {path.host.id} {path.port}", text, "pings of both sizes, unfragmented", now, remedy)


def _named(paths: Sequence[Path]) -> str:
    names = [path.network for path in paths]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"network{'s' if len(names) > 1 else ''} {', '.join(names[:NAMED])}{more}"
