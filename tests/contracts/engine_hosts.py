"""Engines for the contract, and what a test does to them: one in memory, and a dockerd of the lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol
from urllib.parse import quote

from mooring.adapters.docker.docker_engine import DockerEngine
from mooring.core.containers import ContainerEndpoint
from mooring.ports import Engine
from mooring.testing.memory_engine import MemoryEngine
from tests.e2e.lab import Host
from tests.e2e.lab.images import IMAGE


@dataclass(frozen=True)
class Place:
    """A network that a container is to be in, by name or the beginning of its id, and what is asked for there."""

    network: str
    ipv4: str = ""
    ipv6: str = ""

    @property
    def wanted4(self) -> IPv4Address | None:
        """The address asked for."""
        return IPv4Address(self.ipv4) if self.ipv4 else None

    @property
    def wanted6(self) -> IPv6Address | None:
        """The address asked for."""
        return IPv6Address(self.ipv6) if self.ipv6 else None


class Rig(Protocol):
    """What a test does. Containers and networks go by name; ids are full."""

    @property
    def engine(self) -> Engine:
        """The engine as we ask it."""
        ...

    def network(self, name: str, subnet4: str = "", subnet6: str = "") -> str:
        """`docker network create`; its id."""
        ...

    def create(
        self, name: str, *places: Place, labels: Mapping[str, str] | None = None, mac: str = "", rm: bool = False
    ) -> str:
        """`docker create` in the first place, `docker network connect` to the others; its id. mac: in the first."""
        ...

    def start(self, name: str) -> None:
        """`docker start`."""
        ...

    def stop(self, name: str) -> None:
        """`docker stop`; one with `--rm` is gone soon after."""
        ...

    def remove(self, name: str) -> None:
        """`docker rm`."""
        ...

    def rename(self, name: str, new: str) -> None:
        """`docker rename`."""
        ...

    def connect(self, name: str, place: Place) -> None:
        """`docker network connect`."""
        ...

    def disconnect(self, name: str, network: str) -> None:
        """`docker network disconnect`."""
        ...

    def clear(self) -> None:
        """No container is left, and no networks but web and back."""
        ...

    def down(self) -> None:
        """The engine ends; its containers have been stopped."""
        ...

    def up(self) -> None:
        """It starts again."""
        ...


class MemoryRig:
    """Over the double."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self._count = 0
        self._ids: dict[str, str] = {}
        self._rm: set[str] = set()

    def network(self, name: str, subnet4: str = "", subnet6: str = "") -> str:
        """See Rig."""
        ident = self._ident()
        self.engine.networks.add(ident)
        self.engine.names[ident] = name
        return ident

    def create(
        self, name: str, *places: Place, labels: Mapping[str, str] | None = None, mac: str = "", rm: bool = False
    ) -> str:
        """See Rig."""
        ident = self._ids[name] = self._ident()
        endpoints = [self._connect(place) for place in places]
        if endpoints:
            endpoints[0] = replace(endpoints[0], wanted_mac=mac)
        self.engine.create(ident, name, *endpoints, labels=labels)
        if rm:
            self._rm.add(name)
        return ident

    def start(self, name: str) -> None:
        """See Rig: in its first network."""
        container = self.engine._containers[self._ids[name]]
        first = container.endpoints[0]
        addresses = [str(address) for address in first.wanted] or ["10.99.0.9"]
        self.engine.start(container.id, first.network, self._ident(), *addresses)

    def stop(self, name: str) -> None:
        """See Rig."""
        self.engine.stop(self._ids[name])
        if name in self._rm:
            self.remove(name)

    def remove(self, name: str) -> None:
        """See Rig."""
        self.engine.remove(self._ids[name])

    def rename(self, name: str, new: str) -> None:
        """See Rig."""
        self._ids[new] = self._ids.pop(name)
        self.engine.rename(self._ids[new], new)

    def connect(self, name: str, place: Place) -> None:
        """See Rig."""
        self.engine.connect(self._ids[name], self._connect(place))

    def disconnect(self, name: str, network: str) -> None:
        """See Rig."""
        self.engine.disconnect(self._ids[name], self._network(network))

    def clear(self) -> None:
        """See Rig: it is made anew for each test."""

    def down(self) -> None:
        """See Rig."""
        self.engine.go_down()

    def up(self) -> None:
        """See Rig."""
        self.engine.come_up()

    def _connect(self, place: Place) -> ContainerEndpoint:
        ident = self._network(place.network)
        return ContainerEndpoint(ident, self.engine.names[ident], place.wanted4, place.wanted6)

    def _network(self, reference: str) -> str:
        names = self.engine.names
        return next(ident for ident, name in names.items() if name == reference or ident.startswith(reference))

    def _ident(self) -> str:
        self._count += 1
        return sha256(str(self._count).encode()).hexdigest()


