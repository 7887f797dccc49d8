"""Who lives in the namespace at the other end of a veth pair, on a real kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mooring.adapters.linux.namespace_processes import is_lived_in
from mooring.adapters.netlink.sockets import Netlink, NetlinkError
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


@pytest.fixture
def netlink(namespace: Namespace) -> Iterator[Netlink]:
    """A socket in a namespace of the test's own, where a veth pair mv-e, mp-e is."""
    sh("ip link add mv-e type veth peer name mp-e")
    made = Netlink()
    yield made
    made.close()


@pytest.fixture
def sleeper(namespace: Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a network namespace of its own, which stays while the test holds it."""
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 600"], stdout=-1)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        descriptor = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)
        stack.callback(os.close, descriptor)
        yield process


def test_a_sandbox_lives_as_long_as_a_process_is_in_it(netlink: Netlink, sleeper: subprocess.Popen[bytes]) -> None:
    """Not as long as the namespace is held, as an engine does until it has taken everything out."""
    assert not is_lived_in(netlink, "mv-e")
    sh(f"ip link set mp-e netns {sleeper.pid}")
    assert is_lived_in(netlink, "mv-e")
    sleeper.kill()
    sleeper.wait()
    assert not is_lived_in(netlink, "mv-e")


def test_the_one_process_is_found_among_many(netlink: Netlink, sleeper: subprocess.Popen[bytes]) -> None:
    """Those that have ended and those of other namespaces do not matter, however many they are."""
    sh(f"ip link set mp-e netns {sleeper.pid}")
    ended = range(2**22 - 500, 2**22)  # above every process id (proc(5), pid_max)
    assert is_lived_in(netlink, "mv-e", [*ended, os.getpid(), sleeper.pid, *ended])
    assert not is_lived_in(netlink, "mv-e", [*ended, os.getpid()])


def test_a_link_that_is_not_there_leads_nowhere(netlink: Netlink) -> None:
    """It was deleted already, or never made; what the kernel refuses is told."""
    assert not is_lived_in(netlink, "mv-none")
    with pytest.raises(NetlinkError):
        is_lived_in(netlink, "a name of more than fifteen bytes")


def test_somebody_is_there_when_processes_are_hidden(
    netlink: Netlink, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc shows only our own (hidepid), nothing is deleted under anybody."""
    sh(f"ip link set mp-e netns {sleeper.pid}")
    monkeypatch.setattr(os, "listdir", lambda path: [str(os.getpid())])
    assert is_lived_in(netlink, "mv-e")
