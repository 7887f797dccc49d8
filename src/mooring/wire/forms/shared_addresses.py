"""The forms of what a host keeps of the cluster's address plan.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import unquote

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.blocks import HostBlock, LeftSubnet, SharedSubnet
from mooring.core.cluster_keys import address_in, placed
from mooring.core.cluster_marks import ClusterMark
from mooring.wire.forms.claims import ClaimV1, claim_form
from mooring.wire.forms.elements import Stored


class SharedSubnetV1(Stored, tag=1):
    """A subnet of the cluster; which, is in the key."""

    since: float

    def record(self, key: str) -> SharedSubnet:
        """See stored.Form."""
        space, subnet, _ = placed(f"{key}/")
        return SharedSubnet(space=space, subnet=subnet, since=self.since)


class LeftSubnetV1(Stored, tag=1):
    """A subnet that this host has left; which, is in the key."""

    since: float

    def record(self, key: str) -> LeftSubnet:
        """See stored.Form."""
        space, subnet, _ = placed(f"{key}/")
        return LeftSubnet(space=space, subnet=subnet, since=self.since)


class HostBlockV1(Stored, tag=1):
    """A block of this host; which, is in the key."""

    generation: int
    carved: tuple[str, ...] = ()
    leaving: bool = False
    boot: str = ""
    asked: tuple[str, ...] = ()

    def record(self, key: str) -> HostBlock:
        """See stored.Form."""
        space, subnet, index = placed(key)
        carved = frozenset(map(ip_address, self.carved))
        return HostBlock(
            space=space, subnet=subnet, index=int(index, 16), generation=self.generation, carved=carved,
            leaving=self.leaving, boot=self.boot, asked=frozenset(self.asked),
        )  # fmt: skip


class HostClaimV1(Stored, tag=1):
    """A claim of this host; its address is in the key."""

    claim: ClaimV1
    phase: Phase
    idle: bool = False
    known_in: str = ""

    def record(self, key: str) -> HostClaim:
        """See stored.Form."""
        claim = self.claim.value(key, address_in(placed(key)[2]))
        return HostClaim(claim=claim, phase=self.phase, idle=self.idle, known_in=self.known_in)


class ClusterMarkV1(Stored, tag=1):
    """What this host has said of itself to the cluster; its id there is in the key."""

    count: int = 0
    restore: str = ""

    def record(self, key: str) -> ClusterMark:
        """See stored.Form."""
        return ClusterMark(host=unquote(key.partition("/")[2]), count=self.count, restore=self.restore)


def shared_subnet_form(shared: SharedSubnet) -> SharedSubnetV1:
    """The newest form of a subnet of the cluster."""
    return SharedSubnetV1(since=shared.since)


def left_subnet_form(left: LeftSubnet) -> LeftSubnetV1:
    """The newest form of a subnet that was left."""
    return LeftSubnetV1(since=left.since)


def host_block_form(block: HostBlock) -> HostBlockV1:
    """The newest form of a block."""
    carved = tuple(sorted(map(str, block.carved)))
    return HostBlockV1(
        generation=block.generation, carved=carved, leaving=block.leaving, boot=block.boot,
        asked=tuple(sorted(block.asked)),
    )  # fmt: skip


def host_claim_form(kept: HostClaim) -> HostClaimV1:
    """The newest form of a claim."""
    return HostClaimV1(claim=claim_form(kept.claim), phase=kept.phase, idle=kept.idle, known_in=kept.known_in)


def cluster_mark_form(mark: ClusterMark) -> ClusterMarkV1:
    """The newest form of a mark."""
    return ClusterMarkV1(count=mark.count, restore=mark.restore)
