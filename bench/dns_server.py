"""dns-server: questions a second of the host's DNS server over dnsmasq's, with the same 10 000 names, the times of
single questions, and what a flood of questions does to plugin calls.

Ours is the real index, answers and sockets in a child process on uvloop; dnsmasq is Debian's, with the names in a hosts
file; unbound (local data) and nsd (a zone) answer, too, where they are installed. In each round dnsperf asks one after
the other, for the names in random order, and then a blocking client asks one by one. The ratio is of one round; the
median over the rounds is printed. Then a real daemon carries out the calls of containers' lives, with and without
dnsperf asking it as fast as it can. Needs root, dnsmasq-base and dnsperf.

    scripts/bench dns-server
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import uvloop

from bench.plugin_call import Plugin, one_container
from mooring.adapters.dns.host_forwarding import HostForwarding, HostUpstreams
from mooring.adapters.dns.host_server import HostAnswers, HostServer
from mooring.adapters.dns.host_sockets import host_sockets
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.endpoints import Endpoint, State
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.services.containers.host_names import HostNames
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore
from tests.e2e.lab.labs import Lab

ROUNDS = 5
NAMES = 10_000
SECONDS = 3
SINGLE = 5000
LOCAL = IPv4Address("127.0.0.1")
OURS, THEIRS = 5391, 5392
UNBOUND, NSD = 5393, 5394
CALLS = 60
NETWORK = "a" * 64


async def serve(count: int) -> None:
    """Our server with so many names, until the process is ended."""
    cache = RecordCache(MemoryStore())
    names = HostNames(cache, EndpointIndex(cache))
    await cache.load()
    segment = Segment(IPv4Network("10.0.0.0/8"), IPv4Interface("10.0.0.1/8"), "default", "p4")
    await cache.commit(put=[Network(NETWORK, NetworkOptions(), False, (segment,), (), 0.0)])
    began = time.perf_counter()
    for number in range(count):
        ident = f"{number:064x}"
        address = IPv4Interface(f"{IPv4Address('10.0.0.2') + number}/8")
        endpoint = Endpoint(ident, NETWORK, address, None, "02:00:00:00:00:01", 0.0, State.ATTACHED, f"/n/{number}")
        await cache.commit(put=[endpoint])
        place = ContainerEndpoint(NETWORK, "web", endpoint=ident, aliases=())
        names.note(Container(f"{number:012x}".ljust(64, "0"), f"n{number}", True, 0.0, endpoints=(place,)))
    print(f"index of {count} names: {time.perf_counter() - began:.2f} s, {_memory()} MB resident")
    clock = asyncio.get_running_loop().time
    forwarding = HostForwarding(HostUpstreams(clock, (), "/nonexistent"), clock, Shares(100))
    await HostServer(HostAnswers(names, forwarding), Shares(100)).open(*host_sockets(LOCAL, OURS))
    await asyncio.Event().wait()


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 >> 20


def run_server(count: int) -> None:
    """In a process of its own."""
    uvloop.run(serve(count))


def question(number: int) -> bytes:
    """For the address of a name (RFC 1035, 4.1)."""
    name = b"".join(bytes([len(label)]) + label for label in (b"n%d" % number, b"web", b"mooring"))
    return b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\1\0\1"


def questions(folder: Path) -> Path:
    """Every name once, in random order, as dnsperf reads them."""
    order = list(range(NAMES))
    random.Random(1).shuffle(order)
    path = folder / "questions"
    path.write_text("".join(f"n{number}.web.mooring A\n" for number in order))
    return path


def dnsmasq(folder: Path) -> subprocess.Popen[bytes]:
    """The peer."""
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{IPv4Address('10.0.0.2') + n} n{n}.web.mooring\n" for n in range(NAMES)))
    return subprocess.Popen([
        "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", f"--addn-hosts={hosts}", f"--port={THEIRS}",
        "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root", f"--pid-file={folder / 'pid'}",
        "--conf-file=/dev/null",
    ])  # fmt: skip


def unbound(folder: Path) -> subprocess.Popen[bytes]:
    """Another peer: a resolver, which has the names as its own data."""
    data = (f'local-data: "n{n}.web.mooring. 1 IN A {IPv4Address("10.0.0.2") + n}"' for n in range(NAMES))
    settings = [
        f"interface: 127.0.0.1@{UNBOUND}", "do-daemonize: no", 'username: ""', 'chroot: ""', 'pidfile: ""',
        "use-syslog: no", "verbosity: 0", "num-threads: 1", 'module-config: "iterator"', "local-zone: mooring. static",
    ]  # fmt: skip
    path = folder / "unbound.conf"
    path.write_text("\n  ".join(["server:", *settings, *data]) + "\n")
    return subprocess.Popen(["unbound", "-d", "-c", path])


def nsd(folder: Path) -> subprocess.Popen[bytes]:
    """And another: a server of zones, and of nothing else."""
    start = "$ORIGIN mooring.\n$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n"
    names = "".join(f"n{n}.web A {IPv4Address('10.0.0.2') + n}\n" for n in range(NAMES))
    (folder / "zone").write_text(start + names)
    path = folder / "nsd.conf"
    path.write_text(
        f'server:\n  ip-address: 127.0.0.1@{NSD}\n  username: ""\n  zonesdir: "{folder}"\n  database: ""\n'
        f'  pidfile: "{folder}/nsd.pid"\n  xfrdfile: "{folder}/xfrd"\n  zonelistfile: "{folder}/zones"\n'
        'remote-control:\n  control-enable: no\nzone:\n  name: "mooring"\n  zonefile: "zone"\n'
    )
    return subprocess.Popen(["nsd", "-d", "-c", path])


def throughput(path: Path, server: str, port: int, seconds: int = SECONDS) -> float:
    """Questions a second that are answered."""
    words = ["dnsperf", "-s", server, "-p", str(port), "-d", str(path), "-l", str(seconds), "-c", "4", "-q", "100"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    rate, lost = re.search(r"Queries per second:\s+([\d.]+)", said), re.search(r"Queries lost:\s+(\d+)", said)
    assert rate is not None
    assert lost is not None
    if int(lost[1]):
        print(f"  port {port}: {lost[1]} lost")
    return float(rate[1])


def times(port: int) -> list[float]:
    """Seconds of single questions, one after the other."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.connect((str(LOCAL), port))
        for _ in range(SINGLE):
            message = question(random.randrange(NAMES))
            began = time.perf_counter()
            asking.send(message)
            asking.recv(4096)
            found.append(time.perf_counter() - began)
    return sorted(found)


