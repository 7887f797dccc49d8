"""Where messages of HTTP/1.x begin and end in a stream of bytes, in both directions, without copying bodies.

Rules: nothing here does I/O; a request ends where Go's net/http, which dockerd is, has it end, and what Go would refuse
or two readers could take for two things (odd chunk sizes, bare line feeds between chunks) is Malformed; a reply is the
engine's and is only measured.
"""

from __future__ import annotations

import re

# Go's http.DefaultMaxHeaderBytes, and what it reads beyond them at once.
HEAD_LIMIT = (1 << 20) + 4096
# Go reads chunk sizes and trailers through a buffer of this size and gives up beyond it.
LINE_LIMIT = 4096
TRAILER_LIMIT = 4096

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
# Go ends a line at the feed, and a head with an empty line.
_END = re.compile(rb"\n\r?\n")
_TRAILER = re.compile(rb"%b:%b" % (TOKEN, VALUE))
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*+|;%b)" % VALUE)
_PLAIN_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
DIGITS = re.compile(rb"[0-9]{1,18}")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r]")

# What a reply's head has when its body is not what it seems, or must not be another one (RFC 9110, 8.4 and 8.8; 9530).
_VOUCHING = (
    b"content-encoding", b"content-range", b"content-md5", b"content-digest", b"repr-digest", b"digest", b"etag",
    b"last-modified", b"trailer",
)  # fmt: skip

# How a client that speaks HTTP/2 from the start begins (RFC 9113, 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\n"


class Malformed(Exception):
    """The bytes are not a message that everybody would read in the same way. status: what the sender is told. raw: what
    there is of its head, where that is no longer in the reader."""

    status = 400

    def __init__(self, text: str, raw: bytes = b"") -> None:
        super().__init__(text)
        self.raw = raw


class HeadTooLarge(Malformed):
    """The head does not end within the limit."""

    status = 431


class TooSlow(Malformed):
    """The head does not end in time."""

    status = 408


class HeadReader:
    """Collects a message's head, from its first byte to the blank line's end."""

    __slots__ = ("_partial", "_request")

    def __init__(self, *, request: bool) -> None:
        """request: it may be written as loosely as Go reads it."""
        self._partial: bytearray | None = None
        self._request = request

    @property
    def partial(self) -> bytes:
        """What there is of a head that is not complete."""
        return bytes(self._partial or b"")

    def beginning(self, size: int) -> bytes:
        """Its first bytes, so many at most."""
        return bytes(memoryview(self._partial or b"")[:size])

    @property
    def begun(self) -> bool:
        """Whether some of a head is there."""
        return self._partial is not None

    def feed(self, data: bytes, pos: int) -> tuple[bytes, int] | None:
        """The head's bytes and where in `data` it ends; None when more is needed, and all of `data` is kept then."""
        partial = self._partial
        if partial is None:
            end = self._end(data, pos)
            if end >= 0:
                if end - pos > HEAD_LIMIT:
                    self._check(end - pos, data[pos : pos + LINE_LIMIT])
                return data[pos:end], end
            partial = self._partial = bytearray(memoryview(data)[pos:])
        else:
            old = len(partial)
            partial += memoryview(data)[pos:]
            end = self._end(partial, max(0, old - 3))
            if end >= 0:
                self._check(end)
                self._partial = None
                return bytes(memoryview(partial)[:end]), pos + end - old
        self._check(len(partial))
        return None

    def _end(self, data: bytes | bytearray, pos: int) -> int:
        """Where the head ends that goes on there; -1 when it does not."""
        if self._request:
            found = _END.search(data, pos)
            return found.end() if found is not None else -1
        end = data.find(b"\r\n\r\n", pos)
        return end + 4 if end >= 0 else -1

    def _check(self, size: int, begun: bytes = b"") -> None:
        if size > HEAD_LIMIT:
            raise HeadTooLarge(f"the head is larger than {HEAD_LIMIT} bytes", begun)


class Counted:
    """A body of known length."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def advance(self, data: bytes, pos: int, sink: list[bytes] | None = None) -> int:
        """Where in `data` the body goes on to, at most its end. sink: gets the body's bytes."""
        end = min(len(data), pos + self.left)
        self.left -= end - pos
        self.done = self.left == 0
        if sink is not None and end > pos:
            sink.append(data[pos:end])
        return end


class UntilClose:
    """A body that ends with the connection."""

    __slots__ = ()
    done = False

    def advance(self, data: bytes, pos: int, sink: list[bytes] | None = None) -> int:
        """The end of `data`."""
        if sink is not None and pos < len(data):
            sink.append(data[pos:])
        return len(data)


