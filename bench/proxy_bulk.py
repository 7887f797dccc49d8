"""proxy-bulk: 1 GiB through the proxy, down and up, beside HAProxy and nginx, in front of the same dummy engine.

The ratio is of throughputs, so more is better; it is the median over the rounds of the worse direction's.
"""

from __future__ import annotations

import statistics
import time

from bench.proxy_peers import BLOCK, Peers, connect

ROUNDS = 5
SIZE = 1 << 30


def down(path: str) -> float:
    """Bytes a second of a large reply."""
    buffer = bytearray(BLOCK)
    with connect(path) as sock:
        start = time.perf_counter()
        sock.sendall(b"GET /down/%d HTTP/1.1\r\nHost: docker\r\n\r\n" % SIZE)
        left = SIZE
        head = True
        while left > 0:
            size = sock.recv_into(buffer)
            if not size:
                raise SystemExit(f"{path}: cut off with {left} bytes to come")
            if head:
                size -= buffer.index(b"\r\n\r\n") + 4
                head = False
            left -= size
        return SIZE / (time.perf_counter() - start)


def up(path: str) -> float:
    """Bytes a second of a large request."""
    block = bytes(BLOCK)
    with connect(path) as sock:
        start = time.perf_counter()
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: docker\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // BLOCK):
            sock.sendall(block)
        reply = sock.recv(4096)
        if b" 200 " not in reply:
            raise SystemExit(f"{path}: {reply!r}")
        return SIZE / (time.perf_counter() - start)


def main() -> None:
    """Measure in rounds, print a line for each proxy."""
    peers = Peers()
    rates: dict[tuple[str, str], list[float]] = {}
    try:
        names = list(peers.sockets)
        for number in range(ROUNDS):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                rates.setdefault((name, "down"), []).append(down(peers.sockets[name]))
                rates.setdefault((name, "up"), []).append(up(peers.sockets[name]))
    finally:
        peers.close()
    ratios: dict[tuple[str, str], float] = {}
    for (name, way), found in rates.items():
        ratios[name, way] = statistics.median(a / b for a, b in zip(found, rates["haproxy", way], strict=True))
        print(f"{name:8} {way:5} {statistics.median(found) / 1e6:6.0f} MB/s   {ratios[name, way]:5.2f} of haproxy")
    worse = min(ratios["mooring", "down"], ratios["mooring", "up"])
    print(f"proxy-bulk ratio={worse:.2f} peer=haproxy n={ROUNDS}")


if __name__ == "__main__":
    main()
