"""The remote plugin protocol, whatever drivers stand behind a door: from an HTTP request to a method of the table, and
from what it returns or raises to a reply that dockerd understands.

Rules: a method decodes, calls one service method, and encodes; an empty body where arguments belong is a blind retry of
a call that may have been carried out, and changes nothing; every fault is answered in one line under both error keys,
and every call is logged here, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from mooring.core.faults import HTTP_STATUS, BadRequest, Fault, NotFound, Unavailable
from mooring.servers.http import Request, Response
from mooring.servers.large_bodies import read
from mooring.wire import remote_api as api

log = logging.getLogger(__name__)

# dockerd gives a managed plugin 30 s and then asks again, with an empty body.
DEADLINE = 25.0
# Bytes of a request: a range of twenty thousand ports, once asked for and once exposed, has less than this.
BODY_LIMIT = 4 << 20
ERROR_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Method:
    """One line of the table.

    call: the request, decoded -> the reply. changes: something may be different afterwards. forgiving: success when the
    thing is not known, because dockerd gives up what it has given up before. waits: until the daemon is ready.
    """

    call: Callable[[Any], Awaitable[api.Message]]
    changes: bool = False
    forgiving: bool = False
    waits: bool = True


async def ready() -> None:
    """Nothing to wait for."""


def _internal(name: str, error: Exception) -> str:
    return f"internal error in {name} ({type(error).__name__}), see mooring's log"


class ProtocolDoor:
    """Answers dockerd's calls by a table of methods. Use the instance as the handler of an HttpServer."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        before_call: Callable[[], Awaitable[None]] = ready,
        deadline: float = DEADLINE,
        internal: Callable[[str, Exception], str] = _internal,
        when_slow: str = "check `mooring status`, then try again",
        on_unavailable: Callable[[str], None] = lambda _: None,
    ) -> None:
        """before_call: awaited before each call that waits. deadline: of a call, in seconds, that wait included.
        internal: what an exception that is no fault says to the user, by the method's name. when_slow: the hint of a
        call that timed out. on_unavailable: told of each refusal for what may pass, as dockerd is."""
        self.methods = methods
        self._before_call = before_call
        self._deadline = deadline
        self._internal = internal
        self._when_slow = when_slow
        self._on_unavailable = on_unavailable

    async def __call__(self, request: Request) -> Response:
        """The answer to any HTTP request; nothing is raised but cancellation."""
        name = request.path[1:]
        method = self.methods.get(name)
        if method is None:
            return self._refuse(name, 404, f"no method {name} in the network and IPAM driver protocols")
        if request.method != "POST":
            return self._refuse(name, 405, f"{name} is called with POST, not {request.method}")
        started = perf_counter()
        subject = ""
        try:
            message = await read(partial(self._decode, name, request.body), len(request.body))
            subject = _subject(message)
            body = await self._run(name, method, message)
        except Fault as fault:
            if isinstance(fault, Unavailable):
                self._on_unavailable(one_line(str(fault)))
            return self._refuse(name, _status(name, fault), str(fault), subject, started)
        except Exception as error:
            # The last guard: dockerd shows its user whatever comes, and a traceback is not for users.
            log.exception("%s %s failed", name, subject)
            return self._refuse(name, 500, self._internal(name, error), subject, started)
        level = logging.INFO if method.changes else logging.DEBUG
        log.log(level, "%s %s ok %.1f ms", name, subject, (perf_counter() - started) * 1e3)
        return Response(200, body, api.MEDIA_TYPE)

    def _decode(self, name: str, body: bytes) -> api.Message:
        if api.METHODS[name][0] is not api.Empty and not body.strip():
            raise BadRequest(
                f"{name} without a body is a retry of a call that may have been carried out; nothing was changed",
                hint="try again",
            )
        return api.decode_request(name, body)

    async def _run(self, name: str, method: Method, message: api.Message) -> bytes:
        try:
            async with asyncio.timeout(self._deadline) as scope:
                if method.waits:
                    await self._before_call()
                return api.encode_reply(await method.call(message))
        except NotFound:
            if not method.forgiving:
                raise
            return api.encode_reply(api.Empty())
        except TimeoutError:
            if not scope.expired():
                raise
            text = f"{name} timed out after {self._deadline:g} s"
            raise Unavailable(text, hint=self._when_slow) from None

    def _refuse(self, name: str, status: int, text: str, subject: str = "", started: float | None = None) -> Response:
        ms = 0.0 if started is None else (perf_counter() - started) * 1e3
        line = one_line(text)
        log.warning("%s %s refused %d: %s %.1f ms", one_line(name)[:80], subject, status, line, ms)
        return fail(status, line)


def fail(status: int, text: str) -> Response:
    """A refusal as both drivers of dockerd read it; the HttpServer's own are to look the same."""
    return Response(status, api.encode_error(one_line(text)), api.MEDIA_TYPE)


def one_line(text: str) -> str:
    """The text without line breaks and control characters, and not endless."""
    clean = text[: ERROR_LENGTH + 1]
    if not clean.isprintable():
        clean = "".join(c if c.isprintable() else " " for c in clean)
    return clean if len(clean) <= ERROR_LENGTH else clean[: ERROR_LENGTH - 3] + "..."


def _status(name: str, fault: Fault) -> int:
    status = HTTP_STATUS[fault.kind]
    # dockerd takes a 404 here for a driver that publishes no ports, and goes on (libnetwork/drivers/remote/driver.go).
    return 500 if status == 404 and name.endswith("ExternalConnectivity") else status


def _subject(message: api.Message) -> str:
    """The ids that a request names, shortened, for the log."""
    named = (
        ("network", "network_id", 12),
        ("endpoint", "endpoint_id", 12),
        ("pool", "pool_id", 24),
        ("address", "address", 45),
    )
    parts = ((what, getattr(message, attribute, ""), most) for what, attribute, most in named)
    return " ".join(f"{what}={one_line(text[:most])}" for what, text, most in parts if text)
