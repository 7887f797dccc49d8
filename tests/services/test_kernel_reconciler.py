"""Repair: what a record has and the kernel lacks comes back, what nobody knows goes, what is right is not touched."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.datapath import HOST_SETTINGS, network_facts
from mooring.core.faults import Unavailable
from mooring.core.firewall import ruleset
from mooring.core.networks import Network
from mooring.core.plumbing import Alter, Bridge, DockerAccept, Fact, Member, Op, Setting, Veth
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.services.drivers.foreign_bridges import SETTLED
from mooring.services.networking import kernel_reconciler as repair
from tests.services.hosts import MemoryHost

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)


@pytest.fixture
async def host() -> MemoryHost:
    """A host with a network, and a container that publishes a port."""
    host = await MemoryHost().start()
    network = await host.network("a", v6=True)
    await host.endpoint(network, "e1")
    await host.services.endpoints.publish(network, "e1".ljust(64, "0"), WEB)
    return host


async def test_a_restart_touches_nothing_that_is_right(host: MemoryHost) -> None:
    """The pass after a restart makes no kernel call, and holds the published ports again."""
    await host.restart()
    before = host.ops
    report = await host.services.repair.once()
    assert report.repaired == ()
    assert report.findings == ()
    assert host.ops == before
    assert len(host.guard.held) == 2


async def test_a_pass_works_out_anew_only_what_has_changed(host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a network nor an endpoint whose record is as it was; one that is new, once."""
    await host.services.repair.once()
    drawn: list[str] = []

    def draw(network: Network) -> frozenset[Fact]:
        drawn.append(network.id)
        return network_facts(network)

    monkeypatch.setattr(repair, "network_facts", draw)
    monkeypatch.setattr(repair, "endpoint_facts", None)
    assert (await host.services.repair.once()).findings == ()
    assert not drawn
    new = await host.network("b")
    for _ in range(2):
        assert str(await host.services.repair.once()) == "nothing to repair"
    assert drawn == [new]


async def test_a_flushed_ruleset_comes_back_whole(host: MemoryHost) -> None:
    """`nft flush ruleset`: table and members are as they were."""
    before = host.facts
    host.kernel.flush_ruleset()
    await host.services.repair.once()
    assert host.facts == before


async def test_after_a_reboot_networks_are_built_again_and_dead_interfaces_are_not(host: MemoryHost) -> None:
    """Every link is gone: bridges come back, a container's interface does not, nor what it published."""
    bridges = {fact for fact in host.facts if isinstance(fact, Bridge)}
    host.kernel.reboot()
    await host.restart()
    await host.services.repair.once()
    assert {fact for fact in host.facts if isinstance(fact, Bridge)} == bridges
    assert not any(isinstance(fact, Veth) for fact in host.facts)
    assert host.guard.held == set()
    assert (await host.services.repair.once()).repaired == ()


async def test_what_no_record_knows_is_removed(host: MemoryHost) -> None:
    """The daemon died after deleting the record and before cleaning the kernel."""
    for fact in (
        Bridge("mr-leftover", "mooring:network:gone", 1500, "02:00:00:00:00:01"),
        Veth("mv-leftover", "mooring:endpoint:gone/gone", "mr-leftover", False, "mp-leftover", "", 1500),
    ):
        host.kernel.facts[fact.key] = fact
    await host.services.repair.once()
    assert not [fact for fact in host.facts if "leftover" in str(fact)]


async def test_a_kernel_that_fails_is_a_finding_and_the_next_pass_tries_again(host: MemoryHost) -> None:
    """A pass never raises; what could not be done is said."""
    before = host.facts
    host.kernel.flush_ruleset()
    host.refusals.append(Unavailable("the kernel says no"))
    report = await host.services.repair.once()
    assert any("the kernel says no" in finding for finding in report.findings)
    await host.services.repair.once()
    assert host.facts == before


async def test_ports_of_a_container_that_comes_while_the_kernel_is_read_stay(host: MemoryHost) -> None:
    """Its rules were observed and its interface was not: it is no leftover."""
    network = "a".ljust(64, "0")
    observe = host.kernel.observe

    async def slow_observe() -> frozenset[Fact]:
        seen = await observe()
        await host.endpoint(network, "f2")
        await host.services.endpoints.publish(
            network, "f2".ljust(64, "0"), (PortRequest(Protocol.TCP, 80, first=8081, last=8081),)
        )
        return seen | {fact for fact in await observe() if isinstance(fact, Member)}

    host.kernel.observe = slow_observe  # type: ignore[method-assign]
    await host.services.repair.once()
    assert host.kernel.published(Protocol.TCP, ip_address("0.0.0.0"), 8081) == "10.32.0.3 . 80"


