"""The library on a real kernel: packets, names and ports, and what outlives a controller."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.host import listeners
from mooring.adapters.host.clocks import SystemClock
from mooring.adapters.host.port_guard import SocketPortGuard
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.cnm import BadRequest, Conflict, Controller, Endpoint, Network, NotFound, Sandbox, State
from mooring.core.names import AAAA, PTR
from mooring.servers.http import HttpServer
from mooring.servers.plugin.dispatch import fail as refuse
from mooring.servers.plugin.door import PluginDoor
from mooring.services.assembly import assemble
from mooring.services.networking.assembly import World
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_store import MemoryStore
from tests.adapters.dns.nameservers import ask, query, texts
from tests.cnm.hosts import POLICY
from tests.netns.rigs import Namespace, Rig, is_cut_off, reach, rig, serve, sh

pytestmark = pytest.mark.netns


@pytest.fixture
async def world(namespace: Namespace) -> AsyncIterator[Rig]:
    """The test's namespace with an outside machine."""
    made = rig(namespace)
    made.outside.sh("ip route add default via 198.18.0.1; ip -6 route add default via fd00:198:18::1")
    yield made
    await made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on which nothing stays mounted: closing a controller ends no sandbox."""
    yield tmp_path
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in reversed([mount for mount in mounts if mount.startswith(f"{tmp_path}/")]):
        sh(f"umount -l {place}")


@pytest.fixture
async def stack() -> AsyncIterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as made:
        yield made


def opened(folder: Path, name: str = "t", **more: Any) -> AbstractAsyncContextManager[Controller]:
    """A controller with everything in the folder."""
    settings: dict[str, Any] = {
        "state_dir": folder / "state", "run_dir": folder / "run", "repair_period": 0,
        "plugin_sockets": folder / "plugins", "plugin_specs": (),
    }  # fmt: skip
    return Controller.open(name, **settings | more)


def inside(stack: ExitStack, sandbox: Sandbox) -> Namespace:
    """The sandbox's namespace."""
    space = Namespace(os.open(sandbox.path, os.O_RDONLY | os.O_CLOEXEC))
    stack.callback(space.close)
    return space


async def place(
    controller: Controller, network: Network, name: str, priority: int = 0, **more: Any
) -> tuple[Endpoint, Sandbox]:
    """An endpoint in a sandbox, both of the name."""
    endpoint, sandbox = await network.create_endpoint(name), await controller.create_sandbox(name, **more)
    await endpoint.join(sandbox, priority)
    return endpoint, sandbox


def addresses(endpoint: Endpoint) -> tuple[str, str]:
    """IPv4 and IPv6."""
    assert endpoint.ipv4 is not None
    assert endpoint.ipv6 is not None
    return str(endpoint.ipv4.ip), str(endpoint.ipv6.ip)


async def test_a_dual_stack_bridge(namespace: Namespace, stack: ExitStack, folder: Path) -> None:
    """Two sandboxes reach each other over both families, at the addresses and MACs that were said."""
    async with opened(folder) as controller:
        network = await controller.create_network("web", ipv6=True)
        one, left = await place(controller, network, "one")
        two, right = await place(controller, network, "two")
        server, client = inside(stack, left), inside(stack, right)
        await serve(stack, server, 80)
        for mine, theirs in zip(addresses(one), addresses(two), strict=True):
            assert await reach(client, mine, 80) == theirs
        assert one.mac in server.sh("ip link show eth0")
        counted = (await left.statistics())["eth0"]
        assert counted.rx_packets > 0 < counted.tx_bytes


async def test_the_default_route_is_handed_over(namespace: Namespace, stack: ExitStack, folder: Path) -> None:
    """It follows the priority, for each family by itself."""
    async with opened(folder) as controller:
        both = await controller.create_network("both", ipv6=True)
        four = await controller.create_network("four")
        first, sandbox = await place(controller, both, "c1")
        second = await four.create_endpoint("ep")
        space = inside(stack, sandbox)

        def routes() -> list[str]:
            return [space.sh(f"ip -{version} route show default").split(" proto")[0].strip() for version in (4, 6)]

        hops = [str(gateway.ip) for gateway in (*both.gateways, *four.gateways)]
        assert routes() == [f"default via {hops[0]} dev eth0", f"default via {hops[1]} dev eth0"]
        await second.join(sandbox, priority=1)
        assert routes() == [f"default via {hops[2]} dev eth1", f"default via {hops[1]} dev eth0"]
        await second.leave()
        assert routes() == [f"default via {hops[0]} dev eth0", f"default via {hops[1]} dev eth0"]
        await first.leave()
    assert routes() == ["", ""]  # an interface that is not waited for is gone when the controller is closed


