"""Claims of single addresses: what the hosts of a cluster agree on for an address that is fixed, or in no block.

Rules: a claim is of one host, and moves by one compare-and-swap; its sequence is that of the allocation, drawn once,
and its generation grows with every move: a release that means another of either changes nothing. An idle claim may
be taken by any host, so its own host asks before it uses it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from mooring.core.faults import Conflict, Unavailable
from mooring.core.keys import RESERVED_KEY, is_reservations, key_in_words, outlives
from mooring.core.leases import Lease, State, Verdict
from mooring.core.networks import Address, Subnet
from mooring.core.sessions import SessionRule, Standing
from mooring.core.times import moment
from mooring.core.whom import HOST, whom_in_words


class AddressClaim(msgspec.Struct, frozen=True, kw_only=True):
    """One claimed address, as all hosts see it.

    key: what it belongs to (core/keys.py). holders: `<host>/<container>`, the containers that are configured for it;
    each host that keeps the claim has one at least.
    host: where it is, "" when that host was forgotten. boot: the host's boot in which it is in use, "" while it is
    idle. sequence: of the allocation, never the same twice. generation: how often it came to another host.
    moves: whether another host may take it from a host that is not heard any more. since: seconds since the epoch
    of the last change of host or use.
    """

    space: str
    subnet: Subnet
    address: Address
    sequence: str
    host: str
    key: str = ""
    mac: str = ""
    holders: frozenset[str] = frozenset()
    boot: str = ""
    generation: int = 1
    moves: bool = False
    since: float = 0.0

    def held_by(self) -> str:
        """Who has it, for a person."""
        whose = f"{_owner(self.key)} " if self.key else ""
        where = f"on host {self.host}" if self.host else "on a host that was forgotten"
        return f"{whose}{where}, {'in use' if self.boot else 'idle'} since {moment(self.since)}"

    def identity(self) -> Identity:
        """What says that the key has the address."""
        return Identity(
            space=self.space, subnet=self.subnet, key=self.key, address=self.address, sequence=self.sequence
        )

    def is_of(self, host: str, sequence: str, generation: int) -> bool:
        """Whether it is just this one, of the host."""
        return (self.host, self.sequence, self.generation) == (host, sequence, generation)


def _owner(key: str) -> str:
    """Whose it is, for a person."""
    if not is_reservations(key):
        return key_in_words(key)
    whom = key.removeprefix(RESERVED_KEY)
    return f"a reservation for {'the host itself' if whom == HOST else whom_in_words(whom)}"


class Phase(Enum):
    """How far a host is with a claim of its own. HELD: somebody here has the address. RELEASING: nobody has it any
    more, and the cluster has to be told."""

    HELD = "held"
    RELEASING = "releasing"


class HostClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What a host keeps of a claim of its own, in its own store: written after the cluster has it, before anybody is
    told, and gone after the cluster has been told. claim: as the host has it. idle: whether the cluster is to be told
    that it is not in use. known_in: of what is reserved, the host's boot in which the cluster said last that it is
    here."""

    claim: AddressClaim
    phase: Phase = Phase.HELD
    idle: bool = False
    known_in: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which address of a subnet belongs to a key: that of the allocation with the sequence."""

    space: str
    subnet: Subnet
    key: str
    address: Address
    sequence: str


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the owner of a block for an address in it. refusal: what the owner answers, "" until then or when
    he carves it out; holder: who has it then."""

    claim: AddressClaim
    refusal: str = ""
    holder: str = ""