async def test_forwarding_is_left_off_until_there_is_something_to_forward(host: MemoryHost) -> None:
    """After a reboot dockerd must find it off, or it would not guard its FORWARD chain."""
    await host.reboot()
    await host.services.repair.once()
    assert not any(isinstance(fact, Setting) and fact.path == "net/ipv4/ip_forward" for fact in host.facts)
    await host.endpoint("a".ljust(64, "0"), "f2")
    assert Setting("net/ipv4/ip_forward", "1") in host.facts


async def test_forwarding_that_is_refused_leaves_the_firewall_in_order(host: MemoryHost) -> None:
    """The kernel's adapter refuses to switch it on where the engine does: a finding, and the rest is repaired."""
    refused = Unavailable("IPv4 forwarding is off")

    async def refuse(op: Op) -> None:
        after = op.after if isinstance(op, Alter) else op.fact
        if isinstance(after, Setting) and after.path == HOST_SETTINGS[0]:
            raise refused

    del host.kernel.facts[ruleset().key]
    del host.kernel.facts["setting", HOST_SETTINGS[0]]
    host.kernel.before = refuse
    report = await host.services.repair.once()
    assert ruleset() in host.facts
    assert any("forwarding is off" in finding for finding in report.findings)


async def test_a_bridge_is_dockers_until_the_engine_does_not_list_it(host: MemoryHost) -> None:
    """What leads somewhere is a way out at once, what the engine lists never."""
    host.kernel.bridges = {"br0": True, "lan0": False, "dmz0": False, "docker0": False}
    host.engine.bridges = {"dmz0"}
    await host.services.repair.once()
    assert set(host.kernel.members("uplinks")) == {'"br0"'}
    host.clock.advance(SETTLED)
    for _ in range(2):
        await host.services.repair.once()
    assert set(host.kernel.members("uplinks")) == {'"br0"', '"lan0"'}
    host.engine.bridges = {"dmz0", "lan0", "br0"}
    for _ in range(2):
        await host.services.repair.once()
    assert set(host.kernel.members("uplinks")) == set()


async def test_a_port_that_could_not_be_held_is_tried_again(host: MemoryHost) -> None:
    """The finding stays until the port is held."""
    await host.restart()
    host.guard.taken[Protocol.TCP, 8080] = "nginx (42)"
    for _ in range(2):
        assert any("nginx" in finding for finding in (await host.services.repair.once()).findings)
    host.guard.taken.clear()
    assert (await host.services.repair.once()).findings == ()
    assert host.guard.held


async def test_a_mistake_of_our_own_in_a_pass_is_a_finding(host: MemoryHost) -> None:
    """It must not end the daemon."""

    async def broken() -> frozenset[Fact]:
        raise KeyError("prefix")

    host.kernel.observe = broken  # type: ignore[method-assign]
    report = await host.services.repair.once()
    assert any("KeyError" in finding for finding in report.findings)


async def test_a_forward_chain_that_stays_closed_is_a_finding(host: MemoryHost) -> None:
    """Somebody flushed Docker's rules and left the policy: traffic is dead, and only dockerd can put that right."""
    observe = host.kernel.observe

    async def closed() -> frozenset[Fact]:
        return await observe() - {DockerAccept(4)}

    host.kernel.observe = closed  # type: ignore[method-assign]
    assert (await host.services.repair.once()).findings == ()
    report = await host.services.repair.once()
    assert any("forwarded IPv4 traffic of Mooring" in finding for finding in report.findings)
    assert report.repaired == ()


async def test_what_the_store_complains_of_is_a_finding_while_it_lasts(host: MemoryHost) -> None:
    """`mooring status` and `mooring doctor` show the findings of the last pass."""
    host.store.trouble = ["store mooring.db: the disk is full"]
    assert (await host.services.repair.once()).findings == ("store mooring.db: the disk is full",)
    host.store.trouble = []
    assert (await host.services.repair.once()).findings == ()
