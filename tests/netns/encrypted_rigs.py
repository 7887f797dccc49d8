"""Two hosts with an encrypted network, in one process.

Rule: what a cluster would tell each host is told when a test says so, and time passes when it says so.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mooring.adapters.linux.wireguard import LinuxWireGuard
from mooring.core.cluster_hosts import ClusterAccess, ClusterHost, Membership, Underlay
from mooring.core.overlays import PORT
from mooring.core.wireguard import device_name, encrypted_port, inner_address
from mooring.services.cluster.host_records import HostRecords
from mooring.services.networking.encrypted_underlay import EncryptedUnderlay
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from tests.netns.overlay_rigs import Machine, Site, site
from tests.netns.rigs import Namespace

ENCRYPTED_PORT = encrypted_port(PORT)


@dataclass
class Member:
    """A machine as a host of a cluster."""

    machine: Machine
    host: str
    part: EncryptedUnderlay
    wireguard: LinuxWireGuard
    records: HostRecords

    @property
    def device(self) -> str:
        """The name of its device."""
        return device_name(self.host)

    async def tell(self) -> None:
        """Its record is true."""
        address = str(self.machine.outer)
        host = ClusterHost(
            id=self.host, name=self.host, machine="", boot="", underlay=Underlay(address, "under0", 1500), version="",
            joined=0.0, tunnel=self.part.end,
        )  # fmt: skip
        _, revision = await self.records.host(self.host)
        await self.records.put_host(host, revision)

    def pids(self) -> list[int]:
        """Of wireguard-go, where that makes the device."""
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if each.read_bytes().split(b"\0")[:2] == [b"wireguard-go", self.device.encode()]:
                    found.append(int(each.parent.name))
        return found


@dataclass
class Encrypted:
    """Two members of a cluster, with containers 10.9.0.11 and 10.9.0.12 in one encrypted network."""

    made: Site
    clock: ManualClock
    one: Member
    two: Member

    async def turns(self, times: int = 2) -> None:
        """Both members have some, and tell what is to be told."""
        for _ in range(times):
            for member in (self.one, self.two):
                assert await member.part.turn() == []
                await member.tell()

    async def containers(self) -> tuple[Namespace, Namespace]:
        """One on each host, known to the other, who have reached each other: a handshake that was lost, because the
        other host did not know this one yet, is made again after five seconds (WireGuard's REKEY_TIMEOUT)."""
        a = await self.made.container(self.one.machine, "web", 11)
        b = await self.made.container(self.two.machine, "web", 12)
        await self.made.publish()
        await self.follow()
        a.sh("ping -n -q -c 1 -W 20 10.9.0.12")
        return a, b

    async def follow(self) -> None:
        """The overlays have found the device."""
        for member in (self.one, self.two):
            assert await member.machine.overlays.follow_underlay() == []
            await member.machine.build()


@asynccontextmanager
async def encrypted_hosts(folder: Path) -> AsyncIterator[Encrypted]:
    """Two hosts, each with a device that knows the other. folder: where their keys are."""
    made, clock, cluster = site(), ManualClock(), MemoryCluster()
    members: list[Member] = []
    try:
        members += [await _member(await made.machine(), f"{os.getpid()}.{n}", clock, cluster, folder) for n in (1, 2)]
        encrypted = Encrypted(made, clock, *members)
        for member in members:
            await member.tell()
        await encrypted.turns()
        await made.network("web", 9, 100, port=ENCRYPTED_PORT)
        yield encrypted
    finally:
        for member in members:
            await member.wireguard.remove(member.device)
            member.wireguard.close()
        await made.close()


async def _member(
    machine: Machine, host: str, clock: ManualClock, cluster: MemoryCluster, folder: Path
) -> Member:  # fmt: skip
    machine.inner = inner_address(host)
    with machine.space.inside():
        wireguard = LinuxWireGuard(folder / f"{host}.json")
    client = cluster.client(host)
    part = EncryptedUnderlay(wireguard, machine.kernel, clock, lambda: True)
    access = ClusterAccess(cluster="c", endpoints=())
    await part.entered(client, Membership(access=access, host=host, name=host, machine=""))
    return Member(machine, host, part, wireguard, HostRecords(client))