def container(stack: ExitStack) -> subprocess.Popen[bytes]:
    """A process in a network namespace of its own, whose loopback is up."""
    work = "ip link set lo up; echo; exec sleep 60"
    child = subprocess.Popen(["unshare", "--net", "sh", "-c", work], stdout=subprocess.PIPE)
    stack.enter_context(child)
    stack.callback(child.kill)
    assert child.stdout is not None
    child.stdout.readline()
    return child


async def test_the_namespace_of_a_process(namespace: Namespace, stack: ExitStack, folder: Path) -> None:
    """An endpoint that joined before the key was told gets its interface in it; the end of the sandbox leaves it."""
    child = container(stack)
    path = f"/proc/{child.pid}/ns/net"
    async with opened(folder) as controller:
        network = await controller.create_network("web")
        early, sandbox = await place(controller, network, "c1", external=True)
        with pytest.raises(NotFound):
            await sandbox.set_key(f"/proc/{child.pid}/ns/mnt")
        await sandbox.set_key(path)
        late = await network.create_endpoint("late")
        await late.join(sandbox)
        space = inside(stack, sandbox)
        assert [early.interface, late.interface] == ["eth0", "eth1"]
        assert str(early.ipv4) in space.sh("ip address show eth0")
        with pytest.raises(Conflict):
            await controller.create_sandbox("other", path=path)
        await sandbox.delete()
        assert child.poll() is None


async def test_host_and_null(namespace: Namespace, stack: ExitStack, folder: Path) -> None:
    """Neither puts anything into a kernel: the host's sandbox has the host's interfaces, and null gives none."""
    async with opened(folder) as controller:
        before = sh("ip -o link")
        host, null = await controller.create_network("host", "host"), await controller.create_network("dark", "null")
        at_home, home = await place(controller, host, "h", host=True)
        nowhere, sandbox = await place(controller, null, "n")
        assert (at_home.interface, nowhere.interface) == ("", "")
        assert sh("ip -o link") == before
        assert inside(stack, sandbox).sh("ls /proc/self/net/dev_snmp6") in ("lo\n", "")
        with pytest.raises(Conflict):
            await (await host.create_endpoint("ep")).join(sandbox)
        await home.delete()
        await sandbox.delete()


async def test_names_are_answered_inside(namespace: Namespace, stack: ExitStack, folder: Path) -> None:
    """A name is known in both families and in reverse; a sandbox without a resolver has none."""
    async with opened(folder) as controller:
        network = await controller.create_network("web", ipv6=True)
        one, left = await place(controller, network, "one", hostname="one")
        _, quiet = await place(controller, network, "quiet", resolver=False)
        space = inside(stack, left)
        mine = addresses(one)
        assert texts(await ask(space, query("One.web"))) == [mine[0]]
        assert texts(await ask(space, query("one", AAAA), tcp=True)) == [mine[1]]
        assert texts(await ask(space, query("2.0.32.10.in-addr.arpa", PTR))) == ["one.web."]
        assert "nameserver 127.0.0.11" in sh(f"cat {left.resolv_conf_path}")
        assert f"{mine[0]}\t" in sh(f"cat {left.hosts_path}")
        assert inside(stack, quiet).sh("ss -Hlnu") == ""


async def test_a_published_port(world: Rig, stack: ExitStack, folder: Path) -> None:
    """The outside reaches it over both families, and no longer when the sandbox is gone."""
    async with opened(folder) as controller:
        network = await controller.create_network("web", ipv6=True)
        endpoint, sandbox = await place(controller, network, "one", publish=["8080:80"])
        await serve(stack, inside(stack, sandbox), 80)
        assert await reach(world.outside, "198.18.0.1", 8080) == "198.18.0.2"
        assert await reach(world.outside, "fd00:198:18::1", 8080) == "fd00:198:18::2"
        assert {found.host_port for found in endpoint.info().published} == {8080}
        await endpoint.leave()
        assert await is_cut_off(world.outside, "198.18.0.1", 8080)
        await endpoint.join(sandbox)
        assert await reach(world.outside, "198.18.0.1", 8080) == "198.18.0.2"
        await sandbox.delete()


def picture(*spaces: Namespace) -> list[str]:
    """Everything that is in the kernel, with the indexes of interfaces, so that what was made anew shows."""
    lines = ["ip -o link", "ip -o address", "ip route", "ip -6 route", "nft list ruleset"]
    return [space.sh(line).replace("\\    link/", "") for space in spaces for line in lines]


