"""The proxy while the engine is away, and the engine's clients while the proxy is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import FIXED, V4, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.wires import Wire, request

HUNG = 30.0  # seconds after which something hangs
CREATE = {"Image": IMAGE, "Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "one"}}


@pytest.fixture
def host(host: Host) -> Iterator[Host]:
    """The shared host; whatever a test did to it, its engine and its daemon run afterwards."""
    yield host
    try:
        host.engine.api("GET", "/_ping")
    except OSError:
        host.engine.start()
    if not host.daemon.running:
        host.daemon.start()


def _ended(command: subprocess.Popen[bytes]) -> tuple[int, str]:
    said, _ = command.communicate(timeout=HUNG)
    return command.returncode, said.decode()


def test_without_an_engine_everybody_is_told_so(host: Host) -> None:
    """503 with Docker's message, on new and on kept connections, and for a labelled create; HEAD has no body."""
    host.create_network("one", "--subnet", V4)
    with Wire(host.proxy.socket) as kept:
        kept.send(request("GET", "/_ping"))
        assert kept.answer().body == b"OK"
        host.engine.stop()
        for method, target, body in (
            ("GET", "/v1.41/containers/json", None),
            ("POST", "/containers/web/start", None),
            ("POST", "/containers/create", CREATE),
            ("DELETE", "/containers/web", None),
        ):
            with Wire(host.proxy.socket) as wire:
                wire.send(request(method, target, body))
                answer = wire.answer()
            assert answer.status == 503
            assert answer.header("Content-Type") == "application/json"
            assert answer.message.startswith("Cannot connect to the Docker daemon at unix:///")
        with Wire(host.proxy.socket) as wire:
            wire.send(request("HEAD", "/_ping") + request("GET", "/_ping"))
            assert wire.answer(to_head=True).status == 503
            assert wire.answer().status == 503
        said = host.proxy.docker("ps", check=False)
        assert not said.ok
        assert "Cannot connect to the Docker daemon at unix:///" in said.output
        host.engine.start()
    assert host.proxy.docker("ps", "-q").output == ""


def test_when_the_engine_is_back_the_proxy_works_as_before(host: Host) -> None:
    """It was not restarted; streams that the engine ended have ended for their clients, and new ones open."""
    host.create_network("one", "--subnet", V4)
    run(host, "db", *FIXED)
    address = host.addresses("db", "one")[0]
    pid = host.daemon.pid
    for end in (host.engine.stop, host.engine.kill9):
        with Wire(host.proxy.socket) as events, host.proxy.command("logs", "-f", "db") as logs:
            events.send(request("GET", "/events"))
            events.until(b"\r\n\r\n")
            end()
            events.rest()
            _ended(logs)
        host.engine.start()
        host.proxy.docker("start", "db")
        assert host.addresses("db", "one")[0] == address
        assert host.proxy.docker("exec", "db", "echo", "works").output == "works"
    assert (host.daemon.running, host.daemon.pid) == (True, pid)


def test_a_proxy_that_stops_ends_streams_cleanly(host: Host) -> None:
    """`logs -f`, `events` and a raw stream end, mooring's status is 0, the container runs on; afterwards all works."""
    host.create_network("one", "--subnet", V4)
    run(host, "db", *FIXED)
    address = host.addresses("db", "one")[0]
    host.engine.docker("exec", "db", "sh", "-c", "echo said > /proc/1/fd/1")
    with (
        Wire(host.proxy.socket) as raw,
        Wire(host.proxy.socket) as idle,
        host.proxy.command("logs", "-f", "db") as logs,
        host.proxy.command("events") as events,
        host.proxy.command("exec", "db", "sh", "-c", "echo begun; sleep 100") as running,
    ):
        raw.send(request("GET", "/events"))
        raw.until(b"\r\n\r\n")
        assert running.stdout is not None
        assert running.stdout.readline() == b"begun\n"
        assert logs.stdout is not None
        assert logs.stdout.readline() == b"said\n"
        assert host.daemon.stop() == 0
        raw.rest()
        assert idle.rest() == b""
        for command in (logs, events, running):
            assert _ended(command)[0] != 0  # it has not seen the end of what it wanted
        refused = host.proxy.docker("ps", check=False)
        assert "Cannot connect to the Docker daemon" in refused.output
    assert host.engine.inspect("db")["State"]["Running"]
    host.daemon.start()
    assert "said" in host.proxy.docker("logs", "db").output
    host.proxy.docker("restart", "-t", "0", "db")
    assert host.addresses("db", "one")[0] == address
    host.proxy.docker("rm", "-f", "db")
    eventually(lambda: host.daemon.leases("fixed") == [], "the address is given up")
