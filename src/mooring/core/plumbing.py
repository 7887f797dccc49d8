"""What should be in the kernel, as facts; what differs, as ops.

Rules: a fact is one thing that can be there or not, and has an identity (`key`) and perhaps a value; `plan` compares
desired with observed facts, adds before it deletes, and returns ops that each have an inverse; nothing here touches a
kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mooring.core.networks import Address, Interface, Subnet


def _at(domain: int, *key: str) -> tuple[str, ...]:
    """The identity of what each domain has one of."""
    return (*key, f"domain {domain}") if domain else key


@dataclass(frozen=True, slots=True)
class Domain:
    """A routing domain: a network namespace of ours, by its number, with its way out to the host (core/domains).

    Every other fact says in which domain it is; 0 is the host's own namespace, of which there is no such fact. whole:
    as observed, nothing of it is missing.
    """

    number: int
    whole: bool = True

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("domain", str(self.number))


@dataclass(frozen=True, slots=True)
class Bridge:
    """A Linux bridge that is up. alias: our mark, `mooring:network:<network id>`.

    linklocal_learn: it learns where a MAC is from frames to the reserved groups (LLDP and others), too. No rule of a
    firewall sees them, and a container could take its neighbour's frames by them.
    """

    name: str
    alias: str
    mtu: int
    mac: str
    linklocal_learn: bool = False
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("bridge", self.name)


@dataclass(frozen=True, slots=True)
class Veth:
    """A veth pair whose host end is up and a port of the bridge, in the bridge's domain; the other end is on the host
    until a container has it.

    alias: `mooring:endpoint:<network id>/<endpoint id>`. isolated: the port reaches no other isolated port (icc off).
    peer, peer_mac, mtu: how the other end is made; once a container has it, they cannot be seen from the host and do
    not count in comparisons. inside: path of the namespace in which the other end is made at once, "" for beside it.
    living: as observed, the other end is in another namespace: somebody uses it.
    """

    name: str
    alias: str
    bridge: str
    isolated: bool
    peer: str = field(compare=False)
    peer_mac: str = field(compare=False)
    mtu: int = field(compare=False)
    inside: str = field(default="", compare=False)
    living: bool = field(default=False, compare=False)
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("veth", self.name)


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A VXLAN device (RFC 7348) that is up and a port of the bridge, in the bridge's domain; its packets go by the
    host's own routing. It learns nothing, and nothing is flooded by it for want of knowledge: where a MAC is, RemoteMac
    says.

    alias: `mooring:overlay:<network id>`. vni: 24 bits. local: the address of the host that its packets come from; it
    has no lower link, as it would go with that. port: of UDP, here and at the others. mtu: bytes. isolated: as
    of a Veth. offload: checksums are left to whatever interface its packets go out by. floods: what is for a group or
    for all goes to it, and on as Flood says.
    """

    name: str
    alias: str
    bridge: str
    vni: int
    local: Address
    port: int
    mtu: int
    isolated: bool = False
    offload: bool = True
    domain: int = 0
    floods: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("vxlan", self.name)


@dataclass(frozen=True, slots=True)
class RemoteMac:
    """Frames to the MAC leave the bridge by its VXLAN device `link`, to the host with the address. host: None as
    observed, when only one of the two tables has it that must, the bridge's or the device's."""

    link: str
    mac: str
    host: Address | None
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("remote", self.link, self.mac)


@dataclass(frozen=True, slots=True)
class Flood:
    """What is for a group or for all, and leaves the bridge by its VXLAN device `link`, goes to the host with the
    address, as to every other one of which there is such a fact."""

    link: str
    host: Address
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("flood", self.link, str(self.host))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """On the bridge the address is at the MAC, whatever anybody says: nobody is asked, and who asks is answered by the
    bridge. Such of others are not shown; where there is one for the address, this takes its place."""

    link: str
    address: Address
    mac: str
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("neighbour", self.link, str(self.address))


