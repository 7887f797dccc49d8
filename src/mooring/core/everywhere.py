"""Networks that every host of a cluster is to have: what is asked for, and what each host says of it.

Rules: a host takes up one round of a network once, so that a network which somebody removes by hand does not come back
until it is asked for again; what a host refused to make it tries again by itself, what it refused to remove it does
not, for then a container was on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import Enum

import msgspec

from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import Scope
from mooring.core.options import parse_ipam_options, parse_network_options

# The longest name, and what it is made of (moby daemon/network, names as of containers).
LONGEST = 128
# Characters of options and labels together: each host reads them all every other second.
MOST_TEXT = 32768
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


class NetworkEverywhere(msgspec.Struct, frozen=True, kw_only=True):
    """A network that every host is to have.

    name: what Docker calls it on each host. id: drawn when it was asked for first. round: counts how often it was asked
    for, or its end. ending: no host is to have it any more. by: the host that was told. asked: seconds since the epoch.
    """

    name: str
    id: str
    subnets: tuple[EngineSubnet, ...]
    options: Mapping[str, str]
    ipam_options: Mapping[str, str] = {}
    internal: bool = False
    labels: Mapping[str, str] = {}
    round: int = 1
    ending: bool = False
    by: str = ""
    asked: float = 0.0

    def for_engine(self, driver: str) -> EngineNetwork:
        """As an engine is asked for it, that has us by the name."""
        return EngineNetwork(
            "", self.name, driver, any(each.subnet.version == 6 for each in self.subnets), (), self.internal,
            self.options, driver, self.ipam_options, self.subnets, self.labels,
        )  # fmt: skip


class Outcome(Enum):
    """What a host did in a round."""

    MADE = "made"
    REMOVED = "removed"
    REFUSED = "refused"


class HostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a host did. name, network, round: of the NetworkEverywhere, network is its id. why: of a refusal, in one
    line."""

    name: str
    host: str
    network: str
    round: int
    outcome: Outcome
    why: str = ""

    def is_to(self, asked: NetworkEverywhere) -> bool:
        """Whether it is about just that."""
        return (self.network, self.round) == (asked.id, asked.round)


def checked(wanted: NetworkEverywhere) -> NetworkEverywhere:
    """The network, of the cluster also where no option says so. Raises BadRequest for what no host could make."""
    name = wanted.name
    if not name or len(name) > LONGEST or not name[0].isalnum() or not _LETTERS.issuperset(name):
        raise BadRequest(f"{name[:60]!r} is no name for a network", hint="use letters, digits, and after them _.-")
    texts = (wanted.options, wanted.ipam_options, wanted.labels, *(each.auxiliary for each in wanted.subnets))
    if sum(len(word) + len(str(value)) for each in texts for word, value in each.items()) > MOST_TEXT:
        raise BadRequest(f"options, labels and auxiliary addresses are more than {MOST_TEXT} characters together")
    if not wanted.subnets:
        raise BadRequest("a network on every host needs a subnet, by which hosts meet", hint="add --subnet")
    if len({each.subnet.version for each in wanted.subnets}) != len(wanted.subnets):
        raise BadRequest("a network of the cluster has one subnet a family")
    for each in wanted.subnets:
        for what, address in (("gateway", each.gateway), *each.auxiliary.items()):
            if address is not None and address not in each.subnet:
                raise BadRequest(f"{what} {address} is not in subnet {each.subnet}")
        if each.range is not None and (
            each.range.version != each.subnet.version or not each.range.subnet_of(each.subnet)  # type: ignore[arg-type]
        ):
            raise BadRequest(f"range {each.range} is not in subnet {each.subnet}")
    options = dict(wanted.options)
    ipv6 = any(each.subnet.version == 6 for each in wanted.subnets)
    if parse_network_options(options, wanted.internal, ipv6=ipv6).scope is not Scope.CLUSTER:
        if "scope" in options:
            raise BadRequest("option scope=local is for a network of one host")
        options["scope"] = Scope.CLUSTER.value
        parse_network_options(options, wanted.internal, ipv6=ipv6)
    parse_ipam_options(wanted.ipam_options)
    return msgspec.structs.replace(wanted, options=options)


def alike(one: NetworkEverywhere, other: NetworkEverywhere) -> bool:
    """Whether they are the same network to an engine."""
    return one.for_engine("") == other.for_engine("")


def unlike(found: EngineNetwork, wanted: NetworkEverywhere, drivers: Collection[str]) -> Iterator[str]:
    """In what an engine's network of that name is not the wanted one, in words: what it has. A gateway that an engine
    does not tell is any."""
    if found.driver not in drivers:
        yield f"driver {found.driver}"
    theirs, ours = ({each.subnet: each.gateway for each in subnets} for subnets in (found.subnets, wanted.subnets))
    if theirs.keys() != ours.keys():
        yield f"subnet {', '.join(sorted(map(str, theirs))) or 'none'}"
    for subnet, gateway in theirs.items():
        if gateway is not None and (ours.get(subnet) or gateway) != gateway:
            yield f"gateway {gateway}"
    if found.internal != wanted.internal:
        yield "internal" if found.internal else "no --internal"
    for word, text in sorted(wanted.options.items()):
        if found.options.get(word) != text:
            yield f"{word} {found.options.get(word, 'none')}"


def check_alike(found: EngineNetwork, wanted: NetworkEverywhere, drivers: Collection[str]) -> None:
    """Raises Conflict for another network of that name."""
    has = next(unlike(found, wanted, drivers), None)
    if has is not None:
        what = f"a network {wanted.name} is there already, with {has}"
        raise Conflict(what, hint="remove or rename one of the two, or publish that one (`mooring cluster publish`)")
