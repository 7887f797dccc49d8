"""Streams through the proxy that were silent for long.

Rule: this file comes last of those that send traffic through the proxy, and test_proxy_bulk.py opens the streams, so
that the silence lasts for minutes and costs nothing.
"""

from __future__ import annotations

import time

from tests.e2e.lab.quiet import QuietStreams


def test_a_silent_stream_still_delivers(quiet: QuietStreams) -> None:
    """Logs, events, attach, exec and wait deliver; a connection between requests lives as long as dockerd lets it."""
    print(f"silent for {time.monotonic() - quiet.since:.0f} s")
    for name, delivers in quiet.deliveries().items():
        assert delivers(), name
