"""Blocks: the parts of a subnet that one host of the cluster owns, so that it gives their addresses alone.

Rules: for every address exactly one of two decides, the owner of its block, or the claim of the address
(`decides`); a block is never bound to a time; its generation grows with every change of owner; an address that is
carved out is not its owner's to give, and stays so until a write of the block without it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from ipaddress import collapse_addresses, ip_network, summarize_address_range
from math import gcd

import msgspec

from mooring.core.address_claims import AddressClaim
from mooring.core.addresses import address_of, span
from mooring.core.faults import Conflict, Exhausted
from mooring.core.networks import Address, Subnet

# Prefix length of a block. A subnet no larger than one has claims of single addresses only.
LENGTHS = {4: 28, 6: 120}
# The next block is claimed when fewer addresses are free; an empty one goes when twice as many are free without it.
LOW = 8
ANOTHER = "another host's"
"""In place of a boot, of a block that this machine had when it was another host of a cluster."""


def behind(blocks: Iterable[HostBlock], addresses: Iterable[Address]) -> list[Subnet]:
    """The fewest prefixes that have a host's blocks of a subnet, and its addresses that are in none of them. Where
    another host has an address of one of the blocks, that host's prefix is the longer one."""
    found = [
        part for block in blocks if not block.leaving for part in _prefixes(block.subnet.version, *block.numbers())
    ]
    whole: list[Subnet] = list(collapse_addresses(found))  # type: ignore[type-var]
    single = {ip_network(address) for address in addresses if not any(address in part for part in whole)}
    return [*whole, *sorted(single, key=lambda each: int(each.network_address))]


def _prefixes(version: int, start: int, end: int) -> Iterable[Subnet]:
    first, last = address_of(version, start), address_of(version, end - 1)
    return summarize_address_range(first, last)


@dataclass(frozen=True, slots=True)
class Division:
    """A subnet in blocks. start: its first number. size: addresses a block. count: blocks."""

    version: int
    start: int
    size: int
    count: int

    def index_of(self, address: Address) -> int:
        """The number of the block that has the address, which is in the subnet."""
        return (int(address) - self.start) // self.size

    def span(self, index: int) -> tuple[int, int]:
        """The numbers of the block's addresses, half-open."""
        first = self.start + index * self.size
        return first, first + self.size

    def first(self, index: int) -> Address:
        """The block's first address."""
        return address_of(self.version, self.span(index)[0])

    def order(self, host: str, start: int, end: int) -> Iterator[int]:
        """Every block once that has numbers of [start, end), in the order in which the host tries them: another one for
        each host."""
        low, high = max(start - self.start, 0) // self.size, min(-(-(end - self.start) // self.size), self.count)
        count = max(high - low, 0)
        digest = sha256(f"mooring block:{host}:{self.start}".encode()).digest()
        first, step = int.from_bytes(digest[:8]), int.from_bytes(digest[8:16])
        while count and gcd(step, count) != 1:  # only such a step comes by each of them
            step += 1
        return (low + (first + turn * step) % count for turn in range(count))


def division(subnet: Subnet) -> Division | None:
    """How the subnet is divided, None where each address is claimed by itself."""
    return _division(subnet)


