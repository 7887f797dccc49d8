"""proxy-idle: memory of a silent stream through the proxy, beside HAProxy and nginx: private bytes a stream, of 1 000.

Each stream is a `GET /events` whose reply has begun and says no more; the proxies have answered requests before.
"""

from __future__ import annotations

import resource
import socket
import time

from bench.proxy_peers import GET, Peers, connect, exchange

STREAMS = 1000
EVENTS = b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n"


def streams(path: str) -> list[socket.socket]:
    """So many silent streams."""
    made = []
    for _ in range(STREAMS):
        sock = connect(path)
        sock.sendall(EVENTS)
        reply = b""
        while not reply.endswith(b"{}\r\n"):
            reply += sock.recv(4096)
        made.append(sock)
    return made


def main() -> None:
    """Measure each proxy in turn."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers = Peers()
    grown: dict[str, float] = {}
    try:
        for name in peers.pids:
            for _ in range(20):
                with connect(peers.sockets[name]) as sock:
                    exchange(sock, GET)
            before = peers.memory(name)
            made = streams(peers.sockets[name])
            time.sleep(0.5)
            after = peers.memory(name)
            grown[name] = (after - before) / STREAMS
            print(f"{name:8} {before / 1e6:6.1f} MB, and {grown[name] / 1024:5.1f} KiB a stream")
            for sock in made:
                sock.close()
    finally:
        peers.close()
    print(f"proxy-idle ratio={grown['mooring'] / grown['haproxy']:.2f} peer=haproxy n={STREAMS}")


if __name__ == "__main__":
    main()
