"""The daemon that cannot serve, from outside: what each door says, what still passes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from mooring import config, degraded
from mooring.adapters.host import listeners, systemd
from mooring.cli.root import run as command
from mooring.config import Config, ConfigurationInvalid, Sound, load
from mooring.core.faults import Unavailable
from mooring.services.networking.assembly import World
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from tests.test_daemon import ask

FAULT = Unavailable("mooring is not serving: the store is damaged", hint="restore a backup")
METHODS = ("Plugin.Activate", "IpamDriver.RequestPool", "NetworkDriver.Leave", "NetworkDriver.CreateEndpoint")


@dataclass(slots=True)
class Host:
    """A folder with a configuration file, an engine that answers 200 to everything, and what a start would do."""

    folder: Path
    manager: systemd.Manager
    works: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.folder / "mooring.toml"

    def load(self) -> Config:
        """The configuration, with its sockets in the folder."""
        flags = {
            "config": str(self.file) if self.file.exists() else None,
            "state_dir": f"{self.folder}/state",
            "run_dir": f"{self.folder}/run",
            "plugin_socket": f"{self.folder}/plugin.sock",
            "docker_socket": f"{self.folder}/engine.sock",
        }
        return load(flags, {}, "machine")

    def sound(self) -> Sound:
        """What is certain."""
        try:
            found = self.load()
        except ConfigurationInvalid as fault:
            return fault.sound
        return found.sound

    async def open(self, config: Config, cleanup: AsyncExitStack) -> World:
        """A world in memory, if a start would succeed."""
        if not self.works:
            raise Unavailable("the store is damaged")
        store = MemoryStore()
        cleanup.push_async_callback(store.close)
        return World(store, MemoryKernel(), MemoryPortGuard(), MemoryEngine(), ManualClock())

    async def engine(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request."""
        with suppress(asyncio.IncompleteReadError):  # dialled in advance, and not needed
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.decode().partition(" HTTP")[0])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
        writer.close()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """No file of this machine counts, and there is no service manager."""
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "mooring.toml")
    return Host(tmp_path, systemd.Manager(systemd.Notifier(""), None, {}))


@asynccontextmanager
async def served(host: Host, every: float = 60.0) -> AsyncIterator[asyncio.Task[None]]:
    """The degraded daemon and the engine; stopped by SIGTERM at the end if it still runs."""
    engine = await asyncio.start_unix_server(host.engine, str(host.folder / "engine.sock"))
    async with engine, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(degraded.serve(FAULT, host.sound(), host.load, host.manager, host.open, every))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        yield task
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("method", METHODS)
async def test_dockerd_is_told_at_once_under_both_keys(host: Host, method: str) -> None:
    """One line, also for a call that changes nothing: an activated driver would not be told when all is well again."""
    async with served(host):
        status, body = await ask(host.folder / "plugin.sock", f"POST /{method}", "{}")
    assert (status, json.loads(body)) == (503, {"Err": str(FAULT), "Error": str(FAULT)})


async def test_the_commands_are_told_and_the_doctor_finds_it(host: Host) -> None:
    """A status is no status; the doctor has one finding, with the remedy; the version is known."""
    async with served(host):
        api = host.folder / "run/api.sock"
        assert (await ask(api, "GET /v1/status"))[0] == 503
        assert json.loads((await ask(api, "GET /v1/leases"))[1])["message"] == str(FAULT)
        assert (await ask(api, "GET /v1/version"))[0] == 200
        finding = json.loads((await ask(api, "GET /v1/doctor"))[1])["findings"][0]
        assert (finding["text"], finding["remedy"]) == (FAULT.what, FAULT.hint)


async def test_the_proxy_passes_what_it_passed_without_fixed_addresses(host: Host) -> None:
    """A create with a label reaches the engine as it was sent."""
    async with served(host):
        body = json.dumps({"Image": "x", "Labels": {"fixed-ip": "yes"}})
        assert (await ask(host.folder / "run/docker.sock", "POST /containers/create", body)) == (200, "OK")
    assert host.asked == ["POST /containers/create"]


async def test_rules_hold_while_nothing_else_works(host: Host) -> None:
    """Also where another key of the file is wrong."""
    host.file.write_text(f'coldown = 5\n[[proxy]]\nlisten = "unix://{host.folder}/ro.sock"\nread_only = true\n')
    async with served(host):
        assert (await ask(host.folder / "ro.sock", "GET /containers/json"))[0] == 200
        assert (await ask(host.folder / "ro.sock", "POST /build"))[0] == 403
    assert host.asked == ["GET /containers/json"]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("cooldown = soon\n# [[proxy]] is not needed\n", True),
        ("cooldown = 'soon'\n", True),
        ("[[subnet_pools]]\nname = \n", True),
        ('[[proxy]]\nlisten = "unix:///x/y.sock"\nread_only = yes\n', False),
        ('[[proxy]]\nlisten = "unix:///x/y.sock"\nread_onyl = true\n', False),
        ('[[prxoy]]\nlisten = "unix:///x/y.sock"\nread_only = true\n', False),
        ("[[prxoy]\n", False),
        ("proxy = 'no'\n", False),
    ],
)
async def test_nothing_passes_where_the_rules_cannot_be_known(host: Host, text: str, passes: bool) -> None:
    """A typo opens no listener that was limited; what surely says nothing of the proxy changes nothing there."""
    host.file.write_text(text)
    path = host.folder / "handed.sock"
    with listeners.listen(path, 0o660) as handed:
        host.manager = systemd.Manager(systemd.Notifier(""), None, {"proxy": [handed]})
        async with served(host):
            status, body = await ask(path, "POST /containers/x/kill")
    assert (status == 200) is passes
    assert passes or "docker.sock" in body or "engine.sock" in body


