"""Forgetting the connections of an address; tests/netns/test_mending.py tries it on translated traffic."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.conntrack import flush
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


def track(client: str, server: str) -> None:
    """A UDP flow from client to server is tracked."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as caller, socket.socket(family, socket.SOCK_DGRAM) as answerer:
        caller.bind((client, 0))
        answerer.bind((server, 7000))
        caller.sendto(b"?", (server, 7000))


def tracked() -> str:
    """Every tracked connection, as text."""
    with open("/proc/thread-self/net/nf_conntrack") as table:
        return table.read()


@pytest.mark.parametrize(
    ("gone", "kept"), [("127.0.0.2", "127.0.0.3"), ("127.0.0.12", "127.0.0.13"), ("fd00::2", "fd00::3")]
)
def test_only_the_addresss_connections_are_forgotten(namespace: Namespace, gone: str, kept: str) -> None:
    """As client or as server, in its own family; those of others go on."""
    try:
        tracked()
    except OSError:
        pytest.skip("the kernel has no /proc/net/nf_conntrack")
    sh("nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; }'")
    sh("nft add rule inet t c ct state new accept", "for n in 2 3 9; do ip address add fd00::$n/128 dev lo nodad; done")
    other = "fd00::9" if ":" in gone else "127.0.0.9"
    for address in (gone, kept):
        track(address, other)
        track(other, address)
    flush(ip_address(gone))
    left = tracked()
    expanded = {name: ip_address(name).exploded for name in (gone, kept)}
    assert f"={expanded[gone]} " not in left
    assert f"={expanded[kept]} " in left


def test_nothing_to_forget_is_fine(namespace: Namespace) -> None:
    """Best effort: no exception, whatever is there."""
    flush(ip_address("10.1.0.2"))
    flush(ip_address("fd00::2"))
