"""One member of an etcd: its channel, and what its errors mean for a write.

Rules: gRPC is imported here alone, and this only where a cluster is configured. A channel per member, since one for a
list of them would check certificates against the list. A request goes out on a connection that is there: so a refused
connection is never mistaken for an answer that was lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

from mooring.adapters.etcd.tls_faults import Blame, Identity, blamed
from mooring.core.faults import BadRequest, Compacted, Unavailable

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would write to stderr is told by our faults

try:
    import grpc
    import grpc.aio
except ImportError as missing:
    raise Unavailable(
        f"the cluster's store is asked by gRPC, which is not installed: {missing}",
        hint=f"`{sys.executable} -m pip install grpcio`, or Debian's python3-grpcio",
    ) from None

logging.getLogger("grpc").setLevel(logging.WARNING)
TRY = 1.0
"""Seconds that a member has for an answer, and for a connection."""
AGAIN = 2.0
"""Seconds after which it is looked again what is wrong with the certificates."""
OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # whatever the environment says for the web
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", int(TRY * 1000)),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),  # etcd allows one in five seconds
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.use_local_subchannel_pool", 1),
)
# Said by a member before it has proposed anything to the others.
NOTHING_DONE = (
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: rpc not supported for learner",
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
)
REFUSALS = (
    "PERMISSION_DENIED",
    "INVALID_ARGUMENT",
    "UNAUTHENTICATED",
    "NOT_FOUND",
    "UNIMPLEMENTED",
    "RESOURCE_EXHAUSTED",
)
# What to do, where a member says the words.
HINTS = {
    "space exceeded": "compact and defragment it, then `etcdctl alarm disarm`",
    "permission denied": (
        "give the role of the hosts' account readwrite on all of the cluster's prefix "
        "(`etcdctl role grant-permission --prefix=true ROLE readwrite PREFIX`)"
    ),
}


class Outcome(Enum):
    """What came of a request that was not answered as wanted."""

    NOTHING_DONE = "it was not looked at: another member may do it, or this one later"
    REFUSED = "no member will do it"
    UNKNOWN = "it may have been done, or be done yet"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are. ca, certificate, key: PEM, empty where there is none. user, password: of etcd's own accounts."""

    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


class Refused(Unavailable):
    """A member did not do as asked. token: it wants another token."""

    def __init__(
        self, what: str, outcome: Outcome = Outcome.NOTHING_DONE, *, hint: str = "", token: bool = False
    ) -> None:
        super().__init__(what, hint=hint)
        self.outcome = outcome
        self.token = token


def meaning_of(endpoint: str, code: str, details: str) -> Unavailable:
    """The fault for a failed call. code: gRPC's name of it."""
    if "has been compacted" in details:
        return Compacted()
    if details.startswith(NOTHING_DONE):
        outcome = Outcome.NOTHING_DONE
    else:
        outcome = Outcome.REFUSED if code in REFUSALS else Outcome.UNKNOWN
    hint = next((each for words, each in HINTS.items() if words in details), "")
    token = "auth token" in details or "auth store is old" in details
    words = "no answer in time" if code == "DEADLINE_EXCEEDED" else details or code.lower()
    if code == "UNAVAILABLE" and not details.startswith("etcdserver:"):  # gRPC's words, for a connection that ended
        words = f"cannot be reached: {words}"
        return Refused(f"etcd at {endpoint} {words}", outcome, hint=hint, token=token)
    return Refused(f"etcd at {endpoint}: {words}", outcome, hint=hint, token=token)


def unreachable(endpoint: str, details: str) -> Refused:
    """The fault for a connection that cannot be had. details: gRPC's words, of which the last are the ones."""
    words = re.sub(r"^.*last error: \w+: (ipv[46]:\S+: )?", "", details)
    words = words.replace("tcp handshaker shutdown", "it does not answer").rstrip(".")
    hint = ""
    if "TSI" in words or "security handshaker" in words:
        hint = "are authority, certificate and key those of this etcd, and has none ended?"
    elif endpoint.startswith("http:") and words == "Socket closed":
        hint = "if it wants TLS, write https:// and give authority, certificate and key"
    return Refused(f"etcd at {endpoint} cannot be reached: {words or 'no reason given'}", hint=hint)


