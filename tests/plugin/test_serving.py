"""A plugin's socket is root's, is taken from nobody who lives, and goes with the plugin."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring import plugin
from mooring.core.faults import BadRequest, Conflict
from mooring.plugin.serving import SOCKETS, SPECS, placed

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = """
import sys, time
from mooring import plugin
class Slow(plugin.NetworkDriver):
    def create_network(self, request):
        print("begun", flush=True)
        time.sleep(0.5)
plugin.serve(sys.argv[1], network_driver=Slow(), spec=sys.argv[2])
print("ended")
"""


class Connection(http.client.HTTPConnection):
    """HTTP over the socket."""

    def connect(self) -> None:
        """See HTTPConnection."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def ask(path: Path, method: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """One call."""
    connection = Connection(str(path), timeout=10)
    connection.request("POST", f"/{method}", json.dumps(body) if body is not None else "")
    response = connection.getresponse()
    try:
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """A program that serves: its process, its socket and its spec file."""
    path, spec = tmp_path / "p.sock", tmp_path / "specs/p.spec"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", PROGRAM, str(path), str(spec)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(1000):
            if spec.exists() and spec.read_text():
                break
            signal.sigtimedwait([], 0.01)
        yield process, path, spec
        process.kill()


def test_it_is_announced_and_answers_and_ends_cleanly(running: tuple[subprocess.Popen[str], Path, Path]) -> None:
    """Mode 0600; SIGTERM lets the call that is under way have its answer, and leaves no file."""
    process, path, spec = running
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert spec.read_text() == f"unix://{path}\n"
    assert ask(path, "Plugin.Activate") == (200, {"Implements": ["NetworkDriver"]})
    connection = Connection(str(path), timeout=10)
    connection.request("POST", "/NetworkDriver.CreateNetwork", json.dumps({"NetworkID": "n"}))
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert connection.getresponse().status == 200
    connection.close()
    assert process.wait(10) == 0
    assert process.stdout.read() == "ended\n"
    assert not path.exists()
    assert not spec.exists()


def test_a_living_ones_socket_is_refused_and_a_dead_ones_replaced(
    running: tuple[subprocess.Popen[str], Path, Path], tmp_path: Path
) -> None:
    """kill -9 leaves the file, which is in nobody's way."""
    process, path, _ = running
    with pytest.raises(Conflict, match="already in use"):
        plugin.serve(path, network_driver=plugin.NetworkDriver())
    process.kill()
    process.wait()
    assert path.exists()
    command = [sys.executable, "-c", PROGRAM, str(path), str(tmp_path / "again.spec")]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}) as second:
        for _ in range(1000):
            if (tmp_path / "again.spec").exists():
                break
            signal.sigtimedwait([], 0.01)
        assert ask(path, "Plugin.Activate")[0] == 200
        second.send_signal(signal.SIGINT)
        assert second.wait(10) == 0


def test_a_name_is_where_dockerd_looks() -> None:
    """A path is a path; what is neither is refused before anything is made."""
    assert placed("wire", SOCKETS, ".sock") == Path("/run/docker/plugins/wire.sock")
    assert placed("wire.sock", SOCKETS, ".sock") == Path("/run/docker/plugins/wire.sock")
    assert placed("wire", SPECS, ".spec") == Path("/etc/docker/plugins/wire.spec")
    assert placed(Path("/tmp/x.sock"), SOCKETS, ".sock") == Path("/tmp/x.sock")
    for odd in ("", ".hidden", "a/b.sock", "a\nb"):
        with pytest.raises(BadRequest):
            placed(odd, SOCKETS, ".sock")


def test_bad_arguments_are_refused_before_there_is_a_socket(tmp_path: Path) -> None:
    """No driver, no thread."""
    with pytest.raises(BadRequest, match="needs a driver"):
        plugin.serve(tmp_path / "p.sock")
    with pytest.raises(BadRequest, match="at least one"):
        plugin.serve(tmp_path / "p.sock", network_driver=plugin.NetworkDriver(), threads=0)
    assert list(tmp_path.iterdir()) == []


def test_a_program_loads_no_daemon() -> None:
    """The door alone: neither services nor configuration, and no more than a few dozen modules of ours."""
    code = "import sys, mooring.plugin; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in found if name.startswith("mooring")]
    assert "mooring.plugin" in ours
    assert not [
        name for name in ours if name.startswith(("mooring.services", "mooring.config", "mooring.adapters.linux"))
    ]
    assert len(ours) < 30
