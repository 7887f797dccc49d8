"""The life of a controller over a host in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mooring.cnm import BadRequest, Controller, NotFound, Unavailable
from mooring.core.plumbing import Fact
from tests.cnm.hosts import MemoryHost


class Mistake(Exception):
    """The program's own."""


async def test_what_the_program_raises_comes_out_as_it_is(memory: MemoryHost) -> None:
    """Neither a fault nor another exception is wrapped in a group."""

    async def program(error: Exception) -> None:
        async with memory.open() as controller:
            assert controller.networks() == []
            raise error

    for error in (NotFound("there is no such thing"), Mistake(), ExceptionGroup("mine", [Mistake()])):
        with pytest.raises(type(error)) as caught:
            await program(error)
        assert caught.value is error


async def test_the_repair_task_ends_with_the_controller(memory: MemoryHost) -> None:
    """It makes a pass at once, and leaving the block waits for its end, also when the program raised."""
    async with memory.open():
        pass
    assert memory.library is not None
    library, passed = memory.library, asyncio.Event()
    before, observe = asyncio.all_tasks(), memory.kernel.observe

    async def observed() -> frozenset[Fact]:
        if asyncio.current_task() not in before:
            passed.set()
        return await observe()

    memory.kernel.observe = observed  # type: ignore[method-assign]

    async def program() -> None:
        async with Controller.over(library, repairing=True):
            await passed.wait()
            raise Mistake

    with pytest.raises(Mistake):
        await program()
    assert asyncio.all_tasks() == before


async def test_a_cancelled_program_leaves_cleanly(memory: MemoryHost) -> None:
    """Cancelling the program within the block is a cancellation outside of it, too."""
    inside = asyncio.Event()

    async def program() -> None:
        async with memory.open():
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(program())
        await inside.wait()
        task.cancel()
    assert task.cancelled()


async def test_nothing_works_after_the_end(memory: MemoryHost) -> None:
    """Objects of a closed controller say that it is closed, instead of showing what may be wrong by now."""
    async with memory.open() as controller:
        network = await controller.create_network("web")
        endpoint, sandbox = await network.create_endpoint("ep"), await controller.create_sandbox("c")
    for access in (
        lambda: network.name,
        lambda: endpoint.state,
        lambda: sandbox.path,
        controller.networks,
        lambda: controller.network("web"),
        controller.drivers,
    ):
        with pytest.raises(Unavailable, match="the controller is closed"):
            access()
    for work in (network.delete(), endpoint.delete(), sandbox.delete(), controller.create_network("x")):
        with pytest.raises(Unavailable, match="the controller is closed"):
            await work


async def test_the_drivers_have_names(controller: Controller) -> None:
    """Those that are built in and those that were given."""
    assert controller.drivers() == ("bridge", "host", "null", "test")


async def test_repair_puts_back_what_was_lost(memory: MemoryHost, controller: Controller) -> None:
    """Somebody flushed the rules: a pass says what it put right, the next one has nothing to do."""
    await controller.create_network("web")
    memory.kernel.flush_ruleset()
    assert (await controller.repair()).repaired
    report = await controller.repair()
    assert (report.repaired, report.findings) == ((), ())


async def test_a_start_says_what_it_did(memory: MemoryHost) -> None:
    """A network whose creation was cut off is undone at the next start, in a line that names it."""
    memory.driver.refusals["create_network"] = Unavailable("gone")
    memory.driver.refusals["delete_network"] = Unavailable("gone")
    async with memory.open() as controller:
        with pytest.raises(Unavailable):
            await controller.create_network("web", "test")
    memory.driver.refusals.clear()
    async with memory.open() as controller:
        assert any("web" in line for line in controller.restored)
        assert controller.networks() == []
        await controller.create_network("web", "test")


NETWORK: list[dict[str, Any]] = [
    {"name": None}, {"name": ""}, {"name": "a/b"}, {"name": "x" * 256}, {"name": b"web"}, {"driver": None},
    {"driver": ""}, {"subnets": "10.9.0.0/24"}, {"subnets": ["10.9.0.1/24"]}, {"subnets": [None]}, {"ipv4": 1},
    {"ipv6": "yes"}, {"internal": None}, {"attachable": 0}, {"labels": {"a": 1}}, {"labels": ["a"]},
    {"options": {1: "a"}}, {"ipam": 7}, {"ipam_options": "x"}, {"labels": {"": "x"}},
]  # fmt: skip
SANDBOX: list[dict[str, Any]] = [
    {"name": "a/b"}, {"name": None}, {"host": 1}, {"path": "ns"}, {"path": 7}, {"external": None}, {"hostname": None},
    {"dns": "10.0.0.1"}, {"dns": ["x"]}, {"search": [""]}, {"publish": "80"}, {"publish": [80]}, {"exposed": ["x"]},
    {"labels": None}, {"extra_hosts": {"a": "10.0.0.1"}}, {"resolver": 0}, {"hosts_path": "hosts"}, {"colour": "red"},
    {"host": True, "external": True}, {"host": True, "path": "/proc/1/ns/net"}, {"dns_options": [None]},
]  # fmt: skip
ENDPOINT: list[dict[str, Any]] = [
    {"name": None}, {"name": "a b"}, {"addresses": "10.0.0.1"}, {"addresses": [None]}, {"addresses": ["10.0.0.1/24"]},
    {"mac": None}, {"mac": "x"}, {"mac": "01:00:00:00:00:00"}, {"allocate": None}, {"aliases": "www"},
    {"aliases": ["a/b"]}, {"links": ["a"]}, {"services": ["http"]}, {"options": 1}, {"addresses": ["10.99.0.1"]},
]  # fmt: skip


@pytest.mark.parametrize("bad", NETWORK, ids=str)
async def test_bad_arguments_of_a_network(memory: MemoryHost, controller: Controller, bad: dict[str, Any]) -> None:
    """They are refused before anything is stored, and the argument is named."""
    before = memory.store.commits
    with pytest.raises(BadRequest, match=next(iter(bad)).removesuffix("s")):
        await controller.create_network(**{"name": "web", **bad})
    assert memory.store.commits == before


@pytest.mark.parametrize("bad", SANDBOX, ids=str)
async def test_bad_arguments_of_a_sandbox(memory: MemoryHost, controller: Controller, bad: dict[str, Any]) -> None:
    """They are refused before anything is stored, and the argument is named."""
    before = memory.store.commits
    with pytest.raises(BadRequest, match=next(iter(bad))):
        await controller.create_sandbox(**bad)
    assert (memory.store.commits, await memory.namespaces.made()) == (before, {})


@pytest.mark.parametrize("bad", ENDPOINT, ids=str)
async def test_bad_arguments_of_an_endpoint(memory: MemoryHost, controller: Controller, bad: dict[str, Any]) -> None:
    """They are refused before anything is stored, and the argument is named."""
    network = await controller.create_network("web")
    before = memory.store.commits
    with pytest.raises(BadRequest, match=next(iter(bad)).removesuffix("es")):
        await network.create_endpoint(**bad)
    assert memory.store.commits == before
