"""Sysctls of the thread's network namespace."""

from __future__ import annotations

import os

import pytest

from mooring.adapters.linux.sysctls import read_setting, write_setting
from mooring.core.datapath import ROUTERS
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


def accept_ra(*names: str) -> list[str | None]:
    """What the interfaces do with router advertisements."""
    return [read_setting(f"net/ipv6/conf/{name}/accept_ra") for name in names]


def test_who_listened_to_routers_goes_on_to(namespace: Namespace) -> None:
    """And who comes later does, too; who never listened still does not."""
    sh("ip link add w0 type veth peer name w1", "echo 0 >/proc/sys/net/ipv6/conf/w1/accept_ra")
    assert read_setting(ROUTERS) == "1"
    write_setting(ROUTERS, "2")
    write_setting("net/ipv6/conf/all/forwarding", "1")
    sh("ip link add w2 type veth peer name w3", "echo 0 >/proc/sys/net/ipv6/conf/w3/accept_ra")
    assert accept_ra("w0", "w1", "w2", "w3", "default") == ["2", "0", "2", "0", "2"]
    assert read_setting(ROUTERS) == "2"


def test_what_is_written_over_is_mended(namespace: Namespace) -> None:
    """As by `sysctl --system`, or by what sets up an interface; a no stays a no."""
    write_setting(ROUTERS, "2")
    write_setting("net/ipv6/conf/all/forwarding", "1")
    sh("ip link add w0 type veth peer name w1", "echo 0 >/proc/sys/net/ipv6/conf/w1/accept_ra")
    sh("echo 1 >/proc/sys/net/ipv6/conf/default/accept_ra", "echo 1 >/proc/sys/net/ipv6/conf/w0/accept_ra")
    assert read_setting(ROUTERS) == "1"
    write_setting(ROUTERS, "2")
    assert accept_ra("w0", "w1", "default") == ["2", "0", "2"]


def test_a_host_that_forwards_already_is_left_alone(namespace: Namespace) -> None:
    """There 1 means not to listen, and somebody wanted it so."""
    sh("ip link add w0 type veth peer name w1")
    write_setting("net/ipv6/conf/all/forwarding", "1")
    assert read_setting(ROUTERS) == "2"
    write_setting(ROUTERS, "2")
    assert accept_ra("w0", "default") == ["1", "1"]


def test_a_namespace_is_not_taken_for_one_that_is_gone() -> None:
    """Its inode number comes again, and with it, what we did there would be believed of the next one."""
    gone = set[int]()
    for _ in range(200):
        space = Namespace.new()
        try:
            with space.inside():
                again = os.stat("/proc/thread-self/ns/net").st_ino
                if again in gone:
                    write_setting("net/ipv6/conf/all/forwarding", "1")
                    assert read_setting(ROUTERS) == "2"
                    return
                write_setting(ROUTERS, "2")
        finally:
            space.close()
        gone.add(again)
    pytest.fail("no inode number came again")


def test_ports_of_bridges_are_not_looked_at(namespace: Namespace) -> None:
    """They hear no router, and there may be thousands."""
    write_setting(ROUTERS, "2")
    write_setting("net/ipv6/conf/all/forwarding", "1")
    names = ("mr-0123456789ab", "mv-0123456789ab", "veth0123abc")
    sh(*(f"ip link add {name} type bridge; echo 1 >/proc/sys/net/ipv6/conf/{name}/accept_ra" for name in names))
    assert read_setting(ROUTERS) == "2"
    sh("ip link add veth0 type bridge; echo 1 >/proc/sys/net/ipv6/conf/veth0/accept_ra")
    assert read_setting(ROUTERS) == "1"
