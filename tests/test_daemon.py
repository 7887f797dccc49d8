"""The daemon from outside: sockets, readiness, signals, a second instance, and ends that are no clean stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import pytest

from mooring import daemon
from mooring.adapters import listeners, systemd
from mooring.config import Config, load
from mooring.core.faults import Conflict, Unavailable
from mooring.ports import Entry
from mooring.services.assembly import World
from mooring.services.repair import Repair
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel, MemoryPortGuard
from mooring.testing.memory_store import MemoryStore


@dataclass(slots=True)
class Host:
    """A world in memory, and the datagrams that a service manager got.

    loading: what the store's first read waits for.
    """

    config: Config
    store: MemoryStore = field(default_factory=MemoryStore)
    kernel: MemoryKernel = field(default_factory=MemoryKernel)
    loading: asyncio.Event = field(default_factory=asyncio.Event)
    manager: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))

    async def open(self, config: Config, cleanup: AsyncExitStack) -> World:
        """The world; its store is closed with the daemon."""
        cleanup.push_async_callback(self.store.close)
        return World(SlowStore(self), self.kernel, MemoryPortGuard(), MemoryEngine(), ManualClock())

    async def told(self, line: str) -> None:
        """Wait until the manager was told this."""
        while line not in (await asyncio.get_running_loop().sock_recv(self.manager, 1000)).decode().split("\n"):
            pass


class SlowStore(MemoryStore):
    """The host's store, whose first read waits until the host says so."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    async def scan(self, prefix: str) -> tuple[list[Entry], int]:
        """As the port, later."""
        await self._host.loading.wait()
        return [], 0


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Paths below tmp_path, a service manager that listens, a store that is loaded at once."""
    monkeypatch.chdir(tmp_path)
    flags = {
        "config": None,
        "state_dir": f"{tmp_path}/state",
        "run_dir": f"{tmp_path}/run",
        "plugin_socket": f"{tmp_path}/plugins/mooring.sock",
    }
    host = Host(load(flags, {}, "machine"))
    host.manager.bind(f"{tmp_path}/notify")
    host.manager.setblocking(False)
    host.loading.set()
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
    with host.manager:
        yield host


@asynccontextmanager
async def served(host: Host) -> AsyncIterator[asyncio.Task[None]]:
    """The daemon, ready; stopped by SIGTERM at the end if it still runs."""
    os.environ["NOTIFY_SOCKET"] = host.manager.getsockname()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(daemon.serve(host.config, host.open))
        await host.told("READY=1")
        yield task
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)


async def ask(path: Path, request: str, body: str = "") -> tuple[int, str]:
    """One HTTP exchange on the socket: status and body."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    head = f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


async def test_it_serves_both_doors_when_it_says_that_it_is_ready(host: Host) -> None:
    """The manager is told, dockerd and the commands are answered, and the sockets have their modes."""
    async with served(host):
        assert json.loads((await ask(host.config.plugin_socket, "POST /Plugin.Activate"))[1])["Implements"]
        status, body = await ask(host.config.api_socket, "GET /v1/status")
        assert (status, json.loads(body)["store"]) == (200, str(host.config.store))
        assert (await ask(host.config.api_socket, "NONSENSE"))[0] == 400
        assert host.config.plugin_socket.stat().st_mode & 0o777 == 0o600
        assert host.config.api_socket.stat().st_mode & 0o777 == 0o660


async def test_a_clean_stop_leaves_nothing_behind(host: Host) -> None:
    """After SIGTERM the manager was told, the socket files are gone, the store is closed, and it may start again."""
    async with served(host):
        pass
    await host.told("STOPPING=1")
    assert not host.config.plugin_socket.exists()
    assert not host.config.api_socket.exists()
    with pytest.raises(Unavailable):
        await host.store.get("x")
    async with served(host):
        pass


async def test_an_interrupt_is_a_clean_stop_and_a_hang_up_is_nothing(host: Host) -> None:
    """SIGHUP changes nothing, SIGINT ends it as SIGTERM does."""
    async with served(host) as task:
        os.kill(os.getpid(), signal.SIGHUP)
        assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200
        os.kill(os.getpid(), signal.SIGINT)
        await task


