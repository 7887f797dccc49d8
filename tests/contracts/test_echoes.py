"""What every Echoes promises: the Linux one between two namespaces, and the one in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.icmp_echoes import IcmpEchoes
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.overlay_paths import Answer, Echo
from mooring.ports import Echoes
from mooring.testing.memory_echoes import MemoryEchoes
from tests.netns.rigs import Namespace, private_namespace, sh

PREFIXES = {4: "192.0.2.", 6: "fd00:192::"}
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def echo(version: int, last: int = 2, size: int = 0, source: int = 1) -> Echo:
    """From .1 (::1), which this host has, to another address of the network."""
    return Echo(ip_address(f"{PREFIXES[version]}{source}"), ip_address(f"{PREFIXES[version]}{last}"), size)


@pytest.fixture(params=["memory", pytest.param("linux", marks=pytest.mark.netns)])
async def echoes(request: pytest.FixtureRequest) -> AsyncIterator[Echoes]:
    """Of a host with .1; .2 answers up to 1400 bytes, .3 is nobody."""
    if request.param == "memory":
        memory = MemoryEchoes()
        for version in PREFIXES:
            memory.lacking.add(echo(version, source=7).source)
            memory.silent.add(echo(version, 3).target)
            memory.narrow[echo(version).target] = 1400
        yield memory
        return
    with private_namespace():
        other = Namespace.new()
        sh(
            "ip link set lo up",
            f"ip link add near mtu 1500 type veth peer name far netns /proc/{os.getpid()}/fd/{other.fd}",
            "ip address add 192.0.2.1/24 dev near; ip -6 address add fd00:192::1/64 dev near nodad",
            "ip link set near up",
        )
        other.sh(
            "ip address add 192.0.2.2/24 dev far; ip -6 address add fd00:192::2/64 dev far nodad",
            "ip link set far mtu 1400 up",
        )
        sh("ping -q -c 1 -W 5 fd00:192::2")  # links that have only just come up lose what is said first
        kernel = LinuxKernel()
        yield IcmpEchoes(kernel)
        await kernel.close()
        other.close()


@VERSIONS
async def test_who_is_there_answers_and_nobody_else(echoes: Echoes, version: int) -> None:
    """All that is asked is answered for."""
    there, nobody = echo(version), echo(version, 3)
    assert await echoes.ask([there, nobody]) == {there: Answer.YES, nobody: Answer.NO}


@VERSIONS
async def test_a_packet_that_does_not_pass_is_not_answered(echoes: Echoes, version: int) -> None:
    """It is as long as was asked, and in one piece."""
    small, fits, full = echo(version), echo(version, size=1400), echo(version, size=1500)
    assert await echoes.ask([small, fits, full]) == {small: Answer.YES, fits: Answer.YES, full: Answer.NO}


@VERSIONS
async def test_what_cannot_be_sent_is_not_asked(echoes: Echoes, version: int) -> None:
    """From an address that the host does not have."""
    foreign = echo(version, source=7)
    assert await echoes.ask([foreign]) == {foreign: Answer.UNASKED}


async def test_nothing_is_nothing(echoes: Echoes) -> None:
    """Whoever has no overlay."""
    assert await echoes.ask([]) == {}
