"""ports-1000: new connections a second to the last of 1 000 published ports, over Docker's own in the same run.

One container on a Mooring network and one on a network of the engine's built-in bridge driver publish a thousand ports
each; the outside machine connects to the last one of each in turn, and the server closes at once. Rounds alternate; the
ratio is the median of the pairwise ratios. The engine runs without its userland proxy, of which it would start two
thousand processes; from outside no packet meets that proxy. ENGINE=20, 26 or 28 chooses the engine.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.namespaces import in_network

PORTS = 1000
ROUNDS = 15
CONNECTIONS = 1500
INSIDE = 10000
FIRST = {"mooring": 20000, "bridge": 30000}


def serve(network: str) -> socket.socket:
    """Who connects to the last port in the namespace is let in and sent off."""
    listener = in_network(network, lambda: socket.create_server(("0.0.0.0", INSIDE + PORTS - 1), backlog=1024))

    def accept() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    return listener


def rate(network: str, address: str, port: int) -> float:
    """New connections a second from the namespace, one after another."""

    def connect() -> float:
        begin = time.perf_counter()
        for _ in range(CONNECTIONS):
            with socket.create_connection((address, port), timeout=10) as stream:
                stream.recv(1)
        return CONNECTIONS / (time.perf_counter() - begin)

    return in_network(network, connect)


def publish(host: Host, name: str, network: str) -> socket.socket:
    """A container with a thousand ports, and its server."""
    first = FIRST[name]
    span = f"{first}-{first + PORTS - 1}:{INSIDE}-{INSIDE + PORTS - 1}"
    host.docker("run", "-d", "--name", name, "--network", network, "-p", span, IMAGE, "stay", timeout=600)
    return serve(host.container_network(name))


def main() -> None:
    """Make a host, measure, print; the limit is at least 1."""
    lab = Lab()
    try:
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info"}, options=("--userland-proxy=false",))
        host.create_network("bench-mooring")
        host.docker("network", "create", "-d", "bridge", "bench-bridge")
        servers = [publish(host, name, f"bench-{name}") for name in FIRST]
        rates: dict[str, list[float]] = {name: [] for name in FIRST}
        for number in range(-1, ROUNDS):
            for name in FIRST if number % 2 else reversed(FIRST):
                found = rate(lab.outside.network, host.ipv4, FIRST[name] + PORTS - 1)
                if number >= 0:
                    rates[name].append(found)
        for server in servers:
            server.close()
    finally:
        lab.close()
    for name, each in rates.items():
        print(f"{name:8} {statistics.median(each):8.0f} connections/s to the last of {PORTS} ports")
    ratio = statistics.median(a / b for a, b in zip(rates["mooring"], rates["bridge"], strict=True))
    print(f"ports-1000 ratio={ratio:.3f} peer=built-in-bridge n={ROUNDS}")


if __name__ == "__main__":
    main()