@dataclass(frozen=True, slots=True)
class Inside:
    """What the other end of a living veth has in its namespace, as the kernel shows it. mac: "" when it is not told."""

    mac: str
    addresses: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class HostLink:
    """An interface in the host's own namespace, whoever made it. kind: as `ip -d link` says, "" for hardware. mtu:
    bytes. port: of a bridge or another link. ours: it bears our mark, or is the other end of one that does. addresses:
    link-local IPv6 ones left out."""

    name: str
    kind: str
    mac: str
    mtu: int
    port: bool
    ours: bool
    addresses: tuple[Interface, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """An address on one of our bridges, without duplicate address detection. spare: IPv6 that answers, but that the
    host speaks from only when it has no other (deprecated, RFC 4862, 5.5.4)."""

    link: str
    interface: Interface
    domain: int = 0
    spare: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("address", self.link, str(self.interface))


@dataclass(frozen=True, slots=True)
class Route:
    """The host's route to a subnet that is in a routing domain. link: the host's end of the domain's line. via: the
    line's far end."""

    link: str
    subnet: Subnet
    via: Address

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("route", self.link, str(self.subnet))


@dataclass(frozen=True, slots=True)
class Setting:
    """A sysctl, by its path below /proc/sys. Never removed: those of a link vanish with it, global ones stay."""

    path: str
    value: str
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return _at(self.domain, "setting", self.path)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """An nftables table of ours with its chains and rules, sets and maps empty. digest: of its text; family: of
    nftables."""

    digest: str
    family: str = "inet"
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return _at(self.domain, "ruleset", self.family)


@dataclass(frozen=True, slots=True)
class Member:
    """One element of a set or a map of our table, as nftables spells it. value "" for sets."""

    container: str
    element: str
    value: str = ""
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return _at(self.domain, "member", self.container, self.element)


@dataclass(frozen=True, slots=True)
class GuardedPort:
    """What a port of a bridge may say: the elements (set, element) of the bridge family's table that name it, as one
    fact, since there are some eight for each container."""

    port: str
    elements: frozenset[tuple[str, str]]
    domain: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("guard", self.port)


@dataclass(frozen=True, slots=True)
class DockerAccept:
    """What we forward is not dropped by Docker's own FORWARD chain of the family (4 or 6), and keeps out of Docker's
    networks as they keep out of each other.

    Holds also where there is no such chain.
    """

    version: int

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("docker-accept", str(self.version))


# What only the host has.
HostFact = Domain | Route | DockerAccept
# What is a link of its own, and what stands on it goes with it.
LinkFact = Bridge | Veth | Vxlan
# Where the endpoints of other hosts are: many small things, which are changed together.
RemoteFact = RemoteMac | Flood | Neighbour
Fact = HostFact | LinkFact | RemoteFact | LinkAddress | Setting | Ruleset | Member | GuardedPort


@dataclass(frozen=True, slots=True)
class Add:
    """Make the fact true."""

    fact: Fact

    def inverse(self) -> Op:
        """What undoes it."""
        return Remove(self.fact)


@dataclass(frozen=True, slots=True)
class Remove:
    """Make the fact untrue."""

    fact: Fact

    def inverse(self) -> Op:
        """What undoes it."""
        return Add(self.fact)


@dataclass(frozen=True, slots=True)
class Alter:
    """Turn a fact into another with the same key."""

    before: Fact
    after: Fact

    def inverse(self) -> Op:
        """What undoes it."""
        return Alter(self.after, self.before)


Op = Add | Remove | Alter


def fact_of(op: Op) -> Fact:
    """What the op is about; of an alteration, what comes."""
    return op.after if isinstance(op, Alter) else op.fact


def domain_of(fact: Fact) -> int:
    """The number of the domain that the fact is in; a domain itself is something that the host has."""
    return 0 if isinstance(fact, HostFact) else fact.domain


# What must be there before what.
ORDER: tuple[type, ...] = (
    Domain, Bridge, Setting, LinkAddress, Veth, Vxlan, RemoteMac, Flood, Neighbour,
    Ruleset, Member, GuardedPort, Route, DockerAccept,
)  # fmt: skip


def plan(desired: Iterable[Fact], observed: Iterable[Fact]) -> list[Op]:
    """Ops that make observed into desired: additions and alterations in ORDER, then removals in reverse."""
    want = {fact.key: fact for fact in desired}
    have = {fact.key: fact for fact in observed}

    def rank(fact: Fact) -> tuple[int, tuple[str, ...]]:
        return ORDER.index(type(fact)), fact.key

    ops: list[Op] = []
    for fact in sorted(want.values(), key=rank):
        before = have.get(fact.key)
        if before is None:
            ops.append(Add(fact))
        elif before != fact:
            ops.append(Alter(before, fact))
    gone = sorted((fact for key, fact in have.items() if key not in want), key=rank, reverse=True)
    ops.extend(Remove(fact) for fact in gone if not isinstance(fact, Setting | DockerAccept))
    return ops
