"""Fixtures of the end-to-end tests: one lab for all of them, one host for most, a fresh host for the destructive ones.

Rules: after every test the shared host is empty and nothing has leaked, or the test has failed; when a test fails, the
ends of the daemon's and the engine's logs are part of its report.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

import pytest

from tests.e2e.lab import Host, Lab
from tests.e2e.lab.clusters import LabCluster, LabClusters
from tests.e2e.lab.features import missing
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.quiet import QuietStreams
from tests.e2e.lab.releases import Release, selected

FAILED = pytest.StashKey[bool]()
HOSTS = pytest.StashKey[list[Host]]()


class MakeHost(Protocol):
    """The fixture `make_host`."""

    def __call__(
        self,
        *,
        mooring: bool = True,
        settings: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        release: Release | None = None,
    ) -> Host: ...


def pytest_report_header() -> str:
    """What the tests run on."""
    return f"engine: {selected()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is e2e."""
    for item in items:
        if "tests/e2e" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that does not apply to the engine is passed over, and says why."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    if names and (why := missing(selected(), names)):
        pytest.skip(why)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """An underlay and an outside machine."""
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces and an engine")

    def give_up(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, give_up)
    lab = Lab(warm=True)
    try:
        yield lab
    finally:
        lab.close()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def shared_host(lab: Lab) -> Host:
    """The host that most tests share. Use `host`."""
    return lab.host()


@pytest.fixture
def host(shared_host: Host, request: pytest.FixtureRequest) -> Iterator[Host]:
    """The shared host, empty before and after, and without leaks after."""
    request.node.stash[HOSTS] = [shared_host]
    if not shared_host.daemon.running:
        shared_host.daemon.start()  # a test that failed may have left it dead
    yield shared_host
    shared_host.engine.clear()
    shared_host.be_alone()
    if shared_host.engine.networks():
        # Of endpoints that end at the same time an engine may lose count, and until it starts anew it says that the
        # network has active ones (moby#23302).
        shared_host.engine.stop()
        shared_host.engine.start()
        shared_host.engine.clear()
    shared_host.forget_networks()
    found = leaks(shared_host)
    if not request.node.stash.get(FAILED, False):  # one failure is told once
        assert found == []


@pytest.fixture
def make_host(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Host]]:
    """Makes hosts of the test's own, which are gone after it; those with mooring must end without leaks."""
    made: list[Host] = []
    request.node.stash[HOSTS] = made

    def make(
        *,
        mooring: bool = True,
        settings: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        release: Release | None = None,
    ) -> Host:
        host = lab.host(mooring=mooring, settings=settings, options=options, release=release, boot=False)
        made.append(host)
        host.boot()
        return host

    try:
        yield make
        if not request.node.stash.get(FAILED, False):
            for host in made:
                host.engine.clear()
                host.forget_networks()
                assert not host.with_mooring or leaks(host) == []
    finally:
        for host in made:
            lab.discard(host)


@pytest.fixture
def fresh(make_host: MakeHost) -> Host:
    """A host of the test's own."""
    return make_host()


@pytest.fixture(scope="session")
def quiet(lab: Lab) -> Iterator[QuietStreams]:
    """Streams through the proxy of a host of their own, silent since the first test that asked for them."""
    streams = QuietStreams(lab.host())
    try:
        yield streams
    finally:
        streams.close()
        lab.discard(streams.host)


@pytest.fixture(scope="session")
def clusters(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabClusters]:
    """The cluster that tests share. Use `cluster`."""
    made = LabClusters(lab, tmp_path_factory.mktemp)
    yield made
    made.drop()


@pytest.fixture
def cluster(clusters: LabClusters, request: pytest.FixtureRequest) -> Iterator[LabCluster]:
    """Three hosts and three members of etcd, as new before and after, and nothing left in etcd after. Another one is
    made after a test that failed, and none is kept when no further test has it."""
    cluster = clusters.get()
    request.node.stash[HOSTS] = cluster.hosts
    clusters.broken = True
    yield cluster
    if request.node.stash.get(FAILED, False):
        return
    left = cluster.reset()
    assert not left, "\n".join(left)
    clusters.broken = False
    items = request.session.items
    following = items[items.index(request.node) + 1 :]
    if all("cluster" not in getattr(each, "fixturenames", ()) for each in following):
        clusters.drop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test shows the ends of its hosts' logs, and its fixtures know that it failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for host in item.stash.get(HOSTS, []):
            report.sections.append((f"host {host.number}", host.logs()))
    return report
