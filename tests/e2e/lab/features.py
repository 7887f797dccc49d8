"""What this kernel can do. A test that needs what is missing skips and names it."""

from __future__ import annotations

import socket

from tests.e2e.lab.namespaces import in_network


def has_sctp(network: str) -> bool:
    """SCTP sockets can be made (CONFIG_IP_SCTP)."""

    def probe() -> bool:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
        except OSError:
            return False
        return True

    return in_network(network, probe)