@lru_cache(maxsize=1024)
def _division(subnet: Subnet) -> Division | None:
    length = LENGTHS[subnet.version]
    if subnet.prefixlen >= length:
        return None
    size = 1 << (subnet.max_prefixlen - length)
    return Division(subnet.version, span(subnet)[0], size, 1 << (length - subnet.prefixlen))


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block, as all hosts see it.

    host: who owns it, "" for nobody. boot: the boot of that host in which it said so last. carved: addresses that are
    not the owner's to give, with the claim for which each was carved out as long as that may not have a key of its own
    yet; None once it has had one.
    """

    space: str
    subnet: Subnet
    index: int
    host: str = ""
    boot: str = ""
    generation: int = 0
    carved: Mapping[Address, AddressClaim | None] = {}


class SharedSubnet(msgspec.Struct, frozen=True, kw_only=True):
    """In a host's own store: the subnet is one of the cluster's. since: seconds since the epoch."""

    space: str
    subnet: Subnet
    since: float


class LeftSubnet(msgspec.Struct, frozen=True, kw_only=True):
    """In a host's own store: the host has left the network of the subnet, and what it had given up of it may come yet.
    since: seconds since the epoch."""

    space: str
    subnet: Subnet
    since: float


class HostBlock(msgspec.Struct, frozen=True, kw_only=True):
    """In a host's own store: a block that it owns, so that it gives its addresses without asking.

    carved: at least those that the cluster has as carved out. leaving: it is on its way back, and nothing of it is
    given. boot: the host's boot in which the cluster said last that the block is its own, "" when a copy of the host
    has written it. asked: boots since then in which the host was about to write it as its own; whoever else has written
    it does so from a copy of this store.
    """

    space: str
    subnet: Subnet
    index: int
    generation: int
    carved: frozenset[Address] = frozenset()
    leaving: bool = False
    boot: str = ""
    asked: frozenset[str] = frozenset()

    def numbers(self) -> tuple[int, int]:
        """Its addresses, half-open."""
        divided = division(self.subnet)
        assert divided is not None
        return divided.span(self.index)

    def first(self) -> Address:
        """Its first address."""
        return address_of(self.subnet.version, self.numbers()[0])

    def __contains__(self, address: Address) -> bool:
        start, end = self.numbers()
        return address.version == self.subnet.version and start <= int(address) < end


def taken_over(block: Block, host: str, claimed: Iterable[Address], boot: str = "") -> Block:
    """The block that nobody owned, as the host's in that boot. claimed: its addresses that have a claim. Raises
    Conflict."""
    if block.host:
        raise Conflict(f"block {block.index} of {block.subnet} has an owner", holder=f"host {block.host}")
    carved = dict.fromkeys(claimed)
    return msgspec.structs.replace(block, host=host, boot=boot, generation=block.generation + 1, carved=carved)


def carved_out(block: Block, claims: Iterable[AddressClaim]) -> Block:
    """The block without these addresses, which it bears the claims of. Raises Conflict when one is carved out for
    another claim already."""
    carved = dict(block.carved)
    for claim in claims:
        known = carved.get(claim.address, claim)
        if known is None or known.sequence != claim.sequence:
            raise Conflict(f"address {claim.address} is claimed already", holder=known.held_by() if known else "")
        carved[claim.address] = claim
    return msgspec.structs.replace(block, carved=carved)


def noted(block: Block, addresses: Iterable[Address]) -> Block:
    """The block without these addresses, which have claims of their own."""
    return msgspec.structs.replace(block, carved={**dict.fromkeys(addresses), **block.carved})


def settled(block: Block, address: Address) -> Block:
    """The block, of which the address stays carved out, and whose claim has a key of its own, or had."""
    if block.carved.get(address) is None:
        return block
    return msgspec.structs.replace(block, carved={**block.carved, address: None})


def made_whole(block: Block, addresses: Iterable[Address]) -> Block:
    """The block with these addresses, whose claims are gone, as its owner's to give again."""
    gone = set(addresses)
    return msgspec.structs.replace(block, carved={each: c for each, c in block.carved.items() if each not in gone})


def given_up(block: Block) -> Block:
    """The block as nobody's: claims have keys of their own. Raises Conflict while one may not have it yet."""
    if any(claim is not None for claim in block.carved.values()):
        raise Conflict(f"block {block.index} of {block.subnet} bears claims that are not written yet")
    return msgspec.structs.replace(block, host="", boot="", generation=block.generation + 1, carved={})


def taken_from(block: Block) -> Block:
    """The block as nobody's, whose owner is forgotten; the claims that it bears have been written by whom forgets."""
    return given_up(msgspec.structs.replace(block, carved=dict.fromkeys(block.carved)))


@dataclass(frozen=True, slots=True)
class Decides:
    """Who decides over an address. owner: the host that owns its block, "" when the claim does. claim: that of the
    address, None where there is none. written: whether it has a key of its own. settled: the block says that there was
    a key, or may have been, and none was found."""

    owner: str = ""
    claim: AddressClaim | None = None
    written: bool = True
    settled: bool = False


def decides(block: Block | None, address: Address, claim: AddressClaim | None) -> Decides:
    """Who decides, by the block that has the address (None where there is none) and the key that the claim has.

    A key counts for nothing while somebody owns the block and has not carved the address out: it came too late, or
    was left over. A block that bears a claim is the truth until that has a key; then the key is.
    """
    if block is None or not block.host:
        return Decides(claim=claim, settled=claim is None and block is not None and block.generation > 0)
    if address not in block.carved:
        return Decides(owner=block.host)
    borne = block.carved[address]
    if borne is not None and (claim is None or claim.sequence != borne.sequence):
        return Decides(claim=borne, written=False)
    return Decides(owner="" if claim is not None else block.host, claim=claim, settled=claim is None)


def wants_more(free: int, low: int = LOW) -> bool:
    """Whether the next block is to be claimed, by the addresses that are free in the host's own."""
    return free < low


def dispensable(free: Mapping[int, int], empty: Iterable[int], low: int = LOW) -> int | None:
    """The block that the host may do without, by what is free in each of its own and which are empty: None for none.
    One is kept, and so many that the next is not claimed at once."""
    candidates = [index for index in empty if sum(free.values()) - free[index] >= 2 * low]
    return max(candidates) if candidates and len(free) > 1 else None


def all_owned(subnet: Subnet, blocks: Iterable[Block]) -> Exhausted:
    """The fault where none of the subnet's blocks is free."""
    owners = sorted({block.host for block in blocks if block.host})
    return Exhausted(
        f"subnet {subnet} is full: each of its blocks has an owner",
        holder=", ".join(f"host {owner}" for owner in owners[:5]),
        hint="stop containers there, or forget a host that is gone for good",
    )


def not_ours(subnet: Subnet, address: Address | None) -> Conflict:
    """The fault where a block is another host's by now. address: the one that was meant, if one was."""
    what = f"the block of address {address}" if address is not None else f"a block of {subnet}"
    return Conflict(f"{what} is not this host's any more", hint="try again")
