"""Doubles for the doors' tests: a server in a temporary directory, a client of bytes, services that remember."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, ip_interface, ip_network
from pathlib import Path
from typing import Any

from mooring.core.endpoints import Attachment
from mooring.core.faults import Fault, NotFound
from mooring.core.networks import Address, Interface
from mooring.core.port_bindings import PortRequest
from mooring.core.requests import (
    AddressRequest,
    EndpointGrant,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    PoolGrant,
    PoolRequest,
)
from mooring.servers.api.server import ApiServer, Application
from mooring.servers.http import Handler, HttpServer, Limits, Request, Response
from mooring.servers.plugin.door import PluginDoor
from mooring.servers.quotas import Quota


def plain_fail(status: int, text: str) -> Response:
    """A refusal as text."""
    return Response(status, text.encode(), "text/plain")


@dataclass
class Answer:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Bytes to a unix socket and responses from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """All of the bytes are written."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, with_body: bool = True) -> Answer:
        """The next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0")) if with_body else 0
        return Answer(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def post(self, path: str, body: bytes = b"", method: str = "POST") -> Answer:
        """The answer to one request as dockerd sends it."""
        await self.send(request_bytes(path, body, method))
        return await self.answer()

    async def ended(self) -> bool:
        """The server has closed its side, and sent nothing more."""
        return await self.reader.read() == b""

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


def request_bytes(path: str, body: bytes = b"", method: str = "POST") -> bytes:
    """A request with the headers of an engine before 25: an empty Host, no Content-Type."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {len(body)}\r\n"
        f"Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n"
    ).encode() + body


@dataclass
class Served:
    """A running server."""

    server: HttpServer | ApiServer
    path: Path
    task: asyncio.Task[None]
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        """A new connection."""
        client = Client(*await asyncio.open_unix_connection(str(self.path)))
        self.clients.append(client)
        return client


def asgi(handler: Handler) -> Application:
    """The handler as what the API's server is given."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        response = await handler(Request(scope["method"], scope["path"], scope["query_string"].decode(), body))
        headers = [(b"content-type", response.content_type.encode()), (b"content-length", b"%d" % len(response.body))]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    return application


def listening(path: Path) -> socket.socket:
    """A socket as the daemon opens it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen()
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def served(
    directory: Path,
    handler: Handler,
    limits: Limits | None = None,
    fail: Callable[[int, str], Response] = plain_fail,
    api: bool = False,
    quota: Quota | None = None,
) -> AsyncIterator[Served]:
    """A server on a socket in the directory, stopped at the end. api: the API's, not the small one."""
    path = directory / "door.sock"
    sock = listening(path)
    limits = limits or Limits(drain=5)
    server = ApiServer(fail, limits) if api else HttpServer(fail, limits)
    if isinstance(server, ApiServer):
        work = server.serve(sock, lambda: asgi(handler), quota)
    else:
        work = server.serve(sock, handler, quota)
    async with asyncio.TaskGroup() as tasks:
        running = Served(server, path, tasks.create_task(work))
        try:
            yield running
        finally:
            for client in running.clients:
                client.close()
            server.stop()


class Ipam:
    """Grants the same subnet and address always; remembers what was asked."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls
        self.fault: Exception | None = None
        self.hang = False
        self.gateway: Interface | None = ip_interface("10.32.0.1/24")

    async def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if self.hang:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """The subnet asked for, or 10.32.0.0/24."""
        await self._called("request_pool", request)
        return PoolGrant("p-1", request.subnet or ip_network("10.32.0.0/24"), self.gateway)

    async def release_pool(self, pool_id: str) -> None:
        """Nothing."""
        await self._called("release_pool", pool_id)

    async def request_address(self, request: AddressRequest) -> Interface:
        """The address asked for, or 10.32.0.2."""
        await self._called("request_address", request)
        return ip_interface(f"{request.address or '10.32.0.2'}/24")

    async def release_address(self, pool_id: str, address: Address) -> None:
        """Not the door's: Endpoints.release is."""
        raise NotImplementedError

    async def default_space(self) -> str:
        """Not the door's: it has the same answer for every engine."""
        raise NotImplementedError

    @property
    def requires_mac(self) -> bool:
        """Not the door's: dockerd is told once, when the plugin is activated."""
        raise NotImplementedError


