"""The Engine port over Docker's API on its unix socket.

Rules: no version in the path, so that every engine answers in its own; one connection a question, closed by the engine
(HTTP/1.0), so there is nothing to keep alive; a deadline on each, since an engine that starts answers nobody; an engine
that does not run is not asked, because systemd listens on its socket and would start it (docker.socket).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import msgspec

from mooring.core.engines import EngineView
from mooring.core.faults import Unavailable
from mooring.core.networks import Subnet
from mooring.ports import Engine

DEADLINE = 5.0
# A thousand networks with a few hundred containers each; the rest of the description is not decoded.
ANSWER_BYTES = 64 * 1024 * 1024


class _IpamConfig(msgspec.Struct):
    subnet: str = msgspec.field(name="Subnet", default="")


class _Ipam(msgspec.Struct):
    config: list[_IpamConfig] | None = msgspec.field(name="Config", default=None)


class _Network(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    driver: str = msgspec.field(name="Driver", default="")
    options: dict[str, str] | None = msgspec.field(name="Options", default=None)
    ipam: _Ipam | None = msgspec.field(name="IPAM", default=None)


class _Info(msgspec.Struct):
    id: str = msgspec.field(name="ID")


def engines_running(processes: Path = Path("/proc")) -> int:
    """How many processes named dockerd are in our PID namespace. Reads a file of every process. proc(5), comm."""
    found = 0
    for comm in processes.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found += comm.read_bytes() == b"dockerd\n"
    return found


class DockerEngine(Engine):
    """path: of the engine's socket, as `/var/run/docker.sock`. running: how many engines this host has; may block."""

    def __init__(self, path: str, deadline: float = DEADLINE, running: Callable[[], int] = engines_running) -> None:
        self._path = path
        self._deadline = deadline
        self._running = running

    async def view(self) -> EngineView:
        """See Engine. GET /info and GET /networks."""
        running = await asyncio.to_thread(self._running)
        if not running:
            raise Unavailable("dockerd does not run", hint="see `systemctl status docker`")
        try:
            async with asyncio.timeout(self._deadline):
                info = msgspec.json.decode(await self._get("/info"), type=_Info)
                networks = msgspec.json.decode(await self._get("/networks"), type=list[_Network])
        except TimeoutError as error:
            raise Unavailable(f"the engine at {self._path} does not answer") from error
        except OSError as error:
            raise Unavailable(f"the engine at {self._path} cannot be asked: {error.strerror or error}") from error
        except (msgspec.MsgspecError, ValueError, asyncio.IncompleteReadError) as error:
            raise Unavailable(f"the engine at {self._path} says what is not understood: {error}") from error
        if not info.id:
            raise Unavailable(f"the engine at {self._path} does not say who it is")
        return EngineView(
            info.id,
            frozenset(network.id for network in networks),
            _subnets(networks),
            _bridges(networks),
            alone=running == 1,
        )

    async def _get(self, path: str) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=ANSWER_BYTES)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b" ", 2)
            if len(words) < 3 or not words[0].startswith(b"HTTP/1."):
                raise ValueError(f"{path} was not answered in HTTP")
            if words[1] != b"200":
                raise ValueError(f"{path} answered {words[1].decode(errors='replace')}")
            return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _subnets(networks: list[_Network]) -> frozenset[Subnet]:
    found: set[Subnet] = set()
    for network in networks:
        for config in (network.ipam.config if network.ipam else None) or ():
            if config.subnet:
                found.add(ip_network(config.subnet, strict=False))
    return frozenset(found)


def _bridges(networks: list[_Network]) -> frozenset[str]:
    """Interface names of the networks of Docker's bridge driver (libnetwork/drivers/bridge/bridge_linux.go)."""
    return frozenset(
        (network.options or {}).get("com.docker.network.bridge.name") or f"br-{network.id[:12]}"
        for network in networks
        if network.driver == "bridge"
    )
