"""A user of Weave Net, with curl and docker: addresses by ID, attach and detach of running containers, expose
and hide of the host.

Told again are Weave's smoke tests 100, 130, 300, 310, 320, 370 and 500, as far as they are about one host.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run
from tests.e2e.lab.traffic import pings

NET = ("--subnet", "10.77.0.0/24")


def curl(host: Host, method: str, path: str, *options: str) -> tuple[int, str]:
    """Status and body of a request to the API; (0, "") when curl gave up."""
    argv = ["curl", "-s", "--unix-socket", str(host.daemon.api_socket), "-X", method, "-w", "\n%{http_code}", *options]
    body, _, status = run([*argv, f"http://mooring/v1{path}"], check=False).output.rpartition("\n")
    return int(status), body.strip()


def test_the_walk_of_a_weave_user(host: Host) -> None:
    """Allocate for a container that runs, attach, ping; restart, kill -9, a new engine; detach, re-use, remove."""
    host.create_network("web", *NET)
    host.run_container("peer", "--network", "web", "--restart", "always")
    ident = host.run_container("db", "--restart", "always")
    assert curl(host, "POST", f"/ip/{ident}/10.77.0.0/24?check-alive=true") == (200, "10.77.0.3/24")
    assert curl(host, "GET", "/ip/db") == (200, "10.77.0.3/24")
    assert curl(host, "POST", "/ip/nobody?check-alive=true")[0] == 404
    status, said = curl(host, "PUT", "/ip/other/10.77.0.3/24")
    assert (status, f"the reservation for container {ident[:12]} (db)" in said) == (409, True)
    thief = ("run", "-d", "--name", "thief", "--network", "web", "--ip", "10.77.0.3", IMAGE, "stay")
    assert f"an operator reserved it for container {ident[:12]} (db)" in host.docker(*thief, check=False).output
    host.docker("rm", "-f", "thief")

    assert host.mooring("attach", "db", "web").output == "10.77.0.3"
    assert pings(host.container_network("db"), host.addresses("peer", "web")[0])
    host.docker("restart", "-t", "0", "db")
    assert host.addresses("db", "web")[0] == "10.77.0.3"
    host.daemon.kill9()
    host.daemon.start()
    host.engine.stop()
    host.engine.start()
    for name in ("db", "peer"):
        host.wait_state(name, running=True)
    eventually(lambda: host.addresses("db", "web")[0] == "10.77.0.3", "the container has its address again")
    assert "already" in host.mooring("attach", "db", "web", "10.77.0.3").output
    assert host.addresses("db", "web")[0] == "10.77.0.3"  # docker/for-linux#632: not forgotten by the second time
    assert host.mooring("attach", "db", "web", "10.77.0.9", check=False).status == 4
    assert curl(host, "GET", "/ip/db") == (200, "10.77.0.3/24")

    assert host.mooring("detach", "db", "web").output == "10.77.0.3"
    assert curl(host, "GET", "/ip/db")[0] == 404
    host.run_container("next")
    assert host.mooring("attach", "next", "web", "10.77.0.3").output == "10.77.0.3"
    assert pings(host.container_network("peer"), "10.77.0.3")  # whoever knew the old owner's MAC
    assert curl(host, "POST", "/ip/next?check-alive=true")[0] == 200
    host.docker("rm", "-f", "next")
    eventually(lambda: curl(host, "GET", "/ip/next")[0] == 404, "what was for the container is free")
    eventually(lambda: not host.daemon.leases("fixed"), "its fixed address, too")
    assert host.mooring("doctor", check=False).status == 0


def test_what_is_attached_where_mooring_chose_the_subnet(host: Host) -> None:
    """Docker before 29 takes no address by name there: it is said, and without an address it works."""
    host.create_network("chosen")
    host.run_container("db")
    subnet = host.daemon.document("network", "ls")[0]["subnets"][0]
    address = subnet.replace(".0/24", ".9")
    refused = host.mooring("attach", "db", "chosen", address, check=False)
    if refused.status:
        assert "accepts no address by name in network" in refused.output
        assert address not in host.mooring("lease", "ls").output
        assert host.mooring("attach", "db", "chosen").output == host.addresses("db", "chosen")[0]
    host.docker("rm", "-f", "db")


@contextlib.contextmanager
def bare_namespace() -> Iterator[int]:
    """A network namespace that is no container's; the process in it."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_namespace_of_a_lab_has_an_address_that_docker_never_gives(host: Host) -> None:
    """By an id of its own: a cable by hand, traffic, a full subnet that is waited for, and a client that hangs up."""
    host.create_network("lab", "--subnet", "10.77.0.0/28")
    host.run_container("peer", "--network", "lab")
    bridge = host.daemon.document("network", "ls")[0]["bridge"]
    assert curl(host, "POST", "/ip/lab-1") == (200, "10.77.0.3/28")
    in_host = ["nsenter", f"--net={host.network}", "ip"]
    with bare_namespace() as pid:
        inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip"]
        eventually(lambda: run([*inside, "link"], check=False).status == 0, "the namespace is there")
        run([*in_host, "link", "add", "lab-1", "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
        run([*in_host, "link", "set", "lab-1", "master", bridge, "up"])
        run([*inside, "addr", "add", "10.77.0.3/28", "dev", "eth0"])
        run([*inside, "link", "set", "eth0", "up"])
        assert pings(host.container_network("peer"), "10.77.0.3")
        host.daemon.kill9()
        host.daemon.start()
        assert pings(host.container_network("peer"), "10.77.0.3")
        for number in range(4, 15):
            assert curl(host, "POST", f"/ip/fill-{number}") == (200, f"10.77.0.{number}/28")
    assert curl(host, "POST", "/ip/late")[0] == 507
    assert host.docker("run", "--rm", "--network", "lab", IMAGE, "true", check=False).status != 0
    assert curl(host, "POST", "/ip/gone?wait=60", "--max-time", "0.5") == (0, "")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(curl, host, "POST", "/ip/late?wait=60")
        assert curl(host, "DELETE", "/ip/fill-7") == (204, "")
        assert waiting.result(30) == (200, "10.77.0.7/28")
    assert curl(host, "GET", "/ip/gone")[0] == 404
    for each in host.daemon.api("/v1/ip")["owned"]:
        assert curl(host, "DELETE", f"/ip/{each['containerid']}")[0] == 204


def test_the_host_is_exposed_in_networks_that_it_is_not_in(host: Host) -> None:
    """Isolated, or without a gateway: no way in before, one after, also after a crash and a flush; none when hidden."""
    host.create_network("web", *NET)
    assert host.mooring("expose", "web").output.splitlines() == ["mooring: exposed already", "10.77.0.1/24"]
    assert host.mooring("hide", "web", "10.77.0.1", check=False).status == 4
    host.create_network("alone", "--internal", "-o", "gateway_mode=isolated", "--subnet", "10.78.0.0/24")
    host.create_network("bare", "-o", "gateway=none", "--subnet", "10.79.0.0/24")
    for name in ("alone", "bare"):
        host.run_container(f"in-{name}", "--network", name)
        address = host.addresses(f"in-{name}", name)[0]
        assert not pings(host.network, address, wait=1)
        exposed = host.mooring("expose", name).output
        assert pings(host.network, address)
        assert pings(host.container_network(f"in-{name}"), exposed.partition("/")[0])
    bridge = next(row["bridge"] for row in host.daemon.document("network", "ls") if row["name"] == "bare")
    host.daemon.kill9()
    run(["nsenter", f"--net={host.network}", "ip", "addr", "flush", "dev", bridge])
    host.daemon.start()
    eventually(lambda: pings(host.network, address), "repair has given the host its address again")
    assert host.mooring("expose", "bare").output.splitlines() == ["mooring: exposed already", exposed]
    eventually(lambda: host.mooring("doctor", check=False).status == 0, "the doctor finds nothing")
    assert host.mooring("hide", "bare").status == 0
    assert not pings(host.network, address, wait=1)
