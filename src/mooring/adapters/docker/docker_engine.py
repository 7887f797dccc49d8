"""The Engine port over Docker's API on its unix socket.

Rules: no version in the path, so that every engine answers in its own; one connection a question, closed by the engine
(HTTP/1.0), so there is nothing to keep alive; a deadline on each, since an engine that starts answers nobody; an engine
that does not run is not asked, because systemd listens on its socket and would start it (docker.socket).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import quote

import msgspec

from mooring.adapters.docker.engine_answers import (
    ContainerAnswer,
    ContainerRow,
    InfoAnswer,
    MessageAnswer,
    NetworkAnswer,
    SettingsAnswer,
    VersionAnswer,
    bridges_of,
    elsewhere_of,
    ids_of,
    subnets_of,
)
from mooring.adapters.docker.engine_networks import CreatedAnswer, creating
from mooring.adapters.docker.engine_places import naming, place_in
from mooring.adapters.docker.event_answers import EventAnswer
from mooring.core.containers import Container, EngineEvent, EngineNetwork
from mooring.core.engines import EngineView
from mooring.core.faults import Conflict, Fault, NotFound, Unavailable
from mooring.ports import Engine

DEADLINE = 5.0
# Seconds for a change, half of which must not be left: a connect asks our own driver, and that may have to wait.
CHANGE = 60.0
# A thousand networks with a few hundred containers each; the rest of the description is not decoded.
ANSWER_BYTES = 64 * 1024 * 1024
_VERSION = re.compile(rb"^Api-Version: (\d{1,3})\.(\d{1,3})\r$", re.MULTILINE | re.IGNORECASE)
_EVENTS = msgspec.json.encode(
    {
        "type": ["container", "network"],
        "event": ["create", "start", "die", "destroy", "rename", "connect", "disconnect", "health_status"],
    }
).decode()


def engines_running(processes: Path = Path("/proc")) -> int:
    """How many processes named dockerd are in our PID namespace. Reads a file of every process. proc(5), comm."""
    found = 0
    for comm in processes.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found += comm.read_bytes() == b"dockerd\n"
    return found


@dataclass(frozen=True, slots=True)
class _Reply:
    """What was answered. version: of the API, which the engine says in the head; 1.0 when it does not."""

    status: int
    version: tuple[int, int]
    body: bytes = b""


class DockerEngine(Engine):
    """path: of the engine's socket, as `/var/run/docker.sock`. running: how many engines this host has; may block.
    most: bytes of an answer, or of one event."""

    def __init__(
        self,
        path: str,
        deadline: float = DEADLINE,
        running: Callable[[], int] = engines_running,
        most: int = ANSWER_BYTES,
    ) -> None:
        self._path = path
        self._deadline = deadline
        self._running = running
        self._most = most

    async def view(self) -> EngineView:
        """See Engine. GET /info and GET /networks."""
        running = await self._awake()
        async with self._asking():
            about = await self._about()
            networks = await self._networks()
            subnets = subnets_of(networks)
        listed = frozenset(network.id for network in networks)
        drivers = {network.id: network.driver or "" for network in networks}
        return EngineView(
            about.id, listed, subnets, bridges_of(networks), running == 1, drivers, about.release(),
            elsewhere_of(networks),
        )  # fmt: skip

    async def containers(self) -> tuple[str, tuple[Container, ...]]:
        """See Engine. GET /info, GET /containers/json, and GET /networks for those that never ran."""
        await self._awake()
        async with self._asking():
            ident = await self._identity()
            rows = msgspec.json.decode(await self._get("/containers/json?all=1"), type=list[ContainerRow])
            ids = await self._ids(row.network_settings for row in rows)
        return ident, tuple(row.value(ids) for row in rows)

    async def container(self, reference: str) -> Container | None:
        """See Engine. GET /containers/{id}/json. A name may have the slash that the engine gives it."""
        reference = reference.removeprefix("/")
        async with self._asking():
            found = await self._find(f"/containers/{quote(reference, safe='')}/json", reference)
            if found is None:
                return None
            answer = msgspec.json.decode(found.body, type=ContainerAnswer)
            return answer.value(await self._ids([answer.network_settings]), found.version)

    async def network(self, reference: str) -> EngineNetwork | None:
        """See Engine. GET /networks/{id}."""
        async with self._asking():
            found = await self._find(f"/networks/{quote(reference, safe='')}", reference)
            return msgspec.json.decode(found.body, type=NetworkAnswer).value() if found is not None else None

    async def all_networks(self) -> tuple[EngineNetwork, ...]:
        """See Engine. GET /networks."""
        await self._awake()
        async with self._asking():
            return tuple(network.value() for network in await self._networks())

    async def identity(self) -> str:
        """See Engine. GET /info."""
        await self._awake()
        async with self._asking():
            return await self._identity()

    async def api_version(self) -> tuple[int, int]:
        """See Engine. GET /version."""
        async with self._asking():
            return (await self._version()).value()

    async def release(self) -> tuple[int, int]:
        """See Engine. GET /version."""
        async with self._asking():
            return (await self._version()).release()

    async def place(self, container: str, network: str) -> str:
        """See Engine."""
        async with self._asking():
            found = await self._find(f"/containers/{quote(container, safe='')}/json", container)
            place = place_in(found.body, network) if found is not None else None
        if place is None:
            raise NotFound(f"container {container[:12]} is not in network {network[:12]}")
        return msgspec.json.encode(place).decode()

    async def reconnect(
        self, container: str, network: str, place: str, addresses: Sequence[IPv4Address | IPv6Address]
    ) -> None:
        """See Engine. POST /networks/{id}/disconnect and connect."""
        try:
            await self.detach(container, network)
            await self.put_back(container, network, place, addresses)
        except asyncio.CancelledError:  # whoever asked for it may go away, but not between the two
            with contextlib.suppress(Fault):
                await self._connect(container, network, naming(msgspec.json.decode(place), addresses))
            raise

    async def put_back(
        self, container: str, network: str, place: str, addresses: Sequence[IPv4Address | IPv6Address]
    ) -> None:
        """See Engine. POST /networks/{id}/connect."""
        before = msgspec.json.decode(place, type=dict[str, object])
        try:
            await self._connect(container, network, naming(before, addresses))
        except Fault:
            await self._connect(container, network, before)
            raise

    async def attach(
        self, container: str, network: str, addresses: Sequence[IPv4Address | IPv6Address], mac: str = ""
    ) -> None:
        """See Engine. POST /networks/{id}/connect."""
        place: dict[str, object] = {"MacAddress": mac} if mac else {}
        await self._connect(container, network, naming(place, addresses) if addresses else place)

    async def detach(self, container: str, network: str) -> None:
        """See Engine. POST /networks/{id}/disconnect."""
        await self._post(f"/networks/{network}/disconnect", {"Container": container, "Force": False})

    async def start_container(self, container: str) -> None:
        """See Engine. POST /containers/{id}/start, which answers 304 where it runs."""
        await self._post(f"/containers/{container}/start", {}, fine=(304, 404))

    async def create_network(self, wanted: EngineNetwork) -> str:
        """See Engine. POST /networks/create."""
        body = await self._post("/networks/create", creating(wanted))
        try:
            return msgspec.json.decode(body, type=CreatedAnswer).id
        except msgspec.MsgspecError as error:
            raise Unavailable(f"unexpected answer from the engine at {self._path}: {error}") from error

    async def remove_network(self, network: str) -> None:
        """See Engine. DELETE /networks/{id}."""
        await self._post(f"/networks/{quote(network, safe='')}", None, "DELETE", fine=(404,))

    async def _connect(self, container: str, network: str, place: dict[str, object]) -> None:
        await self._post(f"/networks/{network}/connect", {"Container": container, "EndpointConfig": place})

    async def _post(
        self, target: str, body: dict[str, object] | None, method: str = "POST", fine: tuple[int, ...] = ()
    ) -> bytes:  # fmt: skip
        """What it answers. fine: statuses that say that all is as it is to be. Raises Conflict with what the engine
        says when it refuses."""
        async with self._asking(CHANGE):
            reply = await self._exchange(target, msgspec.json.encode(body) if body is not None else b"", method)
        if reply.status >= 300 and reply.status not in fine:
            try:
                message = msgspec.json.decode(reply.body, type=MessageAnswer).message
            except msgspec.MsgspecError:
                message = f"{target} answered {reply.status}"
            what, _, hint = message.partition("; ")  # a plugin's refusal, which may be ours, says what to do
            raise Conflict(f"Docker refuses: {what}", hint=hint)
        return reply.body

    async def events(self, since: int) -> AsyncGenerator[EngineEvent, None]:
        """See Engine. GET /events; the engine remembers 256 events (moby daemon/events/events.go)."""
        await self._awake()
        # The engine's `since` takes in the moment itself. No `until`: the stream would end there.
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
            raise Unavailable(f"cannot parse an event of the engine at {self._path}: {error}") from error
        finally:
            await _close(writer)
        raise Unavailable(f"lost the event stream of the engine at {self._path}")

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """The next line of a stream that may be quiet for days; nothing at its end."""
        try:
            return await reader.readline()
        except OSError as error:
            raise Unavailable(f"lost the event stream of the engine at {self._path}: {error}") from error

    async def _awake(self) -> int:
        """How many engines run here. Raises Unavailable for none: it would be started by the question."""
        try:
            running = await asyncio.to_thread(self._running)
        except OSError as error:  # out of descriptors
            raise Unavailable(f"the processes of this host cannot be read: {error.strerror or error}") from error
        if not running:
            raise Unavailable("dockerd is not running", hint="see `systemctl status docker`")
        return running

    @asynccontextmanager
    async def _asking(self, deadline: float = 0.0) -> AsyncIterator[None]:
        """Within the deadline, the usual one unless given, and with the errors of a question made faults."""
        try:
            async with asyncio.timeout(deadline or self._deadline) as scope:
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
            raise Unavailable(f"cannot reach the engine at {self._path}: {error.strerror or error}") from error
        except (msgspec.MsgspecError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unavailable(f"unexpected answer from the engine at {self._path}: {error}") from error

    async def _identity(self) -> str:
        """Asked each time: another engine may be behind the socket by now."""
        return (await self._about()).id

    async def _about(self) -> InfoAnswer:
        about = msgspec.json.decode(await self._get("/info"), type=InfoAnswer)
        if not about.id:
            raise Unavailable(f"the engine at {self._path} does not report its ID")
        return about

    async def _version(self) -> VersionAnswer:
        return msgspec.json.decode(await self._get("/version"), type=VersionAnswer)

    async def _networks(self) -> list[NetworkAnswer]:
        return msgspec.json.decode(await self._get("/networks"), type=list[NetworkAnswer])

    async def _ids(self, settings: Iterable[SettingsAnswer | None]) -> dict[str, str]:
        """Network name -> id, asked for when one of these has a network without its id: what never ran (20.10)."""
        endpoints = [each for some in settings if some and some.networks for each in some.networks.values()]
        if all(each is not None and each.network_id for each in endpoints):
            return {}
        return ids_of(await self._networks())

    async def _find(self, target: str, reference: str) -> _Reply | None:
        """The answer, None for a 404. Raises Conflict when the engine finds several."""
        if not reference:
            return None  # the path would mean the list
        reply = await self._exchange(target)
        if reply.status == 200:
            return reply
        # 301: dots and slashes that the engine's router would clean away, so that another thing would be meant.
        if reply.status in (301, 404):
            return None
        try:
            message = msgspec.json.decode(reply.body, type=MessageAnswer).message
        except msgspec.MsgspecError:
            message = f"{target} answered {reply.status}"
        # moby pkg/truncindex (and container/view.go, from 25 on), and daemon/network.go
        if "based on name" in message:
            raise Conflict(f"several containers or networks are named {reference}", hint="give the ID")
        if "multiple ids" in message.lower() or "ambiguous" in message:
            raise Conflict(f"several IDs begin with {reference}", hint="give more of the ID")
        raise ValueError(message)

    async def _get(self, target: str) -> bytes:
        reply = await self._exchange(target)
        if reply.status != 200:
            raise ValueError(f"{target.partition('?')[0]} answered {reply.status}")
        return reply.body

    async def _exchange(self, target: str, body: bytes | None = None, method: str = "POST") -> _Reply:
        """body, method: of a change; no body for a GET."""
        reader, writer, reply = await self._send(target, body, method)
        try:
            await reader.readexactly(self._most + 1)
        except asyncio.IncompleteReadError as whole:
            return replace(reply, body=whole.partial)
        finally:
            await _close(writer)
        raise ValueError(f"{target.partition('?')[0]} answered more than {self._most} bytes")

    async def _ask(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream whose head has come. Raises ValueError for a refusal."""
        reader, writer, reply = await self._send(target)
        if reply.status != 200:
            await _close(writer)
            raise ValueError(f"{target.partition('?')[0]} answered {reply.status}")
        return reader, writer

    async def _send(
        self, target: str, body: bytes | None = None, method: str = "POST"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, _Reply]:
        """A connection whose head has come, and the reply without its body."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=self._most)
        try:
            if body is None:
                writer.write(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            else:
                told = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
                writer.write(f"{method} {target} HTTP/1.0\r\nHost: docker\r\n{told}\r\n\r\n".encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b" ", 2)
            if len(words) < 3 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
                raise ValueError(f"{target.partition('?')[0]} did not get an HTTP answer")
            version = _VERSION.search(head)
            return reader, writer, _Reply(int(words[1]), (int(version[1]), int(version[2])) if version else (1, 0))
        except BaseException:
            await _close(writer)
            raise


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
