"""What every Namespaces promises of namespaces; tests/contracts/test_interiors.py of what is in them."""

from __future__ import annotations

import asyncio
import os

import pytest

from mooring.core.faults import BadRequest, Fault, NotFound, Unavailable
from mooring.core.sandboxes import NamespaceRemove, plan_namespace
from tests.contracts.namespace_hosts import ONE, Host, adds, equip, equipment, facts, link


async def test_a_new_namespace_has_a_loopback_only(host: Host) -> None:
    """It exists, is listed by its id, and making it again gives the same."""
    path = await host.namespaces.create("box")
    assert await host.namespaces.create("box") == path
    assert await host.namespaces.made() == {"box": path}
    assert await host.namespaces.exists(path)
    inside = await host.namespaces.observe(path)
    assert inside.facts == set()
    assert inside.names == {"lo"}
    assert await host.namespaces.statistics(path) == {}


async def test_a_removed_namespace_is_gone(host: Host) -> None:
    """Removing it again is fine, and it can be made anew."""
    path = await host.namespaces.create("box")
    await host.namespaces.remove(path)
    await host.namespaces.remove(path)
    assert not await host.namespaces.exists(path)
    assert await host.namespaces.made() == {}
    assert await host.namespaces.create("box") == path
    assert await host.namespaces.exists(path)


@pytest.mark.parametrize("ident", ["", ".", "..", "a/b", "../up"])
async def test_a_name_that_is_no_file_is_refused(host: Host, ident: str) -> None:
    """Nothing is made outside the folder."""
    with pytest.raises(BadRequest):
        await host.namespaces.create(ident)


@pytest.mark.parametrize("path", ["", "/nowhere", "/proc/self/ns/net", "/etc/passwd"])
async def test_what_we_did_not_make_is_not_removed(host: Host, path: str) -> None:
    """A path elsewhere is refused."""
    with pytest.raises(BadRequest):
        await host.namespaces.remove(path)


@pytest.mark.parametrize("path", ["", "/nowhere", "/etc/passwd", "/etc", "a\0b", "/proc/self/ns/mnt", "/dev/null"])
async def test_a_path_that_is_no_namespace_is_not_found(host: Host, path: str) -> None:
    """It does not exist, and whatever is asked of it is NotFound."""
    assert not await host.namespaces.exists(path)
    with pytest.raises(NotFound):
        await host.namespaces.observe(path)
    with pytest.raises(NotFound):
        await host.namespaces.apply(path, adds(link(1)))
    with pytest.raises(NotFound):
        await host.namespaces.statistics(path)


async def test_a_fault_leaves_what_was_done(host: Host) -> None:
    """The rest is not begun, and a new plan gets there."""
    path = await host.namespaces.create("box")
    await host.pair(1, path)
    with pytest.raises(NotFound):
        await host.namespaces.apply(path, adds(link(1), link(2), *ONE[1:]))
    assert await facts(host, path) == {link(1)}
    await host.namespaces.apply(path, plan_namespace(ONE, await facts(host, path)))
    assert await facts(host, path) == set(ONE)


async def test_a_namespace_goes_with_what_is_in_it(host: Host) -> None:
    """The next of that id is empty, and is equipped as the first."""
    for _ in range(2):
        path = await host.namespaces.create("box")
        assert (await host.namespaces.observe(path)).names == {"lo"}
        await equip(host, path)
        await host.kernel.discard(["mv-1"])
        await host.namespaces.remove(path)


async def test_calls_for_one_path_queue(host: Host) -> None:
    """Of calls made at once, the last decides."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(host.namespaces.apply(path, [NamespaceRemove(ONE[1])]))
            group.create_task(host.namespaces.apply(path, adds(ONE[1])))
    assert ONE[1] in await facts(host, path)


async def test_many_namespaces_live_at_once(host: Host) -> None:
    """Twenty are made, used and removed at the same time; each has its own, and the same addresses do not meet."""

    async def live(number: int) -> None:
        path = await host.namespaces.create(f"box{number}")
        await host.pair(number, path)
        wanted = equipment(number, "eth0")
        await host.namespaces.apply(path, adds(*wanted))
        inside = await host.namespaces.observe(path)
        assert inside.facts == set(wanted)
        assert inside.names == {"lo", "eth0"}
        await host.kernel.discard([f"mv-{number}"])
        await host.namespaces.remove(path)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(live(number))
    assert await host.namespaces.made() == {}


async def test_the_callers_thread_stays_where_it_is(host: Host) -> None:
    """Also after faults, and the workers go on working."""
    here = os.readlink("/proc/thread-self/ns/net")
    path = await host.namespaces.create("box")
    for _ in range(20):
        with pytest.raises(Fault):
            await host.namespaces.apply(path, adds(link(1)))
        with pytest.raises(Fault):
            await host.namespaces.observe("/nowhere")
    await host.pair(1)
    assert host.on_host("mp-1")
    assert os.readlink("/proc/thread-self/ns/net") == here


async def test_a_closed_one_refuses_and_its_namespaces_stay(host: Host) -> None:
    """Closing twice is fine."""
    path = await host.namespaces.create("box")
    await host.namespaces.close()
    await host.namespaces.close()
    with pytest.raises(Unavailable):
        await host.namespaces.observe(path)
    with pytest.raises(Unavailable):
        await host.namespaces.create("next")


async def test_a_namespace_is_told_from_every_other(host: Host) -> None:
    """Each has a word of its own, the host too, and one that is made again at the same path has another."""
    one, two = await host.namespaces.create("one"), await host.namespaces.create("two")
    words = [await host.namespaces.identify(path) for path in ("", one, two)]
    assert len(set(words)) == 3
    assert await host.namespaces.identify(one) == words[1]
    assert (await host.namespaces.observe(one)).identity == words[1]
    await host.namespaces.remove(one)
    with pytest.raises(NotFound):
        await host.namespaces.identify(one)
    await host.namespaces.create("one")
    assert await host.namespaces.identify(one) not in words
