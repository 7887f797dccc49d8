"""What the Linux kernel adapter adds to its parts; tests/contracts/test_kernel.py holds the promises of the port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from mooring.adapters.linux import conntrack, host_networks
from mooring.adapters.linux.links import Links
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.plumbing import Add, Bridge, Domain, Fact, LinkAddress, Remove
from tests.netns.rigs import Namespace, sh, until

pytestmark = pytest.mark.netns

BRIDGE = Bridge("mr-one", "mooring:network:one", 1500, "02:00:00:00:00:01")


@pytest.fixture
async def kernel(namespace: Namespace) -> AsyncIterator[LinuxKernel]:
    """A kernel in a namespace of its own."""
    made = LinuxKernel()
    yield made
    await made.close()


async def test_closing_finishes_pending_deletions(kernel: LinuxKernel) -> None:
    """When close returns, discarded links are really gone."""
    await kernel.apply([Add(BRIDGE)])
    await kernel.discard(["mr-one"])
    await kernel.close()
    links = Links()
    assert links.find("mr-one") is None
    links.close()


async def test_discarded_links_go_by_themselves(kernel: LinuxKernel) -> None:
    """Nobody has to ask again."""
    await kernel.apply([Add(BRIDGE)])
    await kernel.discard(["mr-one"])
    links = Links()
    for _ in range(1000):
        if links.find("mr-one") is None:
            break
        await asyncio.sleep(0.01)
    assert links.find("mr-one") is None
    links.close()


async def test_a_cancelled_apply_is_finished_or_not_begun(kernel: LinuxKernel) -> None:
    """The caller goes, and there is never half of it."""
    facts: list[Fact] = [BRIDGE, *(LinkAddress("mr-one", ip_interface(f"10.1.{n}.1/24")) for n in range(50))]
    for give_up_after in (0, 0.001, 0.005):
        call = asyncio.gather(kernel.apply([Add(fact) for fact in facts]))
        await asyncio.sleep(give_up_after)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await kernel.apply([Add(BRIDGE)])  # queues behind it
        found = [fact for fact in await kernel.observe() if isinstance(fact, LinkAddress)]
        assert len(found) in (0, 50)
        await kernel.discard(["mr-one"])


async def test_nameservers_are_occupied(kernel: LinuxKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as a host route; nonsense, loopback and link-local ones are passed over."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# nameserver 192.0.2.9\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%w0\n"
        "nameserver 127.0.0.53\nnameserver ::ffff:127.0.0.53\nnameserver nonsense\nnameserver\nsearch example.org\n"
    )
    monkeypatch.setattr(host_networks, "RESOLV_CONF", conf)
    assert list((await kernel.host_net()).occupied) == [ip_network("192.0.2.1/32"), ip_network("2001:db8::1/128")]
    monkeypatch.setattr(host_networks, "RESOLV_CONF", tmp_path / "missing")
    assert not (await kernel.host_net()).occupied


async def test_the_hosts_own_stale_neighbour_goes_with_the_announcement(kernel: LinuxKernel) -> None:
    """Otherwise the host itself would go on to talk to the old MAC."""
    await kernel.apply([Add(BRIDGE), Add(LinkAddress("mr-one", ip_interface("10.1.0.1/24")))])
    sh("ip neighbour add 10.1.0.2 lladdr 02:00:00:00:00:09 dev mr-one nud stale")
    await kernel.announce("mr-one", ip_address("10.1.0.2"), "02:00:00:00:00:02")
    await kernel.apply([Add(BRIDGE)])  # soon, and before what is asked for afterwards
    assert "02:00:00:00:00:09" not in sh("ip neighbour show dev mr-one")


async def test_flushing_holds_up_nobody(kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading what a busy host tracks takes long; links and rules are made meanwhile, and closing waits for it."""
    begun, enough = threading.Event(), threading.Event()
    forgotten: list[object] = []

    def slowly(address: object) -> None:
        begun.set()
        enough.wait(10)
        forgotten.append(address)

    monkeypatch.setattr(conntrack, "flush", slowly)
    await kernel.flush_connections(ip_address("fd00::2"))
    try:
        await asyncio.to_thread(begun.wait, 10)
        await kernel.apply([Add(BRIDGE)])
        assert not forgotten
    finally:
        enough.set()
    await kernel.close()
    assert forgotten == [ip_address("fd00::2")]


async def test_flushing_comes_after_the_writes_before_it(kernel: LinuxKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is forgotten while its rule is still there would be tracked again."""
    there: list[bool] = []

    def look(_: object) -> None:
        links = Links()
        there.append(links.find("mr-one") is not None)
        links.close()

    monkeypatch.setattr(conntrack, "flush", look)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kernel.apply([Add(BRIDGE)]))
        tasks.create_task(kernel.flush_connections(ip_address("10.1.0.2")))
    await kernel.close()
    assert there == [True]


async def test_a_domain_that_was_worked_in_ends_when_it_is_removed(namespace: Namespace, tmp_path: Path) -> None:
    """Nothing that was opened in it for work keeps it, and what was in it ends with it: the other end of its veth."""
    del namespace
    kernel = LinuxKernel(folder=str(tmp_path / "tenants"))
    bridge = replace(BRIDGE, domain=1)
    try:
        await kernel.apply([Add(Domain(1)), Add(bridge)])
        await kernel.observe()
        await kernel.announce(bridge.name, ip_address("10.1.0.2"), "02:00:00:00:01:02", 1)
        sh(f"ip link add canary type veth peer name inner netns {tmp_path}/tenants/1")
        await kernel.apply([Remove(Domain(1))])
        await kernel.observe()
        await until(lambda: "canary" not in sh("ip link"))
    finally:
        await kernel.close()
