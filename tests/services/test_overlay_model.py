"""Whatever is said in whatever order, the kernel has what the last word of each leaves: overlays against a model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_interface

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.overlays import Overlay, Remote
from mooring.core.plumbing import Member, Neighbour, RemoteMac
from tests.services.hosts import MemoryHost

IDS = ("a", "b", "c")
# The first is that of the endpoint `e1` of this host; it has the first address.
MACS = ("02:00:00:65:31:00", "02:00:00:00:00:0d")
ADDRESSES = (IPv4Address("10.32.0.2"), IPv4Address("10.32.0.50"))
LOCAL, *HOSTS = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))

REMOTES = st.builds(
    Remote, st.sampled_from(MACS), st.sampled_from([(each,) for each in ADDRESSES]), st.sampled_from(HOSTS)
)
STEPS = st.one_of(
    st.tuples(st.just("learn"), st.sampled_from(IDS), st.none() | REMOTES),
    st.tuples(st.just("rescan"), st.just(""), st.dictionaries(st.sampled_from(IDS), REMOTES)),
    st.tuples(st.sampled_from(["endpoint", "reopen", "settle", "repair", "lose"]), st.just(""), st.none()),
)


@dataclass
class Model:
    """said: what each says, the last one last."""

    said: dict[str, Remote] = field(default_factory=dict)
    here: bool = False

    def learn(self, ident: str, remote: Remote | None) -> None:
        """As Overlays does it."""
        if remote is None:
            self.said.pop(ident, None)
        elif self.said.get(ident) != remote:
            self.said.pop(ident, None)
            self.said[ident] = remote

    def expected(self) -> set[tuple[str, ...]]:
        """What the kernel is to have, in words."""
        macs = {remote.mac: str(remote.host) for remote in self.said.values()}
        near = {remote.addresses[0]: remote.mac for remote in self.said.values()}
        if self.here:
            macs.pop(MACS[0], None)
            near.pop(ADDRESSES[0], None)
        hosts = {str(remote.host) for remote in self.said.values()}
        return {("mac", *each) for each in macs.items()} | {("at", str(a), mac) for a, mac in near.items()} | {
            ("host", each) for each in hosts
        }  # fmt: skip


def found(host: MemoryHost) -> set[tuple[str, ...]]:
    """What the kernel has, in words."""
    words = set[tuple[str, ...]]()
    for fact in host.facts:
        match fact:
            case RemoteMac():
                words.add(("mac", fact.mac, str(fact.host)))
            case Neighbour():
                words.add(("at", str(fact.address), fact.mac))
            case Member(container="tunnels4"):
                words.add(("host", fact.element.split()[0]))
            case _:
                pass
    return words


async def play(steps: list[tuple[str, str, object]]) -> None:
    """Carry out the steps on host and model, and compare."""
    host, model = await MemoryHost().start(), Model()
    network = await host.network("a")
    overlays = host.services.repair.overlays
    overlay = Overlay(7, LOCAL, 1500, (ip_interface("10.32.0.201/24"),))
    overlays.open(network, overlay)
    for what, ident, value in steps:
        match what:
            case "learn":
                assert value is None or isinstance(value, Remote)
                overlays.learn(network, {ident: value})
                model.learn(ident, value)
            case "rescan":
                assert isinstance(value, dict)
                await overlays.rescan(network, value)
                for each in (*value, *IDS):
                    model.learn(each, value.get(each))
            case "endpoint" if model.here:
                await host.services.endpoints.delete(network, "e1".ljust(64, "0"))
                model.here = False
            case "endpoint":
                await host.endpoint(network, "e1", attach=False)
                (endpoint,) = host.services.endpoint_index.of_network(network)
                model.here = endpoint.addresses[0] == ADDRESSES[0]
                if not model.here:  # the address cools; what follows is another endpoint
                    await host.services.endpoints.delete(network, endpoint.id)
            case "reopen":
                overlays.close(network)
                overlays.open(network, overlay)
                model.said.clear()
            case "settle":
                await overlays.settle()
            case "repair":
                await host.services.repair.once()
            case _:
                for fact in host.facts:
                    if isinstance(fact, RemoteMac | Neighbour):
                        del host.kernel.facts[fact.key]
    await overlays.settle()
    await host.services.repair.once()
    assert found(host) == model.expected()
    assert str(await host.services.repair.once()) == "nothing to repair"


@settings(max_examples=settings().max_examples // 2, deadline=None)
@given(st.lists(STEPS, max_size=14))
def test_the_kernel_has_what_was_said_last(steps: list[tuple[str, str, object]]) -> None:
    """Endpoints that come, move, share a MAC or an address, and go; one of this host that comes between; overlays that
    are opened again; a kernel that loses entries; passes of repair at any moment."""
    asyncio.run(play(steps))
