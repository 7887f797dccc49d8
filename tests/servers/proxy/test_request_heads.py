"""The heads of requests: what Go takes goes on in one plain form, and what it refuses does not."""

from __future__ import annotations

import pytest

from mooring.servers.proxy.framing import Chunked, Malformed, with_length
from mooring.servers.proxy.request_heads import CHUNKED, parse_request


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\ncontent-length: 6",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 0x5",
        b"Content-Length: 5_0",
        b"Content-Length:",
        b"Content-Length: " + b"9" * 19,
        b"Content-Length : 5",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chun\u212aed".encode(),
        b"Transfer-Encoding\x00: chunked",
        b"X: a\x00b",
        b"X: a\rContent-Length: 5",
        b"X(: a",
        b": a",
        b"no colon",
        b"\r\nX: y",
    ],
)
def test_ambiguous_heads_are_refused(lines: bytes) -> None:
    """What Go refuses, or could read otherwise than we, is no head."""
    with pytest.raises(Malformed):
        parse_request(b"POST /x HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /x  HTTP/1.1",
        b"GET  /x HTTP/1.1",
        b" GET /x HTTP/1.1",
        b"GET /x HTTP/1.1 ",
        b"GET /x HTTP/1.10",
        b"GET /x HTTP/2.0",
        b"GET /x http/1.1",
        b"GET /x",
        b"GET /a b HTTP/1.1",
        b"GET /a\tb HTTP/1.1",
        b"GET /a\x7f HTTP/1.1",
        b"G(T /x HTTP/1.1",
        b"",
    ],
)
def test_odd_request_lines_are_refused(line: bytes) -> None:
    """A method, one blank, a path, one blank, HTTP/1.0 or HTTP/1.1."""
    with pytest.raises(Malformed):
        parse_request(line + b"\r\nHost: h\r\n\r\n")


def test_a_head_says_what_the_relay_needs() -> None:
    """Upgrade, expectation and length are found in any case and with any blanks around."""
    head = parse_request(
        b"POST /v1.41/exec/1/start?x=%20 HTTP/1.1\r\nhOST: h\r\nCONNECTION: Upgrade\r\nuPGRADE:\t Tcp \r\n"
        b"Expect: 100-Continue\r\ncontent-LENGTH:  012 \r\n\r\n"
    )
    assert (head.method, head.target, head.length) == ("POST", "/v1.41/exec/1/start?x=%20", 12)
    assert (head.upgrade, head.expects) == ("tcp", True)
    chunked = parse_request(b"PUT / HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n\r\n")
    assert (chunked.length, type(chunked.body())) == (CHUNKED, Chunked)
    assert parse_request(b"GET / HTTP/1.1\r\n\r\n").body() is None


@pytest.mark.parametrize(
    ("loose", "plain", "length"),
    [
        (b"GET /_ping HTTP/1.0\r\n\n", b"GET /_ping HTTP/1.0\r\n\r\n", 0),
        (b"GET /a HTTP/1.1\nHost: h\n\n", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0),
        (b"GET /a HTTP/1.1\r\nX: a \r\n\t b\r\n \r\n\r\n", b"GET /a HTTP/1.1\r\nX: a b \r\n\r\n", 0),
        (b"POST /a HTTP/1.1\r\nX: a\nContent-Length: 5\r\n\r\n", None, 5),
        (b"POST /a HTTP/1.1\r\nContent-Length:\r\n 5\r\n\r\n", b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 5),
        (b"POST /a HTTP/1.1\r\nX: y\r\n Content-Length: 5\r\n\r\n", None, 0),
        (
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            CHUNKED,
        ),
        (
            b"POST /a HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST /a HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
            5,
        ),
        (
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\ncontent-length:5\r\n\r\n",
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            5,
        ),
    ],
)
def test_a_loose_head_goes_on_in_its_plain_form(loose: bytes, plain: bytes | None, length: int) -> None:
    """As Go reads it, written so that nobody reads it otherwise: a plain one is its own plain form."""
    head = parse_request(loose)
    assert head.length == length
    if plain is not None:
        assert head.raw == plain
    again = parse_request(head.raw)
    assert again == head
    assert again.raw is head.raw


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (b"GET http://docker/v1.41/info HTTP/1.1", "http://docker/v1.41/info"),
        (b"OPTIONS * HTTP/1.1", "*"),
        (b"CONNECT h:80 HTTP/1.1", "h:80"),
        (b"GET info HTTP/1.2", "info"),
    ],
)
def test_targets_of_every_form_are_heads(line: bytes, target: str) -> None:
    """What the engine makes of them, it makes of them (wire/docker_api)."""
    assert parse_request(line + b"\r\n\r\n").target == target


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /a HTTP/2.0\r\n\r\n", 505),
        (b"GET /a HTTP/3.0\n\n", 505),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n X: y\r\n\r\n", 400),
    ],
)
def test_what_the_engine_refuses_has_its_status(head: bytes, status: int) -> None:
    """Go's own."""
    with pytest.raises(Malformed) as caught:
        parse_request(head)
    assert caught.value.status == status


def test_another_body_changes_one_line() -> None:
    """The length's value, or the coding's line; case, order and blanks stay."""
    assert (
        with_length(b"POST / HTTP/1.1\r\nA: b\r\ncONTENT-length:  5\r\nZ: y\r\n\r\n", 17)
        == b"POST / HTTP/1.1\r\nA: b\r\ncONTENT-length:  17\r\nZ: y\r\n\r\n"
    )
    assert (
        with_length(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nZ: y\r\n\r\n", 17)
        == b"POST / HTTP/1.1\r\nContent-Length: 17\r\nZ: y\r\n\r\n"
    )
    assert (
        with_length(b"POST / HTTP/1.1\r\nA: b\r\n\r\n", 17) == b"POST / HTTP/1.1\r\nA: b\r\nContent-Length: 17\r\n\r\n"
    )
