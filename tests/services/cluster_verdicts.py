"""What has to be so in a simulated cluster once all is quiet: records of hosts, what they share, and who is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mooring.core.address_claims import AddressClaim, HostClaim, Phase
from mooring.core.blocks import Block, HostBlock, decides, division
from mooring.core.keys import outlives
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Subnet
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.address_history import at_rest
from tests.services.cluster_hosts import SPACE, Host


async def wrong_at_rest(hosts: Sequence[Host], subnet: Subnet) -> list[str]:
    """A line for each thing that is lost, leaked, or not alike here and there."""
    values = SharedValues(hosts[0].client)
    blocks = {i: seen.value for i, seen in (await values.blocks(SPACE, subnet)).items() if seen.value is not None}
    claims = {claim.address: claim for claim, _ in await values.claims(SPACE, subnet)}
    identities = {identity.key: identity for identity, _ in await values.identities(SPACE, subnet)}
    found = [
        *twice(hosts),
        *dynamic(hosts, subnet, blocks),
        *fixed(hosts, subnet, blocks, claims, {key: identity.address for key, identity in identities.items()}),
        *ownership(hosts, blocks),
    ]
    for identity in identities.values():
        claim = claims.get(identity.address)
        if claim is None or claim.sequence != identity.sequence:
            found.append(f"{identity} leads to {claim}")
    forgotten = {host.name for host in hosts if host.forgotten}
    for claim in claims.values():
        known = identities.get(claim.key)
        if claim.host in forgotten:
            continue  # two who forget a host at once may write its claim again after it was over
        if outlives(claim.key) and (known is None or known.sequence != claim.sequence):
            found.append(f"{claim.key} has {claim.address} and does not lead there: {known}")
    found += [f"{want} was not answered" for want, _ in await values.wants(SPACE, subnet) if not want.refusal]
    return found


def twice(hosts: Sequence[Host]) -> list[str]:
    """No address is in two kernels."""
    users = Counter(address for host in hosts for address in host.kernel)
    return [f"{address} is used on {count} hosts" for address, count in users.items() if count > 1]


def dynamic(hosts: Sequence[Host], subnet: Subnet, blocks: Mapping[int, Block]) -> list[str]:
    """Dynamic addresses: a lease for each container and none else, in a block of its host."""
    held = {(host.name, str(address)): mac for host in hosts for address, mac in host.dynamic.items()}
    recorded = {
        (host.name, str(lease.address)): lease.mac
        for host in hosts
        for lease in host.cache.every(Lease)
        if lease.state is State.DYNAMIC
    }
    divided = division(subnet)
    strange = [
        f"{address} is given by {host.name}, which does not own it"
        for host in hosts
        for address in host.dynamic
        if host.cache.host_claim(SPACE, subnet, address) is None
        and (
            divided is None
            or (block := blocks.get(divided.index_of(address))) is None
            or block.host != host.name
            or address in block.carved
        )
    ]
    return at_rest(held, recorded) + strange


def fixed(
    hosts: Sequence[Host], subnet: Subnet, blocks: Mapping[int, Block], claims: Mapping[Address, AddressClaim],
    leads: Mapping[str, Address],
) -> list[str]:  # fmt: skip
    """Fixed addresses: each configured container is a holder of a claim, and nobody else. leads: keys to addresses."""
    found: list[str] = []
    for host in hosts:
        if host.forgotten:  # what it had was given up for it; its containers ask anew when they start
            known = {key: f for key, f in host.fixed.items() if host.cache.host_claim(SPACE, subnet, f.address)}
            host.fixed = known
        if host.world.notes["restored"]:  # where nobody knew of that, its key may have got another address
            host.fixed = {
                key: f for key, f in host.fixed.items() if f.running or leads.get(key, f.address) == f.address
            }
    configured = {(host.name, str(each.address)): each.key for host in hosts for each in host.fixed.values()}
    for host in hosts:
        claimed = [each for each in host.dynamic if host.cache.host_claim(SPACE, subnet, each) is not None]
        configured |= {(host.name, str(each)): "" for each in claimed}
    borne: dict[tuple[str, str], str] = {}
    divided = division(subnet)
    for address in {*claims, *(address for block in blocks.values() for address in block.carved)}:
        block = blocks.get(divided.index_of(address)) if divided is not None else None
        claim = decides(block, address, claims.get(address)).claim
        if claim is None:
            found.append(f"{address} is carved out or claimed for nothing: {block}, {claims.get(address)}")
            continue
        borne |= {(holder.partition("/")[0], str(address)): claim.key for holder in claim.holders}
    for host in hosts:
        mine = {str(kept.claim.address): kept.phase for kept in host.cache.every(HostClaim)}
        wanted = {address: Phase.HELD for name, address in configured if name == host.name}
        if mine != wanted:
            found.append(f"{host.name} keeps claims of {mine}, and needs {wanted}")
    return found + at_rest(configured, borne)


def ownership(hosts: Sequence[Host], blocks: Mapping[int, Block]) -> list[str]:
    """Blocks: each host's own are those that the cluster says are its own, with the same addresses carved out."""
    theirs = {(block.host, index, frozenset(block.carved)) for index, block in blocks.items() if block.host}
    mine = {(host.name, block.index, block.carved) for host in hosts for block in host.cache.every(HostBlock)}
    return [f"the cluster has, and hosts have not: {theirs - mine}; the other way: {mine - theirs}"] * (theirs != mine)
