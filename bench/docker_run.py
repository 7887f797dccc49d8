"""docker-run: `docker run --rm busybox true` on a Mooring network over the engine's built-in bridge.

Runs are interleaved in every order; the ratio is the median of the pairwise ratios. The peer is a network
made by `docker network create -d bridge`: like Mooring's, it comes with the engine's DNS resolver in the container,
which the default bridge lacks. `--network none` is the floor: what a container costs without any network. A Mooring
network with `dns=on`, whose container has the host's DNS server, stands beside the one without.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Sequence
from itertools import permutations

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.names import SERVER
from tests.e2e.lab.namespaces import clean_environment
from tests.e2e.lab.releases import selected

NETWORKS = {
    "mooring": "bench-mooring", "dns=on": "bench-dns", "bridge": "bench-bridge", "default bridge": "bridge",
    "none": "none",
}  # fmt: skip


def run_many(host: Host, network: str, at_once: int) -> float:
    """Seconds until so many containers, started together, have run and are removed."""
    engine = ["-H", f"unix://{host.engine.socket}"]
    asks = ["--dns", SERVER] if network == NETWORKS["dns=on"] else []
    argv = [selected().program("docker"), *engine, "run", "--rm", "--network", network, *asks, IMAGE, "true"]
    environment = clean_environment()
    start = time.perf_counter()
    children = [
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        for _ in range(at_once)
    ]
    for child in children:
        _, error = child.communicate()
        if child.returncode:
            raise SystemExit(f"docker run on {network} failed: {error.decode().strip()}")
    return time.perf_counter() - start


def measure(host: Host, at_once: int, pairs: int) -> dict[str, list[float]]:
    """Seconds for each network: Mooring, with and without names, and its peer run one after the other, in all orders,
    since what one leaves to be done slows the next; every fourth time the two others follow."""
    for network in NETWORKS.values():
        run_many(host, network, 1)
    orders = list(permutations(("mooring", "dns=on", "bridge")))
    times: dict[str, list[float]] = {name: [] for name in NETWORKS}
    for number in range(pairs):
        compared = orders[number % len(orders)]
        others = ["default bridge", "none"] if number % 4 == 3 else []
        for name in (*compared, *others):
            times[name].append(run_many(host, NETWORKS[name], at_once))
    return times


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the pairwise ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main(name: str, at_once: int, pairs: int) -> None:
    """Make a host, measure, print."""
    lab = Lab()
    try:
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info"})
        host.create_network("bench-mooring")
        host.create_network("bench-dns", "-o", "dns=on")
        host.docker("network", "create", "-d", "bridge", "bench-bridge")
        times = measure(host, at_once, pairs)
    finally:
        lab.close()
    bridge = statistics.median(times["bridge"])
    for network, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{network:15} median {median * 1000:7.1f} ms   over bridge {median / bridge:.3f}")
    print(f"dns=on over mooring {ratio(times['dns=on'], times['mooring']):.3f}")
    print(f"{name} ratio={ratio(times['mooring'], times['bridge']):.3f} peer=built-in-bridge n={pairs}")


if __name__ == "__main__":
    main("docker-run", 1, 40)
