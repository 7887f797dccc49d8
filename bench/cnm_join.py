"""cnm-join: the library's life of a sandbox over the same made by forked `ip` commands, and over dockerd's own.

One life is: create an endpoint and a sandbox, join, leave, delete both. The peer does the same work with the fewest
forks of `ip` that it can be done with, on a bridge of its own, in alternating order in the same run. An endpoint's life
alone (create, join, leave, delete in a sandbox that stays) is compared with libnetwork's, through dockerd's API on its
built-in bridge, which has no forks either; and a life beside a thousand living sandboxes with one beside ten.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from mooring import cnm
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.labs import Lab

LIVES = 60
ENGINE_LIVES = 30
FEW, MANY = 10, 1000


def ip(arguments: str) -> None:
    """One fork of ip(8)."""
    subprocess.run(["ip", *arguments.split()], check=True)


class Forks:
    """The peer: ip(8), forked for each step."""

    def __init__(self) -> None:
        ip("link add bench0 type bridge")
        ip("address add 10.77.0.1/16 dev bench0")
        ip("link set bench0 up")
        self._number = 1

    def life(self) -> float:
        """Seconds that one took."""
        self._number += 1
        name, end = f"bench{self._number}", f"be{self._number}"
        address = f"10.77.{self._number // 250}.{self._number % 250 + 2}/16"
        start = time.perf_counter()
        ip(f"netns add {name}")
        ip(f"-n {name} link set lo up")
        ip(f"link add {end} master bench0 type veth peer name eth0 netns {name}")
        ip(f"link set {end} up")
        ip(f"-n {name} address add {address} dev eth0")
        ip(f"-n {name} link set eth0 up")
        ip(f"-n {name} route add default via 10.77.0.1")
        ip(f"link delete {end}")
        ip(f"netns delete {name}")
        return time.perf_counter() - start


async def life(controller: cnm.Controller, network: cnm.Network, resolver: bool) -> float:
    """Seconds that one took with the library."""
    start = time.perf_counter()
    endpoint = await network.create_endpoint()
    sandbox = await controller.create_sandbox(resolver=resolver)
    await endpoint.join(sandbox)
    await endpoint.leave()
    await endpoint.delete()
    await sandbox.delete()
    return time.perf_counter() - start


async def visit(network: cnm.Network, sandbox: cnm.Sandbox) -> float:
    """Seconds that an endpoint's life took in a sandbox that stays."""
    start = time.perf_counter()
    endpoint = await network.create_endpoint()
    await endpoint.join(sandbox)
    await endpoint.leave()
    await endpoint.delete()
    return time.perf_counter() - start