def may_move(claim: AddressClaim, host: str, standing: Standing, rule: SessionRule, force: bool = False) -> Verdict:
    """Whether the host may take the claim. standing: of the host that has it."""
    holder = claim.held_by()
    if claim.host == host or not claim.host:
        return Verdict(True, "no other host has it")
    if not claim.boot:
        return Verdict(True, "its host says that it is idle")
    if standing.heard:
        hint = f"stop that container on host {claim.host} first; if it has just stopped, try again in two seconds"
        return Verdict(False, f"it is in use on host {claim.host}, which is heard", holder, hint)
    if standing.silent < rule.grace:
        hint = f"try again in {rule.grace - standing.silent:.0f} s"
        return Verdict(False, f"host {claim.host} has only just gone silent", holder, hint)
    if claim.moves:
        return Verdict(True, f"host {claim.host} is not heard, and the address moves by itself")
    if force:
        return Verdict(True, f"host {claim.host} is not heard, and the move is forced")
    what = f"`mooring lease move {claim.address} --force` brings it here" if outlives(claim.key) else "forget that host"
    hint = f"if host {claim.host} is surely off, {what}"
    return Verdict(False, f"host {claim.host} is not heard, and may still use it", holder, hint)


def moved(claim: AddressClaim, host: str, holder: str, now: float) -> AddressClaim:
    """The claim as the host's, idle. holder: the container it is for."""
    after = held(claim, host, holder)
    return msgspec.structs.replace(after, host=host, boot="", generation=claim.generation + 1, since=now)


def held(claim: AddressClaim, host: str, holder: str) -> AddressClaim:
    """The claim with a holder more."""
    return msgspec.structs.replace(claim, holders=claim.holders | {f"{host}/{holder}"})


def without(claim: AddressClaim, host: str) -> AddressClaim:
    """The claim without the holders that are on the host."""
    holders = frozenset(each for each in claim.holders if each.partition("/")[0] != host)
    return msgspec.structs.replace(claim, holders=holders)


def used(claim: AddressClaim, boot: str, now: float) -> AddressClaim:
    """The claim as in use in that boot of its host, "" for idle."""
    return msgspec.structs.replace(claim, boot=boot, since=now) if claim.boot != boot else claim


def alike(claim: AddressClaim, lease: Lease, host: str, moves: bool) -> AddressClaim:
    """The claim as the host's fixed lease of the address is: with its MAC, and its holders in the place of those that
    the host had. A key that outlives its containers is not changed here: it is found by another value."""
    after = without(claim, host)
    mine = lease.holders or {lease.key}
    key = claim.key if outlives(claim.key) or outlives(lease.key) or lease.whom else lease.key
    holders = after.holders | {f"{host}/{each}" for each in mine}
    return msgspec.structs.replace(after, key=key, mac=lease.mac, holders=holders, moves=moves)


def claimed_for(lease: Lease) -> str:
    """What the claim of the lease's address belongs to. What is reserved stays its host's, whatever key has it
    meanwhile: no other host may come to have it by that."""
    return RESERVED_KEY + lease.whom if lease.state is State.RESERVED or lease.whom else lease.key


def taken(claim: AddressClaim) -> Conflict:
    """The refusal of an address that somebody claims."""
    hint = "choose another address, or leave the choice to Mooring"
    return Conflict(f"address {claim.address} is claimed", holder=claim.held_by(), hint=hint)


def has_already(claim: AddressClaim) -> Conflict:
    """The refusal of a name that somebody's claim has."""
    what = f"{key_in_words(claim.key)} has {claim.address} already"
    return Conflict(what, holder=claim.held_by(), hint="choose another name")


def at_once(key: str) -> Unavailable:
    """The refusal where two hosts claim for one key at a time, or a write came late that this host had given up."""
    what = f"key {key} is given an address at this moment, on another host or by an attempt before this one"
    return Unavailable(what, hint="try again")


@dataclass(frozen=True, slots=True)
class Spec:
    """What a claim is asked for. sequence: drawn by who asks. holder: full container id. boot: of the asker, where the
    address is in use there already. new: only where the key has no address yet, on no host."""

    space: str
    subnet: Subnet
    sequence: str
    key: str = ""
    mac: str = ""
    holder: str = ""
    moves: bool = False
    boot: str = ""
    new: bool = False

    def claim(self, address: Address, host: str, now: float) -> AddressClaim:
        """The claim of the address."""
        return AddressClaim(
            space=self.space, subnet=self.subnet, address=address, sequence=self.sequence, host=host, key=self.key,
            mac=self.mac, holders=frozenset({f"{host}/{self.holder}"}), boot=self.boot,
            moves=self.moves, since=now,
        )  # fmt: skip
