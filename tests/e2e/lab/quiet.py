"""Streams through the proxy on which nothing is said until a test wants to know whether they still deliver.

Rules: each kind of stream is there once, most of them raw, so that a delivery costs nothing; the two that people keep
open for days, `logs -f` and `events`, are there as docker commands too. A connection between two requests is dockerd's
to end (after five minutes, its ReadHeaderTimeout), so one straight to the engine tells what the proxy's must do.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import LabError
from tests.e2e.lab.wires import Hangup, Wire, hijack, request

WAIT = 30.0
EVENTS = "/events?filters=%7B%22container%22%3A%5B%22quiet%22%5D%7D"
EXEC = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": ["cat"]}


class QuietStreams:
    """A container `quiet` on the host, which says what it is told to say, and streams of it. since: monotonic."""

    def __init__(self, host: Host) -> None:
        self.host = host
        proxy = host.proxy
        proxy.docker("run", "-di", "--name", "quiet", IMAGE, "cat")
        self.logs, self.events, self.wait, self.kept = (Wire(proxy.socket, WAIT) for _ in range(4))
        self.logs.send(request("GET", "/containers/quiet/logs?follow=1&stdout=1"))
        self.events.send(request("GET", EVENTS))
        self.wait.send(request("POST", "/containers/quiet/wait?condition=not-running"))
        for wire in (self.logs, self.events, self.wait):
            assert b" 200 OK\r\n" in wire.until(b"\r\n\r\n")
        self.straight = Wire(host.engine.socket, WAIT)
        assert _answers(self.straight)
        assert _answers(self.kept)
        self.attach = hijack(proxy.socket, "/containers/quiet/attach?stream=1&stdin=1&stdout=1", timeout=WAIT)
        created = proxy.api("POST", "/containers/quiet/exec", EXEC)["Id"]
        start = {"Detach": False, "Tty": False}
        self.exec = hijack(proxy.socket, f"/exec/{created}/start", start, upgrade=False, timeout=WAIT)
        self.commands = {
            "logs": proxy.command("logs", "-f", "quiet"),
            "events": proxy.command("events", "--filter", "container=quiet"),
        }
        self.since = time.monotonic()

    def deliveries(self) -> dict[str, Callable[[], bool]]:
        """For each stream, whether what is said now arrives. In this order: the last one ends the container."""
        return {
            "attach": self._spoken,
            "logs": lambda: b"spoken" in self.logs.until(b"spoken\n"),
            "logs command": lambda: _said(self.commands["logs"], b"spoken"),
            "events": self._signalled,
            "events command": lambda: _said(self.commands["events"], b"container kill"),
            "exec": self._executed,
            "a kept connection": self._pinged,
            "wait": self._waited,
        }

    def close(self) -> None:
        """All of them end."""
        for wire in (self.logs, self.events, self.wait, self.straight, self.kept, self.attach, self.exec):
            wire.close()
        for command in self.commands.values():
            with command:
                command.kill()

    def _spoken(self) -> bool:
        self.attach.send(b"spoken\n")
        return self.attach.frame() == (1, b"spoken\n")

    def _signalled(self) -> bool:
        self.host.engine.docker("kill", "--signal", "CONT", "quiet")
        while self.events.document()["status"] != "kill":  # the exec made some when the streams were opened
            pass
        return True

    def _executed(self) -> bool:
        self.exec.send(b"echoed\n")
        return self.exec.frame() == (1, b"echoed\n")

    def _pinged(self) -> bool:
        return _answers(self.kept) == _answers(self.straight)

    def _waited(self) -> bool:
        self.host.engine.docker("kill", "quiet")
        return bool(self.wait.document()["StatusCode"] == 137)


def _answers(wire: Wire) -> bool:
    """A request is answered; False when the other side has hung up before."""
    try:
        wire.send(request("GET", "/_ping"))
        return wire.answer().body == b"OK"
    except (BrokenPipeError, ConnectionResetError, Hangup):
        return False


def _said(command: subprocess.Popen[bytes], text: bytes) -> bool:
    """The command writes the text. Raises LabError when it does not."""
    assert command.stdout is not None
    seen, deadline = b"", time.monotonic() + WAIT
    while text not in seen:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([command.stdout], [], [], left)[0] or not (more := os.read(command.stdout.fileno(), 4096)):
            raise LabError(f"{text!r} does not come, but {seen!r}")
        seen += more
    return True
