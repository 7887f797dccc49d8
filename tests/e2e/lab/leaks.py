"""What a test must not leave: leases and endpoints of nobody, links, rules, and a daemon that says it is not well.

Rule: a host whose engine has neither containers nor networks holds nothing of Mooring's; what is deleted later by
design (links, in groups) gets a moment.
"""

from __future__ import annotations

import json
import time

from tests.e2e.lab.hosts import Host

GRACE = 3.0  # seconds


def leaks(host: Host, grace: float = GRACE) -> list[str]:
    """What is left on a host without containers and networks, one line each; empty after at most `grace` seconds if all
    is well."""
    deadline = time.monotonic() + grace
    while found := [*_leases(host), *_networks(host), *_links(host), *_status(host)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return found


def _leases(host: Host) -> list[str]:
    # A released address cools down before it is chosen again: that record is meant to stay.
    return [f"lease: {json.dumps(row)}" for row in host.daemon.leases()]


def _networks(host: Host) -> list[str]:
    return [f"network: {json.dumps(row)}" for row in host.daemon.api("/v1/networks")]


def _links(host: Host) -> list[str]:
    lines = host.namespace.run("ip", "-o", "link").output.splitlines()
    return [f"link: {line}" for line in lines if "mooring:" in line or " mr-" in line]


def _status(host: Host) -> list[str]:
    status = host.daemon.api("/v1/status")
    found = [f"{what}: {status[what]}" for what in ("networks", "endpoints", "attached", "pools") if status[what]]
    return found + [f"finding: {line}" for line in (status["repair"] or {}).get("findings", [])]