async def test_it_never_stands_in_front_of_itself(host: Host) -> None:
    """A handed-over socket that is the engine's own is not relayed to itself."""
    with listeners.listen(host.folder / "engine.sock", 0o660) as handed:
        doors = degraded._Doors(host.sound(), {"proxy": [handed]}, AsyncExitStack())
        assert doors.proxies(FAULT) == []


async def test_it_ends_when_a_start_would_succeed(host: Host) -> None:
    """It looks again and again; sockets of ours are gone then, those of the manager stay."""
    with listeners.listen(host.folder / "handed.sock", 0o600) as handed:
        host.manager = systemd.Manager(systemd.Notifier(""), None, {"plugin": [handed]})
        async with served(host, every=0.01) as task:
            await asyncio.sleep(0.1)
            assert not task.done()
            host.works = True
            async with asyncio.timeout(20):
                await task
        assert not (host.folder / "run/api.sock").exists()
        assert (host.folder / "handed.sock").exists()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(host.folder / "handed.sock"))


@pytest.mark.parametrize("handed", [False, True])
async def test_further_names_of_the_driver_are_answered_and_last_as_long_as_its_socket(
    host: Host, handed: bool
) -> None:
    """A socket of the service manager outlives this daemon, and so do its names; one of ours ends with it."""
    host.file.write_text('plugin_names = ["ciao"]\n')
    name = host.folder / "ciao.sock"
    with listeners.listen(host.folder / "plugin.sock", 0o600) if handed else nullcontext() as listener:
        sockets = {"plugin": [listener]} if listener is not None else {}
        host.manager = systemd.Manager(systemd.Notifier(""), None, sockets)
        async with served(host):
            assert (await ask(name, "POST /Plugin.Activate", "{}"))[0] == 503
        assert name.is_symlink() == handed


async def test_a_wrong_configuration_ends_nothing(host: Host) -> None:
    """It is read again, and only when it is right a start is tried."""
    host.works = True
    host.file.write_text("cooldown = 'soon'\n")
    async with served(host, every=0.01) as task:
        await asyncio.sleep(0.1)
        assert not task.done()
        host.file.write_text("cooldown = 5\n")
        async with asyncio.timeout(20):
            await task


def serve_once(monkeypatch: pytest.MonkeyPatch, manager: str) -> list[str]:
    """`mooring serve` with these settings; the reasons that the degraded daemon was given."""
    reasons: list[str] = []

    def take(reason: str, sound: Sound, configuration: Callable[[], Config], given: systemd.Manager) -> int:
        reasons.append(reason)
        return 0

    monkeypatch.setattr(degraded, "run", take)
    monkeypatch.setenv("NOTIFY_SOCKET", manager)
    return reasons


@pytest.mark.parametrize(("manager", "code"), [("/nonexistent", 0), ("", 2)])
def test_only_under_a_manager_it_stays(
    host: Host, monkeypatch: pytest.MonkeyPatch, manager: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who types the command reads the line and has the exit code, as ever."""
    host.file.write_text("cooldown = 'soon'\n")
    reasons = serve_once(monkeypatch, manager)
    assert command(["serve", "--config", str(host.file)]) == code
    said = " ".join(reasons) + capsys.readouterr().err
    assert "cooldown: must be a number of seconds" in said


@pytest.mark.parametrize("manager", ["/nonexistent", ""])
def test_whatever_keeps_it_from_starting_does(host: Host, monkeypatch: pytest.MonkeyPatch, manager: str) -> None:
    """A fault and a mistake of our own alike."""

    async def refuse(config: Config, cleanup: AsyncExitStack) -> NoReturn:
        raise KeyError("oops")

    monkeypatch.setattr("mooring.daemon.open_host", refuse)
    monkeypatch.setattr("mooring.daemon.start_logging", lambda *_: None)
    monkeypatch.setattr("faulthandler.enable", lambda *_: None)
    reasons = serve_once(monkeypatch, manager)
    paths = {"--run-dir": "run", "--state-dir": "state", "--plugin-socket": "plugin.sock"}
    words = [word for flag, name in paths.items() for word in (flag, f"{host.folder}/{name}")]
    assert command(["serve", *words]) == (0 if manager else 1)
    assert ["KeyError" in reason for reason in reasons] == ([True] if manager else [])
