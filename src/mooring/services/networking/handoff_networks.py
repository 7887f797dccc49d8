"""What the making of a network of mode handoff needs to know of VNICs.

Rules: a bridge that is named says whose network it is, whatever else is said; a tenant that was found by an
announcement has to be confirmed, by the mode or the bridge; VNICs have one network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.networks import Mode, Network, NetworkOptions
from mooring.core.pools import Pool
from mooring.core.vnics import group_of
from mooring.services.ipam.vnic_addresses import ANNOUNCED
from mooring.services.records.vnic_index import VnicIndex


def named(options: NetworkOptions, vnics: VnicIndex) -> NetworkOptions:
    """The options, with the tenant whose VNICs share the bridge. Raises NotFound when there are none, BadRequest when
    another tenant is named."""
    if options.mode is not Mode.HANDOFF or not options.bridge:
        return options
    group = vnics.with_bridge(options.bridge)
    if group is None:
        raise NotFound(f"there are no VNICs with bridge {options.bridge}", hint="`mooring vnic create` comes first")
    if options.tenant not in ("", group.tenant):
        raise BadRequest(f"bridge {options.bridge} is of {group}, not of tenant {options.tenant}")
    return replace(options, tenant=group.tenant)


def confirmed(network: Network, pools: Sequence[Pool], vnics: VnicIndex) -> Network:
    """The network as it is recorded. Raises BadRequest, Conflict when it cannot be."""
    if not network.handed_over:
        for pool in pools:
            if ANNOUNCED in pool.options:
                raise BadRequest(
                    f"subnet {pool.subnet} is announced for VNICs of tenant {pool.space}, and this network is for none",
                    hint="add -o mode=handoff if it is for them, else --ipam-opt tenant=default",
                )
        return network
    group = group_of(network)
    if group is None or len(network.segments) != 1:
        raise BadRequest("a network of mode handoff has one IPv4 subnet, and no IPv6", hint="give it with --subnet")
    if network.options.bridge not in ("", group.bridge):
        raise BadRequest(f"bridge {network.options.bridge} is of another subnet than {group.subnet}")
    other = vnics.network(group)
    if other is not None and other.id != network.id:
        raise Conflict(f"{group} has a network of mode handoff already", holder=f"network {other.id[:12]}")
    return replace(network, options=replace(network.options, bridge=group.bridge))
