"""proxy-latency: what the proxy adds to a small request, beside HAProxy and nginx, in front of the same dummy engine.

One client with a blocking socket asks `_ping`: over a kept connection, and over a new connection each time. Short
rounds of all proxies alternate; the ratios to HAProxy are of medians within a round, and their medians over the rounds
are printed. Everything runs on one core, so that the figures are the work that is done: on two, waking the other core
takes longer than a proxy does, and the same proxy is at 35 or at 110 us as the scheduler pleases (`free` shows it). The
ratio in the last line is that of the kept connection on one core.
"""

from __future__ import annotations

import os
import socket
import statistics
import time

from bench.proxy_peers import GET, Peers, connect

ROUNDS = 60
KEPT = 200
NEW = 40


def kept(sock: socket.socket) -> float:
    """Median seconds of a request over a kept connection."""
    times = []
    for _ in range(KEPT):
        start = time.perf_counter()
        sock.sendall(GET)
        sock.recv(4096)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def new(path: str) -> float:
    """Median seconds of a connection with one request."""
    times = []
    for _ in range(NEW):
        start = time.perf_counter()
        with connect(path) as sock:
            sock.sendall(GET)
            sock.recv(4096)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(where: str) -> tuple[float, float]:
    """A line for each proxy; the ratios to HAProxy of a kept connection, and of a new one."""
    peers = Peers()
    seconds: dict[tuple[str, str], list[float]] = {}
    try:
        names = list(peers.sockets)
        socks = {name: connect(path) for name, path in peers.sockets.items()}
        for number in range(ROUNDS):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                seconds.setdefault((name, "kept"), []).append(kept(socks[name]))
                seconds.setdefault((name, "new"), []).append(new(peers.sockets[name]))
        for sock in socks.values():
            sock.close()
    finally:
        peers.close()
    ratios: dict[tuple[str, str], float] = {}
    for (name, kind), times in sorted(seconds.items(), key=lambda item: item[0][1]):
        pairs = zip(times, seconds["haproxy", kind], strict=True)
        ratios[name, kind] = statistics.median(one / other for one, other in pairs)
        p50 = statistics.median(times) * 1e6
        print(f"{where:8} {kind:5} {name:8} p50 {p50:6.1f} us   {ratios[name, kind]:5.2f} of haproxy")
    return ratios["mooring", "kept"], ratios["mooring", "new"]


def main() -> None:
    """On all cores, for the record; then on one."""
    measure("free")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    over_kept, over_new = measure("one core")
    print(f"new connection over haproxy's: {over_new:.2f}")
    print(f"proxy-latency ratio={over_kept:.2f} peer=haproxy n={ROUNDS}")


if __name__ == "__main__":
    main()
