"""An nftables table as text: constant rules, and sets and maps whose elements are all that varies.

The name of an empty chain tells which text a table was made from: every nftables keeps it, unlike comments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from mooring.core.plumbing import Ruleset

VERSION_PREFIX = "version_"
_DECLARATION = re.compile(
    r"^ *(?:set|map) (?P<name>\w+) \{ type(?:of)? (?P<key>[^:;]+?)(?: : (?P<value>[^;]+))?;(?P<flags>[^}]*)\}",
    re.MULTILINE,
)
# What an expression after `typeof` is of.
_TYPE_OF = {"iifname": "ifname", "ether saddr": "ether_addr"}


@dataclass(frozen=True, slots=True)
class Container:
    """A set, or with a value a map. key, value: the types that are joined in it, as nftables calls them; what is taken
    from a packet by its place is called by that. ranges: whether a key may stand for all addresses of a prefix."""

    key: tuple[str, ...]
    value: tuple[str, ...]
    ranges: bool


@dataclass(frozen=True)
class TableText:
    """family: of nftables. sets: declarations of sets and maps, a line each. chains: their rules, a line each."""

    family: str
    sets: str
    chains: str

    @cached_property
    def digest(self) -> str:
        """Of the text."""
        return sha256((self.sets + self.chains).encode()).hexdigest()[:16]

    @cached_property
    def rule_count(self) -> int:
        """How many rules there are: a table of our digest with fewer or more was changed by somebody."""
        lines = [line for line in self.chains.splitlines() if line.startswith(" " * 8)]
        return sum(not line.strip().startswith(("type ", "#")) for line in lines)

    @cached_property
    def containers(self) -> Mapping[str, Container]:
        """The sets and maps by name."""
        return {found["name"]: _container(found) for found in _DECLARATION.finditer(self.sets)}

    @property
    def ruleset(self) -> Ruleset:
        """The fact that the table is this version's."""
        return Ruleset(self.digest, self.family)

    def text(self, name: str) -> str:
        """The whole table of that name with empty sets, as `nft -f` reads it."""
        version = f"    chain {VERSION_PREFIX}{self.digest} {{\n    }}\n"
        return f"table {self.family} {name} {{\n{self.sets}\n{version}\n{self.chains}}}\n"


def _container(found: re.Match[str]) -> Container:
    key = tuple(_TYPE_OF.get(part, part) for part in found["key"].split(" . "))
    return Container(key, tuple(found["value"].split(" . ") if found["value"] else ()), "interval" in found["flags"])
