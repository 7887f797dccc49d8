"""Our own words have dockerd's form, with the headers that dockerd was seen to send."""

from __future__ import annotations

import re

from mooring.core.faults import BadRequest, Conflict, Exhausted, Forbidden, NotFound, Unavailable
from mooring.servers.proxy.refusals import Refusals, status_of

SEEN = (
    b"HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nDocker-Experimental: false\r\n"
    b"Ostype: linux\r\nServer: Docker/20.10.24 (linux)\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Length: 3\r\n\r\n"
)


def test_a_refusal_looks_like_dockerd_s() -> None:
    """Header for header, in its order; only the date and the length are new."""
    refusals = Refusals()
    refusals.learn(SEEN)
    reply = refusals.reply(404, "none")
    head, _, body = reply.partition(b"\r\n\r\n")
    assert body == b'{"message":"none"}\n'
    expected = SEEN.replace(b"Content-Length: 3", b"Content-Length: %d" % len(body))
    assert re.sub(rb"Date: [^\r]+", b"", head) == re.sub(rb"Date: [^\r]+", b"", expected)[:-4]


def test_before_dockerd_was_seen_a_refusal_is_complete() -> None:
    """Type, date and length are enough."""
    head, _, body = Refusals().reply(503, 'say "why"\n\ud800', closes=True).partition(b"\r\n\r\n")
    assert head.startswith(
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    assert b"Content-Length: %d" % len(body) in head
    assert body.startswith(b'{"message":"say \\"why\\"\\n')


def test_a_reply_that_is_not_dockerd_s_teaches_nothing() -> None:
    """It lacks the API's version."""
    refusals = Refusals()
    refusals.learn(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n")
    assert b"nginx" not in refusals.reply(400, "x")


def test_a_refusal_of_head_has_no_body() -> None:
    """Its length is that of the body that does not come."""
    refusals = Refusals()
    head = refusals.reply(403, "no", to_head=True)
    assert head.endswith(b"Content-Length: 17\r\n\r\n")
    assert refusals.reply(403, "no").partition(b"\r\n\r\n")[2] == b'{"message":"no"}\n'


def test_faults_have_dockerd_s_statuses() -> None:
    """dockerd knows no 507: that nothing is left is a conflict to it."""
    faults = [BadRequest("x"), Forbidden("x"), NotFound("x"), Conflict("x"), Exhausted("x"), Unavailable("x")]
    assert [status_of(fault) for fault in faults] == [400, 403, 404, 409, 409, 503]
