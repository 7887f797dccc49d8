"""What a test must not leave: leases and endpoints of nobody, links, rules, and a daemon that says it is not well.

Rule: a host whose engine has neither containers nor networks holds nothing of Mooring's; what is deleted later by
design (links, in groups) gets a moment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from tests.e2e.lab.hosts import Host

GRACE = 3.0  # seconds


def leaks(host: Host, known: Iterable[str] = (), grace: float = GRACE) -> list[str]:
    """What is left on a host without containers and networks, one line each, but for what is known already."""
    begun = time.monotonic()
    while found := {*_leases(host), *_networks(host), *_links(host), *_status(host)} - set(known):
        waited = time.monotonic() - begun
        if waited > grace:
            break
        time.sleep(min(0.1 + waited / 5, 0.5))  # each look has a price
    return sorted(found)


def _leases(host: Host) -> list[str]:
    # A released address cools down before it is chosen again: that record is meant to stay.
    return [f"lease: {row['address']} {row['state']} of pool {row['pool']}" for row in host.daemon.leases()]


def _networks(host: Host) -> list[str]:
    return [f"network: {json.dumps(row)}" for row in host.daemon.api("/v1/networks")]


def _links(host: Host) -> list[str]:
    lines = host.namespace.run("ip", "-o", "link").output.splitlines()
    return [f"link: {line}" for line in lines if "mooring:" in line or " mr-" in line or " mt-" in line]


def _status(host: Host) -> list[str]:
    status = host.daemon.api("/v1/status")
    found = [f"{what}: {status[what]}" for what in ("networks", "endpoints", "attached") if status[what]]
    # Each pool has its gateway among the leases: here only those count that have none.
    if status["pools"] > len(host.daemon.leases("gateway")):
        found.append(f"pools: {status['pools']}")
    return found + [f"finding: {line}" for line in (status["repair"] or {}).get("findings", [])]
