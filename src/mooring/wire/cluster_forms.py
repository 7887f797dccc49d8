"""Values as the hosts of a cluster keep them: a key (core/cluster_keys.py) and JSON with a version number `v`.

Rules: as for records in the store (mooring.wire.forms): a form never changes once released, a newer one is refused; all
the more here, as hosts of several versions read one another's values. What identifies a value is in its key alone.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from mooring.core import cluster_keys as keys
from mooring.core.address_claims import AddressClaim, Identity, Want
from mooring.core.advertisements import Advertisement, advertisement_key
from mooring.core.blocks import Block
from mooring.core.cluster_networks import ClusterNetwork, NetworkMember, VniHolder
from mooring.core.everywhere import HostAnswer, NetworkEverywhere
from mooring.core.faults import BadRequest
from mooring.core.networks import Address
from mooring.wire.forms.advertisements import AdvertisementV1, advertisement_form
from mooring.wire.forms.claims import ClaimV1, claim_form
from mooring.wire.forms.cluster_networks import ClusterNetworkV1, cluster_network_form
from mooring.wire.forms.elements import Stored
from mooring.wire.forms.everywhere import EverywhereV1, HostAnswerV1, everywhere_form, host_answer_form
from mooring.wire.stored import Reader

Value = (
    Block | AddressClaim | Identity | Want | Advertisement | ClusterNetwork | NetworkMember | VniHolder
    | NetworkEverywhere | HostAnswer
)  # fmt: skip


class AddressV1(Stored, tag=1):
    """The claim of the address in the key."""

    claim: ClaimV1

    def record(self, key: str) -> AddressClaim:
        """See stored.Form."""
        return self.claim.value(key, keys.address_in(keys.placed(key)[2]))


class BlockV1(Stored, tag=1):
    """A block. settled: addresses that are carved out and have claims of their own; carved: the others."""

    host: str = ""
    boot: str = ""
    generation: int = 0
    settled: tuple[str, ...] = ()
    carved: dict[str, ClaimV1] = msgspec.field(default_factory=dict)

    def record(self, key: str) -> Block:
        """See stored.Form."""
        space, subnet, last = keys.placed(key)
        carved: dict[Address, AddressClaim | None] = {ip_address(each): None for each in self.settled}
        for text, claim in self.carved.items():
            address = ip_address(text)
            carved[address] = claim.value(key, address)
        return Block(
            space=space, subnet=subnet, index=int(last, 16), host=self.host, boot=self.boot,
            generation=self.generation, carved=carved,
        )  # fmt: skip


class IdentityV1(Stored, tag=1):
    """Which address belongs to the key."""

    address: str
    sequence: str

    def record(self, key: str) -> Identity:
        """See stored.Form."""
        space, subnet, text = keys.placed(key)
        return Identity(space=space, subnet=subnet, key=text, address=ip_address(self.address), sequence=self.sequence)


class WantV1(Stored, tag=1):
    """A request for the address in the key, and its answer."""

    claim: ClaimV1
    refusal: str = ""
    holder: str = ""

    def record(self, key: str) -> Want:
        """See stored.Form."""
        claim = self.claim.value(key, keys.address_in(keys.placed(key)[2]))
        return Want(claim=claim, refusal=self.refusal, holder=self.holder)


class NetworkV1(Stored, tag=1):
    """The network that has the subnet in the key."""

    network: ClusterNetworkV1

    def record(self, key: str) -> ClusterNetwork:
        """See stored.Form."""
        space, subnet, _ = keys.placed(f"{key}/")
        return self.network.value(space, subnet)


class MemberV1(Stored, tag=1):
    """The host in the key takes part in the network. name, published: as NetworkMember."""

    network: str
    name: str = ""
    published: str = ""

    def record(self, key: str) -> NetworkMember:
        """See stored.Form."""
        space, subnet, host = keys.placed(key)
        return NetworkMember(
            space=space, subnet=subnet, host=host, network=self.network, name=self.name, published=self.published
        )


class VniV1(Stored, tag=1):
    """The network that has the VNI in the key."""

    network: str
    space: str
    subnet: str

    def record(self, key: str) -> VniHolder:
        """See stored.Form."""
        vni, subnet = int(key.partition("/")[2], 16), ip_network(self.subnet)
        return VniHolder(vni=vni, network=self.network, space=self.space, subnet=subnet)


def _block_form(block: Block) -> BlockV1:
    settled = tuple(sorted(str(each) for each, claim in block.carved.items() if claim is None))
    carved = {str(each): claim_form(claim) for each, claim in block.carved.items() if claim is not None}
    return BlockV1(
        host=block.host, boot=block.boot, generation=block.generation, settled=settled, carved=carved
    )  # fmt: skip


_KEYS: dict[type, Callable[[Any], str]] = {
    Block: lambda block: keys.block_key(block.space, block.subnet, block.index),
    AddressClaim: lambda claim: keys.address_key(claim.space, claim.subnet, claim.address),
    Identity: lambda identity: keys.identity_key(identity.space, identity.subnet, identity.key),
    Want: lambda want: keys.want_key(want.claim.space, want.claim.subnet, want.claim.address),
    Advertisement: lambda told: advertisement_key(told.host, told.network, told.endpoint),
    ClusterNetwork: lambda network: keys.network_key(network.space, network.subnet),
    NetworkMember: lambda member: keys.member_key(member.space, member.subnet, member.host),
    VniHolder: lambda holder: keys.vni_key(holder.vni),
    NetworkEverywhere: lambda asked: keys.everywhere_key(asked.name),
    HostAnswer: lambda answer: keys.answer_key(answer.name, answer.host),
}
_FORMS: dict[type, Callable[[Any], Stored]] = {
    Block: _block_form,
    AddressClaim: lambda claim: AddressV1(claim=claim_form(claim)),
    Identity: lambda identity: IdentityV1(address=str(identity.address), sequence=identity.sequence),
    Want: lambda want: WantV1(claim=claim_form(want.claim), refusal=want.refusal, holder=want.holder),
    Advertisement: advertisement_form,
    ClusterNetwork: lambda network: NetworkV1(network=cluster_network_form(network)),
    NetworkMember: lambda member: MemberV1(network=member.network, name=member.name, published=member.published),
    VniHolder: lambda holder: VniV1(network=holder.network, space=holder.space, subnet=str(holder.subnet)),
    NetworkEverywhere: everywhere_form,
    HostAnswer: host_answer_form,
}
_READERS: dict[str, Reader[Any]] = {
    "block": Reader[Block]([BlockV1]),
    "addr": Reader[AddressClaim]([AddressV1]),
    "key": Reader[Identity]([IdentityV1]),
    "want": Reader[Want]([WantV1]),
    "ep": Reader[Advertisement]([AdvertisementV1]),
    "net": Reader[ClusterNetwork]([NetworkV1]),
    "net/": Reader[NetworkMember]([MemberV1]),
    "vni": Reader[VniHolder]([VniV1]),
    "everywhere": Reader[NetworkEverywhere]([EverywhereV1]),
    "everywhere/": Reader[HostAnswer]([HostAnswerV1]),
}
_ENCODER = msgspec.json.Encoder()


def key_of(value: Value) -> str:
    """Where the value is."""
    return _KEYS[type(value)](value)


def encode(value: Value) -> bytes:
    """The value in the newest form of its kind. Raises BadRequest when it has what is not Unicode text."""
    try:
        return _ENCODER.encode(_FORMS[type(value)](value))
    except UnicodeEncodeError as error:
        raise BadRequest(f"{key_of(value)} contains text that is not Unicode") from error


def decode(key: str, value: bytes) -> Value:
    """The value under the key, which is of one of the kinds. Raises Unavailable when this version cannot read it."""
    kind = key.partition("/")[0]
    of_a_host = (kind, key.count("/")) in (("net", 3), ("everywhere", 2))
    read: Value = _READERS[f"{kind}/" if of_a_host else kind].read(key, value)
    return read
