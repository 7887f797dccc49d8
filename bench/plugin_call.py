"""plugin-call: what a method costs at the plugin socket, over one bare SQLite commit on the same disk.

A real daemon answers over its unix socket, on one kept-alive connection, as dockerd's; the peer is a transaction of one
row with the same library and settings (WAL, synchronous=FULL). Rounds of both alternate; the ratios are of medians
within a round, and their median over the rounds is printed. Needs root: the networks are real, in a namespace.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import apsw

from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.labs import Lab

ROUNDS = 7
CALLS = 150
ID = "{:064x}"


class Plugin:
    """One kept-alive connection to the plugin socket."""

    def __init__(self, path: Path) -> None:
        self._connection: http.client.HTTPConnection = SocketConnection(str(path), 30)
        self.times: dict[str, list[float]] = {}

    def call(self, method: str, body: dict[str, Any] | None = None) -> Any:
        """Call, note the seconds under the method's name, return the reply; a refusal ends the benchmark."""
        data = json.dumps(body).encode() if body is not None else b""
        start = time.perf_counter()
        self._connection.request("POST", f"/{method}", data)
        reply = self._connection.getresponse()
        text = reply.read()
        self.times.setdefault(method, []).append(time.perf_counter() - start)
        if reply.status != 200:
            raise SystemExit(f"{method}: {text.decode()}")
        return json.loads(text)


def bare_commits(folder: Path, count: int) -> list[float]:
    """Seconds of each of so many transactions of one row."""
    database = apsw.Connection(str(folder / "bare.sqlite"))
    database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID")
    times = []
    for number in range(count):
        start = time.perf_counter()
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (f"key/{number:08x}", os.urandom(128)))
        database.execute("COMMIT")
        times.append(time.perf_counter() - start)
    database.close()
    return times


def one_container(plugin: Plugin, pool: str, network: str, number: int) -> None:
    """The calls of a container's life, as an engine makes them."""
    mac = "02:42:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4, "big"))
    ids = {"NetworkID": network, "EndpointID": ID.format(number)}
    options = {"com.docker.network.endpoint.macaddress": mac}
    got = plugin.call("IpamDriver.RequestAddress", {"PoolID": pool, "Address": "", "Options": options})["Address"]
    interface = {"Address": got, "AddressIPv6": "", "MacAddress": mac}
    plugin.call("NetworkDriver.CreateEndpoint", {**ids, "Interface": interface, "Options": {}})
    plugin.call("NetworkDriver.Join", {**ids, "SandboxKey": f"/run/docker/netns/{number:012x}", "Options": {}})
    plugin.call("NetworkDriver.EndpointOperInfo", ids)
    plugin.call("NetworkDriver.Leave", ids)
    plugin.call("NetworkDriver.DeleteEndpoint", ids)
    plugin.call("IpamDriver.ReleaseAddress", {"PoolID": pool, "Address": got.partition("/")[0]})
    plugin.call("IpamDriver.GetDefaultAddressSpaces")


def main() -> None:
    """Measure in rounds, print a line for each method."""
    lab = Lab()
    ratios: dict[str, list[float]] = {}
    everything: dict[str, list[float]] = {}
    try:
        host = lab.host(boot=False, settings={"MOORING_LOG_LEVEL": "info"})
        host.boot(start=False)
        host.daemon.start()
        setup = Plugin(host.daemon.plugin_socket)
        request = {"AddressSpace": "default", "Pool": "10.99.0.0/16", "SubPool": "", "Options": {}, "V6": False}
        granted = setup.call("IpamDriver.RequestPool", request)
        gateway = granted["Data"]["com.docker.network.gateway"]
        data = [{"AddressSpace": "default", "Pool": "10.99.0.0/16", "Gateway": gateway, "AuxAddresses": {}}]
        network = ID.format(1)
        setup.call(
            "NetworkDriver.CreateNetwork", {"NetworkID": network, "Options": {}, "IPv4Data": data, "IPv6Data": []}
        )
        with tempfile.TemporaryDirectory(dir=lab.folder) as folder:
            for round_number in range(ROUNDS):
                bare = statistics.median(bare_commits(Path(folder), CALLS))
                plugin = Plugin(host.daemon.plugin_socket)
                for number in range(CALLS):
                    one_container(plugin, granted["PoolID"], network, 1 + round_number * CALLS + number)
                for method, seconds in plugin.times.items():
                    ratios.setdefault(method, []).append(statistics.median(seconds) / bare)
                    everything.setdefault(method, []).extend(seconds)
                everything.setdefault("bare commit", []).append(bare)
    finally:
        lab.close()
    for method, seconds in everything.items():
        p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
        over = f"{statistics.median(ratios[method]):5.2f} commits" if method in ratios else ""
        print(f"{method:36} p50 {p50 * 1e6:7.0f} us   p99 {p99 * 1e6:7.0f} us   {over}")
    print(
        f"without a commit: EndpointOperInfo {statistics.median(ratios['NetworkDriver.EndpointOperInfo']):.2f}, "
        f"GetDefaultAddressSpaces {statistics.median(ratios['IpamDriver.GetDefaultAddressSpaces']):.2f}"
    )
    print(
        f"plugin-call ratio={statistics.median(ratios['IpamDriver.RequestAddress']):.2f} peer=sqlite-commit n={ROUNDS}"
    )


if __name__ == "__main__":
    main()
