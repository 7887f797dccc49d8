"""subnet-on-demand: the first endpoint of a network that gets its subnet with it, over an endpoint of an ordinary one.

Both at the plugin socket of a real daemon, as dockerd calls it: the ordinary endpoint asks for its address first, the
other one is given it by CreateEndpoint; then both join. Pairs alternate in their order; the ratio is the median of the
pairwise ones. Making the networks is not counted. Needs root: the networks are real, in a namespace.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

from bench.plugin_call import Plugin
from tests.e2e.lab.labs import Lab

PAIRS = 60
LATER = {"com.docker.network.generic": {"subnets": "on-demand"}}


def ident(number: int) -> str:
    """An id whose beginning, of which interfaces have their names, is nobody else's."""
    return f"{number:012x}".ljust(64, "0")


ORDINARY = ident(1)


def data(subnet: str, space: str, gateway: str) -> list[dict[str, object]]:
    """A network's IPv4Data."""
    return [{"AddressSpace": space, "Pool": subnet, "Gateway": gateway, "AuxAddresses": {}}]


def ordinary_network(plugin: Plugin) -> str:
    """One whose subnet is there from the start; the id of its pool."""
    request = {"AddressSpace": "default", "Pool": "10.99.0.0/16", "SubPool": "", "Options": {}, "V6": False}
    granted = plugin.call("IpamDriver.RequestPool", request)
    parts = data("10.99.0.0/16", "default", granted["Data"]["com.docker.network.gateway"])
    body = {"NetworkID": ORDINARY, "Options": {}, "IPv4Data": parts, "IPv6Data": []}
    plugin.call("NetworkDriver.CreateNetwork", body)
    return str(granted["PoolID"])


def mac(number: int) -> str:
    """One of each endpoint."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4, "big"))


def ordinary(plugin: Plugin, pool: str, number: int) -> None:
    """An endpoint of the ordinary network."""
    options = {"com.docker.network.endpoint.macaddress": mac(number)}
    got = plugin.call("IpamDriver.RequestAddress", {"PoolID": pool, "Address": "", "Options": options})["Address"]
    interface = {"Address": got, "AddressIPv6": "", "MacAddress": mac(number)}
    join(plugin, ORDINARY, number, interface)


def first(plugin: Plugin, network: str, number: int) -> None:
    """The first endpoint of a network without a subnet."""
    join(plugin, network, number, {"Address": "", "AddressIPv6": "", "MacAddress": mac(number)})


def join(plugin: Plugin, network: str, number: int, interface: dict[str, str]) -> None:
    """CreateEndpoint and Join."""
    ids = {"NetworkID": network, "EndpointID": ident(number)}
    plugin.call("NetworkDriver.CreateEndpoint", {**ids, "Interface": interface, "Options": {}})
    plugin.call("NetworkDriver.Join", {**ids, "SandboxKey": f"/run/docker/netns/{number:012x}", "Options": {}})


def seconds(plugin: Plugin, work: Callable[[], None]) -> float:
    """What its calls took."""
    plugin.times.clear()
    work()
    return sum(sum(times) for times in plugin.times.values())


def main() -> None:
    """Measure in pairs."""
    lab = Lab()
    times: dict[str, list[float]] = {"ordinary": [], "first": []}
    try:
        host = lab.host(boot=False, settings={"MOORING_LOG_LEVEL": "info"})
        host.boot(start=False)
        host.daemon.start()
        plugin = Plugin(host.daemon.plugin_socket)
        pool = ordinary_network(plugin)
        for number in range(PAIRS + 1):
            network = ident(1000 + number)
            parts = data("0.0.0.0/0", "null", "")
            body = {"NetworkID": network, "Options": LATER, "IPv4Data": parts, "IPv6Data": []}
            plugin.call("NetworkDriver.CreateNetwork", body)
            pair = {
                "ordinary": partial(ordinary, plugin, pool, 10_000 + number),
                "first": partial(first, plugin, network, 20_000 + number),
            }
            for name in sorted(pair, reverse=number % 2 == 0):
                took = seconds(plugin, pair[name])
                if number:  # the first pair is to warm up
                    times[name].append(took)
    finally:
        lab.close()
    for name, found in times.items():
        print(f"{name:10} median {statistics.median(found) * 1000:6.2f} ms")
    ratio = statistics.median(mine / peer for mine, peer in zip(times["first"], times["ordinary"], strict=True))
    print(f"subnet-on-demand ratio={ratio:.2f} peer=ordinary-endpoint n={PAIRS}")


if __name__ == "__main__":
    main()
