"""tenants: `docker run --rm` in a tenant's network on a host with 100 tenants over the same on a host with one.

Each tenant has a network in a routing domain of its own, all with the same subnet. Two hosts with a daemon and an
engine each, since a host has its tenants all the time; pairs are interleaved and their order alternates; the ratio is
the median of the pairwise ratios. Beside it the network of a tenant over one of no tenant, on the host with one: what a
domain itself costs. ENGINE=20, 26 or 28 chooses the engine.
"""

from __future__ import annotations

import statistics
import time

from bench.docker_run import ratio, run_many
from tests.e2e.lab.hosts import Host
from tests.e2e.lab.labs import Lab

TENANTS = 100
PAIRS = 40
SETTINGS = {"MOORING_LOG_LEVEL": "info", "MOORING_TENANTS": "separate"}


def host_with(lab: Lab, tenants: int) -> tuple[Host, float]:
    """A host with so many tenants and a network of none; seconds that the making of the last one took."""
    host, took = lab.host(settings=SETTINGS), 0.0
    host.create_network("plain")
    for number in range(tenants):
        word, begin = f"tenant{number}", time.perf_counter()
        options = ("--subnet", "10.77.0.0/24", "--ipam-opt", f"tenant={word}", "-o", f"tenant={word}")
        host.create_network(word, *options)
        took = time.perf_counter() - begin
    return host, took


def main() -> None:
    """Measure and print; the limit is 1.15."""
    lab = Lab()
    times: dict[str, list[float]] = {"one": [], "many": [], "plain": []}
    try:
        one, first = host_with(lab, 1)
        many, last = host_with(lab, TENANTS)
        places = {"one": (one, "tenant0"), "many": (many, f"tenant{TENANTS - 1}"), "plain": (one, "plain")}
        for host, network in places.values():
            run_many(host, network, 1)
        for number in range(PAIRS):
            for name in sorted(places, reverse=number % 2 == 0):
                times[name].append(run_many(*places[name], 1))
    finally:
        lab.close()
    print(f"docker network create: the first tenant's {first * 1000:.0f} ms, the last one's {last * 1000:.0f} ms")
    for name, found in times.items():
        print(f"{name:6} median {statistics.median(found) * 1000:7.1f} ms")
    print(f"tenants-domain ratio={ratio(times['one'], times['plain']):.3f} peer=no-tenant n={PAIRS}")
    print(f"tenants ratio={ratio(times['many'], times['one']):.3f} peer=one-tenant n={PAIRS}")


if __name__ == "__main__":
    main()
