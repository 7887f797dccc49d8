"""Echo requests by raw sockets; tests/contracts/test_echoes.py holds the promises of the port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.icmp_echoes import IcmpEchoes
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.overlay_paths import Answer, Echo
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

HERE = ip_address("127.0.0.1")


@pytest.fixture
async def kernel(namespace: Namespace) -> AsyncIterator[LinuxKernel]:
    """Of a namespace with a loopback interface."""
    assert namespace
    sh("ip link set lo up")
    made = LinuxKernel()
    yield made
    await made.close()


async def test_many_are_asked_at_once(kernel: LinuxKernel) -> None:
    """More than a socket has room for unread, small and long ones."""
    echoes = [Echo(HERE, HERE + number, size) for number in range(1000) for size in (0, 9000)]
    answers = await IcmpEchoes(kernel).ask(echoes)
    assert [echo for echo in echoes if answers[echo] is not Answer.YES] == []


async def test_answers_to_others_are_no_answers(kernel: LinuxKernel) -> None:
    """Each socket hears what comes for the address, whoever asked."""
    sh("nft add table inet site; nft 'add chain inet site input { type filter hook input priority 0; }'")
    sh("nft add rule inet site input icmp type echo-request ip daddr 127.0.0.9 drop")
    echoes = IcmpEchoes(kernel)
    heard, silent = Echo(HERE, HERE + 1), Echo(HERE, HERE + 8)
    first, second = await asyncio.gather(echoes.ask([heard, silent]), echoes.ask([silent, heard]))
    assert first == second == {heard: Answer.YES, silent: Answer.NO}


async def test_nothing_is_left_open(kernel: LinuxKernel) -> None:
    """Nor when a namespace is not there."""
    echoes, here, nowhere = IcmpEchoes(kernel), Echo(HERE, HERE), Echo(HERE, HERE, domain=7)
    assert await echoes.ask([here]) == {here: Answer.YES}
    before = len(os.listdir("/proc/self/fd"))
    assert await echoes.ask([here, nowhere]) == {here: Answer.YES, nowhere: Answer.UNASKED}
    assert len(os.listdir("/proc/self/fd")) == before
