"""Three hosts that share an etcd of three members with TLS, and what may happen to them.

Rules: hosts have machine and boot ids of their own; a cut is a rule on the underlay's bridge, so that packets vanish
without a word; `reset` mends everything, and wants nothing in etcd but the cluster, its hosts, and their sessions.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.e2e.lab.etcds import Etcd, Etcds, Place, etcds
from tests.e2e.lab.hosts import Host
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.namespaces import LabError, eventually, in_network
from tests.e2e.lab.underlays import OUTSIDE, mac

T = TypeVar("T")
NAMES = ("one", "two", "three")
ALWAYS = ("cluster", "host/", "session/", "mark/", "restore")
"""What the keys begin with that a cluster without networks has."""
# etcd's own clocks, which a machine that is busy keeps better than those of the contracts' members; what is killed here
# are processes, and what those have written is kept by the kernel.
MEMBERS = ("--heartbeat-interval=100", "--election-timeout=1000", "--unsafe-no-fsync")
PREFIX = "mooring/"


def together(*calls: Callable[[], T]) -> list[T]:
    """What they return, each called on a thread of its own, all at once. Raises what one of them raises."""
    with ThreadPoolExecutor(len(calls) or 1) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


class LabCluster:
    """hosts: `one`, `two` and `three`, which have joined. servers: the members of etcd, on the outside machine."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        """folder: for what the members keep. Everybody is heard when this returns."""
        self._lab, self._stack = lab, contextlib.ExitStack()
        self.hosts: list[Host] = []
        try:
            place = Place(lab.outside.ipv4, lab.outside.namespace)
            self.servers: Etcds = self._stack.enter_context(
                etcds(folder, "trixie", 3, tls=True, extra=MEMBERS, place=place)
            )
            for _ in NAMES:
                host = lab.host(boot=False)
                host.own_ids = True
                self.hosts.append(host)
                self._stack.callback(lab.discard, host)
            together(*(host.boot for host in self.hosts))
            self._join()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The hosts, the members and the cuts are gone."""
        self._uncut()
        self._stack.close()

    def _join(self) -> None:
        first, *others = self.hosts
        assert self.servers.authority is not None
        assert self.servers.client is not None
        argv = ["--ca", self.servers.authority.cert, "--certificate", self.servers.client.cert]
        argv += ["--key", self.servers.client.key]
        endpoints = [word for endpoint in self.servers.endpoints for word in ("--endpoint", endpoint)]
        said = first.mooring("cluster", "init", *endpoints, *map(str, argv), "--name", NAMES[0]).output
        token = re.findall(r"mooring cluster join (\S+)", said)[-1]
        for host, name in zip(others, NAMES[1:], strict=True):
            host.mooring("cluster", "join", token, "--name", name)
        self.wait_heard()

    # -- what is seen ----------------------------------------------------------------------------------------------

    def wait_heard(self, timeout: float = 60.0) -> None:
        """Every host is heard, and knows it."""

        def heard(host: Host) -> bool:
            status = self.status(host)
            return not status["unreached"] and status["confirmed"] is not None and status["heard"] == len(NAMES)

        for host in self.hosts:
            eventually(lambda host=host: heard(host), f"all hosts are heard by {host.number}", timeout, 0.1)  # type: ignore[misc]

    def status(self, host: Host) -> dict[str, Any]:
        """What `mooring cluster status` is told; some seconds later while etcd is away."""
        view: dict[str, Any] = host.daemon.api("/v1/cluster", timeout=30)
        return view

    def stored(self, prefix: str = "") -> dict[str, bytes]:
        """What is in etcd, without Mooring's prefix. Raises LabError when no member answers."""
        rows = self._ask("/v3/kv/range", _under(PREFIX + prefix), self.servers.members).get("kvs", [])
        return {
            base64.b64decode(row["key"]).decode().removeprefix(PREFIX): base64.b64decode(row.get("value", ""))
            for row in rows
        }

    def changes(self) -> list[tuple[int, str, str]]:
        """Everything that was ever written: its revision, the key without Mooring's prefix, and the value, "-" where it
        was deleted. Raises LabError when no member answers."""
        asked, members = _under(PREFIX), self.servers.members
        last = int(self._ask("/v3/kv/range", asked | {"count_only": True}, members)["header"]["revision"])
        watch = {"create_request": asked | {"start_revision": "1"}}
        rows = self._ask("/v3/watch", watch, members, read=partial(_events, last=last))
        return [
            (
                int(row["kv"]["mod_revision"]),
                base64.b64decode(row["kv"]["key"]).decode().removeprefix(PREFIX),
                base64.b64decode(row["kv"].get("value", "")).decode() if row.get("type") != "DELETE" else "-",
            )
            for row in rows
        ]

    def left(self) -> list[str]:
        """Keys that a cluster without networks does not have."""
        return [key for key in self.stored() if not key.startswith(ALWAYS)]

    def leader(self) -> Etcd:
        """The member that leads, once there is one."""

        def ask() -> Etcd | None:
            for member in self.servers.members:
                with contextlib.suppress(LabError):
                    said = self._ask("/v3/maintenance/status", {}, [member])
                    if said.get("leader", "0") == said["header"]["member_id"]:
                        return member
            return None

        found = eventually(ask, "etcd has a leader", 20, 0.1)
        assert found is not None
        return found

    def _ask(
        self, path: str, body: object, members: Sequence[Etcd],
        read: Callable[[http.client.HTTPResponse], Any] = lambda reply: json.loads(reply.read()),
    ) -> Any:  # fmt: skip
        """etcd's JSON gateway: no client of ours between the test and what is there."""
        assert self.servers.authority is not None
        assert self.servers.client is not None
        context = ssl.create_default_context(cafile=str(self.servers.authority.cert))
        context.load_cert_chain(self.servers.client.cert, self.servers.client.key)
        why = "nobody was asked"
        for member in members:
            host, port = urlsplit(member.endpoint).hostname, urlsplit(member.endpoint).port
            connection = http.client.HTTPSConnection(str(host), port, timeout=3, context=context)
            try:
                plain = in_network(
                    self._lab.outside.network,
                    lambda host=host, port=port: socket.create_connection((host, port), 3),  # type: ignore[misc]
                )
                connection.sock = context.wrap_socket(plain, server_hostname=host)
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                reply = connection.getresponse()
                document = read(reply)
                if reply.status == 200:
                    return document
                why = f"{member.name}: {document}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = f"{member.name}: {error}"
            finally:
                connection.close()
        raise LabError(f"etcd does not answer: {why}")

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def cut_from_store(self, host: Host) -> None:
        """No packet passes between the host and etcd."""
        ports = ", ".join(str(urlsplit(endpoint).port) for endpoint in self.servers.endpoints)
        self._drop(host.number, OUTSIDE, f"tcp dport {{ {ports} }}")
        self._drop(OUTSIDE, host.number, f"tcp sport {{ {ports} }}")

    def part(self, one: Host, other: Host) -> None:
        """No packet passes between the two hosts."""
        self._drop(one.number, other.number)
        self._drop(other.number, one.number)

    def narrow(self, one: Host, other: Host, length: int) -> None:
        """Packets of more bytes vanish between the two hosts, and nobody is told."""
        self._drop(one.number, other.number, f"meta length > {length}")
        self._drop(other.number, one.number, f"meta length > {length}")

    def unplug(self, host: Host) -> None:
        """The host's cable is pulled."""
        self._lab.underlay.cut(host.number)

    def mend(self) -> None:
        """Nothing is cut any more, and every cable is in."""
        self._uncut()
        for host in self.hosts:
            if host.on:
                self._lab.underlay.mend(host.number)

    def _uncut(self) -> None:
        self._lab.underlay.namespace.run("nft", "delete", "table", "bridge", "cuts", check=False)

    def _drop(self, sender: int, receiver: int, what: str = "") -> None:
        rule = f"ether saddr {mac(sender)} ether daddr {mac(receiver)} {what} drop"
        chain = "chain forward {\n type filter hook forward priority 0\n " + rule + "\n}\n"
        self._lab.underlay.namespace.run("nft", "-f", "-", stdin="table bridge cuts {\n" + chain + "}\n")

    def restore_members(self) -> None:
        """Every member of etcd runs."""
        for member in self.servers.members:
            if member.process is None or member.process.poll() is not None:
                member.start()
            else:
                member.send(signal.SIGCONT)

    def clear(self) -> None:
        """No host has containers and networks."""
        together(*(partial(_clear, host) for host in self.hosts))

    def recover(self) -> None:
        """All is mended, runs, and is heard."""
        self.mend()
        self.restore_members()
        for host in self.hosts:
            if not host.on:
                host.boot()
            if not host.daemon.running:
                host.daemon.start()
            if not host.engine.running:
                host.engine.start()
        self.wait_heard()

    def reset(self, timeout: float = 100.0) -> list[str]:
        """The cluster is as new: all run and are heard, without containers and networks. What has not gone after so
        many seconds, a line each: a minute and a half later hosts have found what came late of a network."""
        self.recover()
        self.clear()
        for host in self.hosts:
            host.forget_networks()
        with contextlib.suppress(LabError):
            eventually(lambda: not self.left(), "nothing is left in etcd", timeout, 0.1)
        found = [f"etcd: {key}" for key in self.left()]
        return found + [f"host {host.number}: {line}" for host in self.hosts for line in leaks(host)]


