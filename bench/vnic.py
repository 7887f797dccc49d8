"""vnic: a VNIC made and removed, over forking `ip` for the same.

Ours over the API of a real daemon, a connection for each call, with the record on disk before the answer. The peer
makes the same pair on a bridge that is there (`ip link add`, `ip link set`, `ip link del`), and keeps no record. Pairs
alternate in their order; the ratio is the median of the pairwise ones. Our answer to a removal comes before the kernel
has finished it (an RCU grace period, which `ip link del` waits for): `vnic-until-gone` waits for that, too. Needs root.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial

from mooring.adapters.linux.links import Links
from mooring.client import Client
from tests.e2e.lab.labs import Lab
from tests.netns.rigs import Namespace

PAIRS = 60
SUBNET = "172.16.0.0/16"
MAC = "02:00:ac:10:00:09"


def ours(client: Client, links: Links, number: int) -> tuple[float, float]:
    """Seconds until the answers, and until the link is gone."""
    address = f"172.16.9.{number + 1}"
    begin = time.perf_counter()
    made = client.create_vnic(SUBNET, address, tenant="red", mtu=1400)
    assert made.vnic is not None
    client.remove_vnic(made.vnic.id)
    answered = time.perf_counter() - begin
    while links.find(made.vnic.host_end) is not None:
        time.sleep(0.0002)
    return answered, time.perf_counter() - begin


def forked() -> tuple[float, float]:
    """Seconds, twice the same: `ip` waits."""
    begin = time.perf_counter()
    for line in (
        f"ip link add ph0 mtu 1400 type veth peer name pi0 mtu 1400 address {MAC}",
        "ip link set ph0 master peer0 up",
        "ip link del ph0",
    ):
        subprocess.run(line.split(), check=True)
    took = time.perf_counter() - begin
    return took, took


def main() -> None:
    """Measure in pairs."""
    lab = Lab()
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "forked": []}
    try:
        host = lab.host(boot=False, settings={"MOORING_LOG_LEVEL": "info"})
        host.boot(start=False)
        host.daemon.start()
        client = Client(str(host.daemon.api_socket))
        client.create_vnic(SUBNET, "172.16.0.9", tenant="red")  # the bridge is there for both
        with open(host.network) as opened, Namespace(opened.fileno()).inside():
            subprocess.run(["ip", "link", "add", "peer0", "type", "bridge"], check=True)
            links = Links()
            for number in range(PAIRS + 1):
                pair: dict[str, Callable[[], tuple[float, float]]] = {
                    "ours": partial(ours, client, links, number), "forked": forked,
                }  # fmt: skip
                for name in sorted(pair, reverse=number % 2 == 0):
                    took = pair[name]()
                    if number:  # the first pair is to warm up
                        times[name].append(took)
            links.close()
    finally:
        lab.close()
    for which, what in ((1, "vnic-until-gone"), (0, "vnic")):
        for name, found in times.items():
            print(f"{name:7} median {statistics.median(each[which] for each in found) * 1000:6.2f} ms")
        ratio = statistics.median(
            mine[which] / peer[which] for mine, peer in zip(times["ours"], times["forked"], strict=True)
        )
        print(f"{what} ratio={ratio:.2f} peer=ip-link n={PAIRS}")


if __name__ == "__main__":
    main()
