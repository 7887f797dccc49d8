"""Who has which address, seen from outside again and again: in the kernels of containers, and on record at each host.

Rules: kernels are looked at before the records, so that what is in a kernel is on record already if it ever was; a look
changes nothing and enters no namespace, since one that is held open does not end.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_address
from itertools import pairwise
from pathlib import Path

from mooring.testing.address_history import AddressHistory, What
from tests.e2e.lab.hosts import Host

# (host's number, address) -> whose: a container's full id, or an endpoint's where no record says whose that is.
Had = Mapping[tuple[int, str], str]
OWN = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
CONTAINER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Look:
    """What was there at one moment, on one clock for all hosts."""

    at: float
    kernels: Had
    records: Had


def in_kernels(host: Host, subnet: IPv4Network) -> Iterator[tuple[str, str]]:
    """Address and container's full id of each process's namespace that has an address of the subnet."""
    processes = Path(f"/proc/{host.namespace.pid}/root/proc")
    seen = {(processes / "1/ns/net").readlink()}
    for process in processes.iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):  # it has ended meanwhile
            network = (process / "ns/net").readlink()
            if network in seen:
                continue
            seen.add(network)
            container = CONTAINER.search((process / "cgroup").read_text())
            for address in set(OWN.findall((process / "net/fib_trie").read_text())):
                if container and IPv4Address(address) in subnet:
                    yield address, container[0]


@dataclass
class Sightings:
    """Looks at the hosts on a thread, for as long as it is a context. Then `history` says what was seen.

    settled: only what two looks in a row have seen counts. Hosts are looked at one after the other, and an address that
    moves may be seen on both.
    """

    hosts: Sequence[Host]
    subnet: IPv4Network
    pause: float = 0.2
    settled: bool = False
    looks: list[Look] = field(default_factory=list)
    _endpoints: dict[str, str] = field(default_factory=dict)
    _boots: dict[str, int] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Sightings:
        self._thread = threading.Thread(target=self._watch, name="sightings")
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()
        self.look()

    def _watch(self) -> None:
        while not self._end.wait(self.pause):
            self.look()

    def look(self) -> Look:
        """Once. A host that is off has nothing; one whose daemon does not answer has what it had."""
        at = time.monotonic()
        kernels: dict[tuple[int, str], str] = {}
        records: dict[tuple[int, str], str] = {}
        for host in self.hosts:
            if host.on:
                kernels |= {(host.number, address): who for address, who in in_kernels(host, self.subnet)}
        for host in self.hosts:
            if not host.on:
                continue
            try:
                rows = host.daemon.leases()
            except Exception:  # noqa: BLE001  killed, or about to be
                # Nor is it known whether what has come into its kernel meanwhile is on record.
                before = self.looks[-1] if self.looks else Look(at, {}, {})
                records |= {place: who for place, who in before.records.items() if place[0] == host.number}
                new = [place for place in kernels if place[0] == host.number and place not in before.kernels]
                for place in new:
                    del kernels[place]
                continue
            for row in rows:
                if row["endpoint"] and ip_address(row["address"]) in self.subnet:
                    # What is on record of a boot before has no user any more, though the engine has not said so yet.
                    if self._boots.setdefault(row["endpoint"], host.namespace.pid) != host.namespace.pid:
                        continue
                    records[host.number, row["address"]] = row["endpoint"]
                    if row["container"]:
                        self._endpoints[row["endpoint"]] = row["container"]
        look = Look(at, kernels, records)
        self.looks.append(look)
        return look

    def history(self) -> AddressHistory:
        """Grants as the records had them, sightings as the kernels had them, by containers. Where no record ever said
        whose an endpoint was, it is that of the one container that was seen with its address meanwhile."""
        self._guess()
        history = AddressHistory()
        before = Look(0, {}, {})
        for look in self._settled() if self.settled else self.looks:
            for had, has, begin, end in (
                (self._by_container(before.records), self._by_container(look.records), What.GRANTED, What.RELEASED),
                (before.kernels, look.kernels, What.SIGHTED, What.GONE),
            ):
                for changed, what in ((had.items() - has.items(), end), (has.items() - had.items(), begin)):
                    for (number, address), who in sorted(changed):
                        history.note(look.at, what, f"host{number}", address, who)
            before = look
        return history

    def _guess(self) -> None:
        seen: dict[str, set[str]] = {}
        for look in self.looks:
            for place, endpoint in look.records.items():
                if endpoint not in self._endpoints and place in look.kernels:
                    seen.setdefault(endpoint, set()).add(look.kernels[place])
        self._endpoints |= {endpoint: who.pop() for endpoint, who in seen.items() if len(who) == 1}

    def _settled(self) -> Iterator[Look]:
        for before, look in pairwise(self.looks):
            # A look takes a while: what was in a kernel at its beginning may be off the record at its end.
            same = {place for place in look.kernels if before.records.get(place) == look.records.get(place)}
            kernels = {place: who for place, who in before.kernels.items() & look.kernels.items() if place in same}
            yield Look(look.at, kernels, dict(before.records.items() & look.records.items()))

    def _by_container(self, records: Had) -> Had:
        return {place: self._endpoints.get(endpoint, endpoint) for place, endpoint in records.items()}
