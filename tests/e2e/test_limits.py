"""What is large, what does not answer, and who says nothing: ports for RTP, a hanging engine, silent clients."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import in_network
from tests.e2e.lab.traffic import Server, ask_udp
from tests.e2e.test_published_ports import DUAL

PATIENCE = 300.0


def can_bind(host: Host, port: int) -> bool:
    """Whether a process of the host may have the UDP port."""

    def bind() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                return False
            return True

    return in_network(host.network, bind)


def test_a_range_for_rtp_is_published_and_given_back(host: Host, lab: Lab) -> None:
    """Ten thousand and one ports in both families: reached, held, refused to a second container, free afterwards."""
    host.create_network("one", *DUAL)
    publish = ("--network", "one", "-p", "10000-20000:10000-20000/udp")
    host.docker("run", "-d", "--name", "pbx", *publish, IMAGE, "stay", timeout=PATIENCE)
    inside = host.container_network("pbx")
    for port in (10000, 15000, 20000):
        with Server(inside, "pbx", port):
            assert ask_udp(lab.outside.network, host.ipv4, port).server == "pbx"
            assert ask_udp(lab.outside.network, host.ipv6, port).server == "pbx"
    assert not can_bind(host, 15000)
    again = host.docker("run", "-d", "--name", "second", *publish, IMAGE, "stay", check=False, timeout=PATIENCE)
    assert "/udp is already published" in again.output
    host.docker("rm", "-f", "second", "pbx", timeout=PATIENCE)
    eventually(lambda: can_bind(host, 15000) and can_bind(host, 20000), "the ports are free", timeout=PATIENCE)


def test_doctor_and_explain_answer_while_the_engine_hangs(host: Host) -> None:
    """It accepts, and does not answer: what else there is to see is seen, and what is missing is named."""
    host.create_network("one", *DUAL)
    host.run_container("web", "--network", "one")
    address, _ = host.addresses("web", "one")
    os.kill(host.engine.pid, signal.SIGSTOP)
    try:
        found = host.mooring("doctor", check=False)
        assert "Docker cannot be reached" in found.output
        assert "did not answer within 4 s" in found.output
        assert "held by" in host.mooring("explain", address).output
        nobody = host.mooring("explain", "nobody", check=False)
        assert "did not answer within 3 s" in nobody.output
    finally:
        # nsenter(1), its parent, stops with it.
        parent = int(Path(f"/proc/{host.engine.pid}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in (parent, host.engine.pid):
            os.kill(pid, signal.SIGCONT)
    eventually(
        lambda: "Docker cannot be reached" not in host.mooring("doctor", check=False).output, "it is asked again"
    )


@pytest.fixture
def narrow(host: Host) -> Iterator[Host]:
    """A host whose daemon may have a thousand files."""
    command = host.daemon.command
    host.daemon.stop()
    host.daemon.command = ["prlimit", "--nofile=1024", *command]
    host.daemon.start()
    yield host
    host.daemon.stop()
    host.daemon.command = command
    host.daemon.start()


def test_silent_clients_take_nothing_from_the_engine_and_from_others(narrow: Host) -> None:
    """More connections than the daemon may have files, at the doors of the proxy and the API: all goes on."""
    narrow.create_network("one", *DUAL)
    with ExitStack() as stack:
        for door in (narrow.proxy.socket, narrow.daemon.api_socket):
            for _ in range(1100):
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(str(door))
        narrow.run_container("web", "--network", "one", "-p", "8080:80")
        assert "web" in narrow.proxy.docker("ps", "--format", "{{.Names}}").output
        narrow.proxy.docker("run", "-d", "--label", "fixed-ip", "--network", "one", "--name", "db", IMAGE, "stay")
        assert len(narrow.daemon.leases("fixed")) == 2
        narrow.proxy.docker("rm", "-f", "web", "db")
