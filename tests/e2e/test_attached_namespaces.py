"""Namespaces that are no container's (`ip netns`, a process) in Docker's networks, beside containers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.daemons import SOURCE
from tests.e2e.lab.names import ask
from tests.e2e.lab.traffic import pings


def mooring(host: Host, *argv: str, before: Sequence[str] = ()) -> str:
    """What the command says where it belongs, in the host's own namespaces."""
    settings = f"PYTHONPATH={SOURCE}", "MOORING_RUN_DIR=/run/mooring"
    return host.namespace.run("env", *settings, *before, sys.executable, "-m", "mooring", *argv, check=False).output


def in_lab(host: Host, *argv: str) -> str:
    """What `ip -n lab-1 ...` says on the host."""
    return host.namespace.run("ip", "-n", "lab-1", *argv).output


def default_route(host: Host) -> str:
    """The way out of the namespace."""
    return in_lab(host, "-4", "route", "show", "default")


def test_a_namespace_is_in_a_network_as_a_container_is(host: Host) -> None:
    """Traffic and names both ways; through kill -9, a new engine and a second network; until it is detached."""
    host.create_network("web", "-o", "dns=on", "--subnet", "10.77.0.0/24", "--ipv6", "--subnet", "fd77::/64")
    host.create_network("back", "--subnet", "10.78.0.0/24")
    host.run_container("peer", "--network", "web", "--restart", "always")
    host.namespace.run("ip", "netns", "add", "lab-1")
    lab = host.network.replace("/ns/net", "/root/run/netns/lab-1")
    refused = mooring(host, "attach", "--netns", "lab-1", "web", before=("setpriv", "--reuid", "65534"))
    assert (refused.count("\n"), "use sudo" in refused) == (0, True)
    pid = str(host.engine.inspect("peer")["State"]["Pid"])
    assert "`mooring attach peer web`" in mooring(host, "attach", "--pid", pid, "web")

    four, six = mooring(host, "attach", "--netns", "lab-1", "web").split()
    assert mooring(host, "attach", "--netns", "lab-1", "web") == f"mooring: attached already\n{four} {six}"
    peer = host.addresses("peer", "web")
    for kind, number in ((four, 0), (six, 1)):
        assert pings(host.container_network("peer"), kind)
        assert pings(lab, peer[number])
    assert ask(host.container_network("peer"), "lab-1.web.mooring") == four
    assert ask(lab, "peer.web.mooring") == peer[0]
    assert "via 10.77.0.1 dev eth0" in default_route(host)
    assert pings(lab, host.outside.ipv4)
    row = next(each for each in host.daemon.leases() if each["address"] == four)
    assert row["holder"] == "namespace lab-1"
    assert "`mooring detach --netns lab-1 web`" in host.mooring("explain", four).output

    host.daemon.kill9()
    host.daemon.start()
    host.engine.stop()
    host.engine.start()
    host.wait_state("peer", running=True)
    assert pings(host.container_network("peer"), four)
    assert mooring(host, "attach", "--netns", "lab-1", "back") == "10.78.0.2"
    assert "dev eth0" in default_route(host)
    in_lab(host, "link", "del", "eth0")
    assert mooring(host, "attach", "--netns", "lab-1", "web") == f"{four} {six}"
    assert pings(host.container_network("peer"), four)
    mooring(host, "detach", "--netns", "lab-1", "web")
    assert "via 10.78.0.1 dev eth1" in default_route(host)
    assert not pings(host.container_network("peer"), four, wait=1)

    # A process in a user namespace of its own; it ends, and is meant by its name.
    begin = "unshare --user --net sleep 60 >/dev/null 2>&1 & echo $!; sleep 0.2"
    pid = host.namespace.run("sh", "-c", begin).output
    address = mooring(host, "attach", "--pid", pid, "back", "10.78.0.9")
    assert address == "10.78.0.9"
    assert pings(lab, address)
    host.namespace.run("kill", "-9", pid)
    eventually(lambda: mooring(host, "detach", "--pid", pid, "back") == address, "the process is gone", step=0.5)

    host.namespace.run("ip", "netns", "del", "lab-1")
    assert mooring(host, "detach", "--netns", "lab-1", "back") == "10.78.0.2"
    assert not [row for row in host.daemon.leases("dynamic") if "lab-1" in row["holder"]]
    eventually(lambda: host.mooring("doctor", check=False).status == 0, "nothing is left of it")
