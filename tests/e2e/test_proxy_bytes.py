"""The same bytes sent to the engine and to the proxy are answered by the same bytes.

Rule: what is asked here changes nothing and is answered alike at any time, so that nothing but the Date of a reply has
to be left out of the comparison.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.lab import Host
from tests.e2e.lab.fixed import FIXED, V4, fixed
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.wires import Hangup, Wire, request

DATE = re.compile(rb"\r\nDate: [^\r]+")
LAST = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"

VERSIONS = ("", "/v1.41", "/v1.24", "/v1.12")
READS = (
    "/_ping", "/version", "/auth", "/containers/db/json", "/containers/db/json?size=1", "/containers/db/changes",
    "/containers/db/logs?stdout=1", "/containers/db/logs", "/containers/db/top", "/containers/db/stats?stream=0&x",
    "/containers/db/archive?path=/etc/passwd", "/containers/db/archive?path=/no/such", "/containers/db/archive",
    "/containers/db/export", "/containers/db/nothing", "/containers/none/json", "/containers/none/logs?stdout=1",
    "/containers/none/export", "/containers/none/attach/ws",
    "/containers/json?all=1&filters=%7B%22name%22%3A%5B%22db%22%5D%7D",
    "/containers/json?limit=x", "/containers/json?filters=%7Bbad", "/containers/%64b/json", "/containers/web/json",
    "/containers//json", "/containers/d%00b/json", "/containers/db%2Fjson",
    "/images/json?filters=%7B%22reference%22%3A%5B%22busybox%22%5D%7D", "/images/busybox/json",
    "/images/busybox/history", "/images/none/json", "/images/none/get", "/images/get?names=none", "/volumes",
    "/volumes/none", "/networks/one", "/networks/one?verbose=1", "/networks/none", "/networks/nosuch",
    "/networks?filters=%7B%22driver%22%3A%7B%22mooring%22%3Atrue%7D%7D",
    "/networks?filters=%7B%22x%22%3A%5B%22y%22%5D%7D",
    "/events?since=1&until=2", "/events?since=x", "/exec/none/json", "/plugins", "/swarm", "/nodes", "/services",
    "/tasks", "/secrets", "/configs", "/nothing", "/", "//_ping", "/_ping/", "/./_ping", "/x/../_ping", "/_ping?%zz",
    "/v1.99/_ping", "/v1.99/version", "/v1.1/version", "/v0/version", "/v1/version", "/vx/version", "/v1.41.2/version",
    "/session", "/grpc", "/build", "/containers/create",
)  # fmt: skip

# Method, path, body: refused by the engine, or without effect.
WRITES: tuple[tuple[str, str, object], ...] = (
    ("POST", "/containers/create", None),
    ("POST", "/containers/create", b""),
    ("POST", "/containers/create", b"null"),
    ("POST", "/containers/create", b"[]"),
    ("POST", "/containers/create", {}),
    ("POST", "/containers/create", {"Image": "none"}),
    ("POST", "/containers/create", {"Image": "none", "Labels": {"fixed-ip": ""}}),
    ("POST", "/containers/create?name=db", {"Image": IMAGE}),
    ("POST", "/containers/create?name=%2Fdb", {"Image": IMAGE}),
    ("POST", "/containers/create?name=a%20b", {"Image": IMAGE}),
    ("POST", "/containers/create?name=a%20b", {"Image": IMAGE, "Labels": {"fixed-ip": ""}}),
    ("POST", "/containers/create", {"Image": IMAGE, "HostConfig": {"Memory": 1}}),
    ("POST", "/containers/create", {"Image": IMAGE, "HostConfig": {"Memory": 1e30}}),
    ("POST", "/containers/create", {"Image": IMAGE, "HostConfig": {"RestartPolicy": {"Name": "x"}}}),
    ("POST", "/containers/create", {"Image": IMAGE, "Labels": ["fixed-ip"]}),
    ("POST", "/containers/create", {"Image": IMAGE, "Labels": {"fixed-ip": ""}, "HostConfig": {"Memory": 1}}),
    ("POST", "/containers/none/start", None),
    ("POST", "/containers/web/start", None),
    ("POST", "/containers/db/stop", None),
    ("POST", "/containers/db/kill", None),
    ("POST", "/containers/web/kill?signal=none", None),
    ("POST", "/containers/db/pause", None),
    ("POST", "/containers/web/unpause", None),
    ("POST", "/containers/db/resize?h=x", None),
    ("POST", "/containers/db/resize?h=1&w=1", None),
    ("POST", "/containers/db/rename?name=web", None),
    ("POST", "/containers/db/rename?name=", None),
    ("POST", "/containers/db/exec", {"Cmd": ["true"]}),
    ("POST", "/containers/web/exec", {"Cmd": []}),
    ("POST", "/containers/web/exec", b"nonsense"),
    ("POST", "/containers/none/exec", {"Cmd": ["true"]}),
    ("POST", "/exec/none/start", {}),
    ("POST", "/exec/none/resize?h=1&w=1", None),
    ("POST", "/containers/none/wait", None),
    ("POST", "/containers/none/update", {}),
    ("POST", "/containers/prune?filters=%7B%22label%22%3A%5B%22none%22%5D%7D", None),
    ("POST", "/containers/prune?filters=%7Bbad", None),
    ("POST", "/networks/prune?filters=%7B%22label%22%3A%5B%22none%22%5D%7D", None),
    ("POST", "/volumes/prune", None),
    ("DELETE", "/containers/web", None),
    ("DELETE", "/containers/none", None),
    ("DELETE", "/containers/none?force=1", None),
    ("DELETE", "/containers/web?link=1", None),
    ("DELETE", "/networks/one", None),
    ("DELETE", "/networks/bridge", None),
    ("DELETE", "/networks/nosuch", None),
    ("DELETE", "/images/none", None),
    ("DELETE", "/volumes/none", None),
    ("POST", "/networks/create", {"Name": "one", "CheckDuplicate": True}),
    ("POST", "/networks/create", {"Name": "", "Driver": "mooring"}),
    ("POST", "/networks/one/connect", {"Container": "none"}),
    ("POST", "/networks/one/connect", {"Container": "web"}),
    ("POST", "/networks/nosuch/connect", {"Container": "db"}),
    ("POST", "/networks/one/connect", {"Container": 7}),
    ("POST", "/networks/one/disconnect", {"Container": "none"}),
    ("POST", "/networks/nosuch/disconnect", {"Container": "web"}),
    ("POST", "/networks/bridge/disconnect", {"Container": "web"}),
    ("POST", "/networks/one/disconnect", b"nonsense"),
    ("POST", "/images/none/tag?repo=x", None),
    ("POST", "/images/busybox/tag?repo=%40", None),
    ("POST", "/images/create?fromImage=127.0.0.1:1/none&tag=1", None),
    ("POST", "/images/none/push", None),
    ("POST", "/commit?container=none", {}),
    ("POST", "/volumes/create", b"nonsense"),
    ("POST", "/swarm/leave", None),
    ("POST", "/swarm/join", {}),
    ("POST", "/services/create", {}),
    ("POST", "/build/cancel?id=none", None),
    ("PUT", "/containers/db/archive?path=/no/such", b"x"),
    ("PUT", "/containers/none/archive?path=/", b"x"),
    ("PUT", "/nothing", b"x"),
    ("PATCH", "/_ping", None),
    ("OPTIONS", "/_ping", None),
    ("OPTIONS", "/containers/db/json", None),
    ("TRACE", "/_ping", None),
    ("PROPFIND", "/_ping", None),
    ("get", "/_ping", None),
)

HOST = b"Host: docker\r\n"
CREATE = json.dumps({"Image": "none"}).encode()
LABELLED = json.dumps({"Image": "none", "Labels": {"fixed-ip": ""}}).encode()


def chunks(body: bytes, size: int = 5, trailer: bytes = b"") -> bytes:
    """The body in chunks of that size."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


