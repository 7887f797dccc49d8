"""Containers with fixed addresses, as the tests make and see them.

Rule: they are made through the proxy, and seen through Mooring's API.
"""

from __future__ import annotations

from tests.e2e.lab import Host
from tests.e2e.lab.images import IMAGE

V4, V6 = "10.77.0.0/24", "fd77:1::/64"
DUAL = ("--ipv6", "--subnet", V4, "--subnet", V6)
FIXED = ("--label", "fixed-ip")


def run(host: Host, name: str, *options: str, network: str = "one") -> str:
    """`docker run -d` through the proxy; the container's id."""
    argv = ("run", "-d", "--name", name, "--network", network, *options, IMAGE, "stay")
    return host.proxy.docker(*argv).output.splitlines()[-1]


def fixed(host: Host, network: str = "") -> dict[str, str]:
    """Address -> state of use of the fixed leases."""
    rows = host.daemon.leases("fixed", network)
    return {str(row["address"]): "in use" if row["endpoint"] else "idle" for row in rows}


def is_free(host: Host, address: str) -> bool:
    """Nobody holds the address: it has no lease, or cools."""
    rows = [row for state in ("dynamic", "fixed", "reserved") for row in host.daemon.leases(state)]
    return address not in {row["address"] for row in rows}


def mac(host: Host, container: str, network: str = "one") -> str:
    """The MAC of the running container."""
    return str(host.engine.inspect(container)["NetworkSettings"]["Networks"][network]["MacAddress"])
