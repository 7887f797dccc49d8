"""What is asked before a network is made, and done after: the proxy's use case of `docker network create`.

Rules: a network of ours that is made again has the subnets of the last one of its name, where nothing is in their way;
whatever cannot be found out here holds up no creation, and is left to the engine's list.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from mooring.core.docker_requests import NetworkSpec
from mooring.core.faults import Fault
from mooring.core.networks import Subnet
from mooring.core.options import parse_ipam_options
from mooring.services.ipam.allocator import Ipam
from mooring.services.ipam.kept_networks import subnets_of


class NetworkAdmission:
    """names: those that dockerd has for us."""

    def __init__(self, ipam: Ipam, names: Collection[str]) -> None:
        self._ipam = ipam
        self._names = names

    def concerns(self, spec: NetworkSpec) -> bool:
        """Whether the network will be one of ours."""
        return bool(spec.name) and spec.driver in self._names

    async def returning(self, spec: NetworkSpec) -> list[Subnet]:
        """The subnets that the network had when it was there the last time, of the families for which none is named.
        Raises no Fault."""
        found: list[Subnet] = []
        if spec.ipam not in self._names:
            return found
        with suppress(Fault):
            words = parse_ipam_options(spec.ipam_options)
            space = words.get("tenant") or "default"
            kept_networks = self._ipam.kept_networks.of_name(spec.name, space)
            for family in spec.open:
                for subnet in subnets_of(kept_networks, family):
                    if await self._ipam.may_return(space, subnet, words):
                        found.append(subnet)
                        break
        return found

    async def made(self, network: str, name: str) -> None:
        """The engine has made it (full id). Raises Unavailable."""
        await self._ipam.kept_networks.inherit(network, name)
