"""What comes over a network is found within a second or two, with the period of repair far away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from ipaddress import ip_interface, ip_network

import pytest

from mooring.core.findings import Report
from mooring.core.pools import Pool
from mooring.services.networking.report_log import ReportLog
from tests.services.hosts import MemoryHost


@contextlib.asynccontextmanager
async def followed(host: MemoryHost) -> AsyncIterator[list[Report]]:
    """Repair with an hour between passes, and who follows the host; the reports that were told."""
    told: list[Report] = []
    log = ReportLog()

    def tell(report: Report) -> None:
        told.append(report)
        log.tell(report)

    host.services.repair._period = 3600.0
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(host.services.repair.run(tell))]
        await asyncio.sleep(0.01)
        running.append(tasks.create_task(host.services.host_follower.run()))
        yield told
        for task in running:
            task.cancel()


async def until(told: list[Report], findings: int) -> None:
    """A report has so many findings."""
    async with asyncio.timeout(5):
        while not told or len(told[-1].findings) != findings:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_route_over_a_network_is_a_finding_at_once_and_over_when_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line in the log each time, which says what to do."""
    host = await MemoryHost().start()
    await host.network("a")
    subnet = next(host.services.cache.every(Pool)).subnet
    caplog.set_level(logging.INFO, "mooring.services.networking.report_log")
    async with followed(host) as told:
        host.kernel.routes = [subnet]
        await until(told, 1)
        assert f"this host has a route to {subnet} elsewhere" in told[-1].findings[0]
        assert "remove the route" in told[-1].findings[0]
        host.kernel.own = {ip_interface("192.168.7.1/24"): "interface eth1 of this host"}
        await asyncio.sleep(0.05)
        host.kernel.routes = []
        await until(told, 0)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(":")[0] for line in lines if "has a route" in line] == ["finding", "resolved"]


async def test_what_touches_no_network_causes_no_pass() -> None:
    """However often it comes."""
    host = await MemoryHost().start()
    await host.network("a")
    async with followed(host):
        before = host.services.repair.report
        for number in range(5):
            host.kernel.routes = [ip_network(f"172.20.{number}.0/24")]
            await asyncio.sleep(0.02)
        assert host.services.repair.report is before


async def test_a_kernel_that_cannot_be_read_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again later."""
    monkeypatch.setattr("mooring.services.networking.host_follower.PAUSE", 0.01)
    host = await MemoryHost().start()
    await host.network("a")
    async with followed(host) as told:
        host.kernel._closed = True
        host.kernel.routes = [ip_network("172.20.0.0/24")]
        await asyncio.sleep(0.05)
        host.kernel._closed = False
        host.kernel.routes = [next(host.services.cache.every(Pool)).subnet]
        await until(told, 1)
