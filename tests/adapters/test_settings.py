"""Sysctls of the thread's network namespace."""

from __future__ import annotations

import pytest

from mooring.adapters.settings import read_setting, write_setting
from mooring.core.faults import Unavailable
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


def test_writing_tells_what_was_there(namespace: Namespace) -> None:
    """The value before, or None when nothing had to be written."""
    assert write_setting("net/ipv4/ip_forward", "1") == "0"
    assert write_setting("net/ipv4/ip_forward", "1") is None
    assert read_setting("net/ipv4/ip_forward") == "1"


def test_the_threads_own_namespace_is_meant(namespace: Namespace) -> None:
    """Another namespace does not see it."""
    other = Namespace.new()
    write_setting("net/ipv4/ip_forward", "1")
    with other.inside():
        assert read_setting("net/ipv4/ip_forward") == "0"
    other.close()


def test_what_is_not_there_is_none_or_unavailable(namespace: Namespace) -> None:
    """Reading gives None, writing a fault that names the sysctl."""
    assert read_setting("net/ipv4/conf/nowhere/forwarding") is None
    with pytest.raises(Unavailable, match=r"net\.ipv4\.conf\.nowhere\.forwarding"):
        write_setting("net/ipv4/conf/nowhere/forwarding", "1")


def test_ipv6_forwarding_keeps_router_advertisements(namespace: Namespace) -> None:
    """Interfaces that listened to routers go on to; a second write does not come back to it."""
    sh("ip link add w0 type veth peer name w1")
    write_setting("net/ipv6/conf/w1/accept_ra", "0")
    write_setting("net/ipv6/conf/all/forwarding", "1")
    assert read_setting("net/ipv6/conf/w0/accept_ra") == "2"
    assert read_setting("net/ipv6/conf/w1/accept_ra") == "0"
