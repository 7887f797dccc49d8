"""networks: what the 800th network costs over the first ones, in CPU time of the daemon and by the clock.

Networks are made by the engine's API, one after another, without containers; the cost at the beginning and at the end
is the median of twenty each, since a repair pass falls into some. Peer: the same on the engine's own bridge driver of a
second host, with subnets that it is told, since it has room for thirty of its own. ENGINE=20, 26 or 28 chooses the
engine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.labs import Lab

NETWORKS = 800
SAMPLE = 20
MOORING = {"Driver": "mooring", "IPAM": {"Driver": "mooring"}}
SUBNETS = list(ip_network("10.128.0.0/10").subnets(new_prefix=24))


def cpu(pid: int) -> float:
    """Seconds that all threads of the process have run, to the microsecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def built_in(number: int) -> dict[str, object]:
    """A network of the engine's own."""
    return {"Driver": "bridge", "IPAM": {"Config": [{"Subnet": str(SUBNETS[number])}]}}


def costs(host: Host, body: Callable[[int], dict[str, object]], pid: int) -> list[tuple[float, float]]:
    """(CPU seconds of the process, seconds by the clock) of each network."""
    found = []
    for number in range(NETWORKS):
        before, begin = cpu(pid), time.perf_counter()
        host.engine.api("POST", "/networks/create", {"Name": f"bench{number}"} | body(number), timeout=120)
        found.append((cpu(pid) - before, time.perf_counter() - begin))
    return found


def growth(name: str, found: list[tuple[float, float]]) -> tuple[float, float]:
    """How many times the last ones cost the first ones: CPU time, time by the clock. The very first one, which makes
    our table, is left out."""
    ratios = []
    for kind, what in enumerate(("cpu", "clock")):
        first = statistics.median(each[kind] for each in found[1 : SAMPLE + 1])
        last = statistics.median(each[kind] for each in found[-SAMPLE:])
        ratios.append(last / first)
        print(f"{name:8} {what:5} first {first * 1e3:6.1f} ms   last {last * 1e3:6.1f} ms   x{ratios[-1]:.2f}")
    return ratios[0], ratios[1]


def main() -> None:
    """Measure and print; the limit is 2 for both."""
    lab = Lab()
    try:
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info"})
        ours = costs(host, lambda number: dict(MOORING), host.daemon.pid)  # noqa: ARG005 - Mooring carves its subnets
        lab.discard(host)
        peer = lab.host(mooring=False)
        theirs = costs(peer, built_in, peer.engine.pid)
    finally:
        lab.close()
    cpu_ratio, clock_ratio = growth("mooring", ours)
    _, peer_ratio = growth("bridge", theirs)
    print(f"networks-clock ratio={clock_ratio:.2f} peer=the-first-network built-in-bridge={peer_ratio:.2f} n={SAMPLE}")
    print(f"networks ratio={cpu_ratio:.2f} peer=the-first-network n={SAMPLE}")


if __name__ == "__main__":
    main()
