"""What a kernel that was there before the daemon says of overlays.

Rules: only what the facts of a device, its bridge and the firewall's table have is told; who is right about it, the
kernel or somebody who has said so meanwhile, is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mooring.core.firewall import is_ingress
from mooring.core.networks import Address, Network
from mooring.core.overlays import OVERHEAD, Overlay, Remote
from mooring.core.plumbing import Bridge, Fact, LinkAddress, Member, Neighbour, RemoteMac, Vxlan
from mooring.services.records.pacing import Pace

# Facts that are looked at at a stretch.
PART = 500


async def by_link(
    links: Collection[str], observed: Iterable[Fact]
) -> tuple[dict[str, list[Fact]], dict[tuple[str, ...], Member]]:
    """What is on these links, which are devices or bridges, and a bridge itself; and what leads from ports of the host
    to other hosts. Nothing where there are no links."""
    found: dict[str, list[Fact]] = {name: [] for name in links}
    led: dict[tuple[str, ...], Member] = {}
    pace = Pace(PART)
    for fact in observed if links else ():
        await pace.step()
        match fact:
            case LinkAddress(link=link) | Neighbour(link=link) | RemoteMac(link=link) | Bridge(name=link):
                if link in found:
                    found[link].append(fact)
            case Member(domain=0) if is_ingress(fact):
                led[fact.key] = fact
            case _:
                pass
    return found, led


def overlay_of(network: Network, device: Vxlan, there: Mapping[str, list[Fact]]) -> tuple[Overlay, dict[str, Remote]]:
    """The network as it is on this host, and who is elsewhere. there: as of `by_link`."""
    facts = there.get(network.bridge, [])
    gateways = {segment.gateway.ip for segment in network.segments if segment.gateway is not None}
    inside = [fact.interface for fact in facts if isinstance(fact, LinkAddress)]
    own = tuple(each for each in inside if each.ip not in gateways and network.segment_of(each.ip) is not None)
    # Where the network's own MTU is another than there is room for, the next look at the underlay tells.
    bridges = (fact.mtu for fact in facts if isinstance(fact, Bridge))
    mtu = (next(bridges, 0) or network.mtu) + OVERHEAD[device.local.version]
    addresses: dict[str, list[Address]] = {}
    for fact in facts:
        if isinstance(fact, Neighbour):
            addresses.setdefault(fact.mac, []).append(fact.address)
    remotes = {
        f"kernel/{fact.mac}": Remote(fact.mac, tuple(addresses.get(fact.mac, ())), fact.host)
        for fact in there.get(device.name, [])
        if isinstance(fact, RemoteMac) and fact.host is not None
    }
    return Overlay(device.vni, device.local, mtu, own, device.port, device.offload, device.floods), remotes
