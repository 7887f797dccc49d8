"""Any traffic: legal bytes are the same through the relay, and none show the engine what was not judged."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.core.faults import Fault, Forbidden
from mooring.servers.proxy.server import ProxyLimits
from mooring.wire.docker_api import Call, recognise
from tests.servers.proxy.rigs import HEAD, OK, Client, Hooks, Script, hijack, relayed, request_of

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
CUTS = st.lists(st.integers(0, 3000), max_size=6)
FUZZ = settings(
    max_examples=3 * settings().max_examples // 5, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def run(loop: str, work: Coroutine[Any, Any, None]) -> None:
    """On that event loop."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(work)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """The end of a head, and a body."""
    body = draw(st.binary(max_size=60))
    match draw(st.sampled_from(["none", "length", "chunked"])):
        case "length":
            return b"content-Length: %d\r\n\r\n" % len(body) + body
        case "chunked":
            half = len(body) // 2
            pieces = [piece for piece in (body[:half], body[half:]) if piece]
            wire = b"".join(b"%x;x=y\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            return (
                b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
                + wire
                + b"0\r\n"
                + draw(st.sampled_from([b"", b"X: 1\r\n"]))
                + b"\r\n"
            )
    return b"\r\n"


@st.composite
def exchanges(draw: st.DrawFn) -> bytes:
    """A request whose reply leaves the connection as it is."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE"]))
    target = draw(
        st.sampled_from(
            [b"/len", b"/chunks", b"/none", b"/hints", b"/info", b"/containers/a/start", b"/containers/create"]
        )
    )
    odd = draw(
        st.sampled_from([b"", b"x-ODD :".replace(b" ", b"") + b" 1\r\n", b"Empty:\r\n", b"Accept: a\r\naccept:b\r\n"])
    )
    refused = b"Upgrade: tcp\r\n" if draw(st.integers(0, 9)) == 0 else b""
    return method + b" " + target + b" HTTP/1.1\r\nHost: docker\r\n" + odd + refused + draw(bodies())


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Some requests, and perhaps one that ends in a stream or with the connection."""
    stream = b"".join(draw(st.lists(exchanges(), max_size=5)))
    last = draw(st.sampled_from(["none", "close", "attach", "upgrade", "refused"]))
    head = b"POST /containers/a/attach HTTP/1.1\r\nHost: h\r\n"
    if last == "close":
        return stream + b"GET /close HTTP/1.1\r\nHost: h\r\n\r\n"
    if last == "attach":
        return stream + head + b"\r\n" + draw(st.binary(max_size=100))
    if last == "upgrade":
        return stream + head + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + draw(st.binary(max_size=100))
    if last == "refused":
        return stream + head.replace(b"/a/", b"/missing/") + b"\r\n" + draw(exchanges())
    return stream


async def answer(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
    """One reply of many kinds; whether the connection goes on."""
    method, target, _ = head.split(b" ", 2)
    said = head + body
    no_body = method == b"HEAD"
    if target == b"/chunks":
        wire = b"".join(b"%x\r\n%b\r\n" % (len(said[i : i + 40]), said[i : i + 40]) for i in range(0, len(said), 40))
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"" if no_body else wire + b"0\r\nX: y\r\n\r\n"))
    elif target == b"/none":
        writer.write(b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n")
    elif target == b"/close":
        writer.write(HEAD + b"\r\n" + said)
        await writer.drain()
        return False
    else:
        if target == b"/hints":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        status = HEAD.replace(b"200 OK", b"404 Not Found") if b"missing" in target else HEAD
        writer.write(status + b"Content-Length: %d\r\n\r\n" % len(said) + (b"" if no_body else said))
    await writer.drain()
    return True


class _Replay:
    """A reader whose first bytes were read already."""

    def __init__(self, first: bytes, reader: asyncio.StreamReader) -> None:
        self.first, self.reader = first, reader

    async def readuntil(self, end: bytes) -> bytes:
        """The head."""
        return self.first

    async def read(self, size: int) -> bytes:
        """What follows."""
        return await self.reader.read(size)


class _Cutting:
    """A writer that says everything in pieces: with each `drain`, as many bytes as the next of `sizes` at a time."""

    def __init__(self, writer: asyncio.StreamWriter, sizes: Sequence[int]) -> None:
        self.writer, self.sizes = writer, itertools.cycle(sizes)
        self.waiting, self.ends = b"", False

    def write(self, data: bytes) -> None:
        """Soon."""
        self.waiting += data

    def write_eof(self) -> None:
        """Behind it."""
        self.ends = True

    async def drain(self) -> None:
        """Now."""
        while self.waiting:
            size = next(self.sizes)
            self.writer.write(self.waiting[:size])
            self.waiting = self.waiting[size:]
            await asyncio.sleep(0)
        if self.ends:
            self.writer.write_eof()
        await self.writer.drain()


def everything(seen: list[bytes], sizes: Sequence[int]) -> Script:
    """An engine that answers in every way there is, in pieces of these sizes. seen: gets what it was asked."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cutting: asyncio.StreamWriter = _Cutting(writer, sizes)  # type: ignore[assignment]
        while True:
            head, body = await request_of(reader)
            seen.append(head + body)
            if b"/containers/a/attach" in head:
                await hijack(_Replay(head, reader), cutting)  # type: ignore[arg-type]
                return
            if not await answer(head, body, cutting):
                return

    return engine


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The bytes in pieces."""
    marks = sorted({mark for mark in cuts if 0 < mark < len(data)})
    return [data[start:end] for start, end in zip([0, *marks], [*marks, len(data)], strict=True)]


async def all_of(client: Client, pieces: Sequence[bytes]) -> bytes:
    """What comes back for these, to the end."""

    async def send() -> None:
        try:
            for piece in pieces:
                client.writer.write(piece)
                await asyncio.sleep(0.001)
            client.half_close()
        except (ConnectionError, RuntimeError):
            pass  # it was refused, and the connection is gone

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        got = await client.rest()
    client.close()
    return got


async def compare(stream: bytes, cuts: Sequence[int], gate: Hooks | None, sizes: Sequence[int]) -> None:
    """The same conversation with the engine and through the relay; the engine sees the same, too."""
    seen: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        async with relayed(Path(folder), everything(seen, sizes), hook=gate, limits=ProxyLimits(spare=1)) as rig:
            direct = await all_of(await rig.client(direct=True), [stream])
            asked = [*seen]
            for pieces in (cut(stream, cuts), [stream]):
                seen.clear()
                assert await all_of(await rig.client(), pieces) == direct
                assert seen == asked


@pytest.mark.parametrize("loop", LOOPS)
@FUZZ
@given(
    stream=conversations(),
    cuts=CUTS,
    hooked=st.booleans(),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=3) | st.just([1 << 20]),
)
def test_legal_traffic_is_the_same_with_and_without_the_relay(
    loop: str, stream: bytes, cuts: list[int], hooked: bool, sizes: list[int]
) -> None:
    """Byte for byte: pipelined, chunked, HEAD, hijacked, refused upgrades, hooked or not, in any pieces both ways."""
    run(loop, compare(stream, cuts, Hooks() if hooked else None, sizes))


class GoLike:
    """Reads as loosely as any Go did: bare line feeds, folded lines, chunks over lengths, blanks around sizes."""

    def __init__(self) -> None:
        self.read: list[tuple[str, str]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while True:
            words = (await self._line(reader)).split(b" ")
            if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
                return
            fields: list[tuple[bytes, bytes]] = []
            while line := await self._line(reader):
                if line[:1] in b" \t" and fields:
                    fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
                    continue
                name, _, value = line.partition(b":")
                fields.append((name.strip().lower(), value.strip().lower()))
            self.read.append((words[0].decode("latin-1"), words[1].decode("utf-8", "surrogateescape")))
            await self._body(reader, fields, words[2])
            writer.write(OK[:-2] if words[0] == b"HEAD" else OK)

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        return (await reader.readuntil(b"\n")).rstrip(b"\r\n")

    async def _body(self, reader: asyncio.StreamReader, fields: list[tuple[bytes, bytes]], version: bytes) -> None:
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        lengths = [value for name, value in fields if name == b"content-length"]
        if codings and version == b"HTTP/1.1":
            while size := int((await self._line(reader)).split(b";")[0].strip() or b"0", 16):
                await reader.readexactly(max(size, 0))
                await self._line(reader)
            while await self._line(reader):
                pass
        elif lengths:
            await reader.readexactly(max(0, int(lengths[0])))


async def smuggle(stream: bytes, cuts: Sequence[int], admit: Callable[[Call], Fault | None]) -> None:
    """Whatever the engine takes for a request was judged before, in the same order."""
    judged: list[tuple[str, str]] = []
    engine = GoLike()

    def judge(call: Call) -> Fault | None:
        fault = admit(call)
        if fault is None:
            judged.append((call.method, call.section))
        return fault

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await engine(reader, writer)
        except ValueError:
            return

    with tempfile.TemporaryDirectory() as folder:
        async with relayed(
            Path(folder), script, hook=Hooks(), admit=judge, limits=ProxyLimits(spare=0), known=recognise
        ) as rig:
            await all_of(await rig.client(), cut(stream, cuts))
    seen = [(method, recognise(method, target, False).section) for method, target in engine.read]
    assert seen == judged[: len(seen)]
    assert "info" not in [section for _, section in seen]


def no_info(call: Call) -> Fault | None:
    """A rule."""
    return Forbidden("no") if call.section == "info" else None


HIDDEN = b"GET /info HTTP/1.1\r\nHost: h\r\n\r\n"
LINES = st.sampled_from(
    [
        b"Transfer-Encoding: chunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding : chunked",
        b" Transfer-Encoding: chunked", b"X: a\nTransfer-Encoding: chunked", b"Transfer-Encoding: identity",
        b"Content-Length: 0", b"Content-Length: 5", b"Content-Length : 0", b"X: a\nContent-Length: 0", b"X: y\n",
    ]
)  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn) -> bytes:
    """A request whose body is a forbidden one to whoever takes another line for the one that says its length."""
    body = draw(st.sampled_from([b"", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"\n"])) + HIDDEN
    lines = [b"Content-Length: %d" % len(body)] if draw(st.booleans()) else []
    lines += draw(st.lists(LINES, min_size=1, max_size=2))
    head = b"POST /len HTTP/1." + draw(st.sampled_from([b"1", b"0"])) + b"\r\nHost: h\r\n"
    return head + b"".join(line + b"\r\n" for line in draw(st.permutations(lines))) + b"\r\n" + body


@pytest.mark.parametrize("loop", LOOPS)
@FUZZ
@given(before=st.lists(exchanges(), max_size=1), attempt=attempts(), cuts=CUTS)
def test_no_request_hides_in_another(loop: str, before: list[bytes], attempt: bytes, cuts: list[int]) -> None:
    """Lengths and codings in every combination, as a request smuggler would try them."""
    run(loop, smuggle(b"".join(before) + attempt, cuts, no_info))


DAMAGE = st.sampled_from(
    [
        b"\n", b"\r", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"\x00", b"0", b"+", b";", b"Content-Length: 7\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b" folded\r\n", b"HTTP/1.0",
        b"0\r\n\r\n",
        b"GET /info HTTP/1.1\r\n\r\n", b"\nGET /info HTTP/1.1\n\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n",
    ]
)  # fmt: skip


@pytest.mark.parametrize("loop", LOOPS)
@FUZZ
@given(
    messages=st.lists(exchanges(), min_size=1, max_size=4),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 3), DAMAGE), min_size=1, max_size=3),
    cuts=CUTS,
)
def test_no_damage_shows_the_engine_what_was_not_judged(
    loop: str, messages: list[bytes], damage: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    """An engine that reads loosely sees only requests that were admitted; and every connection comes to an end."""
    stream = b"".join(messages)
    for place, gone, put in damage:
        place %= len(stream)
        stream = stream[:place] + put + stream[place + gone :]
    run(loop, smuggle(stream, cuts, no_info))
