"""encrypted: what an encrypted overlay of Mooring carries between two hosts over bare WireGuard made by hand.

All are between the same two network namespaces, which a bridge of a third one joins. By hand: a WireGuard device on
each, set up by `wg` as in any tutorial, from host to host, without VXLAN, bridges or containers; and beside it a VXLAN
made by hand over that, with a bridge and a container on each, which shows what VXLAN in WireGuard costs whoever makes
it. What makes the devices, all alike, is said: the kernel's WireGuard, or wireguard-go. TCP over both families, as bits
a second, in rounds whose order alternates; a ratio is the median of the ratios of the rounds. Needs root and
wireguard-tools.

    scripts/bench encrypted
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import vxlan_throughput
from bench.vxlan_throughput import FIRST, ROUNDS, Way, measure
from mooring.adapters.linux.wireguard import USERSPACE
from tests.netns.encrypted_rigs import Encrypted, encrypted_hosts
from tests.netns.rigs import Namespace, private_namespace

KINDS = ("tcp4", "tcp6")
BARE_PORT = 51830
NETWORKS = ("mooring", "bare", "vxlan-by-hand")


def by_hand(hosts: tuple[Namespace, Namespace], folder: Path, stack: ExitStack, userspace: bool) -> Way:
    """A WireGuard between the hosts."""
    public = []
    names = [f"wh-{os.getpid()}-{number}" for number in (1, 2)]
    for number, (host, name) in enumerate(zip(hosts, names, strict=True), 1):
        made = f"wireguard-go {name} >/dev/null 2>&1" if userspace else f"ip link add {name} type wireguard"
        host.sh("umask 077", made, f"wg genkey >{folder}/{name}")
        stack.callback(host.sh, f"ip link del {name}")
        host.sh(
            f"wg set {name} listen-port {BARE_PORT} private-key {folder}/{name}",
            f"ip address add 10.66.0.{number}/24 dev {name}; ip -6 address add fd00:66::{number}/64 dev {name} nodad",
            f"ip link set {name} mtu 1440 up",
        )
        public.append(host.sh(f"wg show {name} public-key").strip())
    for number, (host, name) in enumerate(zip(hosts, names, strict=True), 1):
        other = 3 - number
        host.sh(
            f"wg set {name} peer {public[other - 1]} endpoint 192.0.2.{other}:{BARE_PORT}"
            f" allowed-ips 10.66.0.{other}/32,fd00:66::{other}/128"
        )
    return Way(hosts[0], hosts[1], {"4": "10.66.0.2", "6": "fd00:66::2"})


async def ways(made: Encrypted, folder: Path, stack: ExitStack) -> dict[str, Way]:
    """Each of NETWORKS, with a server in its receiver."""
    sender, receiver = await made.containers()
    userspace = await made.one.wireguard.check() == USERSPACE
    hosts = made.one.machine.space, made.two.machine.space
    found = {
        "mooring": Way(sender, receiver, {"4": "10.9.0.12", "6": "fd00:9::12"}),
        "bare": by_hand(hosts, folder, stack, userspace),
        "vxlan-by-hand": vxlan_throughput.by_hand(made.made, hosts, ("fd00:66::1", "fd00:66::2"), 77, 1370),
    }
    for way in found.values():
        with way.receiver.inside():
            server = subprocess.Popen([*FIRST, "iperf3", "--server"], stdout=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.kill)
    return found


async def run(folder: Path) -> tuple[str, dict[str, Way]]:
    """What carries it out, and what was measured."""
    with private_namespace(), ExitStack() as stack:
        async with encrypted_hosts(folder) as made:
            found = await ways(made, folder, stack)
            for turn, kind in product(range(ROUNDS + 1), KINDS):
                for name in NETWORKS if turn % 2 else reversed(NETWORKS):
                    figure = measure(found[name], kind)
                    if turn:  # the first one does not count
                        found[name].carried[kind].append(figure)
            stack.close()
            return await made.one.wireguard.check(), found


def main() -> None:
    """Make the hosts, measure, print; the last line has the lowest ratio."""
    with TemporaryDirectory(prefix="mooring-encrypted-") as folder:
        carrier, found = asyncio.run(run(Path(folder)))
    ratios = []
    for kind in KINDS:
        carried = {name: found[name].carried[kind] for name in NETWORKS}
        words = ", ".join(f"{name} {statistics.median(each) / 1e6:.0f} Mbit/s" for name, each in carried.items())
        bare, beside = (
            statistics.median(a / b for a, b in zip(carried["mooring"], carried[peer], strict=True))
            for peer in ("bare", "vxlan-by-hand")
        )
        ratios.append(bare)
        print(f"{kind}: {words}; all by {carrier}; over a VXLAN by hand {beside:.3f}")
        print(f"encrypted-{kind} ratio={bare:.3f} peer=bare-wireguard n={ROUNDS}")
    print(f"encrypted ratio={min(ratios):.3f} peer=bare-wireguard n={ROUNDS}")


if __name__ == "__main__":
    main()