def post(path: bytes, headers: bytes, body: bytes) -> bytes:
    """A POST with these headers and nothing else."""
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + headers + b"\r\n" + body


# What is sent in one piece, and how many replies it gets.
FRAMINGS: dict[str, tuple[bytes, int]] = {
    "HTTP/1.0": (b"GET /_ping HTTP/1.0\r\n\r\n", 1),
    "HTTP/1.0, large": (b"GET /containers/db/json HTTP/1.0\r\n\r\n", 1),
    "HTTP/1.0, a stream": (b"GET /containers/db/export HTTP/1.0\r\n\r\n", 1),
    "HTTP/1.0, kept": (b"GET /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1),
    "close": (b"GET /_ping HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 1),
    "close, a 404": (b"GET /containers/none/json HTTP/1.1\r\n" + HOST + b"connection:CLOSE\r\n\r\n", 1),
    "odd case": (b"GET /_ping HTTP/1.1\r\nhOST:docker\r\nuser-AGENT:\t x \r\nX-Empty:\r\n\r\n", 1),
    "no host": (b"GET /_ping HTTP/1.1\r\n\r\n", 1),
    "an empty host": (b"GET /_ping HTTP/1.1\r\nHost:\r\n\r\n", 1),
    "many headers": (b"GET /_ping HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 5000 + b"\r\n", 1),
    "a long target": (b"GET /_ping?" + b"x" * 60000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 1),
    "a long odd target": (b"GET /containers/" + b"x" * 60000 + b"/json HTTP/1.1\r\n" + HOST + b"\r\n", 1),
    "a name of other letters": ("GET /containers/dü/json HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 1),
    "chunks": (post(b"/containers/create", b"Transfer-Encoding: chunked\r\n", chunks(CREATE)), 1),
    "chunks, a label": (post(b"/containers/create", b"transfer-encoding: Chunked\r\n", chunks(LABELLED)), 1),
    "chunks with a trailer": (
        post(b"/containers/create", b"Transfer-Encoding: chunked\r\nTrailer: X\r\n", chunks(CREATE, 3, b"X: y\r\n")), 1,
    ),
    "chunks with extensions": (
        post(b"/containers/create", b"Transfer-Encoding: chunked\r\n", chunks(CREATE).replace(b"5\r\n", b"5;a=b\r\n")),
        1,
    ),
    "one chunk": (post(b"/containers/none/exec", b"Transfer-Encoding: chunked\r\n", chunks(CREATE, 1000)), 1),
    "no chunk": (post(b"/containers/none/start", b"Transfer-Encoding: chunked\r\n", chunks(b"")), 1),
    "a body that nobody reads": (post(b"/containers/none/start", b"Content-Length: 100000\r\n", b"x" * 100000), 1),
    "a get with a body": (b"GET /_ping HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", 1),
    "text as a body": (post(b"/containers/create", b"Content-Length: 2\r\n", b"{}").replace(b"/json", b"/x"), 1),
    "a lengths' list": (post(b"/containers/create", b"Content-Length: 0002\r\n", b"{}"), 1),
    "twenty": (b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n" * 20, 20),
    "a hundred": (b"GET /containers/none/json HTTP/1.1\r\nHost: docker\r\n\r\n" * 100, 100),
    "creates behind gets": (
        b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
        + post(b"/containers/create", b"Content-Length: %d\r\n" % len(CREATE), CREATE)
        + post(b"/containers/create", b"Content-Length: %d\r\n" % len(LABELLED), LABELLED)
        + b"GET /containers/db/json HTTP/1.1\r\nHost: x\r\n\r\n"
        + b"DELETE /containers/none HTTP/1.1\r\nHost: x\r\n\r\n"
        + b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
        6,
    ),
    "an upgrade of nothing": (b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", 1),
    "an unknown expectation": (post(b"/containers/create", b"Expect: 200-ok\r\nContent-Length: 0\r\n", b""), 1),
}  # fmt: skip

EXPECTING = b"Expect: 100-continue\r\n"
# A head, and a body that is sent when the engine has said Continue.
EXPECTS: dict[str, tuple[bytes, bytes]] = {
    "a create": (post(b"/containers/create", EXPECTING + b"Content-Length: %d\r\n" % len(CREATE), b""), CREATE),
    "with a label": (post(b"/containers/create", EXPECTING + b"Content-Length: %d\r\n" % len(LABELLED), b""), LABELLED),
    "chunks": (post(b"/containers/create", EXPECTING + b"Transfer-Encoding: chunked\r\n", b""), chunks(CREATE)),
    "an exec": (post(b"/containers/none/exec", EXPECTING + b"Content-Length: %d\r\n" % len(CREATE), b""), CREATE),
}

# The engine refuses these itself.
MALFORMED: dict[str, bytes] = {
    "no version": b"GET /_ping\r\n\r\n",
    "another version": b"GET /_ping HTTP/3.0\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method that is none": b"G(T /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target that is none": b"GET _ping HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bad escape": b"GET /_pi%zzng HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without a colon": b"GET /_ping HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "a blank in a name": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
    "a control character": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
    "two hosts": b"GET /_ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two lengths": post(b"/containers/create", b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{} "),
    "a length that is none": post(b"/containers/create", b"Content-Length: two\r\n", b"{}"),
    "a negative length": post(b"/containers/create", b"Content-Length: -2\r\n", b"{}"),
    "a coding that is none": post(b"/containers/create", b"Transfer-Encoding: gzip\r\n", b"{}"),
    "a chunk that is none": post(b"/containers/create", b"Transfer-Encoding: chunked\r\n", b"xyz\r\n{}\r\n0\r\n\r\n"),
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a create's body": post(b"/containers/create", b"Content-Length: 1\r\n", b"{"),
    "a connection's body": post(b"/networks/one/connect", b"Content-Length: 8\r\n", b"nonsense"),
    "a head too large": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA: " + b"x" * (1 << 21) + b"\r\n\r\n",
}

# Not as they should be, and understood by the engine all the same.
LOOSE: dict[str, bytes] = {
    "the absolute form": b"GET http://docker/_ping HTTP/1.1\r\nHost: docker\r\n\r\n",
    "bare line feeds": b"GET /_ping HTTP/1.1\nHost: x\n\n",
    "a folded line": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "both lengths": post(b"/containers/create", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", chunks(b"{}")),
    "a length twice": post(b"/containers/create", b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
}


@pytest.fixture
def asked(host: Host) -> Host:
    """A host with a container that was never started and holds a fixed address, db, and a running one, web."""
    host.create_network("one", "--subnet", V4)
    host.proxy.docker("create", "--name", "db", "--network", "one", *FIXED, IMAGE, "stay")
    host.run_container("web", "--network", "one")
    return host


def transcript(path: Path, sent: bytes, replies: int = 1, to_head: bool = False) -> bytes:
    """All that comes for these bytes, and for a last request if the connection is still open then, but for dates."""
    with Wire(path) as wire:
        said: list[bytes] = []
        try:
            wire.send(sent)
            for _ in range(replies):
                said.append(wire.answer(to_head).whole)  # noqa: PERF401  what came before a hang-up counts
            said.append(_end(wire, said[-1]))
        except Hangup as end:
            said.append(end.data)
        except (BrokenPipeError, ConnectionResetError):
            said.append(b"(reset)")
    return DATE.sub(b"", b"".join(said))


def _end(wire: Wire, last: bytes) -> bytes:
    """What comes until the connection ends, which is asked for unless the last reply has announced it."""
    head = last.partition(b"\r\n\r\n")[0].lower()
    old = head.startswith(b"http/1.0") and b"\r\nconnection: keep-alive" not in head
    if not old and b"\r\nconnection: close" not in head:
        wire.send(LAST)
    return wire.rest()


def _expecting(path: Path, head: bytes, body: bytes) -> bytes:
    """The same for a client that sends the body when it is told to."""
    with Wire(path) as wire:
        wire.send(head)
        told = wire.answer().whole
        if told.split(b" ", 2)[1] == b"100":
            wire.send(body)
            told += wire.answer().whole
        return DATE.sub(b"", told + _end(wire, told))


def _differences(host: Host, cases: dict[str, tuple[bytes, int, bool]]) -> dict[str, tuple[bytes, bytes]]:
    found = {
        name: tuple(transcript(at, *case) for at in (host.engine.socket, host.proxy.socket))
        for name, case in cases.items()
    }
    return {name: (theirs, ours) for name, (theirs, ours) in found.items() if theirs != ours}


def test_what_is_read_is_read_alike(asked: Host) -> None:
    """Sixty paths with GET and HEAD, without a version and with old, current, impossible and unheard-of ones."""
    cases = {
        f"{method} {version}{path}": (request(method, version + path), 1, method == "HEAD")
        for version in VERSIONS for path in READS for method in ("GET", "HEAD")
    }  # fmt: skip
    assert len(cases) > 400
    assert _differences(asked, cases) == {}


def test_what_is_refused_is_refused_alike(asked: Host) -> None:
    """Creates, removals, connections and all else that the proxy looks at or lets pass, with every kind of mistake."""
    cases = {
        f"{method} {version}{path} {body!r}": (request(method, version + path, body), 1, False)
        for version in ("", "/v1.41") for method, path, body in WRITES
    }  # fmt: skip
    assert _differences(asked, cases) == {}
    assert sorted(asked.engine.inspect(name)["Name"] for name in asked.engine.containers()) == ["/db", "/web"]
    assert len(fixed(asked)) == 1


def test_every_way_to_put_a_request_into_bytes_is_understood(asked: Host) -> None:
    """HTTP/1.0, closing and kept connections, odd heads, chunks, long heads, a hundred requests at once."""
    assert _differences(asked, {name: (sent, replies, False) for name, (sent, replies) in FRAMINGS.items()}) == {}


def test_a_client_that_waits_for_continue_is_told_to(asked: Host) -> None:
    """Once, whether the engine or the proxy says it."""
    for head, body in EXPECTS.values():
        theirs, ours = (_expecting(at, head, body) for at in (asked.engine.socket, asked.proxy.socket))
        assert ours == theirs


def test_bytes_that_come_one_by_one_are_understood(asked: Host) -> None:
    """A pipeline of six requests in pieces of 1, 7 and 1000 bytes is answered as in one piece."""
    sent, replies = FRAMINGS["creates behind gets"]
    whole = transcript(asked.engine.socket, sent, replies)
    for size in (1, 7, 1000):
        with Wire(asked.proxy.socket) as wire:
            for at in range(0, len(sent), size):
                wire.send(sent[at : at + size])
            said = [wire.answer().whole for _ in range(replies)]
            assert DATE.sub(b"", b"".join(said) + _end(wire, said[-1])) == whole


def test_what_is_no_request_is_refused(asked: Host) -> None:
    """By the engine, and by the proxy, whoever of the two says it; what the engine takes has its answer."""
    accepted = {name for name, sent in MALFORMED.items() if _refused(asked.engine.socket, sent) is False}
    assert accepted == set()
    assert {name for name, sent in MALFORMED.items() if not _refused(asked.proxy.socket, sent)} == set()
    assert _differences(asked, {name: (sent, 1, False) for name, sent in LOOSE.items()}) == {}


def _refused(path: Path, sent: bytes) -> bool:
    said = transcript(path, sent)
    return said[9:10] in {b"4", b"5"} or said == b"(reset)"
