"""The heads of requests, read as loosely as Go's net/http reads them, which dockerd is, and sent on in one plain form.

Rules: what goes on is a head that cannot be read in two ways; one that is written so already goes on as it is, and
where it is written loosely (bare line feeds, folded lines, lengths that do not count) it is written anew; what Go would
refuse is Malformed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mooring.servers.proxy.framing import DIGITS, TOKEN, VALUE, Body, Chunked, Counted, Malformed, values

_HEAD = re.compile(rb"(%b) ([\x21-\x7e\x80-\xff]++) HTTP/1\.([0-9])\r\n(?:%b:%b\r\n)*\r\n" % (TOKEN, TOKEN, VALUE))
_OTHER_VERSION = re.compile(rb"%b [^ \r\n]++ HTTP/[02-9]\.[0-9]\r?\n" % TOKEN)

_METHOD = re.compile(TOKEN)
# How much of a head that is none is looked at for its first words.
_WORDS = 2048

CHUNKED = -1


class OtherVersion(Malformed):
    """The head is of a version that the engine does not speak in this way."""

    status = 505


class OtherCoding(Malformed):
    """The body is coded in a way that the engine does not know."""

    status = 501


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a request's head says that a relay has to know.

    raw: its bytes, as they go on. target: as sent, as UTF-8 (other bytes as surrogates). length: of the body, or
    CHUNKED. upgrade: the protocols asked for, lower case, "" for none. expects: the client waits for `100 Continue`.
    last: the connection ends with the reply, and what comes behind the request is none.
    """

    raw: bytes
    method: str
    target: str
    length: int
    upgrade: str
    expects: bool
    last: bool = False

    def body(self) -> Body | None:
        """What measures the body; None when there is none."""
        if not self.length:
            return None
        return Chunked() if self.length == CHUNKED else Counted(self.length)


def first_words(begun: bytes) -> tuple[str, str]:
    """What seems to be the method and the path in the beginning of a head that is none: printable, without a query."""
    method, _, rest = begun[:_WORDS].lstrip(b"\r\n").partition(b" ")
    path = re.split(rb"[\s?]", rest, maxsplit=1)[0]
    if _METHOD.fullmatch(method) is None:
        return "", ""
    return method.decode("ascii"), path.decode("ascii", "backslashreplace")


def parse_request(given: bytes) -> RequestHead:
    """Read a complete head, blank line included. Raises Malformed with it."""
    try:
        return _parse(given)
    except Malformed as error:
        error.raw = given
        raise


def with_query(raw: bytes, query: str) -> bytes:
    """The head with another query; its first line has two spaces."""
    first, _, rest = raw.partition(b"\r\n")
    method, target, version = first.split(b" ")
    return b"%b %b?%b %b\r\n%b" % (method, target.partition(b"?")[0], query.encode("ascii"), version, rest)


def _parse(raw: bytes) -> RequestHead:
    match = _HEAD.fullmatch(raw)
    if match is None:
        raw = _unfolded(raw)
        match = _HEAD.fullmatch(raw)
        if match is None:
            if _OTHER_VERSION.match(raw):
                raise OtherVersion("this version of HTTP is not spoken here")
            raise Malformed("the request's head is malformed")
    lower = raw.lower()
    lengths, codings = values(lower, b"content-length"), values(lower, b"transfer-encoding")
    if codings or len(lengths) > 1:
        raw, lengths, codings = _one_length(raw, lengths, codings, match[3] == b"0")
    if codings:
        length = CHUNKED
    elif not lengths:
        length = 0
    elif DIGITS.fullmatch(lengths[0]):
        length = int(lengths[0])
    else:
        raise Malformed("Content-Length is not one number")
    upgrades = values(lower, b"upgrade")
    # A client that offers HTTP/2 in this way names it twice; either name is enough to be careful.
    if values(lower, b"http2-settings"):
        upgrades.append(b"h2c")
    old = match[3] == b"0"
    options = {option.strip() for value in values(lower, b"connection") for option in value.split(b",")}
    return RequestHead(
        raw,
        match[1].decode("ascii"),
        match[2].decode("utf-8", "surrogateescape"),
        length,
        ", ".join(value.decode("latin-1") for value in upgrades if value),
        not old and any(b"100-continue" in value for value in values(lower, b"expect")),
        b"close" in options or (old and b"keep-alive" not in options),
    )


def _unfolded(raw: bytes) -> bytes:
    """The head with whole line ends, and each field in one line (net/textproto, readContinuedLineSlice)."""
    first, *rest = raw.replace(b"\r\n", b"\n").split(b"\n")[:-2]
    lines = [first]
    for line in rest:
        if line[:1] in (b" ", b"\t") and len(lines) > 1:
            lines[-1] = lines[-1].rstrip(b" \t") + b" " + line.strip(b" \t")
        else:
            lines.append(line)
    return b"\r\n".join((*lines, b"", b""))


def _one_length(
    raw: bytes, lengths: list[bytes], codings: list[bytes], old: bool
) -> tuple[bytes, list[bytes], list[bytes]]:
    """The head with what Go goes by (net/http, readTransfer): the coding rather than the length, of HTTP/1.0 no coding,
    of lengths that are the same one. Raises Malformed for what it refuses."""
    if codings and old:
        raw, codings = _without(raw, b"transfer-encoding"), []
    if codings and codings != [b"chunked"]:
        raise OtherCoding("unsupported transfer encoding")
    if len(set(lengths)) > 1:
        raise Malformed("Content-Length is not one number")
    if codings and lengths:
        raw, lengths = _without(raw, b"content-length"), []
    elif len(lengths) > 1:
        raw = _without(raw, b"content-length")[:-2] + b"Content-Length: " + lengths[0] + b"\r\n\r\n"
    return raw, lengths[:1], codings


def _without(raw: bytes, name: bytes) -> bytes:
    """The head without the fields of this name, in lower case."""
    return b"\r\n".join(line for line in raw.split(b"\r\n") if not line.lower().startswith(name + b":"))