class DockerRig:
    """Over a dockerd of the lab, without mooring."""

    def __init__(self, host: Host) -> None:
        self._host = host
        # Not how many run in this PID namespace: other tests have engines of their own.
        self.engine = DockerEngine(str(host.engine.socket), running=lambda: 1)

    def network(self, name: str, subnet4: str = "", subnet6: str = "") -> str:
        """See Rig."""
        config = [{"Subnet": subnet} for subnet in (subnet4, subnet6) if subnet]
        body = {"Name": name, "Driver": "bridge", "EnableIPv6": bool(subnet6), "IPAM": {"Config": config}}
        return str(self._post("/networks/create", body)["Id"])

    def create(
        self, name: str, *places: Place, labels: Mapping[str, str] | None = None, mac: str = "", rm: bool = False
    ) -> str:
        """See Rig."""
        first: Sequence[Place] = places[:1]
        body = {
            "Image": IMAGE,
            "Cmd": ["stay"],
            "Labels": dict(labels or {}),
            "MacAddress": mac,
            "HostConfig": {"NetworkMode": first[0].network if first else "none", "AutoRemove": rm},
            "NetworkingConfig": {"EndpointsConfig": {place.network: _endpoint(place) for place in first}},
        }
        ident = str(self._post(f"/containers/create?name={quote(name)}", body)["Id"])
        for place in places[1:]:
            self.connect(name, place)
        return ident

    def start(self, name: str) -> None:
        """See Rig."""
        self._post(f"/containers/{name}/start")

    def stop(self, name: str) -> None:
        """See Rig."""
        self._post(f"/containers/{name}/kill?signal=KILL")

    def remove(self, name: str) -> None:
        """See Rig."""
        self._host.engine.api("DELETE", f"/containers/{name}?force=1")

    def rename(self, name: str, new: str) -> None:
        """See Rig."""
        self._post(f"/containers/{name}/rename?name={new}")

    def connect(self, name: str, place: Place) -> None:
        """See Rig."""
        self._post(f"/networks/{place.network}/connect", {"Container": name, "EndpointConfig": _endpoint(place)})

    def disconnect(self, name: str, network: str) -> None:
        """See Rig."""
        self._post(f"/networks/{network}/disconnect", {"Container": name})

    def clear(self) -> None:
        """See Rig."""
        engine = self._host.engine
        for container in engine.containers():
            engine.api("DELETE", f"/containers/{container}?force=1")
        for network in {*engine.networks()} - {"web", "back"}:
            engine.api("DELETE", f"/networks/{network}")

    def down(self) -> None:
        """See Rig."""
        self._host.engine.stop()

    def up(self) -> None:
        """See Rig."""
        self._host.engine.start()

    def _post(self, path: str, body: object = None) -> Any:
        return self._host.engine.api("POST", path, body)


def _endpoint(place: Place) -> dict[str, dict[str, str]]:
    wanted = {"IPv4Address": place.ipv4, "IPv6Address": place.ipv6}
    return {"IPAMConfig": {key: text for key, text in wanted.items() if text}}
