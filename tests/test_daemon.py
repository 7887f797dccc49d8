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
from mooring.adapters.host import listeners, machine_ids, systemd
from mooring.config import Config, ProxyListener, load
from mooring.config.proxies import TlsFiles
from mooring.core.faults import Conflict, Unavailable
from mooring.core.leases import ClaimPolicy
from mooring.ports import Entry
from mooring.servers.proxy.access import AccessRules
from mooring.services.networking.assembly import World
from mooring.services.networking.kernel_reconciler import KernelReconciler
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
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
    managers: list[systemd.Manager] = field(default_factory=list)
    manager: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))

    async def open(self, config: Config, cleanup: AsyncExitStack) -> World:
        """The world; its store is closed with the daemon."""
        cleanup.push_async_callback(self.store.close)
        return World(SlowStore(self), self.kernel, MemoryPortGuard(), MemoryEngine(), ManualClock())

    def given(self) -> systemd.Manager:
        """What the manager gave this process."""
        self.managers.append(systemd.manager(os.environ, os.getpid()))
        return self.managers[-1]

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
    for given in host.managers:
        given.close()


@asynccontextmanager
async def served(host: Host) -> AsyncIterator[asyncio.Task[None]]:
    """The daemon, ready; stopped by SIGTERM at the end if it still runs."""
    os.environ["NOTIFY_SOCKET"] = host.manager.getsockname()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(daemon.serve(host.config, host.open, host.given()))
        await host.told("READY=1")
        yield task
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)


async def ask(path: Path, request: str, body: str = "") -> tuple[int, str]:
    """One HTTP exchange on the socket: status and body."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    head = f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(answer.lower().partition("content-length:")[2].split()[0])
    text = (await reader.readexactly(length)).decode()
    writer.close()
    return int(answer.split()[1]), text


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
    """A plugin call and a question wait, activation does not, and READY comes after the load. Who asks whether it is
    loaded is told so."""
    host.loading.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.serve(host.config, host.open, host.given()))
        await asyncio.sleep(0)  # one turn of the loop, and it listens
        assert (await ask(host.config.plugin_socket, "POST /Plugin.Activate"))[0] == 200
        pool = json.dumps({"AddressSpace": "default", "Pool": "", "SubPool": "", "Options": {}, "V6": False})
        calls = [
            tasks.create_task(ask(host.config.plugin_socket, "POST /IpamDriver.RequestPool", pool)),
            tasks.create_task(ask(host.config.api_socket, "GET /v1/networks")),
        ]
        for path, status in (("live", 200), ("ready", 503), ("status", 503)):
            answer = await ask(host.config.api_socket, f"GET /v1/{path}")
            assert answer[0] == status
            assert status == 200 or "the store is being read" in answer[1]
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
            await daemon.serve(host.config, host.open, host.given())
        elsewhere = replace(host.config, run_dir=tmp_path / "other")
        with pytest.raises(Conflict, match="is already in use"):
            await daemon.serve(elsewhere, host.open, host.given())
        assert not elsewhere.api_socket.exists()
        assert (await ask(host.config.plugin_socket, "POST /Plugin.Activate"))[0] == 200
        assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200


async def test_stale_sockets_of_a_killed_instance_are_replaced(host: Host) -> None:
    """Files that a kill -9 left are no obstacle."""
    for path in (host.config.plugin_socket, host.config.api_socket):
        listeners.listen(path, 0o600).close()
    async with served(host):
        assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200


def hand_over(monkeypatch: pytest.MonkeyPatch, listener: socket.socket, name: str) -> None:
    """As systemd hands over a socket with that FileDescriptorName."""
    os.dup2(listener.fileno(), 220)
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", 220)
    for key, value in {"PID": str(os.getpid()), "FDS": "1", "FDNAMES": name}.items():
        monkeypatch.setenv(f"LISTEN_{key}", value)


async def test_sockets_of_the_service_manager_are_served_and_stay(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What systemd listens at is served by name, and neither the file nor a further name is removed at the end."""
    path = tmp_path / "handed.sock"
    host.config = replace(host.config, plugin_names=("ciao",))
    with listeners.listen(path, 0o660) as listener:
        hand_over(monkeypatch, listener, "plugin")
        async with served(host):
            assert (await ask(path, "POST /Plugin.Activate"))[0] == 200
            assert not host.config.plugin_socket.exists()
            assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200
    assert path.exists()
    assert host.config.plugin_socket.with_name("ciao.sock").is_symlink()


