"""Chaos: containers come and go on three hosts while members, ways, daemons, engines and hosts fail, by a seed.

Rules: what is granted and what is in the kernels is written down all the time; when everything is well again, nobody
has an address of somebody else, nothing is lost, and once the containers are gone nothing is left.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.e2e.lab import DockerError, Host, Lab, LabError
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.etcds import Etcd
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.sightings import Sightings

SUBNET = IPv4Network("10.90.0.0/24")
MOST = 8
"""Containers a host."""
KEYS = 4
"""Keys that all hosts want."""
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass
class Chaos:
    """Plays for some seconds. did: how often what was done, and how it ended."""

    cluster: LabCluster
    seconds: float
    seed: int
    did: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    """What was done and how it ended, a line each, in the clock of the history."""
    _over: threading.Event = field(default_factory=threading.Event)
    _drawn: str = ""
    """Whom it meets, whatever it is."""

    def play(self) -> list[str]:
        """What is wrong, a line each."""
        together(*(partial(share, host) for host in self.cluster.hosts))
        workers = [
            threading.Thread(target=self._work, args=(host, random.Random(f"{self.seed}/{host.number}")))
            for host in self.cluster.hosts
        ]
        with Sightings(self.cluster.hosts, SUBNET, settled=True) as sightings:
            for worker in workers:
                worker.start()
            try:
                self._fail(random.Random(self.seed))
            finally:
                self._over.set()
                for worker in workers:
                    worker.join()
            self.cluster.recover()
            self.cluster.clear()
        wrong = sightings.history().faults() + self.cluster.reset()
        if wrong:
            self._explain(wrong, sightings)
        return wrong

    def _explain(self, wrong: Sequence[str], sightings: Sightings) -> None:
        """The story has what was seen and written of the addresses that are wrong, and everything of networks."""
        addresses = {each for line in wrong for each in ADDRESS.findall(line)}
        self.story.append(f"{time.monotonic():.3f} is {time.time():.3f} of the epoch")
        self.story += [
            f"{event.at:.3f} seen {event.what.value} {event.address} on {event.host} {event.user}"
            for event in sightings.history().events
            if event.address in addresses
        ]
        self.story.sort(key=lambda line: float(line.split()[0]))
        ends = tuple(IPv4Address(each).packed.hex() for each in addresses)
        for revision, key, value in self.cluster.changes():
            kind, _, rest = key.partition("/")
            if kind in ("key", "want", "block", "net") or rest.endswith(ends):
                self.story.append(f"etcd {revision} {key} {value}")

    def _note(self, what: str) -> None:
        self.story.append(f"{time.monotonic():.3f} {what}")

    def _work(self, host: Host, chance: random.Random) -> None:
        """Containers of the host come and go."""
        while not self._over.wait(chance.random()):
            try:
                self._step(host, chance)
            except (DockerError, LabError, OSError, HTTPException) as error:
                status = error.status if isinstance(error, DockerError) else type(error).__name__
                self.did[f"refused: {status}"] += 1
                self._note(f"host{host.number} refused: {error}")

    def _step(self, host: Host, chance: random.Random) -> None:
        there = host.engine.containers() if host.on else []
        if there and (len(there) >= MOST or chance.random() < 0.4):
            chosen = chance.choice(there)
            self._note(f"host{host.number} removes {chosen}")
            host.proxy.api("DELETE", f"/containers/{chosen}?force=1", timeout=20)
            self.did["removed"] += 1
            self._note(f"host{host.number} has removed {chosen}")
            return
        labels = {"mooring.key": f"key{chance.randrange(KEYS)}"} if chance.random() < 0.3 else {}
        body = {"Image": IMAGE, "Cmd": ["stay"], "Labels": labels, "HostConfig": {"NetworkMode": "shared"}}
        made = host.proxy.api("POST", "/containers/create", body, timeout=20)["Id"]
        self._note(f"host{host.number} has made {made} {' '.join(labels.values())}")
        host.proxy.api("POST", f"/containers/{made}/start", timeout=20)
        self._note(f"host{host.number} has started {made}")
        self.did["started with a key" if labels else "started"] += 1

    def _fail(self, chance: random.Random) -> None:
        end, due = time.monotonic() + self.seconds, list[str]()
        while time.monotonic() < end:
            fates = self._fates(chance)
            due = due or chance.sample(sorted(fates), len(fates))  # each once before any comes again
            name = due.pop()
            fail, mend = fates[name]
            self.did[name] += 1
            self._note(f"{name}: {self._drawn}")
            fail()
            self._over.wait(chance.choice((1, 3, 8, 20)) * chance.random())
            mend()
            self._note(f"{name}: no more")
            self._over.wait(chance.random() * 3)

    def _fates(self, chance: random.Random) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
        cluster, host = self.cluster, chance.choice(self.cluster.hosts)
        other = chance.choice([each for each in cluster.hosts if each is not host])
        members = chance.sample(cluster.servers.members, chance.choice((1, 1, 2)))
        self._drawn = f"host{host.number}, from host{other.number}, {[member.name for member in members]}"
        return {
            "cut from etcd": (partial(cluster.cut_from_store, host), cluster.mend),
            "cable pulled": (partial(cluster.unplug, host), cluster.mend),
            "hosts parted": (partial(cluster.part, host, other), cluster.mend),
            "members killed": (partial(kill, members), cluster.restore_members),
            "members stopped": (partial(stop, members), cluster.restore_members),
            "daemon killed": (host.daemon.kill9, host.daemon.start),
            "engine killed": (host.engine.kill9, host.engine.start),
            "host off": (host.power_off, host.boot),
        }


def share(host: Host) -> None:
    """The host is in the network. On a busy machine etcd may not answer in the time that a create has, a few times."""
    for last in (False, False, True):
        try:
            host.create_network("shared", "-o", "scope=cluster", "--subnet", str(SUBNET))
            return
        except LabError:
            if last:
                raise


def kill(members: Sequence[Etcd]) -> None:
    """As a power cut does."""
    for member in members:
        member.kill()


def stop(members: Sequence[Etcd]) -> None:
    """They say nothing any more."""
    for member in members:
        member.send(signal.SIGSTOP)


def main() -> None:
    """`python -m tests.e2e.lab.chaos [SECONDS [SEED]]`."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"chaos for {seconds:g} s, seed {seed}", flush=True)
    with (
        contextlib.closing(Lab()) as lab,
        tempfile.TemporaryDirectory(dir=lab.folder) as folder,
        contextlib.closing(LabCluster(lab, Path(folder))) as cluster,
    ):
        chaos = Chaos(cluster, seconds, seed)
        wrong = ["it was broken off"]
        try:
            wrong = chaos.play()
        finally:
            if wrong:
                print(*chaos.story, sep="\n", flush=True)
                print(*(host.logs() for host in cluster.hosts), sep="\n", flush=True)
    for what, count in sorted(chaos.did.items()):
        print(f"{count:6} {what}")
    print(*wrong or ["nothing is wrong"], sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
