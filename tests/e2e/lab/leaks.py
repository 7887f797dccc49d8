"""What a test must not leave: leases and endpoints of nobody, links, rules, and a daemon that says it is not well.

Rule: a host whose engine has neither containers nor networks holds nothing of Mooring's; what is deleted later by
design (links, in groups) gets a moment.
"""

from __future__ import annotations

import json
import time

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.namespaces import LabError

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


def _rows(host: Host, *command: str) -> list[dict[str, object]]:
    document = host.daemon.json(*command)
    if isinstance(document, dict):
        document = next((value for value in document.values() if isinstance(value, list)), [])
    assert isinstance(document, list)
    return document


def _leases(host: Host) -> list[str]:
    # A released address cools down before it is chosen again: that record is meant to stay.
    return [f"lease: {json.dumps(row)}" for row in _rows(host, "lease", "ls") if row.get("state") != "cooling"]


def _networks(host: Host) -> list[str]:
    return [f"network: {json.dumps(row)}" for row in _rows(host, "network", "ls")]


def _links(host: Host) -> list[str]:
    lines = host.namespace.run("ip", "-o", "link").output.splitlines()
    return [f"link: {line}" for line in lines if "mooring:" in line or " mr-" in line]


def _status(host: Host) -> list[str]:
    try:
        return [] if (said := host.mooring("status", check=False)).ok else [f"status: {said.output}"]
    except LabError as error:
        return [f"status: {error}"]