async def test_further_names_lead_to_the_plugin_socket(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """For dockerd, which names a plugin by its file; one that is taken costs itself alone. At the end they are gone."""
    folder = host.config.plugin_socket.parent
    host.config = replace(host.config, plugin_names=("ciao", "taken"))
    with listeners.listen(folder / "taken.sock", 0o600):
        async with served(host):
            assert json.loads((await ask(folder / "ciao.sock", "POST /Plugin.Activate"))[1])["Implements"]
        assert "Docker cannot know the driver as taken: " in caplog.text
        assert [path.name for path in folder.iterdir()] == ["taken.sock"]


def with_proxies(host: Host, *proxies: ProxyListener) -> None:
    """The host's proxy listens there, in front of an engine that is not there."""
    host.config = replace(host.config, proxies=proxies, docker_socket=host.config.run_dir / "engine.sock")


async def test_every_proxy_listener_has_rules_mode_and_audit_of_its_own(host: Host, tmp_path: Path) -> None:
    """What one refuses passes at the other, where the engine is missed; the audit has both, and no listener else."""
    strict = ProxyListener(
        "strict", tmp_path / "s.sock", mode=0o600, rules=AccessRules(True), audit=tmp_path / "audit.jsonl"
    )
    with_proxies(host, ProxyListener("open", tmp_path / "o.sock"), strict)
    async with served(host):
        assert (await ask(tmp_path / "o.sock", "POST /containers/db/kill"))[0] == 503
        status, said = await ask(tmp_path / "s.sock", "POST /v1.41/containers/db/kill?signal=9")
        assert (status, "read-only" in said) == (403, True)
        assert (await ask(tmp_path / "s.sock", "GET /containers/json"))[0] == 503
        modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("o.sock", "s.sock")]
        assert modes == [0o660, 0o600]
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(line["path"], line["status"], line["refused"]) for line in lines] == [
        ("/containers/db/kill", 403, True),
        ("/containers/json", 503, False),
    ]
    assert not (tmp_path / "s.sock").exists()


async def test_http2_passes_where_everything_does_only(host: Host, tmp_path: Path) -> None:
    """In it the proxy sees nothing, so it could refuse nothing."""
    with_proxies(
        host,
        ProxyListener("open", tmp_path / "o.sock"),
        ProxyListener("s", tmp_path / "s.sock", rules=AccessRules(True)),
    )
    async with served(host):
        for name, expected in (("o.sock", b""), ("s.sock", b"403")):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / name))
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await reader.read())[9:12] == expected
            writer.close()


async def test_the_proxy_may_be_off(host: Host) -> None:
    """Then nothing listens."""
    path = host.config.proxies[0].path
    host.config = replace(host.config, proxies=())
    async with served(host):
        assert path is not None
        assert not path.exists()
        assert (await ask(host.config.api_socket, "GET /v1/version"))[0] == 200


async def test_a_handed_proxy_socket_is_the_first_unix_listeners(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its rules hold at the socket that systemd made; a listener on a port is passed over, the next one is made."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with_proxies(
        host,
        ProxyListener("tcp", host="127.0.0.1", port=port),
        ProxyListener("first", tmp_path / "f.sock", rules=AccessRules(True)),
        ProxyListener("second", tmp_path / "s.sock"),
    )
    with listeners.listen(tmp_path / "handed.sock", 0o660) as listener:
        hand_over(monkeypatch, listener, "proxy")
        async with served(host):
            assert (await ask(tmp_path / "handed.sock", "POST /build"))[0] == 403
            assert not (tmp_path / "f.sock").exists()
            assert (await ask(tmp_path / "s.sock", "POST /build"))[0] == 503
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"503" in await reader.readline()
            writer.close()
    assert (tmp_path / "handed.sock").exists()


async def test_the_engines_own_socket_is_never_listened_at(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A socket that is handed over may be it, also by another name; nothing is left behind."""
    (tmp_path / "link").symlink_to(tmp_path)
    with listeners.listen(tmp_path / "handed.sock", 0o660) as listener:
        hand_over(monkeypatch, listener, "proxy")
        host.config = replace(host.config, docker_socket=tmp_path / "link/handed.sock")
        with pytest.raises(Conflict, match=r"which is docker_socket"):
            await daemon.serve(host.config, host.open, host.given())
    assert not host.config.api_socket.exists()


async def test_a_listener_that_cannot_be_made_ends_the_start(host: Host, tmp_path: Path) -> None:
    """A certificate that is none is told, and every socket that was made is gone."""
    (tmp_path / "x.pem").write_text("")
    tls = TlsFiles(*([tmp_path / "x.pem"] * 3))
    with_proxies(host, ProxyListener("o", tmp_path / "o.sock"), ProxyListener("t", host="127.0.0.1", port=1, tls=tls))
    with pytest.raises(Unavailable, match="cannot use the certificate"):
        await daemon.serve(host.config, host.open, host.given())
    assert not host.config.api_socket.exists()
    assert not (tmp_path / "o.sock").exists()


def test_the_policy_is_the_configurations_and_this_boots(host: Host) -> None:
    """Hold time, claims, and where leases in use are."""
    host.config = replace(host.config, hold_time=5.0, claim_policy=ClaimPolicy.HOLDERS)
    policy = daemon.policy_of(host.config)
    assert (policy.hold, policy.claim) == (5.0, ClaimPolicy.HOLDERS)
    assert (policy.host, policy.boot) == (machine_ids.machine_id(), machine_ids.boot_id())


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
        await daemon.serve(host.config, refuse, host.given())
    assert not host.config.api_socket.exists()


async def test_a_task_that_fails_ends_the_daemon(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in repair is not survived in silence: everything stops, and the reason comes out."""

    async def fail() -> NoReturn:
        raise ValueError("a mistake")

    monkeypatch.setattr(KernelReconciler, "once", lambda _: fail())
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(20):
            await daemon.serve(host.config, host.open, host.given())
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

    async def serve(config: Config, open_world: daemon.OpenWorld, manager: systemd.Manager) -> None:
        outcome = outcomes.pop(0)
        manager.notifier.tell("READY=1")
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(daemon, "serve", serve)
    monkeypatch.setattr(daemon, "start_logging", lambda *_: None)
    monkeypatch.setattr("faulthandler.enable", lambda *_: None)
    assert [daemon.run(host.config, host.given()) for _ in range(4)] == [0, 4, 1, 1]
