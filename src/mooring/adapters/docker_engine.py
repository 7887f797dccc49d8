"""The Engine port over Docker's API on its unix socket.

Rules: no version in the path, so that every engine answers in its own; one connection a question, closed by the engine
(HTTP/1.0), so there is nothing to keep alive; a deadline on each, since an engine that starts answers nobody; an engine
that does not run is not asked, because systemd listens on its socket and would start it (docker.socket).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

from mooring.adapters.engine_answers import (
    ContainerAnswer,
    ContainerRow,
    EventAnswer,
    InfoAnswer,
    MessageAnswer,
    NetworkAnswer,
    VersionAnswer,
    bridges_of,
    subnets_of,
)
from mooring.core.containers import Container, EngineEvent, EngineNetwork
from mooring.core.engines import EngineView
from mooring.core.faults import Conflict, Unavailable
from mooring.ports import Engine

DEADLINE = 5.0
# A thousand networks with a few hundred containers each; the rest of the description is not decoded.
ANSWER_BYTES = 64 * 1024 * 1024
_EVENTS = msgspec.json.encode(
    {
        "type": ["container", "network"],
        "event": ["create", "start", "die", "destroy", "rename", "connect", "disconnect"],
    }
).decode()


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
        running = await self._awake()
        async with self._asking():
            info = msgspec.json.decode(await self._get("/info"), type=InfoAnswer)
            networks = await self._networks()
            subnets = subnets_of(networks)
        if not info.id:
            raise Unavailable(f"the engine at {self._path} does not say who it is")
        listed = frozenset(network.id for network in networks)
        return EngineView(info.id, listed, subnets, bridges_of(networks), alone=running == 1)

    async def containers(self) -> tuple[str, tuple[Container, ...]]:
        """See Engine. GET /containers/json, GET /networks and GET /info."""
        await self._awake()
        async with self._asking():
            info = msgspec.json.decode(await self._get("/info"), type=InfoAnswer)
            rows = msgspec.json.decode(await self._get("/containers/json?all=1"), type=list[ContainerRow])
            # What never ran may have the names of its networks only.
            ids = {network.name or "": network.id for network in await self._networks()}
        return info.id, tuple(row.value(ids) for row in rows)

    async def container(self, reference: str) -> Container | None:
        """See Engine. GET /containers/{id}/json."""
        async with self._asking():
            found = await self._find(f"/containers/{quote(reference, safe='')}/json", reference)
            if found is None:
                return None
            answer = msgspec.json.decode(found, type=ContainerAnswer)
            networks = (answer.network_settings.networks if answer.network_settings else None) or {}
            ids: dict[str, str] = {}
            if any(endpoint is None or not endpoint.network_id for endpoint in networks.values()):
                ids = {network.name or "": network.id for network in await self._networks()}
            return answer.value(ids)

    async def network(self, reference: str) -> EngineNetwork | None:
        """See Engine. GET /networks/{id}."""
        async with self._asking():
            found = await self._find(f"/networks/{quote(reference, safe='')}", reference)
            return msgspec.json.decode(found, type=NetworkAnswer).value() if found is not None else None

    async def identity(self) -> str:
        """See Engine. GET /info."""
        await self._awake()
        async with self._asking():
            return msgspec.json.decode(await self._get("/info"), type=InfoAnswer).id

    async def api_version(self) -> tuple[int, int]:
        """See Engine. GET /version."""
        async with self._asking():
            return msgspec.json.decode(await self._get("/version"), type=VersionAnswer).value()

    async def events(self, since: int) -> AsyncIterator[EngineEvent]:
        """See Engine. GET /events; the engine remembers 256 events (moby daemon/events/events.go)."""
        await self._awake()
        # A zero is "from now on" to the engine: one nanosecond after its epoch is everything.
        after = since + 1
        target = f"/events?since={after // 10**9}.{after % 10**9:09d}&filters={quote(_EVENTS)}"
        async with self._asking():
            reader, writer = await self._ask(target)
        try:
            while line := await self._line(reader):
                event = msgspec.json.decode(line, type=EventAnswer).value()
                if event is not None:
                    yield event
        except (msgspec.MsgspecError, ValueError) as error:
            raise Unavailable(f"the events of the engine at {self._path} are not understood: {error}") from error
        finally:
            await _close(writer)
        raise Unavailable(f"the engine at {self._path} tells no more events")

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """The next line of a stream that may be quiet for days; nothing at its end."""
        try:
            return await reader.readline()
        except OSError as error:
            raise Unavailable(f"the engine at {self._path} tells no more events: {error}") from error

    async def _awake(self) -> int:
        """How many engines run here. Raises Unavailable for none: it would be started by the question."""
        running = await asyncio.to_thread(self._running)
        if not running:
            raise Unavailable("dockerd does not run", hint="see `systemctl status docker`")
        return running

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Within the deadline, and with the errors of a question made faults."""
        try:
            async with asyncio.timeout(self._deadline) as scope:
                yield
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise Unavailable(f"the engine at {self._path} does not answer") from error
        except (ConnectionRefusedError, FileNotFoundError) as error:
            # The words by which everybody knows it (moby client/errors.go).
            text = f"Cannot connect to the Docker daemon at unix://{self._path}"
            raise Unavailable(text, hint="is the docker daemon running?") from error
        except OSError as error:
            raise Unavailable(f"the engine at {self._path} cannot be asked: {error.strerror or error}") from error
        except (msgspec.MsgspecError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unavailable(f"the engine at {self._path} says what is not understood: {error}") from error

    async def _networks(self) -> list[NetworkAnswer]:
        return msgspec.json.decode(await self._get("/networks"), type=list[NetworkAnswer])

    async def _find(self, target: str, reference: str) -> bytes | None:
        """The document, None for a 404. Raises Conflict when the engine finds several."""
        if not reference:
            return None  # the path would mean the list
        status, body = await self._exchange(target)
        if status == 200:
            return body
        if status == 404:
            return None
        try:
            message = msgspec.json.decode(body, type=MessageAnswer).message
        except msgspec.MsgspecError:
            message = f"{target} answered {status}"
        if "multiple IDs" in message or "ambiguous" in message:
            raise Conflict(f"{reference} is the beginning of several ids", hint="give more of it")
        raise ValueError(message)

    async def _get(self, target: str) -> bytes:
        status, body = await self._exchange(target)
        if status != 200:
            raise ValueError(f"{target.partition('?')[0]} answered {status}")
        return body

    async def _exchange(self, target: str) -> tuple[int, bytes]:
        reader, writer, status = await self._send(target)
        try:
            return status, await reader.read()
        finally:
            await _close(writer)

    async def _ask(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream whose head has come. Raises ValueError for a refusal."""
        reader, writer, status = await self._send(target)
        if status != 200:
            await _close(writer)
            raise ValueError(f"{target.partition('?')[0]} answered {status}")
        return reader, writer

    async def _send(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=ANSWER_BYTES)
        try:
            writer.write(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b" ", 2)
            if len(words) < 3 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
                raise ValueError(f"{target.partition('?')[0]} was not answered in HTTP")
            return reader, writer, int(words[1])
        except BaseException:
            await _close(writer)
            raise


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