class LabClusters:
    """Makes the cluster that tests share when it is asked for, and anew when it was dropped."""

    def __init__(self, lab: Lab, folder: Callable[[str], Path]) -> None:
        """folder: makes a new folder of the name."""
        self._lab, self._folder = lab, folder
        self._now: LabCluster | None = None
        self.broken = False
        """What is there is nobody's any more, but its logs are told yet."""

    def get(self) -> LabCluster:
        """The cluster."""
        if self.broken:
            self.drop()
        if self._now is None:
            self._now = LabCluster(self._lab, self._folder("etcd"))
        return self._now

    def drop(self) -> None:
        """It is gone: no other test runs beside idle hosts."""
        self.broken = False
        if self._now is not None:
            self._now.close()
            self._now = None


def _clear(host: Host) -> None:
    host.engine.clear()
    if host.engine.networks():
        # Of endpoints that end at the same time an engine may lose count until it starts anew (moby#23302).
        host.engine.stop()
        host.engine.start()
        host.engine.clear()


def _events(reply: http.client.HTTPResponse, last: int) -> list[dict[str, Any]]:
    """What a watch tells, up to that revision."""
    found: list[dict[str, Any]] = []
    while not found or int(found[-1]["kv"]["mod_revision"]) < last:
        found += json.loads(reply.readline()).get("result", {}).get("events", [])
    return found


def _under(prefix: str) -> dict[str, Any]:
    """How etcd is asked for everything under the prefix."""
    first = prefix.encode()
    return {"key": base64.b64encode(first).decode(), "range_end": base64.b64encode(_after(first)).decode()}


def _after(prefix: bytes) -> bytes:
    """The first key after all that begin with it."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