class Chunked:
    """A body in chunks: sizes, extensions and trailers are read as strictly as the strictest Go reads them."""

    __slots__ = ("_in_trailer", "_left", "_line", "_trailer_size", "done")

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # of the chunk's bytes, and two more for the line end behind them
        self._line = b""
        self._in_trailer = False
        self._trailer_size = 0

    def advance(self, data: bytes, pos: int, sink: list[bytes] | None = None) -> int:
        """Where in `data` the body goes on to, at most its end. sink: gets the bytes without the chunks' frames."""
        size = len(data)
        while pos < size and not self.done:
            if self._left:
                pos = self._chunk(data, pos, sink)
                continue
            if not self._line and not self._in_trailer and (match := _PLAIN_CHUNK.match(data, pos)) is not None:
                # Most chunks, and all of many small ones, are whole in what has come.
                start = match.end()
                end = start + int(match[1], 16)
                if start < end and data[end : end + 2] == b"\r\n":
                    if sink is not None:
                        sink.append(data[start:end])
                    pos = end + 2
                    continue
            end = data.find(b"\n", pos)
            if len(self._line) + (end + 1 if end >= 0 else size) - pos > LINE_LIMIT:
                raise Malformed("a line between chunks is too long")
            if end < 0:
                self._line += data[pos:]
                return size
            line = self._line + data[pos : end + 1] if self._line else data[pos : end + 1]
            self._line = b""
            pos = end + 1
            if line[-2:] != b"\r\n":
                raise Malformed("a line ends without a carriage return")
            if self._in_trailer:
                self._trailer(line[:-2])
            else:
                self._size(line[:-2])
        return pos

    def _chunk(self, data: bytes, pos: int, sink: list[bytes] | None) -> int:
        payload = self._left - 2
        if payload > 0:
            end = min(len(data), pos + payload)
            if sink is not None:
                sink.append(data[pos:end])
            self._left -= end - pos
            pos = end
        while self._left <= 2 and self._left and pos < len(data):
            if data[pos] != (13 if self._left == 2 else 10):
                raise Malformed("a chunk is longer than its size says")
            self._left -= 1
            pos += 1
        return pos

    def _size(self, line: bytes) -> None:
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise Malformed("a chunk's size is not a number")
        length = int(match[1], 16)
        if length:
            self._left = length + 2
        else:
            self._in_trailer = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_size += len(line)
        if self._trailer_size > TRAILER_LIMIT or not _TRAILER.fullmatch(line):
            raise Malformed("a trailer is too long" if self._trailer_size > TRAILER_LIMIT else "a trailer is malformed")


Body = Counted | Chunked | UntilClose


def values(lower: bytes, name: bytes) -> list[bytes]:
    """The values of every line of that name; both in lower case."""
    needle = b"\r\n" + name + b":"
    found = []
    pos = lower.find(needle)
    while pos >= 0:
        end = lower.find(b"\r\n", pos + 2)
        found.append(lower[pos + len(needle) : end].strip(b" \t"))
        pos = lower.find(needle, end)
    return found


def with_length(raw: bytes, length: int) -> bytes:
    """The request's head for another body: only the line that tells its length differs."""
    lower = raw.lower()
    start = lower.find(b"\r\ncontent-length:")
    if start >= 0:
        start += len(b"\r\ncontent-length:")
        end = lower.find(b"\r\n", start)
        blanks = len(raw[start:end]) - len(raw[start:end].lstrip(b" \t"))
        return raw[: start + blanks] + str(length).encode() + raw[end:]
    line = b"Content-Length: %d" % length
    start = lower.find(b"\r\ntransfer-encoding:")
    if start >= 0:
        return raw[: start + 2] + line + raw[lower.find(b"\r\n", start + 2) :]
    return raw[:-2] + line + b"\r\n\r\n"


def parse_reply(raw: bytes, to_head: bool) -> tuple[int, Body | None]:
    """The status, and what measures the body: None when there is none, UntilClose when nothing says its length.

    to_head: the request was HEAD, whose reply tells the length of a body that does not come.
    """
    match = _STATUS.match(raw)
    if match is None:
        raise Malformed("the engine did not answer in HTTP/1")
    status = int(match[1])
    if to_head or status < 200 or status == 204 or status == 304:
        return status, None
    lower = raw.lower()
    pos = lower.find(b"\r\ntransfer-encoding:")
    if pos >= 0:
        codings = values(lower, b"transfer-encoding")
        return status, Chunked() if codings[-1].endswith(b"chunked") else UntilClose()
    pos = lower.find(b"\r\ncontent-length:")
    if pos < 0:
        return status, UntilClose()
    length = lower[pos + 17 : lower.find(b"\r\n", pos + 17)].strip()
    if not DIGITS.fullmatch(length):
        raise Malformed("the engine's Content-Length is not a number")
    return status, Counted(int(length)) if length.strip(b"0") else None


def whole_reply(data: bytes, end: int, to_head: bool) -> int:
    """The status, if these bytes are one complete reply in the form that dockerd gives to most; else 0.

    end: where its head's last line ends. Only a short cut: 0 means that `parse_reply` has to look.
    """
    pos = data.find(b"\r\nContent-Length: ", 12, end)
    if pos < 0 or data[:7] != b"HTTP/1.":
        return 0
    length, status = data[pos + 18 : data.find(b"\r\n", pos + 18)], data[9:12]
    if not length.isdigit() or not status.isdigit() or status < b"200" or status in (b"204", b"304"):
        return 0
    return int(status) if end + 4 + (0 if to_head else int(length)) == len(data) else 0


def with_body(raw: bytes, body: bytes) -> bytes:
    """The complete reply with another body, framed as its own was; as it is where that could not be told.

    Where a coding is not undone, or something in the head or behind the body vouches for the bytes, another body would
    be a lie.
    """
    end = raw.find(b"\r\n\r\n")
    lower = raw[: end + 2].lower()
    if end < 0 or any(b"\r\n" + name + b":" in lower for name in _VOUCHING):
        return raw
    kinds, codings = values(lower, b"content-type"), values(lower, b"transfer-encoding")
    if not all(kind.partition(b";")[0].strip() == b"application/json" for kind in kinds):
        return raw
    if not codings:
        if not values(lower, b"content-length"):
            return raw[: end + 4] + body
        return with_length(raw[: end + 4], len(body)) + body
    if codings != [b"chunked"]:
        return raw
    return raw[: end + 4] + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n")


def is_stream(raw: bytes) -> bool:
    """Whether a reply's head announces a stream of a container's output, which hijacks when nothing says its length."""
    kinds = values(raw.lower(), b"content-type")
    return any(kind.startswith(b"application/vnd.docker.") and b"-stream" in kind for kind in kinds)
