"""The lab itself, proved with the engine's built-in bridge: what fails elsewhere is then not the lab's fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, Lab, LabError, eventually
from tests.e2e.lab.traffic import Server, Stream, ask_tcp, ask_udp, pings, reaches

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plain(lab: Lab) -> Iterator[Host]:
    """A host without mooring."""
    host = lab.host(mooring=False, options=("--live-restore",))
    yield host
    lab.discard(host)


def test_two_containers_of_a_host_reach_each_other(plain: Host) -> None:
    """Two containers on the built-in bridge answer each other's pings, TCP and UDP."""
    plain.run_container("one")
    plain.run_container("two")
    address, _ = plain.addresses("two", "bridge")
    assert pings(plain.container_network("one"), address)
    with Server(plain.container_network("two"), "two", 7):
        assert ask_tcp(plain.container_network("one"), address, 7).server == "two"
        assert ask_udp(plain.container_network("one"), address, 7).server == "two"
    plain.engine.clear()


def test_outside_reaches_a_published_port_and_containers_reach_outside(plain: Host, lab: Lab) -> None:
    """A published port answers the outside machine, and a container's packets reach that machine."""
    plain.run_container("web", "-p", "8080:80")
    with Server(plain.container_network("web"), "web", 80):
        reply = ask_tcp(lab.outside.network, plain.ipv4, 8080)
        assert (reply.server, reply.seen) == ("web", lab.outside.ipv4)
        assert not reaches(lab.outside.network, plain.ipv4, 8081)
    with Server(lab.outside.network, "outside", 9):
        assert ask_tcp(plain.container_network("web"), lab.outside.ipv4, 9).seen == plain.ipv4
    plain.engine.clear()


def test_a_container_and_its_stream_outlive_a_killed_engine(plain: Host) -> None:
    """With live-restore a TCP stream to a container goes on through kill -9 and restart of dockerd."""
    plain.run_container("long")
    address, _ = plain.addresses("long", "bridge")
    with Server(plain.container_network("long"), "long", 7):
        stream = Stream(plain.network, address, 7)
        plain.engine.kill9()
        assert stream.ask().server == "long"
        plain.engine.start()
        assert stream.ask().server == "long"
        stream.close()
    assert plain.engine.inspect("long")["State"]["Running"]
    plain.engine.clear()


def test_two_hosts_share_the_underlay_and_nothing_else(make_host: MakeHost) -> None:
    """Two hosts run their own engines side by side, reach each other, and do not see each other's containers."""
    first, second = make_host(mooring=False), make_host(mooring=False)
    first.run_container("mine")
    assert len(first.engine.containers()) == 1
    assert second.engine.containers() == []
    assert pings(first.network, second.ipv4)
    assert pings(first.network, second.ipv6)
    first.engine.clear()


def test_a_reboot_keeps_the_disks_and_nothing_else(make_host: MakeHost) -> None:
    """After a reboot the container is still known, does not run, and no link of before is there."""
    host = make_host(mooring=False)
    host.run_container("kept")
    host.namespace.run("ip", "link", "add", "trace", "type", "bridge")
    host.reboot()
    assert not host.engine.inspect("kept")["State"]["Running"]
    assert "trace" not in host.namespace.run("ip", "-o", "link").output
    host.engine.clear()


def test_a_cut_cable_stops_packets_until_it_is_mended(plain: Host, lab: Lab) -> None:
    """The underlay can part a host from the rest, and join it again."""
    lab.underlay.cut(plain.number)
    assert not pings(lab.outside.network, plain.ipv4, wait=1)
    lab.underlay.mend(plain.number)
    eventually(lambda: pings(lab.outside.network, plain.ipv4, wait=1), "the host answers again")


def test_a_failing_command_is_told_with_its_output(plain: Host) -> None:
    """A docker command that fails raises an error which holds what docker said."""
    with pytest.raises(LabError, match="No such container"):
        plain.docker("stop", "nobody")


def test_a_daemon_begun_warm_is_what_a_new_interpreter_would_be(host: Host) -> None:
    """It is in the same namespaces and folder, may do the same, and heeds the same signals."""

    def seen() -> dict[str, object]:
        process = Path(f"/proc/{host.daemon.pid}")
        wanted = ("Cap", "NoNewPrivs", "Seccomp", "SigBlk", "SigCgt", "SigIgn", "Uid", "Groups", "Umask")
        lines = [line for line in (process / "status").read_text().splitlines() if line.startswith(wanted)]
        spaces = {each.name: each.readlink() for each in (process / "ns").iterdir()}
        files = [(process / f"fd/{number}").readlink() for number in range(3)]
        return {"status": lines, "spaces": spaces, "files": files, "folder": (process / "cwd").readlink()}

    warm, words = seen(), Path(f"/proc/{host.daemon.pid}/cmdline").read_bytes()
    assert b"serve" not in words
    host.daemon.stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host.daemon, "warm", None)
        host.daemon.start()
    assert Path(f"/proc/{host.daemon.pid}/cmdline").read_bytes().endswith(b"serve\0")
    assert seen() == warm


def test_a_command_begun_warm_says_and_ends_as_a_new_one(host: Host) -> None:
    """Output, exit code, and the error of one that does not end in time."""
    argv = ("lease", "release", "10.0.0.99")
    warm = host.mooring(*argv, check=False)
    host.daemon.stop()
    with pytest.raises(LabError, match=r"no end after 0\.5 s"):
        host.daemon.mooring("status", "--wait", timeout=0.5)
    host.daemon.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host.daemon, "warm", None)
        assert host.mooring(*argv, check=False) == warm
    assert warm.status == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_runs_on_after_the_process_of_a_lab_was_killed(number: signal.Signals) -> None:
    """Killing the process that made a lab ends its engines, daemons, containers, mounts and namespaces."""
    code = (
        "from tests.e2e.lab import Lab; lab = Lab(warm=True); host = lab.host(); host.run_container('orphan');"
        "print(host.engine.pid, host.daemon.pid, lab.folder, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    engine, daemon, folder = process.stdout.readline().split()
    process.send_signal(number)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    for pid in (engine, daemon):
        eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "dockerd and the daemon have ended")  # type: ignore[misc]
    eventually(lambda: not _processes_of(folder), "every process of the lab has ended")
    assert folder not in Path("/proc/mounts").read_text()
    other = Lab()  # the next lab sweeps the files
    other.close()
    assert not Path(folder).exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{Path(folder).name}-*"))


def _processes_of(folder: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder.encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found
