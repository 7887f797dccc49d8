"""The framers: the same messages, however the bytes are cut, and nothing that two readers could read differently."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.servers.proxy.framing import (
    HEAD_LIMIT,
    Body,
    Chunked,
    Counted,
    HeadReader,
    HeadTooLarge,
    Malformed,
    UntilClose,
    is_stream,
    parse_reply,
)
from mooring.servers.proxy.request_heads import parse_request

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=12)
RESERVED = {"content-length", "transfer-encoding", "upgrade", "expect", "connection", "http2-settings", "host"}
NAME = TOKEN.filter(lambda name: name.lower() not in RESERVED)
VALUE = st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte == 9 or 32 <= byte != 127).strip())
CUTS = st.lists(st.integers(0, 4000), max_size=12)

Message = tuple[str, str, bytes, bytes]


@st.composite
def requests(draw: st.DrawFn) -> Message:
    """(method, target, body, the whole of it as bytes)."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]))
    target = "/" + draw(st.text("abc/%20?=&.:", max_size=20))
    body = draw(st.binary(max_size=200))
    lines = [f"{name}:".encode() + draw(st.sampled_from([b"", b" ", b"\t"])) + draw(VALUE) for name in draw(names())]
    shape = draw(st.sampled_from(["none", "length", "chunked"]))
    wire = b""
    if shape == "none":
        body = b""
    elif shape == "length":
        lines.append(draw(st.sampled_from([b"Content-Length: ", b"content-length:"])) + str(len(body)).encode())
        wire = body
    else:
        lines.append(draw(st.sampled_from([b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked"])))
        wire = draw(chunks(body))
    lines = draw(st.permutations([b"Host: docker", *lines]))
    head = f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    return method, target, body, head + wire


def names() -> st.SearchStrategy[list[str]]:
    """Names of headers that mean nothing to the relay."""
    return st.lists(NAME, max_size=4)


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """The body in chunks, with extensions and trailers."""
    out = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from([b"", b";a=b", b";a"]))
        out += draw(st.sampled_from(["%x", "%X", "0%x"])).encode() % size + extension + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return out + b"0\r\n" + draw(st.sampled_from([b"", b"X-Sum: 1\r\n", b"a:\r\nb: c\r\n"])) + b"\r\n"


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The bytes in pieces."""
    marks = sorted({mark for mark in cuts if 0 < mark < len(data)})
    return [data[start:end] for start, end in zip([0, *marks], [*marks, len(data)], strict=True)]


def follow(pieces: Sequence[bytes]) -> tuple[list[Message], int]:
    """What our framers make of a stream: the messages, and how many bytes they cover."""
    reader = HeadReader(request=True)
    found: list[Message] = []
    body: Body | None = None
    sink: list[bytes] = []
    covered = 0
    for piece in pieces:
        pos = 0
        while pos < len(piece):
            if body is None:
                got = reader.feed(piece, pos)
                if got is None:
                    break
                raw, pos = got
                covered += len(raw)
                head = parse_request(raw)
                body, sink = head.body(), []
            else:
                end = body.advance(piece, pos, sink)
                covered += end - pos
                pos = end
            if body is None or body.done:
                found.append((head.method, head.target, b"".join(sink), b""))
                body = None
    return found, covered


class Oracle:
    """httptools' reading of the same stream."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.messages: list[Message] = []

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url, self.body = b"", b""

    def on_url(self, url: bytes) -> None:
        """Some of the target."""
        self.url += url

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """A request is complete."""
        self.messages.append((self.parser.get_method().decode(), self.url.decode(), self.body, b""))


@given(st.lists(requests(), min_size=1, max_size=4), CUTS)
def test_requests_are_found_however_the_bytes_are_cut(messages: list[Message], cuts: list[int]) -> None:
    """Method, target and body of pipelined requests; httptools reads the same, and every byte belongs to one."""
    stream = b"".join(message[3] for message in messages)
    expected = [(method, target, body, b"") for method, target, body, _ in messages]
    found, covered = follow(cut(stream, cuts))
    oracle = Oracle()
    oracle.parser.feed_data(stream)
    assert found == expected
    assert covered == len(stream)
    assert oracle.messages == expected


@given(st.lists(requests(), min_size=1, max_size=3), CUTS, st.integers(0, 600), st.binary(min_size=1, max_size=3))
def test_damaged_requests_never_upset_the_framers(
    messages: list[Message], cuts: list[int], place: int, junk: bytes
) -> None:
    """Whatever is put into the stream, the framers find messages or say Malformed, and cuts make no difference."""
    stream = b"".join(message[3] for message in messages)
    place %= len(stream)
    stream = stream[:place] + junk + stream[place + 1 :]
    results = []
    for pieces in ([stream], cut(stream, cuts)):
        try:
            results.append(follow(pieces))
        except Malformed:
            results.append(([], -1))
    assert results[0] == results[1]


@given(st.lists(requests(), min_size=1, max_size=3), st.integers(0, 600), st.binary(min_size=1, max_size=3))
def test_what_is_accepted_is_what_others_read(messages: list[Message], place: int, junk: bytes) -> None:
    """A damaged stream that we take for requests is taken for the same requests by httptools, if it takes it at all."""
    stream = b"".join(message[3] for message in messages)
    place %= len(stream)
    stream = stream[:place] + junk + stream[place + 1 :]
    try:
        found, _ = follow([stream])
    except Malformed:
        return
    oracle = Oracle()
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        oracle.parser.feed_data(stream)
        assert [message[2] for message in oracle.messages] == [message[2] for message in found]


def test_an_offer_of_http_2_is_seen_by_either_name() -> None:
    """HTTP2-Settings alone is enough."""
    assert "h2c" in parse_request(b"GET / HTTP/1.1\r\nHTTP2-Settings: AAA\r\n\r\n").upgrade
    assert "h2c" in parse_request(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nUpgrade: H2C\r\n\r\n").upgrade


@pytest.mark.parametrize(
    "wire",
    [
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"5 ;a\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\rX0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\x00\r\nhello\r\n0\r\n\r\n",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"0\r\nnot a trailer\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nX: y\r\n folded\r\n\r\n",
        b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_odd_chunks_are_refused(wire: bytes, step: int) -> None:
    """Sizes, line ends and trailers have one form."""
    body = Chunked()
    with pytest.raises(Malformed):
        _feed(body, wire, step)


def _feed(body: Chunked, wire: bytes, step: int) -> None:
    for start in range(0, len(wire), step):
        body.advance(wire[start : start + step], 0)


def test_a_body_ends_where_it_ends() -> None:
    """What follows in the same bytes is not the body's."""
    sink: list[bytes] = []
    assert Counted(3).advance(b"abcdef", 1, sink) == 4
    chunked = Chunked()
    assert chunked.advance(b"1\r\nx\r\n0\r\n\r\nGET", 0, sink) == 11
    assert chunked.done
    assert UntilClose().advance(b"abc", 1, sink) == 3
    assert sink == [b"bcd", b"x", b"bc"]


def test_a_head_has_a_limit() -> None:
    """Go's own, whether the head ends beyond it or never."""
    with pytest.raises(HeadTooLarge):
        HeadReader(request=True).feed(b"x" * (HEAD_LIMIT + 1), 0)
    with pytest.raises(HeadTooLarge):
        HeadReader(request=True).feed(b"x" * HEAD_LIMIT + b"\r\n\r\n", 0)


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_a_head_ends_where_go_has_it_end(step: int) -> None:
    """At the first empty line, whatever ends the lines; a line of blanks belongs to the one before it."""
    for head in (
        b"GET /_ping HTTP/1.0\r\n\n",
        b"GET /_ping HTTP/1.0\n\n",
        b"GET /_ping HTTP/1.0\n\r\n",
        b"GET /_ping HTTP/1.1\nHost: h\r\n\n",
        b"GET /_ping HTTP/1.1\nHost: h\n \r\n\t\n\n",
    ):
        reader, data = HeadReader(request=True), head + b"GET /b HTTP/1.1\r\n\r\n"
        found = None
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            if (found := reader.feed(piece, 0)) is not None:
                assert (found[0], start + found[1]) == (head, len(head))
                break
        assert found is not None


def test_a_complete_head_is_not_copied() -> None:
    """The very object that came is what goes on."""
    data = b"GET / HTTP/1.1\r\n\r\n"
    found = HeadReader(request=True).feed(data, 0)
    assert found is not None
    assert found[0] is data


@pytest.mark.parametrize(
    ("head", "to_head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False, (200, Counted)),
        (b"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\n", True, (200, None)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, (200, None)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", False, (200, Chunked)),
        (b"HTTP/1.0 200 OK\r\n\r\n", False, (200, UntilClose)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, (204, None)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, (304, None)),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False, (100, None)),
        (b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n", False, (101, None)),
        (b"HTTP/1.1 200\r\n\r\n", False, (200, UntilClose)),
    ],
)
def test_a_reply_is_measured(head: bytes, to_head: bool, expected: tuple[int, type[Body] | None]) -> None:
    """Status and the way in which its body ends."""
    status, body = parse_reply(head, to_head)
    assert (status, type(body) if body is not None else None) == expected


def test_what_is_no_reply_is_malformed() -> None:
    """Other protocols, and lengths that are no numbers."""
    for head in (b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"):
        with pytest.raises(Malformed):
            parse_reply(head, False)


def test_a_stream_is_known_by_its_type() -> None:
    """Both of Docker's."""
    assert is_stream(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
    assert is_stream(b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.docker.multiplexed-stream\r\n\r\n")
    assert not is_stream(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
