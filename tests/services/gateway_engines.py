"""Engines as they tell of gateways: who is told what when a container joins and leaves networks.

A model of libnetwork, by its source: `sbJoin` and `sbLeave` of endpoint.go (20.10.24, 28.5.2, 29.7.2), and for 29 the
state that drivers/remote/driver.go keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mooring.core.networks import Network
from mooring.core.port_bindings import PortRequest
from tests.services.hosts import MemoryHost


class Kind(Enum):
    """Which rules: one gateway; one for each family, told by join and leave; the same, told by the remote driver."""

    E20 = "20.10"
    E28 = "28"
    E29 = "29"


@dataclass(frozen=True)
class Member:
    """A network that the container is in. priority: gw-priority, by name when equal."""

    name: str
    network: Network
    priority: int

    @property
    def endpoint(self) -> str:
        """The id of its endpoint."""
        return f"e{self.name}".ljust(64, "0")

    def has(self, version: int) -> bool:
        """Whether it offers a gateway of the family."""
        segments = self.network.ipv4 if version == 4 else self.network.ipv6
        return any(segment.gateway is not None for segment in segments)


class Container:
    """A container of that engine which publishes the ports."""

    def __init__(self, host: MemoryHost, kind: Kind, ports: tuple[PortRequest, ...]) -> None:
        self._host = host
        self._kind = kind
        self._ports = ports
        self.members: list[Member] = []
        self._told: dict[str, tuple[bool, bool]] = {}

    def gateway(self, version: int) -> Member | None:
        """The first in order that has the family, in 28 the first that has both before that; in 20.10 the first that
        has any (getGatewayEndpoint)."""
        if self._kind is Kind.E20:
            return min(self.members, key=lambda each: each.name, default=None)
        able = [each for each in self.members if each.has(version)]
        if self._kind is Kind.E28:
            able = [each for each in self.members if each.has(4) and each.has(6)] or able
        return min(able, key=lambda each: (-each.priority, each.name), default=None)

    async def join(self, member: Member) -> None:
        """`docker network connect`, or a network of `docker run`."""
        await self._host.endpoint(member.network.id, f"e{member.name}", attach=False)
        await self._host.attach_to(member.network.id, member.endpoint, "/run/docker/netns/c")
        before = self.gateway(4), self.gateway(6)
        self.members.append(member)
        after = self.gateway(4), self.gateway(6)
        if self._kind is Kind.E29:
            if member in after:
                for each in before:
                    if each is not None:
                        await self._program(each, after)
            await self._program(member, after)
        elif member in after and self._kind is Kind.E20:
            if before[0] is not None:
                await self._revoke(before[0])
            await self._tell(member, None)
        elif member in after:
            await self._join_28(member, before, after)

    async def _join_28(
        self, member: Member, before: tuple[Member | None, ...], after: tuple[Member | None, ...]
    ) -> None:
        flags = [None not in pair and pair[0] != pair[1] for pair in (before, after)]
        restart = member != after[0] and flags[0] != flags[1]
        if before[0] is not None and (member == after[0] or restart):
            await self._revoke(before[0])
            if restart:
                await self._tell(before[0], flags[1])
        if member == after[1] and before[1] is not None and before[1] != before[0]:
            await self._revoke(before[1])
        await self._tell(member, flags[1])

    async def leave(self, name: str) -> None:
        """`docker network disconnect`."""
        member = next(each for each in self.members if each.name == name)
        before = self.gateway(4), self.gateway(6)
        if self._kind is Kind.E29:
            await self._program(member, (None, None))
        elif member in before:
            await self._revoke(member)
        endpoints = self._host.services.endpoints
        await endpoints.detach(member.network.id, member.endpoint)
        self.members.remove(member)
        self._told.pop(name, None)
        after = self.gateway(4), self.gateway(6)
        if member in before and self._kind is Kind.E29:
            for each in after:
                if each is not None:
                    await self._program(each, after)
        elif member in before and self._kind is Kind.E20 and after[0] is not None:
            await self._tell(after[0], None)
        elif member in before and self._kind is Kind.E28:
            await self._leave_28(member, before, after)
        await endpoints.delete(member.network.id, member.endpoint)

    async def _leave_28(
        self, member: Member, before: tuple[Member | None, ...], after: tuple[Member | None, ...]
    ) -> None:
        if after[0] is not None:
            flag = after[1] is not None and after[1] != after[0]
            if before[0] == after[0] and (before[1] is None) != (after[1] is None):
                await self._revoke(after[0])
                await self._tell(after[0], flag)
            elif member == before[0]:
                await self._tell(after[0], flag)
        if after[1] is not None and member == before[1] and after[1] != after[0]:
            await self._tell(after[1], None)

    async def _program(self, member: Member, gateways: tuple[Member | None, ...]) -> None:
        """ProgramExternalConnectivity of the remote driver in 29, which tells the plugin only of changes."""
        now = gateways[0] == member, gateways[1] == member
        if self._told.get(member.name, (False, False)) == now:
            return
        self._told[member.name] = now
        if not any(now):
            await self._revoke(member)
            return
        await self._tell(member, True if not now[1] and gateways[1] is not None else None)

    async def _tell(self, member: Member, flag: bool | None) -> None:
        await self._host.services.endpoints.publish(member.network.id, member.endpoint, self._ports, bool(flag))

    async def _revoke(self, member: Member) -> None:
        await self._host.services.endpoints.unpublish(member.network.id, member.endpoint)
