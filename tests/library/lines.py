"""What is said to a library, as lines of words, so that tests read like a session."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import TypeVar

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault, NotFound
from mooring.core.networks import Network
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import EndpointSpec, NetworkSpec, SandboxSpec, SubnetSpec
from mooring.core.sandboxes import Kind, Sandbox
from mooring.services.sandboxes.library import Library

T = TypeVar("T", Network, Endpoint, Sandbox)
Seen = dict[tuple[type, str], Network | Endpoint | Sandbox]


async def run(library: Library, line: str, seen: Seen | None = None) -> None:
    """Carry out one line: a verb, names, and options as `key=value`. Names of endpoints are unique here.

    `network NAME`, `endpoint NETWORK NAME`, `sandbox NAME`, `join ENDPOINT SANDBOX`, `leave ENDPOINT SANDBOX`,
    `refresh SANDBOX`, `key SANDBOX PATH`, `statistics SANDBOX`, `no-network NAME`, `no-endpoint NAME`,
    `no-sandbox NAME`. seen: remembers what had which name, for names that nobody has any more.
    """
    find = Finder(library, {} if seen is None else seen)
    try:
        await _run(find, line)
    finally:
        find.remember()


async def _run(find: Finder, line: str) -> None:
    library = find.library
    verb, *words = line.split()
    names = [word for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    if verb in ("network", "endpoint", "sandbox"):
        await _create(find, verb, names, options)
        return
    sandboxes = library.sandboxes
    if verb == "no-network":
        await library.provisioning.delete_network(find.network(names[0]).id)
        return
    if verb in ("no-sandbox", "refresh", "key", "statistics"):
        sandbox = find.sandbox(names[0])
        if verb == "no-sandbox":
            await sandboxes.delete(sandbox.id)
        elif verb == "statistics":
            await sandboxes.statistics(sandbox.id)
        elif verb == "refresh":
            await sandboxes.refresh(sandbox.id, _sandbox_spec(sandbox.name, sandbox.kind, options) if options else None)
        else:
            await sandboxes.set_key(sandbox.id, names[1])
        return
    endpoint = find.endpoint(names[0])
    if verb == "no-endpoint":
        if "force" in options and endpoint.sandbox:  # as cnm.Endpoint.delete does
            with suppress(Fault):
                for place in library.cache.every(Sandbox):
                    if place.key == endpoint.sandbox:
                        await sandboxes.leave(endpoint.network, endpoint.id, place.id)
        await library.provisioning.delete_endpoint(endpoint.network, endpoint.id, force="force" in options)
    elif verb == "join":
        place = find.sandbox(names[1])
        await sandboxes.join(endpoint.network, endpoint.id, place.id, int(options.get("priority", "0")))
    else:
        assert verb == "leave"
        await sandboxes.leave(endpoint.network, endpoint.id, find.sandbox(names[1]).id)


async def _create(find: Finder, verb: str, names: list[str], options: dict[str, str]) -> None:
    library = find.library
    if verb == "network":
        driver = options.get("driver", "bridge")
        families = options.get("families", "46" if driver in ("bridge", "far") else "")
        subnets = tuple(SubnetSpec(int(family)) for family in families)
        ipam, internal = options.get("ipam", "default"), "internal" in options
        await library.provisioning.create_network(NetworkSpec(names[0], driver, subnets, internal=internal, ipam=ipam))
    elif verb == "endpoint":
        addresses = tuple(ip_address(text) for text in options.get("at", "").split(",") if text)
        spec = EndpointSpec(find.network(names[0]).id, names[1], addresses)
        await library.provisioning.create_endpoint(spec)
    else:
        kind = Kind(options.get("kind", "own"))
        await library.sandboxes.create(replace(_sandbox_spec(names[0], kind, options), path=options.get("path", "")))


def _sandbox_spec(name: str, kind: Kind, options: dict[str, str]) -> SandboxSpec:
    """ports: `8080:80`. hostname."""
    pairs = [text.split(":") for text in options.get("ports", "").split(",") if text]
    ports = tuple(PortRequest(Protocol.TCP, int(port), first=int(at), last=int(at)) for at, port in pairs)
    return SandboxSpec(name, kind, ports=ports, hostname=options.get("hostname", ""))


class Finder:
    """Finds by name what is there, or was."""

    def __init__(self, library: Library, seen: Seen) -> None:
        self.library = library
        self._seen = seen

    def network(self, name: str) -> Network:
        """Raises NotFound, as the other two."""
        return self._find(Network, name)

    def endpoint(self, name: str) -> Endpoint:
        """By name."""
        return self._find(Endpoint, name)

    def sandbox(self, name: str) -> Sandbox:
        """By name."""
        return self._find(Sandbox, name)

    def remember(self) -> None:
        """What is there now."""
        for network in self.library.cache.every(Network):
            self._seen[Network, network.name] = network
        for endpoint in self.library.cache.every(Endpoint):
            self._seen[Endpoint, endpoint.name] = endpoint
        for sandbox in self.library.cache.every(Sandbox):
            self._seen[Sandbox, sandbox.name] = sandbox

    def _find(self, kind: type[T], name: str) -> T:
        found = [record for record in self.library.cache.every(kind) if record.name == name]
        assert len(found) < 2, f"two have the name {name}"
        last = found[0] if found else self._seen.get((kind, name))
        if not isinstance(last, kind):
            raise NotFound(f"there never was a {kind.__name__.lower()} {name}")
        return last
