"""throughput: what a Mooring network carries over what the engine's built-in bridge carries.

Paths: container to container over IPv4 and IPv6, a container to a machine outside, a machine outside to a published
port. Each with TCP, as bits a second, and with small UDP datagrams, as datagrams that arrive a second. The peer is a
built-in bridge on the same host. Another one, on a host where Mooring never ran, shows what Mooring's rules cost every
packet of a host, those of the engine's bridges too. All are measured in rounds, the order alternates, and a ratio is
the median of the ratios of the rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import IO

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.namespaces import LabError, Namespace, run

SECONDS = 1  # of one measurement; more rounds are worth more than longer ones
DATAGRAM = 64  # bytes of payload: the cost is that of a packet, not of its bytes
PORT = 5201
TRIES, PAUSE = 5, 0.5
# Before everything else that runs on the machine, which would be measured, too: a session of its own whose automatic
# group (sched(7)) has the highest weight.
FIRST = ["setsid", "--wait", "sh", "-c", 'echo -20 2>/dev/null >/proc/self/autogroup; exec "$@"', "first"]
ROUNDS = 15

NETWORKS = ("mooring", "bridge", "without")
PATHS = ("neighbour", "neighbour6", "outside", "published")
KINDS = ("tcp", "udp")


@dataclass(frozen=True, slots=True)
class Way:
    """Where one measurement begins and what it is sent to. network: path of the sender's namespace."""

    network: str
    address: str
    port: int


def serve(namespace: Namespace, network: str, log: IO[bytes]) -> None:
    """An iperf3 server runs in the network namespace until the namespace's machine ends."""
    path = network.partition("/root")[2] or "/proc/self/ns/net"
    namespace.start(["nsenter", f"--net={path}", "--", *FIRST, "iperf3", "--server", "--port", str(PORT)], log)


def ways(host: Host, network: str, options: Sequence[str], number: int, log: IO[bytes]) -> dict[str, Way]:
    """A network of the host with two containers, by path. number: tells its subnets and ports from others'."""
    name = f"bench-{network}"
    subnets = ("--subnet", f"10.77.{number}.0/24", "--ipv6", "--subnet", f"fd77:{number}::/64")
    host.docker("network", "create", *options, *subnets, name)
    port = PORT + number
    publish = ("-p", f"{port}:{PORT}", "-p", f"{port}:{PORT}/udp")
    host.run_container(f"{network}-to", "--network", name, *publish)
    host.run_container(f"{network}-from", "--network", name)
    receiver, sender = (host.container_network(f"{network}-{end}") for end in ("to", "from"))
    serve(host.namespace, receiver, log)
    ipv4, ipv6 = host.addresses(f"{network}-to", name)
    outside = host.outside
    return {
        "neighbour": Way(sender, ipv4, PORT),
        "neighbour6": Way(sender, ipv6, PORT),
        "outside": Way(sender, outside.ipv4, PORT),
        "published": Way(outside.network, host.ipv4, port),
    }


def measure(way: Way, kind: str) -> float:
    """Bits a second that arrived over TCP, or datagrams over UDP. Sender and receiver have a core each, if there are
    two. Raises LabError when there is no figure after some tries: a server is busy with the test before for a while."""
    argv = ["nsenter", f"--net={way.network}", "--", *FIRST, "iperf3", "--json", "--time", str(SECONDS)]
    argv += ["--client", way.address, "--port", str(way.port)]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        argv += ["--affinity", f"{cores[0]},{cores[1]}"]
    if kind == "udp":
        argv += ["--udp", "--bitrate", "0", "--length", str(DATAGRAM)]
    said = ""
    for _ in range(TRIES):
        result = run(argv, check=False, timeout=30)
        said = result.output
        if result.ok:
            end = json.loads(said)["end"]
            if kind == "tcp":
                return float(end["sum_received"]["bits_per_second"])
            return float(end["sum"]["packets"] - end["sum"]["lost_packets"]) / float(end["sum"]["seconds"])
        time.sleep(PAUSE)
    raise LabError(f"iperf3 has no figure for {way}: {said}")


def rounds(places: dict[str, dict[str, Way]]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """What each network carried, by path and kind, round by round, after one that does not count."""
    figures = {what: {name: [0.0] * 0 for name in NETWORKS} for what in product(PATHS, KINDS)}
    for turn in range(ROUNDS + 1):
        for (path, kind), carried in figures.items():
            for name in NETWORKS if turn % 2 else reversed(NETWORKS):
                figure = measure(places[name][path], kind)
                if turn:
                    carried[name].append(figure)
    return figures


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios of the rounds."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def show(path: str, kind: str, carried: dict[str, list[float]]) -> tuple[float, float]:
    """Print a path's figures and return both ratios: over the bridge beside Mooring, over the one without."""
    unit, scale = ("Gbit/s", 1e9) if kind == "tcp" else ("k/s", 1e3)
    words = [f"{name} {statistics.median(figures) / scale:.2f} {unit}" for name, figures in carried.items()]
    beside, without = (ratio(carried["mooring"], carried[peer]) for peer in ("bridge", "without"))
    print(f"{path:10} {kind}: {', '.join(words)}; over the bridge of a host without Mooring {without:.3f}")
    print(f"throughput-{path}-{kind} ratio={beside:.3f} peer=built-in-bridge n={ROUNDS}")
    return beside, without


def main() -> None:
    """Make two hosts, measure, print; the last line has the lowest ratio."""
    lab = Lab()
    with closing(lab), (lab.folder / "iperf3.log").open("wb") as log:
        ours, plain = lab.host(), lab.host(mooring=False)
        serve(lab.outside.namespace, "", log)
        places = {
            "mooring": ways(ours, "mooring", ("-d", "mooring", "--ipam-driver", "mooring"), 1, log),
            "bridge": ways(ours, "bridge", ("-d", "bridge"), 2, log),
            "without": ways(plain, "without", ("-d", "bridge"), 3, log),
        }
        figures = rounds(places)
    beside, without = zip(*(show(*what, carried) for what, carried in figures.items()), strict=True)
    print(f"throughput-added ratio={min(without):.3f} peer=built-in-bridge-without-mooring n={ROUNDS}")
    print(f"throughput ratio={min(beside):.3f} peer=built-in-bridge n={ROUNDS}")


if __name__ == "__main__":
    main()
