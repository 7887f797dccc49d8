"""A program that embeds the plugin server is a plugin to a real engine: the example as it is, and an IPAM driver."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.daemons import SOURCE
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import Process
from tests.e2e.lab.traffic import pings

EXAMPLE = SOURCE.parent / "examples/docker_plugin.py"
# Whatever is asked, one container more gets one address more; and the mistakes of a driver.
ADDRESSES = """
import itertools
from mooring import plugin
class Counter(plugin.IpamDriver):
    local_space, global_space = "counter-local", "counter-global"
    def __init__(self):
        self.last = itertools.count(1)
    def request_pool(self, request):
        if request.options and request.options.get("fail"):
            raise ZeroDivisionError("a mistake of mine")
        return plugin.PoolAnswer("counter", request.pool or "10.78.0.0/24")
    def request_address(self, request):
        if request.address == "10.78.0.200":
            raise plugin.Conflict("address 10.78.0.200 is for the printer", hint="take another")
        return plugin.AddressAnswer(f"{request.address or f'10.78.0.{next(self.last)}'}/24")
plugin.serve("counter", ipam_driver=Counter())
"""


@pytest.fixture
def program(host: Host, tmp_path: Path) -> Iterator[Callable[[str, Path], Process]]:
    """Starts a program on the host and waits for its socket."""
    started: list[tuple[Process, Path]] = []

    def start(name: str, code: Path) -> Process:
        socket = host.daemon.plugin_socket.with_name(f"{name}.sock")
        with (tmp_path / f"{name}.log").open("ab") as log:
            process = host.namespace.start([sys.executable, str(code)], log, {"PYTHONPATH": str(SOURCE)})
        started.append((process, socket))
        eventually(socket.exists, f"{name} serves", 20)
        return process

    yield start
    for process, _ in started:
        if process.running:
            process.kill(signal.SIGTERM)
    assert not [socket for _, socket in started if socket.exists()]


def test_the_example_connects_containers(host: Host, program: Callable[[str, Path], Process]) -> None:
    """Thirty lines: two containers with addresses that were asked for reach each other, also when it was started anew,
    and nothing is left of them."""
    assert len(EXAMPLE.read_text().splitlines()) <= 30
    process = program("wire", EXAMPLE)
    host.docker("network", "create", "-d", "wire", "--internal", "--subnet", "10.77.0.0/24", "one")
    try:
        for number in (5, 6):
            host.docker(
                "run", "-d", "--name", f"c{number}", "--network", "one", "--ip", f"10.77.0.{number}", IMAGE, "stay"
            )
        assert host.in_container("c5", "ping", "-c", "1", "-W", "5", "10.77.0.6").ok
        assert host.in_container("c6", "ip", "-o", "link").output.count("eth0") == 1
        process.kill(signal.SIGTERM)
        process = program("wire", EXAMPLE)  # what it made is in the kernel: another one takes over
        host.docker("rm", "-f", "c5", "c6")
    finally:
        host.docker("rm", "-f", "c5", "c6", check=False)
        host.docker("network", "rm", "one")
    links = host.namespace.run("ip", "-o", "link").output
    assert not [name for line in links.splitlines() if (name := line.split()[1]).startswith(("w", "p", "i"))]


def test_an_ipam_driver_gives_what_the_engine_asks_for(
    host: Host, program: Callable[[str, Path], Process], tmp_path: Path
) -> None:
    """A network of the engine's own bridge driver; what it raises is what `docker` says."""
    code = tmp_path / "counter.py"
    code.write_text(ADDRESSES)
    program("counter", code)
    failed = host.docker("network", "create", "--ipam-driver", "counter", "--ipam-opt", "fail=1", "bad", check=False)
    assert "RequestPool: ZeroDivisionError: a mistake of mine" in failed.output
    host.docker("network", "create", "--ipam-driver", "counter", "--subnet", "10.78.0.0/24", "two")
    try:
        wanted = ("--network", "two", "--ip", "10.78.0.200")
        refused = host.docker("run", "--rm", *wanted, IMAGE, "true", check=False)
        assert "address 10.78.0.200 is for the printer; take another" in refused.output
        host.docker("run", "-d", "--name", "web", "--network", "two", IMAGE, "stay")
        seen = json.loads(host.docker("inspect", "web").output)[0]["NetworkSettings"]["Networks"]["two"]
        assert seen["IPAddress"].startswith("10.78.0.")
        host.docker("rm", "-f", "web")
    finally:
        host.docker("network", "rm", "two")


# As the one above, but every second address is in another subnet, which only CreateEndpoint tells.
TWO_SUBNETS = ADDRESSES.replace("counter", "hopper").replace(
    "f'10.78.0.{next(self.last)}'", "'10.78.%d.%d' % ((n := next(self.last) + 1) % 2, n)"
)


def test_our_network_takes_the_subnets_that_another_ipam_driver_gives(
    host: Host, program: Callable[[str, Path], Process], tmp_path: Path
) -> None:
    """Docker's own, when it is asked for by `-o subnets=on-demand`, and a plugin's: the CIDR of each container finds
    the network's subnet or becomes one; traffic flows, after a kill of the daemon too, and nothing is left."""
    host.docker("network", "create", "-d", "mooring", "-o", "subnets=on-demand", "docker")
    code = tmp_path / "hopper.py"
    code.write_text(TWO_SUBNETS)
    program("hopper", code)
    options = ("-o", "subnets=on-demand", "--ipam-driver", "hopper")
    host.docker("network", "create", "-d", "mooring", *options, "--subnet", "10.78.0.0/24", "hops")
    try:
        for name, network in (("a1", "docker"), ("a2", "docker"), ("b1", "hops"), ("b2", "hops"), ("b3", "hops")):
            if name == "b3":
                host.daemon.kill9()
                host.daemon.start()
            host.run_container(name, "--network", network)
        assert pings(host.container_network("a1"), host.addresses("a2", "docker")[0])
        assert pings(host.container_network("a1"), host.outside.ipv4)
        made = [part["subnet"] for part in host.daemon.document("network", "inspect", "hops")["segments"]]
        assert made == ["10.78.0.0/24", "10.78.1.0/24"]
        (first, _), (third, _) = (host.addresses(name, "hops") for name in ("b1", "b3"))
        assert ip_address(first) in ip_network(made[1])
        assert pings(host.container_network("b1"), third)
        host.docker("rm", "-f", "b1", "b2", "b3")
    finally:
        host.docker("network", "rm", "hops", check=False)
    host.docker("rm", "-f", "a1", "a2")
    host.docker("network", "rm", "docker")
