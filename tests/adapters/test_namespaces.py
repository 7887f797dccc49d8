"""What of namespaces only the real kernel has; tests/contracts/test_namespaces.py holds the promises of the port."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mooring.adapters.linux.namespaces import LinuxNamespaces, identity_here
from mooring.core.faults import NotFound, Unavailable
from mooring.core.sandboxes import NamespaceAdd, NamespaceLink, NamespaceRemove
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

LINK = NamespaceLink("one/e", "eth0", source="mp-e", mac="", ipv6=False, returns=True)


@pytest.fixture
async def namespaces(namespace: Namespace, tmp_path: Path) -> AsyncIterator[LinuxNamespaces]:
    """Namespaces of a host that is a namespace of the test's own."""
    made = LinuxNamespaces(str(tmp_path / "netns"))
    yield made
    await made.close()
    left = LinuxNamespaces(str(tmp_path / "netns"))  # the test may have closed the first
    for path in (await left.made()).values():
        await left.remove(path)
    await left.close()
    sh(f"umount -l {tmp_path}/netns 2>/dev/null || true")


@pytest.fixture
def child(namespace: Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a network namespace of its own."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 99"], stdout=subprocess.PIPE
    ) as made:
        assert made.stdout is not None
        made.stdout.readline()
        yield made
        made.kill()


def workers() -> dict[int, str]:
    """The namespace of every thread of ours that is not the test's."""
    found = {}
    for thread in threading.enumerate():
        if thread.name.startswith("namespaces-") and thread.native_id is not None:
            found[thread.native_id] = os.readlink(f"/proc/self/task/{thread.native_id}/ns/net")
    return found


async def test_a_childs_namespace_is_used_by_its_process(
    namespaces: LinuxNamespaces, child: subprocess.Popen[bytes]
) -> None:
    """As the library's user names one that he made; it is his to end, and then it is NotFound."""
    path = f"/proc/{child.pid}/ns/net"
    sh("ip link add mp-e type veth")
    assert await namespaces.exists(path)
    await namespaces.apply(path, [NamespaceAdd(LINK)])
    assert "LOOPBACK,UP" in sh(f"nsenter --net={path} ip link show lo")
    assert (await namespaces.observe(path)).names == {"lo", "eth0"}
    assert set(await namespaces.statistics(path)) == {"eth0"}
    await namespaces.apply(path, [NamespaceRemove(LINK)])
    child.kill()
    child.wait()
    assert not await namespaces.exists(path)
    with pytest.raises(NotFound):
        await namespaces.observe(path)


async def test_the_host_is_where_the_object_was_made(namespaces: LinuxNamespaces) -> None:
    """Links come from there and go back there, wherever the caller is by then."""
    path = await namespaces.create("box")
    sh("ip link add mp-e type veth")
    elsewhere = Namespace.new()
    with elsewhere.inside():
        asking = namespaces.apply(path, [NamespaceAdd(LINK)])
    await asking
    assert (await namespaces.observe(path)).facts == {LINK}
    await namespaces.apply(path, [NamespaceRemove(LINK)])
    assert "mp-e" in sh("ip link show mp-e")
    elsewhere.close()


async def test_workers_are_on_the_host_between_their_works(namespaces: LinuxNamespaces) -> None:
    """After successes and faults, so that no worker keeps a namespace that is removed."""
    here = os.readlink("/proc/thread-self/ns/net")
    for number in range(16):
        path = await namespaces.create(f"box{number}")
        await namespaces.observe(path)
        with pytest.raises(NotFound):
            await namespaces.apply(path, [NamespaceAdd(LINK)])
        await namespaces.remove(path)
    assert len(workers()) > 1
    assert set(workers().values()) == {here}


async def test_a_namespace_that_cannot_be_kept_leaves_nothing(namespaces: LinuxNamespaces, tmp_path: Path) -> None:
    """The folder cannot be made: one line, and the worker is on the host again."""
    (tmp_path / "netns").touch()
    with pytest.raises(Unavailable, match="netns/box"):
        await namespaces.create("box")
    assert set(workers().values()) == {os.readlink("/proc/thread-self/ns/net")}
    (tmp_path / "netns").unlink()
    assert await namespaces.exists(await namespaces.create("box"))


async def test_namespaces_cost_no_descriptors(namespaces: LinuxNamespaces) -> None:
    """However many there are and were used: only the object itself holds one."""
    await namespaces.create("first")
    before = os.listdir("/proc/self/fd")
    for number in range(20):
        path = await namespaces.create(f"box{number}")
        await namespaces.observe(path)
        await namespaces.statistics(path)
    assert os.listdir("/proc/self/fd") == before


async def test_namespaces_outlive_the_object_and_a_reboot_takes_them(
    namespaces: LinuxNamespaces, tmp_path: Path
) -> None:
    """The next one finds them; plain files without their mounts are none, and go; they are made again."""
    path = await namespaces.create("box")
    await namespaces.close()
    again = LinuxNamespaces(str(tmp_path / "netns"))
    assert await again.made() == {"box": path}
    sh(f"umount -l {path}", f"umount -l {tmp_path}/netns")
    sh(f"test -f {path}")
    assert await again.made() == {}
    assert not await again.exists(path)
    assert os.listdir(tmp_path / "netns") == []
    assert await again.create("box") == path
    assert await again.exists(path)
    await again.remove(path)
    await again.close()


async def test_a_thread_knows_where_it_is(namespaces: LinuxNamespaces) -> None:
    """In the words by which others tell it."""
    assert identity_here(namespaces._boot) == await namespaces.identify("")
    assert identity_here(namespaces._boot) != await namespaces.identify(await namespaces.create("box"))


async def test_a_cancelled_caller_leaves_work_whole(namespaces: LinuxNamespaces) -> None:
    """What was begun is finished, what was not is not; the next call finds the one or the other."""
    path = await namespaces.create("box")
    sh("ip link add mp-e type veth")
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(namespaces.apply(path, [NamespaceAdd(LINK)]))
        await asyncio.sleep(0)
        asking.cancel()
    facts = (await namespaces.observe(path)).facts
    on_host = "mp-e" in sh("ip -br link show")
    assert (facts == {LINK}) is not on_host
