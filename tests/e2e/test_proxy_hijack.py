"""Connections that become a container's streams, through the proxy: exec, attach, terminals, WebSockets."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.lab import DockerClient, Host, LabError, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.wires import UPGRADE, Wire, hijack, output, request

MIB = os.urandom(1 << 20)
# What is sent comes back at once, or only after standard input has ended.
ECHO = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": ["cat"]}
LATE = ECHO | {"Cmd": ["sh", "-c", "cat > /tmp/$$; echo kept >&2; sleep 0.05; cat /tmp/$$; rm /tmp/$$"]}
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://docker\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HUNG = 30.0  # seconds after which something hangs


def _echoed(client: DockerClient, command: dict[str, object], upgrade: bool) -> tuple[bool, bytes]:
    """A mebibyte goes in and standard input ends: whether it came back, and what standard error had."""
    created = client.api("POST", "/containers/web/exec", command)["Id"]
    with hijack(client.socket, f"/exec/{created}/start", {"Detach": False, "Tty": False}, upgrade) as wire:
        sender = wire.sender(MIB)
        out, err = output(wire.rest())
        sender.join()
    return out == MIB, err


def test_exec_gives_back_what_it_got_though_its_input_has_ended(host: Host) -> None:
    """80 times a mebibyte, with and without Upgrade, at once and after the end of the input: not a byte is lost."""
    host.run_container("web")
    kinds = [(command, upgrade) for command in (ECHO, LATE) for upgrade in (True, False)] * 20
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda kind: _echoed(host.proxy, *kind), kinds))
    assert found == [(True, b"" if command is ECHO else b"kept\n") for command, _ in kinds]


def test_attach_gives_back_what_it_got_though_its_input_has_ended(host: Host) -> None:
    """20 times a mebibyte into a container that ends with its input; attached before the start, as by `docker run`."""
    body = {"Image": IMAGE, "Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
    host.proxy.api("POST", "/containers/create?name=cat", body)
    for number in range(20):
        upgrade = number % 2 == 0
        target = "/containers/cat/attach?stream=1&stdin=1&stdout=1&stderr=1"
        with Wire(host.proxy.socket) as wire:
            wire.send(request("POST", target, None, UPGRADE if upgrade else ""))
            head = wire.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n" if upgrade else b"HTTP/1.1 200 OK\r\n")
            host.proxy.api("POST", "/containers/cat/start")
            sender = wire.sender(MIB)
            assert output(wire.rest()) == (MIB, b"")
            sender.join()
        host.wait_state("cat", running=False)


def test_the_docker_command_loses_nothing_either(host: Host) -> None:
    """`exec -i`, `run -i` and `attach` of the command line, a mebibyte each, and their exit statuses."""
    host.run_container("web")
    for argv in (("exec", "-i", "web", "cat"), ("run", "--rm", "-i", IMAGE, "cat")):
        for _ in range(2):
            assert _piped(host.proxy, *argv) == (0, MIB)
    host.proxy.docker("create", "-i", "--name", "cat", IMAGE, "cat")
    host.proxy.docker("start", "cat")
    assert _piped(host.proxy, "attach", "cat") == (0, MIB)
    assert _piped(host.proxy, "exec", "-i", "web", "sh", "-c", "cat >/dev/null; exit 7") == (7, b"")


def _piped(client: DockerClient, *argv: str) -> tuple[int, bytes]:
    with client.command(*argv, stdin=subprocess.PIPE) as command:
        said, _ = command.communicate(MIB, HUNG)
        return command.returncode, said


def test_an_exec_that_cannot_be_is_refused_as_by_the_engine(host: Host) -> None:
    """No such command, container or exec, with and without Upgrade: the same bytes."""
    host.run_container("web")
    for upgrade in ("", UPGRADE):
        said = []
        for client in (host.engine, host.proxy):
            body = {"AttachStdout": True, "Cmd": ["/no/such"]}
            created = client.api("POST", "/containers/web/exec", body)["Id"]
            said.append(_all(client.socket, f"/exec/{created}/start", upgrade))
        assert b"no such file or directory" in said[0]
        assert said[0] == said[1]
    for name in ("exec", "run"):
        argv = [name, *(["web"] if name == "exec" else ["--rm", IMAGE]), "/no/such"]
        theirs, ours = (client.docker(*argv, check=False) for client in (host.engine, host.proxy))
        assert ours.status == theirs.status
        # The command sometimes adds a line about the wait that it gives up.
        assert ours.output.splitlines()[0] == theirs.output.splitlines()[0]


def _all(path: Path, target: str, headers: str) -> bytes:
    with Wire(path) as wire:
        wire.send(request("POST", target, {"Detach": False, "Tty": False}, headers))
        return wire.rest()


def test_an_attach_that_cannot_be_is_refused_as_by_the_engine(host: Host) -> None:
    """A paused container, one that is not there: the error comes on the hijacked connection, to the last byte."""
    host.run_container("web")
    host.engine.docker("pause", "web")
    for name, text in (("web", b"is paused"), ("none", b"No such container: none")):
        for upgrade in ("", UPGRADE):
            target = f"/containers/{name}/attach?stream=1&stdin=1&stdout=1"
            theirs, ours = (_all(client.socket, target, upgrade) for client in (host.engine, host.proxy))
            assert text in theirs
            assert ours == theirs
    host.engine.docker("unpause", "web")
    host.engine.docker("stop", "web")
    stopped = host.proxy.docker("attach", "web", check=False)
    assert stopped.output == host.engine.docker("attach", "web", check=False).output
    assert "cannot attach to a stopped container" in stopped.output


class Screen:
    """The docker command at a terminal of 24 by 80."""

    def __init__(self, client: DockerClient, *argv: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(24, 80)
        self.command = client.command(*argv, stdin=theirs)
        os.close(theirs)
        self._unseen = b""  # what came behind what was waited for

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *exception: object) -> None:
        self.command.kill()
        self.command.wait(HUNG)
        os.close(self._ours)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """The user types."""
        os.write(self._ours, text.encode())

    def shows(self, text: str) -> str:
        """What appears, up to and with the text. Raises LabError when it does not appear."""
        deadline = time.monotonic() + HUNG
        while text.encode() not in self._unseen:
            if not select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise LabError(f"{text!r} does not appear, but {self._unseen!r}")
            self._unseen += os.read(self._ours, 4096)
        before, found, self._unseen = self._unseen.partition(text.encode())
        return (before + found).decode()


def test_a_terminal_works(host: Host) -> None:
    """`exec -it`: what is typed is echoed and carried out, the size is told and told again, the status comes back."""
    host.run_container("web")
    with Screen(host.proxy, "exec", "-it", "web", "sh") as screen:
        screen.type("echo is $((6 * 7))\n")
        screen.shows("is 42")
        screen.resize(33, 99)

        def told() -> bool:
            # The terminal is not the command's controlling one; and it may not listen for the signal yet.
            os.kill(screen.command.pid, signal.SIGWINCH)
            screen.type("echo si''ze $(stty size).\n")  # so that what is typed does not look like the answer
            screen.shows("size ")
            return screen.shows(".") == "33 99."

        eventually(told, "the terminal has its new size")
        screen.type("exit 5\n")
        assert screen.command.wait(HUNG) == 5


def test_detach_keys_detach(host: Host) -> None:
    """With the default and with other keys, of the command and of the bare API; the container goes on."""
    host.proxy.docker("run", "-dit", "--name", "tty", IMAGE, "sh")
    for options, keys in (((), "\x10\x11"), (("--detach-keys", "ctrl-x,x"), "\x18x")):
        with Screen(host.proxy, "attach", *options, "tty") as screen:
            screen.type("echo is $((6 * 7))\n")
            screen.shows("is 42")
            screen.type(keys)
            screen.shows("read escape sequence")
            screen.command.wait(HUNG)
    for upgrade in (True, False):
        target = "/containers/tty/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a"
        with hijack(host.proxy.socket, target, upgrade=upgrade) as wire:
            wire.send(b"echo is $((6 * 8))\n")
            wire.until(b"is 48")
            wire.send(b"\x01")
            wire.rest()
    assert host.engine.inspect("tty")["State"]["Running"]


@pytest.mark.parametrize("tty", [False, True])
def test_a_websocket_is_attached(host: Host, tty: bool) -> None:
    """The handshake is answered, frames go in and come out, and the closing handshake ends the connection."""
    host.proxy.docker("run", "-di", *(["-t"] if tty else []), "--name", "cat", IMAGE, "cat")
    with Wire(host.proxy.socket, HUNG) as wire:
        wire.send(request("GET", "/containers/cat/attach/ws?stdin=1&stdout=1&stream=1", None, HANDSHAKE))
        head = wire.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        for number in range(50):
            wire.send(_masked(0x81, b"line %d\n" % number))
            assert _frames_until(wire, b"line %d" % number)
        wire.send(_masked(0x88, b"\x03\xe8"))
        wire.rest()
    assert host.engine.inspect("cat")["State"]["Running"]


def _masked(first: int, payload: bytes) -> bytes:
    """A frame as a client sends it (RFC 6455, 5.2), of less than 126 bytes."""
    mask = b"\x01\x02\x03\x04"
    return bytes([first, 0x80 | len(payload)]) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def _frames_until(wire: Wire, text: bytes) -> bool:
    """Frames come, all of them binary and short, until the text was in them."""
    seen = b""
    while text not in seen:
        kind, size = wire.exactly(2)
        assert kind in {0x81, 0x82}
        seen += wire.exactly(size)
    return True
