"""Long replies through the proxy: what streams, who hangs up, and a thousand at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.wires import Wire, hijack, request

MISSING = "127.0.0.1:1/none:1"  # nobody listens there, which needs no name server to find out
SPARE = 8  # connections to the engine that the proxy may keep in advance
MANY = 1000
# An archive and not an export: from 28 on the engine itself gives an export up when its client has said all.
LONG = "/containers/web/archive?path=/bin/busybox"
ROOM = 16 << 10  # bytes of the daemon's memory for each stream, at most


def test_stats_top_and_wait_are_answered(host: Host) -> None:
    """A stream of statistics goes on, processes are listed, and a wait ends when the container does."""
    host.run_container("web")
    with Wire(host.proxy.socket) as wire:
        wire.send(request("GET", "/containers/web/stats"))
        wire.until(b"\r\n\r\n")
        read = [wire.document()["read"] for _ in range(2)]
        assert read[0] != read[1]
    assert "web" in host.proxy.docker("stats", "--no-stream", "web").output
    columns = ("-o", "pid,ppid,cmd")  # not how busy it is, which changes
    assert host.proxy.docker("top", "web", *columns).output == host.engine.docker("top", "web", *columns).output
    with Wire(host.proxy.socket) as wire:
        wire.send(request("POST", "/containers/web/wait?condition=next-exit"))
        assert b" 200 OK\r\n" in wire.until(b"\r\n\r\n")  # long before the body
        host.engine.docker("stop", "web")
        assert wire.document()["StatusCode"] == 0
    assert host.proxy.docker("wait", "web").output == "0"


def test_a_pull_of_what_is_not_there_fails_alike(host: Host) -> None:
    """The same text and status of the command, and of `docker run`, which pulls."""
    for argv in (
        ("pull", MISSING),
        ("run", "--rm", MISSING),
        ("push", MISSING),
        ("login", "-u", "a", "-p", "b", MISSING),
    ):
        theirs, ours = (client.docker(*argv, check=False) for client in (host.engine, host.proxy))
        assert theirs.status != 0
        assert (ours.status, ours.output) == (theirs.status, theirs.output)


def _listeners(host: Host) -> int:
    """How many listen to the engine's events, by its own count."""
    return int(host.engine.api("GET", "/info")["NEventsListener"])


def _followers(host: Host) -> int:
    """How often the engine has a container's log open for reading."""
    return sum("json.log" in link for link in _links(host.engine.pid))


def _links(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(entry))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def _connections(host: Host) -> int:
    """How many are connected to the engine, by the kernel's count."""
    lines = Path(f"/proc/{host.engine.pid}/net/unix").read_text().splitlines()
    return sum(" 03 " in line and line.endswith(" /run/docker.sock") for line in lines)


@pytest.mark.parametrize(
    ("target", "count"), [("/events", _listeners), ("/containers/web/logs?follow=1&stdout=1", _followers)]
)
def test_a_reader_that_hangs_up_is_given_up_by_the_engine(
    host: Host, target: str, count: Callable[[Host], int]
) -> None:
    """Its stream says nothing in between: the engine hears of it at once, and has nothing open for it any more."""
    host.run_container("web")
    before = count(host)
    wires = [Wire(host.proxy.socket) for _ in range(20)]
    for wire in wires:
        wire.send(request("GET", target))
        wire.until(b"\r\n\r\n")
    eventually(lambda: count(host) == before + 20, "the engine has twenty streams")
    for wire in wires:
        wire.close()
    eventually(lambda: count(host) == before, "the engine has given them up")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/containers/web/wait"),
        ("GET", "/containers/web/stats"),
        ("GET", "/images/busybox/get"),  # which the client does not read
    ],
)
def test_a_client_that_hangs_up_takes_its_connection_with_it(host: Host, method: str, target: str) -> None:
    """As many connections to the engine as before, but for those that the proxy keeps in advance.

    Not so after attach: dockerd 20.10 notices the end of such a connection when the container says something.
    """
    host.run_container("web")
    before = _connections(host)
    wires = [Wire(host.proxy.socket) for _ in range(30)]
    for wire in wires:
        wire.send(request(method, target))
        wire.until(b"\r\n\r\n")
    if method == "POST":
        assert _connections(host) >= before + 30 - SPARE
    for wire in wires:
        wire.close()
    eventually(lambda: _connections(host) <= before + SPARE, "the engine's connections are closed")


def test_a_client_that_has_said_all_is_still_answered(host: Host) -> None:
    """A half-close behind a request, as of a script with netcat, costs neither a short nor a long reply."""
    host.run_container("web")
    for target in ("/_ping", LONG, "/containers/none/json"):
        with Wire(host.proxy.socket) as wire:
            wire.send(request("GET", target))
            wire.finish()
            ours = wire.answer()
        with Wire(host.engine.socket) as wire:
            wire.send(request("GET", target))
            theirs = wire.answer()
        assert (ours.status, len(ours.body)) == (theirs.status, len(theirs.body))


def _resident(pid: int) -> int:
    """Bytes of memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError(pid)


def test_a_thousand_silent_streams_cost_little(host: Host) -> None:
    """Each costs kilobytes, other calls are answered meanwhile, all of them deliver, and nothing is left of them."""
    host.run_container("web")
    pid = host.daemon.pid
    host.proxy.docker("ps")
    listeners, descriptors, resident = _listeners(host), len(_links(pid)), _resident(pid)
    wires: list[Wire] = []
    try:
        wires.extend(Wire(host.proxy.socket) for _ in range(MANY))  # all at once, before any is served
        for wire in wires:
            wire.send(request("GET", "/events?filters=%7B%22container%22%3A%5B%22web%22%5D%7D"))
        for wire in wires:
            assert b" 200 OK\r\n" in wire.until(b"\r\n\r\n")
        each = (_resident(pid) - resident) / MANY
        print(f"{each / 1024:.1f} KiB of the daemon's memory for each of {MANY} streams")
        assert _listeners(host) >= MANY  # the daemon's own stream comes anew after an engine's start, in its own time
        assert "web" in host.proxy.docker("ps").output
        assert host.proxy.docker("run", "--rm", IMAGE, "echo", "works").output == "works"
        host.engine.docker("kill", "--signal", "CONT", "web")
        for wire in wires:
            assert wire.document()["status"] == "kill"
    finally:
        for wire in wires:
            wire.close()
    assert each < ROOM
    eventually(lambda: _listeners(host) <= listeners + 1, "the engine has given them up", 30)
    eventually(lambda: len(_links(pid)) <= descriptors + SPARE, "the daemon has closed them", 30)


def test_a_client_that_reads_slowly_gets_everything(host: Host) -> None:
    """Megabytes of output that nobody reads for a while fill no memory, and all of them come in the end."""
    host.run_container("web")
    pid = host.daemon.pid
    body = {"AttachStdout": True, "Cmd": ["sh", "-c", "dd if=/dev/zero bs=1M count=48 2>/dev/null"], "Tty": True}
    resident = _resident(pid)
    created = host.proxy.api("POST", "/containers/web/exec", body)["Id"]
    with hijack(host.proxy.socket, f"/exec/{created}/start", {"Detach": False, "Tty": True}) as wire:
        first = wire.exactly(1 << 20)
        for _ in range(20):  # a second, in which the rest would have come
            host.proxy.docker("ps", "-q")
        grown = _resident(pid) - resident
        assert len(first) + len(wire.rest()) == 48 << 20
    print(f"{grown >> 10} KiB of memory for a reader that does not read")
    assert grown < 16 << 20
