"""An nftables table as text: constant rules, and sets and maps whose elements are all that varies.

The name of an empty chain tells which text a table was made from: every nftables keeps it, unlike comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from mooring.core.plumbing import Ruleset

VERSION_PREFIX = "version_"


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
    def maps(self) -> frozenset[str]:
        """Names of the maps."""
        return frozenset(line.split()[1] for line in self.sets.splitlines() if line.split()[0] == "map")

    @cached_property
    def containers(self) -> frozenset[str]:
        """Names of the sets and maps."""
        return frozenset(line.split()[1] for line in self.sets.splitlines() if line.split()[0] in ("map", "set"))

    @property
    def ruleset(self) -> Ruleset:
        """The fact that the table is this version's."""
        return Ruleset(self.digest, self.family)

    def text(self, name: str) -> str:
        """The whole table of that name with empty sets, as `nft -f` reads it."""
        version = f"    chain {VERSION_PREFIX}{self.digest} {{\n    }}\n"
        return f"table {self.family} {name} {{\n{self.sets}\n{version}\n{self.chains}}}\n"