class Networks:
    """Remembers what was asked."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls
        self.fault: Fault | None = None

    async def create(self, request: NetworkRequest) -> None:
        """Nothing."""
        self.calls.append(("create_network", request))
        if self.fault is not None:
            raise self.fault

    async def delete(self, network_id: str) -> None:
        """Nothing."""
        self.calls.append(("delete_network", network_id))
        if self.fault is not None:
            raise self.fault


class Endpoints:
    """Grants an address and a MAC always, attaches by one link; remembers what was asked."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls
        self.fault: Fault | None = None
        self.attachment = Attachment("mrv1", "eth", None, None)

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fault is not None:
            raise self.fault

    async def create(self, request: EndpointRequest) -> EndpointGrant:
        """Everything, asked for or not."""
        self._called("create_endpoint", request)
        return EndpointGrant(IPv4Interface("10.32.0.2/24"), None, "02:00:00:00:00:01")

    async def delete(self, network_id: str, endpoint_id: str) -> None:
        """Nothing."""
        self._called("delete_endpoint", network_id, endpoint_id)

    async def attach(self, network_id: str, endpoint_id: str, request: JoinRequest) -> Attachment:
        """`self.attachment`."""
        self._called("attach", network_id, endpoint_id, request)
        return self.attachment

    async def detach(self, network_id: str, endpoint_id: str) -> None:
        """Nothing."""
        self._called("detach", network_id, endpoint_id)

    async def publish(
        self, network_id: str, endpoint_id: str, ports: tuple[PortRequest, ...], ipv6_elsewhere: bool
    ) -> None:
        """Nothing."""
        self._called("publish", network_id, endpoint_id, ports, ipv6_elsewhere)

    async def unpublish(self, network_id: str, endpoint_id: str) -> None:
        """Nothing."""
        self._called("unpublish", network_id, endpoint_id)

    async def release(self, pool_id: str, address: Address) -> None:
        """Nothing."""
        self._called("release_address", pool_id, address)

    async def info(self, network_id: str, endpoint_id: str) -> dict[str, str]:
        """One line, for every endpoint but `gone`."""
        if endpoint_id == "gone":
            raise NotFound("no endpoint gone")
        return {"mooring.bridge": "mr-1"}


N, E = "n" * 64, "e" * 64


@dataclass
class Desk:
    """A door with services that remember."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ipam = Ipam(self.calls)
        self.networks = Networks(self.calls)
        self.endpoints = Endpoints(self.calls)
        self.activations = 0
        self.ready = asyncio.Event()
        self.ready.set()
        self.door = self.make()

    def make(self, deadline: float = 25.0) -> PluginDoor:
        """A door to the same services."""
        return PluginDoor(
            self.ipam,
            self.networks,
            self.endpoints,
            before_call=self.wait,
            on_activate=self.activated,
            deadline=deadline,
        )

    async def wait(self) -> None:
        """Until the daemon is ready."""
        await self.ready.wait()

    def activated(self, _: int) -> None:
        """Once more."""
        self.activations += 1

    async def ask(self, method: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of a call. body None: none at all."""
        sent = b"" if body is None else json.dumps(body).encode() + b"\n"
        response = await self.door(Request("POST", f"/{method}", "", sent))
        return response.status, json.loads(response.body)

    async def ok(self, method: str, body: object = None) -> Any:
        """The JSON of a call that succeeds."""
        status, reply = await self.ask(method, body)
        assert status == 200, reply
        return reply

    async def refused(self, method: str, body: object = None) -> tuple[int, str]:
        """Status and text of a call that is refused, under both keys, in one line."""
        status, reply = await self.ask(method, body)
        assert status != 200
        assert reply["Err"] == reply["Error"]
        assert reply["Err"].isprintable()
        return status, reply["Err"]