async def test_a_restart_disturbs_nothing(world: Rig, stack: ExitStack, folder: Path) -> None:
    """Links, routes and rules are the same, a connection goes on, ports and names work, and all of it can be ended."""
    async with opened(folder) as controller:
        network = await controller.create_network("web")
        endpoint, sandbox = await place(controller, network, "one", publish=["8080:80"])
        space = inside(stack, sandbox)
        await serve(stack, space, 80)
        before, path, info = picture(world.host, space), sandbox.path, endpoint.info()
    async with opened(folder) as controller:
        assert controller.restored == ()
        assert picture(world.host, space)[:4] == before[:4]
        sandbox, network = controller.sandbox("one"), controller.network("web")
        assert (sandbox.path, network.endpoint("one").info()) == (path, info)
        assert await reach(world.outside, "198.18.0.1", 8080) == "198.18.0.2"
        assert info.addresses
        assert texts(await ask(space, query("one"))) == [str(info.addresses[0].ip)]
        await network.endpoint("one").delete(force=True)
        await sandbox.delete()
        await network.delete()
    assert sh(f"ls {folder}/run/netns; grep -c {folder} /proc/self/mountinfo || true") == "0\n"


async def test_a_reboot(namespace: Namespace, stack: ExitStack, folder: Path) -> None:
    """The namespace is gone: so is the sandbox; network and endpoint are as before, and join the next one."""
    async with opened(folder) as controller:
        network = await controller.create_network("web")
        endpoint, sandbox = await place(controller, network, "one")
        told, path = endpoint.info().addresses, sandbox.path
    sh(f"umount {path}", f"ip link delete {sh('ip -br link show type bridge').split()[0]}", "nft flush ruleset")
    async with opened(folder) as controller:
        assert any("sandbox one removed" in line for line in controller.restored)
        endpoint = controller.network("web").endpoint("one")
        assert (endpoint.state, endpoint.info().addresses) == (State.CREATED, told)
        sandbox = await controller.create_sandbox("one")
        await endpoint.join(sandbox)
        assert str(told[0]) in inside(stack, sandbox).sh("ip address show eth0")
        await sandbox.delete()


@asynccontextmanager
async def plugin(folder: Path) -> AsyncIterator[None]:
    """Our own daemon's door as the plugin `moor`, over the real kernel."""
    async with AsyncExitStack() as cleanup:
        kernel = LinuxKernel()
        cleanup.push_async_callback(kernel.close)
        services = assemble(World(MemoryStore(), kernel, SocketPortGuard(), MemoryEngine(), SystemClock()), POLICY)
        await services.cache.load()
        loaded = asyncio.Event()
        loaded.set()

        async def wait() -> None:
            await loaded.wait()

        door = PluginDoor(
            services.ipam,
            services.networks,
            services.endpoints,
            before_call=wait,
            on_activate=lambda _: services.repair.nudge(),
        )
        listener = listeners.listen(folder / "moor.sock", 0o600)
        server = HttpServer(refuse)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(listener, door))
            try:
                yield
            finally:
                server.stop()


async def test_a_remote_driver(world: Rig, stack: ExitStack, folder: Path) -> None:
    """Our own daemon is network and IPAM driver of the library, through its socket: packets, ports, and the end."""
    async with plugin(folder / "plugins"), opened(folder) as controller:
        network = await controller.create_network("far", "moor", ipam="moor", ipv6=True)
        one, left = await place(controller, network, "one", publish=["8080:80"])
        two, right = await place(controller, network, "two")
        await serve(stack, inside(stack, left), 80)
        for mine, theirs in zip(addresses(one), addresses(two), strict=True):
            assert await reach(inside(stack, right), mine, 80) == theirs
        assert await reach(world.outside, "198.18.0.1", 8080) == "198.18.0.2"
        assert (await one.driver_info())["com.docker.network.endpoint.macaddress"] == one.mac
        with pytest.raises(BadRequest, match="colour"):
            await controller.create_network("bad", "moor", ipam="moor", options={"colour": "red"})
        assert [found.name for found in controller.networks()] == ["far"]
        await left.delete()
        assert await is_cut_off(world.outside, "198.18.0.1", 8080)
        await two.delete(force=True)
        await one.delete()
        await network.delete()
        await right.delete()


async def test_one_process_has_a_name(namespace: Namespace, folder: Path) -> None:
    """A second controller of the name is refused, naming the process; another name is not, and a bad one is bad."""
    async with opened(folder / "a"):
        with pytest.raises(Conflict, match=str(os.getpid())):
            async with opened(folder / "b"):
                pass
        async with opened(folder / "c", "other") as other:
            assert other.networks() == []
    for name in ("x" * 21, "a.b", "", None):
        with pytest.raises(BadRequest):
            async with opened(folder / "d", name):  # type: ignore[arg-type]
                pass
    assert "d" not in sh(f"ls {folder}").split()