class EnginePath:
    """libnetwork's path of an endpoint: connect and disconnect a running container, by dockerd's API."""

    def __init__(self, lab: Lab) -> None:
        host = lab.host()
        self._socket = str(host.engine.socket)
        host.docker("network", "create", "home")
        host.docker("network", "create", "away")
        self._container = host.docker("run", "-d", "--network", "home", IMAGE, "sleep", "3600").output.strip()

    def visit(self) -> float:
        """Seconds that one took."""
        connection = http.client.HTTPConnection("docker")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self._socket)
        body = json.dumps({"Container": self._container})
        start = time.perf_counter()
        for verb in ("connect", "disconnect"):
            connection.request("POST", f"/networks/away/{verb}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise SystemExit(f"{verb}: {answer.status} {answer.read().decode()}")
            answer.read()
        elapsed = time.perf_counter() - start
        connection.close()
        return elapsed


async def repeat(number: int, *works: Callable[[], Awaitable[float]]) -> list[list[float]]:
    """Seconds of each, one after the other in alternating order, after a first one of each that does not count."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(number + 1):
        order = list(enumerate(works))
        for place, work in order if turn % 2 else reversed(order):
            seconds = await work()
            if turn:
                times[place].append(seconds)
    return times


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the pairwise ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def show(what: str, seconds: list[float]) -> None:
    """One line."""
    median = statistics.median(seconds)
    print(f"{what:44} median {median * 1000:7.2f} ms   {1 / median:6.1f}/s")


async def lives(controller: cnm.Controller, network: cnm.Network) -> None:
    """Whole lives, over forked ip."""
    forks = Forks()

    async def theirs() -> float:
        return forks.life()

    ours, named, forked = await repeat(
        LIVES, lambda: life(controller, network, False), lambda: life(controller, network, True), theirs
    )
    show("library, without names", ours)
    show("library, with the embedded resolver", named)
    show("forked ip", forked)
    print(f"cnm-join-names ratio={ratio(named, forked):.3f} peer=forked-ip n={LIVES}")
    print(f"cnm-join ratio={ratio(ours, forked):.3f} peer=forked-ip n={LIVES}")


async def visits(controller: cnm.Controller, network: cnm.Network, peer: EnginePath) -> None:
    """Lives of endpoints, over libnetwork's."""
    home = await controller.create_network("home")
    sandbox = await controller.create_sandbox("stays")
    await (await home.create_endpoint()).join(sandbox)
    ours, theirs = await repeat(ENGINE_LIVES, lambda: visit(network, sandbox), lambda: asyncio.to_thread(peer.visit))
    show("library, an endpoint in a sandbox that stays", ours)
    show("dockerd's libnetwork, connect and disconnect", theirs)
    print(f"cnm-endpoint ratio={ratio(ours, theirs):.3f} peer=libnetwork-in-dockerd n={ENGINE_LIVES}")


async def fill(controller: cnm.Controller, networks: Sequence[cnm.Network], number: int) -> None:
    """So many sandboxes are there, each with an endpoint of the next network and a resolver."""
    while (there := len(controller.sandboxes())) < number:
        endpoint = await networks[there % len(networks)].create_endpoint()
        await endpoint.join(await controller.create_sandbox())


async def crowd(folder: Path, networks: int) -> None:
    """What a life costs beside many others on so many networks, and what they cost when their controller comes back."""
    async with open_controller(folder) as controller:
        network = await controller.create_network("bench", subnets=["10.78.0.0/16"])
        others = [network] if networks == 1 else [await controller.create_network(f"n{n}") for n in range(networks)]
        await fill(controller, others, FEW)
        [few] = await repeat(LIVES, lambda: life(controller, network, True))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        await fill(controller, others, MANY)
        filled = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        [many] = await repeat(LIVES, lambda: life(controller, network, True))
    start = time.perf_counter()
    async with open_controller(folder) as controller:
        reopened = time.perf_counter() - start
        for sandbox in controller.sandboxes():
            await sandbox.delete()
        for each in controller.networks():
            for endpoint in each.endpoints():
                await endpoint.delete()
            await each.delete()
    show(f"beside {FEW} on {networks} networks", few)
    show(f"beside {MANY} on {networks} networks", many)
    size = (after - before) / (MANY - FEW)
    print(f"{MANY - FEW} more, with resolvers: {filled:.1f} s, {size:.0f} KB each; to reopen {reopened:.1f} s")
    flat = statistics.median(many) / statistics.median(few)
    print(f"cnm-crowd-{networks} ratio={flat:.3f} peer=beside-{FEW} n={LIVES}")


def open_controller(folder: Path) -> AbstractAsyncContextManager[cnm.Controller]:
    """The same one each time."""
    return cnm.Controller.open("bench", state_dir=folder / "state", run_dir=folder / "run")


async def main() -> None:
    """Measure, print."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mooring-bench-")))
        for networks in (1, 20):
            await crowd(folder, networks)
        lab = Lab()
        stack.callback(lab.close)
        peer = EnginePath(lab)
        controller = await stack.enter_async_context(open_controller(folder))
        network = await controller.create_network("bench", subnets=["10.78.0.0/16"])
        await visits(controller, network, peer)
        await lives(controller, network)
        for sandbox in controller.sandboxes():
            await sandbox.delete()


if __name__ == "__main__":
    if "--inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv, "--inside"])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    import uvloop

    uvloop.run(main())
