"""A deny entry says whose it is, why, and what ends it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mooring.core.deny_entries import CONFIGURATION, DenyEntry

SUBNET = ip_network("10.8.0.0/16")


@pytest.mark.parametrize(
    ("entry", "words", "busy", "way_out"),
    [
        (
            DenyEntry(subnet=SUBNET, note="VPN Berlin"),
            "10.8.0.0/16 is denied by `mooring deny`: VPN Berlin",
            "the deny list (VPN Berlin)",
            "`mooring deny rm 10.8.0.0/16`",
        ),
        (
            DenyEntry(subnet=SUBNET, origin=CONFIGURATION),
            "10.8.0.0/16 is denied by the configuration",
            "the deny list",
            "remove it from `deny` in the configuration",
        ),
    ],
)
def test_it_is_told_with_its_origin_its_note_and_its_end(entry: DenyEntry, words: str, busy: str, way_out: str) -> None:
    """For a refusal and for a list of what is in the way."""
    assert (entry.in_words(), entry.busy(), entry.way_out()) == (words, busy, way_out)
