"""The form of a claim of one address, within what the cluster and a host keep of it.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from mooring.core.address_claims import AddressClaim
from mooring.core.cluster_keys import placed
from mooring.core.networks import Address
from mooring.wire.forms.elements import Stored


class ClaimV1(Stored, tag="ClaimV1"):
    """A claim within another form, which has its address."""

    sequence: str
    host: str
    key: str = ""
    mac: str = ""
    holders: tuple[str, ...] = ()
    boot: str = ""
    generation: int = 1
    moves: bool = False
    since: float = 0.0

    def value(self, prefix: str, address: Address) -> AddressClaim:
        """The claim of the address. prefix: a key of its subnet."""
        space, subnet, _ = placed(prefix)
        return AddressClaim(
            space=space, subnet=subnet, address=address, sequence=self.sequence, host=self.host, key=self.key,
            mac=self.mac, holders=frozenset(self.holders), boot=self.boot, generation=self.generation,
            moves=self.moves, since=self.since,
        )  # fmt: skip


def claim_form(claim: AddressClaim) -> ClaimV1:
    """The newest form of a claim."""
    return ClaimV1(
        sequence=claim.sequence, host=claim.host, key=claim.key, mac=claim.mac, holders=tuple(sorted(claim.holders)),
        boot=claim.boot, generation=claim.generation, moves=claim.moves, since=claim.since,
    )  # fmt: skip
