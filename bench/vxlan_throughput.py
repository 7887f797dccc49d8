"""vxlan-throughput: what an overlay of Mooring carries between two hosts over a VXLAN made by hand.

Both are between the same two network namespaces, which a bridge of a third one joins: a bridge, a VXLAN device and a
container on each. The one by hand learns and has one peer, as in any tutorial. A second one by hand joins two hosts
where no Mooring is, which shows what Mooring's rules cost every packet of a host. TCP over both families, as bits a
second, and small UDP datagrams, as datagrams that arrive a second; in rounds whose order alternates; a ratio is the
median of the ratios of the rounds. Needs root.

    scripts/bench vxlan-throughput
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from itertools import product

from tests.netns.overlay_rigs import Site, site
from tests.netns.rigs import Namespace, private_namespace

SECONDS, ROUNDS = 1, 9
DATAGRAM = 64  # bytes of payload
TRIES = 5
NETWORKS = ("mooring", "by-hand", "without")
KINDS = ("tcp4", "tcp6", "udp4")
# Before everything else that runs on the machine, which would be measured, too (sched(7), autogroup).
FIRST = ["setsid", "--wait", "sh", "-c", 'echo -20 2>/dev/null >/proc/self/autogroup; exec "$@"', "first"]


@dataclass(slots=True)
class Way:
    """From a container to another one's addresses, by family."""

    sender: Namespace
    receiver: Namespace
    addresses: dict[str, str]
    carried: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


def by_hand(
    made: Site, hosts: tuple[Namespace, Namespace], underlay: tuple[str, str], number: int, mtu: int = 1450
) -> Way:
    """A VXLAN between the hosts with these addresses, with a container on each."""
    ends = []
    for place, (host, local, remote) in enumerate(zip(hosts, underlay, reversed(underlay), strict=True), 1):
        space = Namespace.new()
        made.stack.callback(space.close)
        there = f"/proc/{os.getpid()}/fd/{space.fd}"
        host.sh(
            f"ip link add hand{number} mtu {mtu} type bridge forward_delay 0 mcast_snooping 0",
            f"ip link add hx{number} mtu {mtu} type vxlan id {number} local {local} remote {remote} dstport 4791",
            f"ip link set hx{number} master hand{number} up; ip link set hand{number} up",
            f"ip link add hv{number} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {there}",
            f"ip link set hv{number} master hand{number} up",
        )
        space.sh(
            "ip link set eth0 up",
            f"ip address add 10.{number}.0.{place}/24 dev eth0",
            f"ip address add fd00:{number}::{place}/64 dev eth0 nodad",
        )
        ends.append(space)
    return Way(ends[0], ends[1], {"4": f"10.{number}.0.2", "6": f"fd00:{number}::2"})


async def ways(made: Site) -> dict[str, Way]:
    """Each of NETWORKS, with a server in its receiver."""
    one, two = await made.machine(), await made.machine()
    await made.network("web", 9, 100)
    sender, receiver = await made.container(one, "web", 11), await made.container(two, "web", 12)
    await made.publish()
    plain = (Namespace.new(), Namespace.new())
    for number, space in enumerate(plain, 3):
        made.stack.callback(space.close)
        made.plug_in(number, space)
    found = {
        "mooring": Way(sender, receiver, {"4": "10.9.0.12", "6": "fd00:9::12"}),
        "by-hand": by_hand(made, (one.space, two.space), ("192.0.2.1", "192.0.2.2"), 77),
        "without": by_hand(made, plain, ("192.0.2.3", "192.0.2.4"), 78),
    }
    for way in found.values():
        with way.receiver.inside():
            server = subprocess.Popen([*FIRST, "iperf3", "--server"], stdout=subprocess.DEVNULL)
        made.stack.callback(server.wait)
        made.stack.callback(server.kill)
    return found


def measure(way: Way, kind: str) -> float:
    """Bits a second over TCP, datagrams a second over UDP, as they arrived."""
    argv = [*FIRST, "iperf3", "--json", "--time", str(SECONDS), "--client", way.addresses[kind[-1]]]
    cores = sorted(os.sched_getaffinity(0))
    argv += ["--affinity", f"{cores[0]},{cores[1]}"] if len(cores) > 1 else []
    if kind.startswith("udp"):
        argv += ["--udp", "--bitrate", "0", "--length", str(DATAGRAM)]
    for _ in range(TRIES):  # a server is busy with the test before for a while
        with way.sender.inside():
            result = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        if result.returncode == 0:
            end = json.loads(result.stdout)["end"]
            if kind.startswith("tcp"):
                return float(end["sum_received"]["bits_per_second"])
            return float(end["sum"]["packets"] - end["sum"]["lost_packets"]) / float(end["sum"]["seconds"])
        time.sleep(0.3)
    raise SystemExit(f"iperf3 has no figure for {kind}: {result.stdout}{result.stderr}")


def main() -> None:
    """Make the hosts, measure, print; the last line has the lowest ratio."""
    with private_namespace():
        made = site()
        found = asyncio.run(ways(made))
        for turn, kind in product(range(ROUNDS + 1), KINDS):
            for name in NETWORKS if turn % 2 else reversed(NETWORKS):
                figure = measure(found[name], kind)
                if turn:  # the first one does not count
                    found[name].carried[kind].append(figure)
        made.stack.close()
    ratios = []
    for kind in KINDS:
        unit, scale = ("Gbit/s", 1e9) if kind.startswith("tcp") else ("k/s", 1e3)
        carried = {name: found[name].carried[kind] for name in NETWORKS}
        words = ", ".join(f"{name} {statistics.median(each) / scale:.2f} {unit}" for name, each in carried.items())
        beside, without = (
            statistics.median(a / b for a, b in zip(carried["mooring"], carried[peer], strict=True))
            for peer in ("by-hand", "without")
        )
        ratios.append(beside)
        print(f"{kind}: {words}; over hosts without Mooring {without:.3f}")
        print(f"vxlan-throughput-{kind} ratio={beside:.3f} peer=vxlan-by-hand n={ROUNDS}")
    print(f"vxlan-throughput ratio={min(ratios):.3f} peer=vxlan-by-hand n={ROUNDS}")


if __name__ == "__main__":
    main()
