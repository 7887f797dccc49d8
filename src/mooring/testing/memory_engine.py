"""An engine in memory: networks, containers and events, as a test makes them.

Rules: what is not there is None, as the engine's 404 is; events are remembered as dockerd does it, the last 256;
an engine that is down answers nobody and ends every stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from mooring.core.containers import Container, ContainerEndpoint, EngineEndpoint, EngineEvent, EngineNetwork, EventKind
from mooring.core.engines import EngineView
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.networks import Address, Subnet
from mooring.ports import Engine

# moby daemon/events/events.go
REMEMBERED = 256


class MemoryEngine(Engine):
    """id, networks, subnets, bridges, alone, version (of the API), edition (its release): what it tells.

    up: whether it answers. described: network id -> all that it tells of the network; of others only id and name.
    names: network id -> name; a network without one is called by its id. strays: network id -> endpoints in it that
    belong to no container; those of running ones it knows. calls: how often it was asked anything. refuses: with which
    words a reconnect, an attach, a detach or a start is refused, "" when it is not. dies: it ends in the middle of one.
    """

    def __init__(self, ident: str = "engine-1") -> None:
        self.id = ident
        self.networks: set[str] = set()
        self.names: dict[str, str] = {}
        self.described: dict[str, EngineNetwork] = {}
        self.strays: dict[str, tuple[EngineEndpoint, ...]] = {}
        self.subnets: set[Subnet] = set()
        self.bridges: set[str] = set()
        self.alone = False
        self.version = (1, 41)
        self.edition = (20, 10)
        self.calls = 0
        self.refuses = ""
        self.dies = False
        self._containers: dict[str, Container] = {}
        self._events: deque[EngineEvent] = deque(maxlen=REMEMBERED)
        self._news = asyncio.Event()
        self._now = self._made = 0
        self._up = True
        self._ends = 0

    @property
    def up(self) -> bool:
        """Whether it answers. When it becomes false every stream of events ends, however soon it is true again."""
        return self._up

    @up.setter
    def up(self, value: bool) -> None:
        self._up = value
        if not value:
            self._ends += 1
            self._wake()

    # -- the port --------------------------------------------------------------------------------------------------

    async def view(self) -> EngineView:
        """See Engine."""
        self._answer()
        return EngineView(
            self.id, frozenset(self.networks), frozenset(self.subnets), frozenset(self.bridges), self.alone,
            {ident: each.driver for ident, each in self.described.items() if ident in self.networks},
            release=self.edition,
        )  # fmt: skip

    async def containers(self) -> tuple[str, tuple[Container, ...]]:
        """See Engine."""
        self._answer()
        return self.id, tuple(_listed(container) for container in self._containers.values())

    async def container(self, reference: str) -> Container | None:
        """See Engine."""
        self._answer()
        names = {ident: container.name for ident, container in self._containers.items()}
        found = _find(names, reference.removeprefix("/"))
        return self._containers[found] if found else None

    async def network(self, reference: str) -> EngineNetwork | None:
        """See Engine."""
        self._answer()
        names = {ident: self.names.get(ident, ident) for ident in self.networks}
        found = _find(names, reference)
        if not found:
            return None
        return replace(self._described(found), endpoints=self._endpoints(found))

    async def all_networks(self) -> tuple[EngineNetwork, ...]:
        """See Engine."""
        self._answer()
        return tuple(self._described(ident) for ident in sorted(self.networks))

    async def identity(self) -> str:
        """See Engine."""
        self._answer()
        return self.id

    async def api_version(self) -> tuple[int, int]:
        """See Engine."""
        self._answer()
        return self.version

    async def release(self) -> tuple[int, int]:
        """See Engine."""
        self._answer()
        return self.edition

    async def place(self, container: str, network: str) -> str:
        """See Engine. The name of the network is all that there is to say."""
        self._answer()
        known = self._containers.get(container)
        container_endpoint = (
            next((each for each in known.endpoints if each.network == network), None) if known else None
        )
        if container_endpoint is None:
            raise NotFound(f"container {container[:12]} is not in network {network[:12]}")
        return container_endpoint.name

    async def reconnect(self, container: str, network: str, place: str, addresses: Sequence[Address]) -> None:
        """See Engine. refuses: the words with which it is refused. dies: it ends when the container is out."""
        self._answer()
        before = next(each for each in self._containers[container].endpoints if each.network == network)
        assert before.name == place
        self.disconnect(container, network)
        if self.dies:
            self.go_down()
        self._answer()
        if self.refuses:
            self.connect(container, before)
            raise Conflict(f"Docker refuses: {self.refuses}")
        self.connect(container, _naming(before, addresses))

    async def put_back(self, container: str, network: str, place: str, addresses: Sequence[Address]) -> None:
        """See Engine."""
        self._answer()
        if self.refuses:
            raise Conflict(f"Docker refuses: {self.refuses}")
        self.connect(container, _naming(ContainerEndpoint(network, place), addresses))

    async def attach(self, container: str, network: str, addresses: Sequence[Address], mac: str = "") -> None:
        """See Engine."""
        self._answer()
        if self.refuses:
            raise Conflict(f"Docker refuses: {self.refuses}")
        place = ContainerEndpoint(network, self.names.get(network, network), wanted_mac=mac)
        self.connect(container, _naming(place, addresses))

    async def detach(self, container: str, network: str) -> None:
        """See Engine."""
        self._answer()
        if self.refuses:
            raise Conflict(f"Docker refuses: {self.refuses}")
        self.disconnect(container, network)

    async def start_container(self, container: str) -> None:
        """See Engine. It gets no endpoint; refuses: with which words it is refused."""
        self._answer()
        if container not in self._containers or self._containers[container].running:
            return
        if self.refuses:
            self.fail(container, self.refuses)
            raise Conflict(f"Docker refuses: {self.refuses}")
        self.start(container)

    async def create_network(self, wanted: EngineNetwork) -> str:
        """See Engine."""
        self._answer()
        if self.refuses:
            raise Conflict(f"Docker refuses: {self.refuses}")
        if wanted.name in self.names.values():
            raise Conflict(f"Docker refuses: network with name {wanted.name} already exists")
        self._made += 1
        ident = f"{self._made:064x}"
        self.networks.add(ident)
        self.names[ident] = wanted.name
        self.described[ident] = replace(wanted, id=ident)
        return ident

    async def remove_network(self, network: str) -> None:
        """See Engine."""
        self._answer()
        if network not in self.networks:
            return
        if endpoints := self._endpoints(network):
            raise Conflict(f"Docker refuses: network {network} has active endpoints: {endpoints[0].name}")
        self.networks.discard(network)
        self.names.pop(network, None)
        self.described.pop(network, None)

    async def events(self, since: int) -> AsyncGenerator[EngineEvent, None]:
        """See Engine."""
        self._answer()
        last, ends = since, self._ends
        while self._ends == ends:
            news = self._news
            for event in [each for each in self._events if each.at > last]:
                last = event.at
                yield event
            if self._ends != ends:
                break
            await news.wait()
        raise Unavailable("the engine has ended")

    def _described(self, network: str) -> EngineNetwork:
        return self.described.get(network, EngineNetwork(network, self.names.get(network, network), "mooring"))

    def _endpoints(self, network: str) -> tuple[EngineEndpoint, ...]:
        attached = [
            EngineEndpoint(each.endpoint, container.id, container.name, each.ipv4, each.ipv6)
            for container in self._containers.values()
            for each in container.endpoints
            if each.network == network and each.endpoint
        ]
        return (*attached, *self.strays.get(network, ()))

    def _answer(self) -> None:
        self.calls += 1
        if not self.up:
            raise Unavailable("the engine does not answer")

    # -- what a test does ------------------------------------------------------------------------------------------

    def create(
        self, ident: str, name: str, *endpoints: ContainerEndpoint, labels: Mapping[str, str] | None = None
    ) -> Container:
        """`docker create`."""
        container = Container(ident, name, False, float(len(self._containers)), labels or {}, endpoints)
        self._containers[ident] = container
        self._tell(EventKind.CREATED, ident)
        return container

    def start(self, ident: str, network: str = "", endpoint: str = "", *addresses: str) -> None:
        """`docker start`: it has the endpoint and the addresses in the network now."""
        self._change(ident, network, endpoint, *map(ip_address, addresses))
        self._containers[ident] = replace(self._containers[ident], running=True, failure="")
        if network:
            self._tell(EventKind.CONNECTED, ident, network)
        self._tell(EventKind.STARTED, ident)

    def fail(self, ident: str, failure: str, *, restarts: bool = True, mode: str = "") -> None:
        """It could not be started, with those words. restarts: it has a restart policy, and has run before."""
        container = self._containers[ident]
        mode = mode or container.mode
        self._containers[ident] = replace(container, running=False, failure=failure, restarts=restarts, mode=mode)

    def check(self, ident: str, *, healthy: bool) -> None:
        """Its health check has succeeded, or failed often enough."""
        self._containers[ident] = replace(self._containers[ident], healthy=healthy)
        self._tell(EventKind.HEALTH, ident)

    def stop(self, ident: str) -> None:
        """`docker stop`: no endpoints any more; the engine tells that it was disconnected, too."""
        container = self._containers[ident]
        self._tell(EventKind.DIED, ident)
        for container_endpoint in container.endpoints:
            self._change(ident, container_endpoint.network, "")
            self._tell(EventKind.DISCONNECTED, ident, container_endpoint.network)
        self._containers[ident] = replace(self._containers[ident], running=False)

    def remove(self, ident: str) -> None:
        """`docker rm`."""
        del self._containers[ident]
        self._tell(EventKind.DESTROYED, ident)

    def rename(self, ident: str, name: str) -> None:
        """`docker rename`."""
        self._containers[ident] = replace(self._containers[ident], name=name)
        self._tell(EventKind.RENAMED, ident)

    def connect(self, ident: str, container_endpoint: ContainerEndpoint) -> None:
        """`docker network connect`, which is told of a running container only (container_operations.go)."""
        container = self._containers[ident]
        self._containers[ident] = replace(container, endpoints=(*container.endpoints, container_endpoint))
        if container.running:
            self._tell(EventKind.CONNECTED, ident, container_endpoint.network)

    def disconnect(self, ident: str, network: str) -> None:
        """`docker network disconnect`."""
        container = self._containers[ident]
        rest = tuple(each for each in container.endpoints if each.network != network)
        self._containers[ident] = replace(container, endpoints=rest)
        self._tell(EventKind.DISCONNECTED, ident, network)

    def go_down(self) -> None:
        """It ends; containers stay for the next start."""
        self.up = False

    def come_up(self) -> None:
        """It starts, and remembers no events from before."""
        self.up = True
        self._events.clear()

    def _change(self, ident: str, network: str, endpoint: str, *addresses: Address) -> None:
        container = self._containers[ident]
        v4 = next((each for each in addresses if each.version == 4), None)
        v6 = next((each for each in addresses if each.version == 6), None)
        endpoints = tuple(
            replace(each, endpoint=endpoint, ipv4=v4, ipv6=v6) if each.network == network else each
            for each in container.endpoints
        )
        self._containers[ident] = replace(container, endpoints=endpoints)

    def _tell(self, what: EventKind, ident: str, network: str = "") -> None:
        self._now += 1
        self._events.append(EngineEvent(what, ident, self._now, network))
        self._wake()

    def _wake(self) -> None:
        """Who listens looks again, each of them once."""
        self._news.set()
        self._news = asyncio.Event()


def _find(names: Mapping[str, str], reference: str) -> str:
    """The full id that is meant: itself before a name, a name before its beginning; "" for none. names: by full id.
    Raises Conflict."""
    if reference in names or not reference:
        return reference
    found = [ident for ident, name in names.items() if name == reference]
    found = found or [ident for ident in names if ident.startswith(reference)]
    if len(found) > 1:
        if reference in names.values():
            raise Conflict(f"several containers or networks are named {reference}", hint="give the ID")
        raise Conflict(f"several IDs begin with {reference}", hint="give more of the ID")
    return found[0] if found else ""


def _naming(container_endpoint: ContainerEndpoint, addresses: Sequence[Address]) -> ContainerEndpoint:
    """The place with the addresses in its configuration."""
    v4 = next((each for each in addresses if each.version == 4), container_endpoint.wanted4)
    v6 = next((each for each in addresses if each.version == 6), container_endpoint.wanted6)
    return replace(container_endpoint, wanted4=v4, wanted6=v6)


def _listed(container: Container) -> Container:
    """The container as a list has it: the MAC that its configuration asks for is not told, nor are its aliases and
    what became of its last start."""
    told = tuple(replace(each, wanted_mac="", aliases=None) for each in container.endpoints)
    return replace(container, endpoints=told, restarts=False, failure="")
