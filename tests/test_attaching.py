"""Both halves of attaching a namespace, over a daemon's API and namespaces in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from mooring.attaching import Attaching, Target, by_netns, by_process
from mooring.client import NamespaceView
from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.networks import Subnet
from mooring.core.plumbing import Inside
from mooring.core.sandboxes import NamespaceAddress, NamespaceLink, NamespaceOp, NamespaceRoute, NamespaceState
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.client.daemons import Asked, asked

LAB = Target("/run/netns/lab-1", "lab-1", "network namespace lab-1")
WEB = "1f6b2c"


class Namespaces(MemoryNamespaces):
    """Those of the daemon's boot, of whose interfaces the kernel shows where they are. routed: by somebody else."""

    routed: frozenset[Subnet] = frozenset()

    def _identity(self, path: str) -> str:
        return f"boot:{super()._identity(path)}"

    async def observe(self, path: str) -> NamespaceState:
        """See Namespaces."""
        return replace(await super().observe(path), routed=self.routed)

    async def apply(self, path: str, ops: Sequence[NamespaceOp]) -> None:
        """See Namespaces."""
        try:
            await super().apply(path, ops)
        finally:
            for fact in (await super().observe(path)).facts:
                if isinstance(fact, NamespaceLink):
                    self.kernel.inside[host_end(fact.endpoint.partition("/")[2])] = Inside("", ())


@dataclass
class Walk:
    """The sample host and its namespaces."""

    daemon: Asked
    namespaces: Namespaces

    async def attach(self, *addresses: str, target: Target = LAB) -> tuple[NamespaceView, list[str]]:
        """As the command does, in a thread of its own."""
        attaching = Attaching(self.daemon.client, self.namespaces)
        return await asyncio.to_thread(lambda: asyncio.run(attaching.attach(target, WEB, addresses)))

    async def detach(self, target: Target = LAB) -> NamespaceView:
        """The same."""
        attaching = Attaching(self.daemon.client, self.namespaces)
        return await asyncio.to_thread(lambda: asyncio.run(attaching.detach(target, WEB)))

    def names(self) -> list[str]:
        """Of the attached namespaces."""
        return [each.name for each in self.daemon.host.cache.every(Endpoint) if each.id.startswith("ns-")]


@pytest.fixture
async def walk(tmp_path: Path) -> AsyncIterator[Walk]:
    """See Walk."""
    async with asked(tmp_path) as daemon:
        await daemon.host.services.repair.once()  # the bridges are there
        assert isinstance(daemon.host.services.repair._kernel, type(daemon.host.kernel))
        namespaces = Namespaces(daemon.host.kernel)
        namespaces.external(LAB.path)
        yield Walk(daemon, namespaces)


async def test_the_interface_is_inside_with_what_the_daemon_says(walk: Walk) -> None:
    """Under a name that is free there; again changes nothing; what was taken from it is given again."""
    walk.namespaces.plant("eth0", LAB.path)
    view, own = await walk.attach()
    assert (view.changed, own, walk.names()) == (True, [], ["lab-1"])
    state = await walk.namespaces.observe(LAB.path)
    assert {fact.name for fact in state.facts if isinstance(fact, NamespaceLink)} == {"eth1"}
    inside = {str(fact.interface.ip) for fact in state.facts if isinstance(fact, NamespaceAddress)}
    assert inside == set(view.addresses)
    assert {str(fact.destination) for fact in state.facts if isinstance(fact, NamespaceRoute)} == {"0.0.0.0/0", "::/0"}
    for link in walk.namespaces._in(LAB.path):
        link.addresses.clear()
    again, _ = await walk.attach()
    assert not again.changed
    assert (await walk.namespaces.observe(LAB.path)).facts == state.facts


async def test_a_route_of_its_own_stays_and_is_told(walk: Walk) -> None:
    """It may be the way by which somebody is logged in."""
    walk.namespaces.routed = frozenset({ip_network("0.0.0.0/0")})
    _, own = await walk.attach()
    assert own == ["0.0.0.0/0"]
    state = await walk.namespaces.observe(LAB.path)
    assert {str(fact.destination) for fact in state.facts if isinstance(fact, NamespaceRoute)} == {"::/0"}


async def test_what_fails_inside_leaves_nothing(walk: Walk) -> None:
    """A namespace that ends meanwhile, or a kernel that refuses."""

    async def refuse(step: object) -> None:
        if isinstance(step, NamespaceOp):
            raise Unavailable("no")

    walk.namespaces.before = refuse
    with pytest.raises(Unavailable, match="no"):
        await walk.attach()
    assert walk.names() == []
    assert not [name for name in walk.namespaces.on_host() if name.startswith("mp-ns-")]


async def test_what_was_there_before_outlives_a_failure(walk: Walk) -> None:
    """Only what this call has begun is undone."""
    await walk.attach()
    with pytest.raises(Conflict, match="is in network"):
        await walk.attach("10.32.0.200")
    assert walk.names() == ["lab-1"]


async def test_detach_works_for_who_is_there_and_who_is_gone(walk: Walk) -> None:
    """By its name then."""
    await walk.attach()
    assert (await walk.detach()).changed
    assert walk.names() == []
    await walk.attach()
    walk.namespaces.reboot()
    assert (await walk.detach()).changed
    assert not (await walk.detach()).changed


async def test_the_host_and_what_is_not_there_are_refused(walk: Walk) -> None:
    """With what to do instead."""
    with pytest.raises(NotFound, match=r"there is no process 7"):
        await walk.attach(target=by_process(7))
    host = Target("", "host", "process 1")
    walk.namespaces.external("")
    with pytest.raises(Conflict, match="`mooring expose NETWORK`"):
        await walk.attach(target=host)


async def test_a_process_of_the_host_may_have_the_number_of_one_that_is_gone(walk: Walk) -> None:
    """Then it is the name that is meant."""
    await walk.attach(target=Target(LAB.path, "pid-7", "process 7"))
    walk.namespaces.external("")
    assert (await walk.detach(Target("", "pid-7", "process 7"))).changed
    assert walk.names() == []


def test_a_namespace_is_meant_by_name_path_or_process() -> None:
    """And is called so, unless it is given another name."""
    assert by_netns("lab-1") == LAB
    assert by_netns("/var/run/netns/x", "y") == Target("/var/run/netns/x", "y", "network namespace /var/run/netns/x")
    assert by_process(7) == Target("/proc/7/ns/net", "pid-7", "process 7")
    for wrong in ("../x", "a/b", "/", ".."):
        with pytest.raises(BadRequest, match="neither the name of a network namespace nor an absolute path"):
            by_netns(wrong)
