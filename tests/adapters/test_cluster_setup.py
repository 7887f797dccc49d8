"""What joining needs of a Linux host: its file, its addresses, its clock beside a server's."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.linux import cluster_setup
from mooring.adapters.linux.cluster_setup import LinuxClusterSetup
from mooring.core.cluster_hosts import ClusterAccess, Membership
from mooring.core.faults import BadRequest, Unavailable

ACCESS = ClusterAccess(cluster="c", endpoints=("https://127.0.0.1:1",), key="SECRET")
KEPT = Membership(access=ACCESS, host="h", name="n", machine="m")


def test_the_membership_is_in_a_file_of_roots_alone(tmp_path: Path) -> None:
    """Written whole, read by the next daemon, gone when it was left; one of a newer Mooring is not guessed at."""
    file = tmp_path / "cluster.json"
    setup = LinuxClusterSetup(file)
    assert setup.kept() is None
    (tmp_path / "cluster.json.new").write_text("of a start that was cut off")
    setup.keep(KEPT)
    assert file.stat().st_mode & 0o777 == 0o600
    assert LinuxClusterSetup(file).kept() == KEPT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.json"]
    file.write_bytes(b'{"v":2}')
    with pytest.raises(Unavailable, match="newer Mooring"):
        setup.kept()
    setup.keep(None)
    setup.keep(None)
    assert setup.kept() is None
    with pytest.raises(Unavailable, match="cannot be written"):
        LinuxClusterSetup(tmp_path / "missing" / "cluster.json").keep(KEPT)


async def test_the_underlay_is_an_address_that_the_host_has() -> None:
    """By itself the one that leads to the store; another is named, and has to be there."""
    setup = LinuxClusterSetup(Path("/nowhere"))
    found = await setup.underlay("", ["https://127.0.0.1:2379"])
    assert (found.address, found.link) == ("127.0.0.1", "lo")
    for given in ("lo", "127.0.0.1"):
        with pytest.raises(BadRequest, match="reached by nobody else"):
            await setup.underlay(given, [])
    for given in ("no-such-link", "192.0.2.77"):
        with pytest.raises(BadRequest, match="neither an interface"):
            await setup.underlay(given, [])
    with pytest.raises(Unavailable, match="--underlay"):
        await setup.underlay("", ["https://name.invalid:2379"])


def test_a_resolver_that_hangs_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is told to stop does not wait for what libc waits for."""
    let_go, over = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        let_go.wait(5.0)
        over.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(cluster_setup, "RESOLVE", 0.01)
    with asyncio.Runner() as runner, pytest.raises(Unavailable):
        runner.run(LinuxClusterSetup(Path("/nowhere")).underlay("", ["https://slow.example:2379"]))
    assert not over.is_set()
    let_go.set()


async def test_a_slow_nameserver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon goes on meanwhile, and the host has no underlay that it knows by itself."""
    asked, answered = threading.Event(), threading.Event()

    def resolve(*_: object, **__: object) -> list[object]:
        asked.set()
        answered.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(cluster_setup, "RESOLVE", 0.01)
    try:
        with pytest.raises(Unavailable, match="--underlay"):
            await LinuxClusterSetup(Path("/nowhere")).underlay("", ["https://etcd.example:2379"])
        assert asked.is_set()
        assert not answered.is_set()
    finally:
        answered.set()


@pytest.fixture
def web() -> Iterator[str]:
    """A server of HTTP, as the one in every etcd."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_server_tells_the_time(web: str) -> None:
    """This host's is the same; one that does not answer is passed over, and none is no answer."""
    setup = LinuxClusterSetup(Path("/nowhere"))
    offset = await setup.offset(ClusterAccess(cluster="c", endpoints=("http://127.0.0.1:1", web)))
    assert offset is not None
    assert abs(offset) < 1
    assert await setup.offset(ClusterAccess(cluster="c", endpoints=("http://127.0.0.1:1",))) is None
