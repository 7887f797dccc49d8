"""Pools: subnets from which addresses are allocated, and how a subnet is chosen.

Rules: pools of one address space never overlap; a pool's id says nothing about its subnet; everything here is a pure
function of values.
"""

from __future__ import annotations

import msgspec

from mooring.core.networks import Address, Subnet


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One subnet from which addresses are allocated, known to Docker by its id (the PoolID).

    range: where addresses are chosen automatically, None for the whole subnet. source: name of the subnet pool that it
    was carved from, "" when the subnet was typed by hand. gateway: the gateway's address, None when there is none.
    network: id of the network that uses it, "" until one is created. created: seconds since the epoch.
    """

    id: str
    space: str
    subnet: Subnet
    range: Subnet | None = None
    source: str = ""
    options: dict[str, str] = {}
    created: float = 0.0
    gateway: Address | None = None
    network: str = ""