async def test_a_call_before_the_store_is_loaded_is_queued(host: Host) -> None:
    """A plugin call and a question wait, activation does not, and READY comes after the load."""
    host.loading.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.serve(host.config, host.open))
        await asyncio.sleep(0)  # one turn of the loop, and it listens
        assert (await ask(host.config.plugin_socket, "POST /Plugin.Activate"))[0] == 200
        pool = json.dumps({"AddressSpace": "default", "Pool": "", "SubPool": "", "Options": {}, "V6": False})
        calls = [
            tasks.create_task(ask(host.config.plugin_socket, "POST /IpamDriver.RequestPool", pool)),
            tasks.create_task(ask(host.config.api_socket, "GET /v1/status")),
        ]
        done, _ = await asyncio.wait(calls, timeout=0.02)
        assert not done
        host.loading.set()
        assert [(await call)[0] for call in calls] == [200, 200]
        await host.told("READY=1")
        os.kill(os.getpid(), signal.SIGTERM)


async def test_a_second_instance_is_refused_and_the_first_serves_on(host: Host, tmp_path: Path) -> None:
    """The same run directory is refused by the lock, the same plugin socket by its listener; neither is touched."""
    async with served(host):
        with pytest.raises(Conflict, match="another mooring serves"):
            await daemon.serve(host.config, host.open)
        elsewhere = replace(host.config, run_dir=tmp_path / "other")
        with pytest.raises(Conflict, match="is served already"):
            await daemon.serve(elsewhere, host.open)
        assert not elsewhere.api_socket.exists()
        assert (await ask(host.config.plugin_socket, "POST /Plugin.Activate"))[0] == 200
        assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200


async def test_stale_sockets_of_a_killed_instance_are_replaced(host: Host) -> None:
    """Files that a kill -9 left are no obstacle."""
    for path in (host.config.plugin_socket, host.config.api_socket):
        listeners.listen(path, 0o600).close()
    async with served(host):
        assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200


async def test_sockets_of_the_service_manager_are_served_and_stay(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What systemd listens at is served by name, and the file is not removed at the end."""
    path = tmp_path / "handed.sock"
    with listeners.listen(path, 0o660) as listener:
        os.dup2(listener.fileno(), 220)
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", 220)
        for name, value in {"PID": str(os.getpid()), "FDS": "1", "FDNAMES": "plugin"}.items():
            monkeypatch.setenv(f"LISTEN_{name}", value)
        async with served(host):
            assert (await ask(path, "POST /Plugin.Activate"))[0] == 200
            assert not host.config.plugin_socket.exists()
            assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200
    assert path.exists()


async def test_the_watchdog_is_fed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """With WATCHDOG_USEC set the manager is told that the loop turns."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    async with served(host):
        await host.told("WATCHDOG=1")
        await host.told("WATCHDOG=1")


async def test_a_store_that_cannot_be_opened_ends_the_start(host: Host) -> None:
    """The fault comes out, and the sockets are gone."""

    async def refuse(config: Config, cleanup: AsyncExitStack) -> NoReturn:
        raise Unavailable("the store is damaged")

    with pytest.raises(Unavailable, match="damaged"):
        await daemon.serve(host.config, refuse)
    assert not host.config.api_socket.exists()


async def test_a_task_that_fails_ends_the_daemon(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in repair is not survived in silence: everything stops, and the reason comes out."""

    async def fail() -> NoReturn:
        raise ValueError("a mistake")

    monkeypatch.setattr(Repair, "once", lambda _: fail())
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(20):
            await daemon.serve(host.config, host.open)
    assert caught.group_contains(ValueError, match="a mistake")
    assert not host.config.api_socket.exists()


def test_every_end_has_an_exit_code(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 for a clean stop, the kind's code for a fault, 1 for everything else."""
    outcomes: list[BaseException | None] = [
        None,
        Conflict("taken"),
        ExceptionGroup("", [Unavailable("gone"), ExceptionGroup("", [ValueError("oops")])]),
        RuntimeError("broken"),
    ]

    async def serve(config: Config, open_world: daemon.OpenWorld) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(daemon, "serve", serve)
    monkeypatch.setattr(daemon, "start_logging", lambda *_: None)
    monkeypatch.setattr("faulthandler.enable", lambda *_: None)
    assert [daemon.run(host.config) for _ in range(4)] == [0, 4, 1, 1]