def wait_for(port: int) -> None:
    """Until the server answers."""
    message = question(1)
    for _ in range(600):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.2)
            asking.connect((str(LOCAL), port))
            try:
                asking.send(message)
                asking.recv(512)
            except OSError:
                time.sleep(0.1)
            else:
                return
    raise SystemExit(f"nobody answers at port {port}")


def compare(rounds: int) -> float:
    """Questions a second of ours over dnsmasq's."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = questions(folder)
        ours = multiprocessing.get_context("spawn").Process(target=run_server, args=(NAMES,), daemon=True)
        ours.start()
        stack.callback(ours.terminate)
        theirs = dnsmasq(folder)
        stack.callback(theirs.terminate)
        others = {"unbound": (UNBOUND, unbound), "nsd": (NSD, nsd)}
        others = {name: peer for name, peer in others.items() if shutil.which(name)}
        for _, start in others.values():
            stack.callback(start(folder).terminate)
        for port in (OURS, THEIRS, *(port for port, _ in others.values())):
            wait_for(port)
        rates, tails = [], []
        at = int(SINGLE * 0.99)
        for number in range(rounds):
            one, other = throughput(path, str(LOCAL), OURS), throughput(path, str(LOCAL), THEIRS)
            mine, peer = times(OURS), times(THEIRS)
            rates.append(one / other)
            tails.append(mine[at] / peer[at])
            middle, least = SINGLE // 2, min(rates)
            print(
                f"round {number + 1}: {one:.0f} / {other:.0f} questions a second = {rates[-1]:.2f}; singly p50"
                f" {mine[middle] * 1e6:.0f} / {peer[middle] * 1e6:.0f} us, p99 {mine[at] * 1e6:.0f} /"
                f" {peer[at] * 1e6:.0f} us"
            )
            for name, (port, _) in others.items():
                rate, single = throughput(path, str(LOCAL), port), times(port)
                print(
                    f"  {name}: {rate:.0f} a second, ours over it {one / rate:.2f}; singly p50"
                    f" {single[middle] * 1e6:.0f} us, p99 {single[at] * 1e6:.0f} us"
                )
    print(f"p99 over dnsmasq's: {statistics.median(tails):.2f}; least ratio {least:.2f}")
    return statistics.median(rates)


def flooded(rounds: int) -> None:
    """What a flood does to the calls of a container's life."""
    lab, found = Lab(), dict[str, list[float]](quiet=[], flooded=[])
    try:
        host = lab.host(boot=False, settings={"MOORING_DNS": "on", "MOORING_LOG_LEVEL": "error"})
        host.boot(start=False)
        host.daemon.start()
        setup = Plugin(host.daemon.plugin_socket)
        request = {"AddressSpace": "default", "Pool": "10.99.0.0/16", "SubPool": "", "Options": {}, "V6": False}
        granted = setup.call("IpamDriver.RequestPool", request)
        gateway = granted["Data"]["com.docker.network.gateway"]
        data = [{"AddressSpace": "default", "Pool": "10.99.0.0/16", "Gateway": gateway, "AuxAddresses": {}}]
        setup.call(
            "NetworkDriver.CreateNetwork", {"NetworkID": NETWORK, "Options": {}, "IPv4Data": data, "IPv6Data": []}
        )
        path = questions(lab.folder)
        words = ["dnsperf", "-s", "169.254.53.53", "-d", str(path), "-l", "60", "-c", "4", "-q", "100"]
        with (lab.folder / "flood").open("wb") as log:
            for number in range(2 * rounds):
                name = list(found)[number % 2]
                flood = host.namespace.start(words, log) if name == "flooded" else None
                time.sleep(0.5)
                plugin = Plugin(host.daemon.plugin_socket)
                for each in range(CALLS):
                    one_container(plugin, granted["PoolID"], NETWORK, 1 + number * CALLS + each)
                found[name] += [value for each in plugin.times.values() for value in each]
                if flood is not None:
                    flood.kill()
    finally:
        lab.close()
    for name, values in found.items():
        values.sort()
        print(
            f"plugin calls, {name}: p50 {statistics.median(values) * 1e3:.2f} ms, p99"
            f" {values[int(len(values) * 0.99)] * 1e3:.2f} ms, longest {values[-1] * 1e3:.1f} ms"
        )


def main() -> None:
    """Both, and the ratio."""
    ratio = compare(ROUNDS)
    flooded(3)
    print(f"dns-server ratio={ratio:.2f} peer=dnsmasq n={ROUNDS}")


if __name__ == "__main__":
    main()
