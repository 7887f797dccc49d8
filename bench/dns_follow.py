"""dns-follow: a container's start until its name is answered rightly, over the start itself.

Each round makes a container at an address that none had before, under a name that the last one had, too, by the API,
through the proxy and at the engine's own socket. As soon as the engine has answered the start, the host asks for the
name, again and again without a pause, until the answer is that address, and then for an alias, which the daemon has to
ask the engine for. The ratio is of one start; the median over the rounds is printed. ENGINE=20, 26 or 28 chooses the
engine. Needs root.

    scripts/bench dns-follow
"""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

import dns.message
import dns.query
import dns.rdatatype

from tests.e2e.lab.clients import DockerClient
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.names import SERVER

ROUNDS, WARM = 40, 2
FIRST = IPv4Address("10.77.1.0")
NAMES = ("app.bench.mooring", "front.bench.mooring")
# Seconds after which the name is taken not to come any more.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Follow:
    """One start. start: its seconds. name, alias: seconds from its beginning until each was answered rightly. asked:
    questions that it took."""

    start: float
    name: float
    alias: float
    asked: int


def asked_until(asking: socket.socket, name: str, address: str) -> int:
    """Ask the server for the name until it has the address and no other; how many questions it took."""
    question = dns.message.make_query(name, "A")
    ends, count = time.perf_counter() + PATIENCE, 0
    while time.perf_counter() < ends:
        count += 1
        reply = dns.query.udp(question, SERVER, timeout=1, sock=asking, ignore_unexpected=True)
        if [str(each) for section in reply.answer for each in section] == [address]:
            return count
    raise SystemExit(f"{name} is not {address} after {PATIENCE:g} s:\n{reply}")


def followed(client: DockerClient, asking: socket.socket, address: str) -> Follow:
    """Make the container, start it, ask, and remove it."""
    place = {"IPAMConfig": {"IPv4Address": address}, "Aliases": ["front"]}
    body = {
        "Image": IMAGE, "Cmd": ["stay"], "HostConfig": {"NetworkMode": "bench"},
        "NetworkingConfig": {"EndpointsConfig": {"bench": place}},
    }  # fmt: skip
    client.api("POST", "/v1.41/containers/create?name=app", body)
    began = time.perf_counter()
    client.api("POST", "/v1.41/containers/app/start")
    started = time.perf_counter()
    count = asked_until(asking, NAMES[0], address)
    named = time.perf_counter()
    count += asked_until(asking, NAMES[1], address)
    aliased = time.perf_counter()
    client.api("DELETE", "/v1.41/containers/app?force=1")
    return Follow(started - began, named - began, aliased - began, count)


def measure() -> dict[str, list[Follow]]:
    """The starts, by way."""
    lab, found = Lab(), dict[str, list[Follow]](proxy=[], engine=[])
    try:
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info"})
        host.create_network("bench", "-o", "dns=on", "--subnet", "10.77.0.0/16")
        ways, address = {"proxy": host.proxy, "engine": host.engine}, FIRST
        with host.namespace.socket(kind=socket.SOCK_DGRAM) as asking:
            for number in range(-WARM, ROUNDS):
                for way in sorted(ways, reverse=number % 2 == 0):
                    address += 1
                    one = followed(ways[way], asking, str(address))
                    if number >= 0:
                        found[way].append(one)
    finally:
        lab.close()
    return found


def main() -> None:
    """Measure and print; the limit is 1.05."""
    ratios = {}
    for way, starts in measure().items():
        names, aliases = [each.name / each.start for each in starts], [each.alias / each.start for each in starts]
        ratios[way] = statistics.median(names)
        start = statistics.median(each.start for each in starts) * 1e3
        more = statistics.median(each.name - each.start for each in starts) * 1e3
        print(f"{way:6} start {start:.1f} ms, name {more:.2f} ms later")
        for what, found in (("name", names), ("alias as well", aliases)):
            print(f"{way:6} {what:13} over start {statistics.median(found):.3f}, longest {max(found):.3f}")
        asked = [each.asked for each in starts]
        print(f"{way:6} questions {statistics.median(asked):g}, most {max(asked)}")
    print(f"dns-follow ratio={max(ratios.values()):.3f} peer=start-itself n={ROUNDS}")


if __name__ == "__main__":
    main()