class Member:
    """One endpoint. endpoint: https://HOST:PORT, or http:// for one without TLS."""

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        self.endpoint = endpoint
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise BadRequest(f"{endpoint!r} is no endpoint of an etcd", hint="write https://HOST:PORT")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        target = f"{host}:{parts.port or 2379}"
        if parts.scheme == "https":
            identity = (credentials.key, credentials.certificate) if credentials.key else (None, None)
            secrets = grpc.ssl_channel_credentials(credentials.ca or None, *identity)
            self._channel = grpc.aio.secure_channel(target, secrets, OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(target, OPTIONS)
        self._calls: dict[str, Callable[..., Awaitable[bytes]]] = {}
        self._host, self._port = parts.hostname, parts.port or 2379
        self._identity = Identity(credentials.ca, credentials.certificate, credentials.key)
        self._blame: Blame | None = None
        self._looked = -AGAIN
        self._closed = False
        self.known = False
        """Whoever asks knows whom the connection leads to; what sets it does. Not any more when there is another."""

    async def reach(self, end: float) -> bool:
        """Have a connection; whether it is one that is known. Raises Refused. end: by the loop's clock, as below."""
        if self.known and self._channel.get_state() is grpc.ChannelConnectivity.READY:
            return True
        self.known = False
        try:
            async with asyncio.timeout_at(min(asyncio.get_running_loop().time() + TRY, end)):
                while (state := self._channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        raise await self._why_not()  # it goes on trying, for the next call
                    await self._channel.wait_for_state_change(state)
        except TimeoutError:
            raise self._told("no connection in time") from None
        except (grpc.aio.UsageError, asyncio.CancelledError) as error:
            raise self._meaning(error) from None
        self._blame = None
        return False

    async def _why_not(self) -> Refused:
        """What is in the way of a connection: a call that is made now fails at once and tells; of certificates it tells
        little."""
        loop, details = asyncio.get_running_loop(), ""
        try:
            await self._channel.unary_unary("/etcdserverpb.Maintenance/Status")(b"", timeout=TRY)
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
        if self.endpoint.startswith("https:") and loop.time() - self._looked >= AGAIN:
            self._blame, self._looked = await blamed(self._host, self._port, self._identity), loop.time()
        return self._told(details)

    def _told(self, details: str) -> Refused:
        if self._blame is not None:
            what, hint = self._blame
            return Refused(f"etcd at {self.endpoint} cannot be reached: {what}", hint=hint)
        return unreachable(self.endpoint, details)

    async def ask(self, method: str, request: bytes, end: float, token: str = "", with_leader: bool = True) -> bytes:
        """Call it and wait. method: as Service/Name. Raises Refused, Compacted.

        with_leader: a member that has none is to say so, and not to let us wait.
        """
        call = self._calls.get(method)
        if call is None:
            call = self._calls[method] = self._channel.unary_unary(f"/etcdserverpb.{method}")
        seconds = max(min(TRY, end - asyncio.get_running_loop().time()), 0.001)
        try:
            return await call(request, timeout=seconds, metadata=metadata(token, with_leader))
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError) as error:
            raise self._meaning(error) from None

    async def watch(self, requests: AsyncIterator[bytes], token: str, silence: float) -> AsyncGenerator[bytes, None]:
        """Send these and yield what is answered. silence: seconds without a word after which it raises Refused."""
        call = self._channel.stream_stream("/etcdserverpb.Watch/Watch")(requests, metadata=metadata(token))
        try:
            while True:
                async with asyncio.timeout(silence):
                    answer = await call.read()
                if answer is grpc.aio.EOF:
                    raise Refused(f"etcd at {self.endpoint} ended the watch")
                yield answer
        except TimeoutError:
            raise Refused(f"etcd at {self.endpoint} was not heard for {silence:g} s") from None
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError) as error:
            raise self._meaning(error) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """End the connection, and with it what waits for an answer."""
        self._closed = True
        await self._channel.close()

    def _meaning(self, error: BaseException) -> BaseException:
        """The fault for it; itself, where the caller was cancelled and not the call alone, because of `close`."""
        if isinstance(error, grpc.aio.AioRpcError):
            return meaning_of(self.endpoint, error.code().name, error.details() or "")
        task = asyncio.current_task()
        if self._closed and not (task and task.cancelling()):
            return Refused(f"the connection to etcd at {self.endpoint} was closed", Outcome.UNKNOWN)
        return error


def metadata(token: str, with_leader: bool = True) -> tuple[tuple[str, str], ...]:
    """What goes with a request."""
    return (("hasleader", "true"),) * with_leader + (("token", token),) * bool(token)
