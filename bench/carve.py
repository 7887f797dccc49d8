"""carve: how many networks a second are made from one /16 when there are none, 1 000 and 2 000 on the host.

A real daemon, asked over its plugin socket as dockerd asks: a subnet is carved, its gateway leased, bridge, address and
rules are in the kernel when it answers, and repair passes go on meanwhile. Nothing is restarted. At each size so many
windows of networks are timed; the rate is that of the median window. Peer: the same daemon with no networks, minutes
before. Needs root: the networks are real, in a namespace. dockerd itself is in `networks`.
"""

from __future__ import annotations

import statistics
import time

from bench.networks import cpu
from bench.plugin_call import Plugin
from tests.e2e.lab.labs import Lab

SIZES = (0, 1000, 2000)
WINDOWS = 9
WINDOW = 20
FILE = """
[[subnet_pools]]
name = "one"
prefixes = ["10.200.0.0/16"]
length = 28
"""


def make(plugin: Plugin, number: int) -> str:
    """What `docker network create` asks of us; the network's id."""
    pool = plugin.call("IpamDriver.RequestPool", {"AddressSpace": "default", "Pool": "", "Options": {}, "V6": False})
    network = f"{number + 1:012x}" + "0" * 52  # a bridge is called after the beginning
    data = {"AddressSpace": "default", "Pool": pool["Pool"], "Gateway": pool["Data"]["com.docker.network.gateway"]}
    options = {"com.docker.network.enable_ipv6": False, "com.docker.network.generic": {}}
    plugin.call("NetworkDriver.CreateNetwork", {"NetworkID": network, "Options": options, "IPv4Data": [data]})
    return network


def rate(plugin: Plugin, first: int) -> float:
    """Networks a second, from this one on."""
    seconds = []
    for window in range(WINDOWS):
        begin = time.perf_counter()
        for number in range(WINDOW):
            make(plugin, first + window * WINDOW + number)
        seconds.append(time.perf_counter() - begin)
    return WINDOW / statistics.median(seconds)


def at_rest(pid: int, seconds: float = 20.0) -> float:
    """The part of a core that the daemon takes while nobody asks: repair passes."""
    before = cpu(pid)
    time.sleep(seconds)
    return (cpu(pid) - before) / seconds


def main() -> None:
    """Measure and print; the last rate is at least 0.7 of the first."""
    lab = Lab()
    try:
        # The engine knows nothing of these networks, so that they are not to be taken for forgotten ones.
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info", "MOORING_RECLAIM_AFTER": "86400"}, boot=False)
        (host.folder / "mooring.toml").write_text(FILE)
        host.boot()
        plugin = Plugin(host.daemon.plugin_socket)
        make(plugin, 10**9)  # makes our table
        rates, made = [], 0
        for size in SIZES:
            while made < size:
                make(plugin, made)
                made += 1
            rates.append(rate(plugin, made))
            made += WINDOWS * WINDOW
            print(f"{size:5} networks: {rates[-1]:6.1f} a second", flush=True)
        print(f"{made:5} networks at rest: {at_rest(host.daemon.pid):.1%} of a core", flush=True)
    finally:
        lab.close()
    print(f"carve-1000 ratio={rates[1] / rates[0]:.2f} peer=no-networks n={WINDOWS}")
    print(f"carve ratio={rates[2] / rates[0]:.2f} peer=no-networks n={WINDOWS}")


if __name__ == "__main__":
    main()
