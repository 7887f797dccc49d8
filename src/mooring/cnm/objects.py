"""Networks, endpoints and sandboxes as a program holds them.

Rules: an object is a name for a record, no copy of it: every access reads the record, and raises NotFound once it is
gone; two objects are equal when they name the same record; arguments are checked before anything is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Unpack

from mooring.cnm import arguments
from mooring.cnm.directory import Directory
from mooring.cnm.values import AddressLike, EndpointInfo, SandboxSettings, SubnetLike
from mooring.core import networks as core_networks
from mooring.core.endpoints import Endpoint as EndpointRecord
from mooring.core.endpoints import State
from mooring.core.faults import BadRequest, Conflict, Fault
from mooring.core.networks import Interface
from mooring.core.networks import Network as NetworkRecord
from mooring.core.requests import EndpointSpec
from mooring.core.sandboxes import Kind, gateway
from mooring.core.sandboxes import Sandbox as SandboxRecord
from mooring.ports import Counters


def _several(value: object) -> object:
    """One subnet alone is a list of one."""
    return [value] if isinstance(value, str | IPv4Network | IPv6Network) else value


def _printed(what: str, ident: str, words: Callable[[], Iterable[object]]) -> str:
    """`<Network web bridge 10.32.0.0/24 id=0123456789ab>`, also of what is gone."""
    try:
        said = [str(word) for word in words() if word]
    except Fault:
        said = ["(gone)"]
    return f"<{' '.join((what, *said))} id={ident[:12]}>"


@dataclass(frozen=True, slots=True)
class Network:
    """A group of endpoints that may reach each other. Get one from a Controller."""

    _directory: Directory = field(repr=False, compare=False)
    id: str

    def __repr__(self) -> str:
        return _printed("Network", self.id, lambda: (self.name, self.driver, *self.subnets))

    @property
    def _record(self) -> NetworkRecord:
        return self._directory.network(self.id)

    @property
    def name(self) -> str:
        """Unique in the controller."""
        return self._record.name

    @property
    def driver(self) -> str:
        """Name of the driver that makes it real."""
        return self._record.driver

    @property
    def subnets(self) -> tuple[core_networks.Subnet, ...]:
        """Its subnets, IPv4 first."""
        return tuple(segment.subnet for segment in self._record.segments)

    @property
    def gateways(self) -> tuple[Interface, ...]:
        """Its own addresses, with prefix lengths, IPv4 first."""
        return tuple(segment.gateway for segment in self._record.segments if segment.gateway is not None)

    @property
    def ipam(self) -> str:
        """Name of the IPAM driver that granted the subnets."""
        return self._record.ipam

    @property
    def internal(self) -> bool:
        """Whether it has no way out."""
        return self._record.internal

    @property
    def attachable(self) -> bool:
        """What its maker said; a word for programs, nothing follows from it here."""
        return self._record.attachable

    @property
    def labels(self) -> dict[str, str]:
        """A copy."""
        return dict(self._record.labels)

    @property
    def options(self) -> dict[str, str]:
        """The driver's options as they were given; a copy."""
        return dict(self._record.raw)

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        return self._record.created

    async def create_endpoint(
        self,
        name: str = "",
        *,
        addresses: Sequence[AddressLike] = (),
        subnet: SubnetLike | Sequence[SubnetLike] = (),
        mac: str = "",
        allocate: bool = True,
        aliases: Sequence[str] = (),
        links: Mapping[str, str] | None = None,
        services: Sequence[str] = (),
        options: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """An endpoint with its addresses is there, in no sandbox; it keeps them until it is deleted.

        name: "" or unique in the network. addresses: at most one of each family; what is left out is allocated, unless
        allocate is False. subnet: where from, at most one of each family; a network with the option
        `subnets=on-demand` gets one that it has not. mac: "" to choose one. aliases: more names of it in DNS. links:
        names for others that only its own sandbox has, alias -> name. services: for SRV records, `http:80/tcp`.
        options: of the driver.
        Raises BadRequest, NotFound, Conflict for a name or an address that is taken, Exhausted, Unavailable.
        """
        record = self._record
        spec = EndpointSpec(
            network=record.id,
            name=arguments.name("name", name, optional=True),
            addresses=arguments.one_of_each("addresses", addresses, arguments.address),
            subnets=arguments.one_of_each("subnet", _several(subnet), arguments.subnet),
            mac=arguments.mac(mac),
            allocate=arguments.switch("allocate", allocate),
            aliases=arguments.every("aliases", aliases, arguments.name),
            links=arguments.texts("links", {} if links is None else links),
            services=arguments.every("services", services, arguments.service),
            options=arguments.texts("options", {} if options is None else options),
        )
        made = await self._directory.library.provisioning.create_endpoint(spec)
        return Endpoint(self._directory, made.network, made.id)

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint, the oldest first."""
        return [Endpoint(self._directory, self.id, found.id) for found in self._directory.endpoints(self._record.id)]

    def endpoint(self, ref: str) -> Endpoint:
        """By id, name, or the only beginning of an id. Raises NotFound, Conflict when it matches several."""
        return Endpoint(self._directory, self.id, self._directory.find_endpoint(self._record, ref).id)

    async def delete(self, force: bool = False) -> None:
        """It is gone, and its subnets are free. force: also when its driver cannot be reached.

        Raises NotFound, Conflict, naming them, while it has endpoints, Unavailable: then deleting it again goes on.
        """
        forced = arguments.switch("force", force)
        await self._directory.library.provisioning.delete_network(self._record.id, forced)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Joins one sandbox to one network and owns its addresses. Get one from a Network."""

    _directory: Directory = field(repr=False, compare=False)
    network_id: str
    id: str

    def __repr__(self) -> str:
        return _printed("Endpoint", self.id, lambda: (self.name, self.ipv4, self.ipv6, self.mac, self.state))

    @property
    def _record(self) -> EndpointRecord:
        return self._directory.endpoint(self.network_id, self.id)

    @property
    def name(self) -> str:
        """Unique in the network, or ""."""
        return self._record.name

    @property
    def network(self) -> Network:
        """Where it is."""
        return Network(self._directory, self._record.network)

    @property
    def ipv4(self) -> IPv4Interface | None:
        """With its prefix length; None when it has none."""
        return self._record.ipv4

    @property
    def ipv6(self) -> IPv6Interface | None:
        """With its prefix length; None when it has none."""
        return self._record.ipv6

    @property
    def mac(self) -> str:
        """`aa:bb:cc:dd:ee:ff`."""
        return self._record.mac

    @property
    def state(self) -> State:
        """CREATED or ATTACHED."""
        return self._record.state

    @property
    def sandbox(self) -> Sandbox | None:
        """Where it has joined."""
        found = self._directory.sandbox_of(self._record)
        return None if found is None else Sandbox(self._directory, found.id)

    @property
    def interface(self) -> str:
        """Its interface's name in the sandbox, "" while it is in none or has none."""
        return self._record.interface

    async def join(self, sandbox: Sandbox, priority: int = 0) -> None:
        """It is in the sandbox, which reaches its network; of all endpoints there the one with the highest priority
        is the gateway. Joining the same sandbox again is fine. Raises NotFound, Conflict when it is in another one,
        BadRequest, Unavailable. On a fault it is not in the sandbox, and the sandbox is as before.
        """
        record, place = self._record, self._place(sandbox)
        level = arguments.priority(priority)
        await self._directory.library.sandboxes.join(record.network, record.id, place.id, level)

    async def leave(self, sandbox: Sandbox | None = None) -> None:
        """It is in no sandbox and keeps its addresses. sandbox: the one that it should be in, None for whichever.

        Raises NotFound, Conflict when it is not in that one, or in none.
        """
        record = self._record
        place = self._directory.sandbox_of(record) if sandbox is None else self._place(sandbox)
        if place is None:
            raise Conflict(f"endpoint {record.name or record.id[:12]} is in no sandbox")
        await self._directory.library.sandboxes.leave(record.network, record.id, place.id)

    async def delete(self, force: bool = False) -> None:
        """It is gone, and its addresses are free. force: also while it is in a sandbox, which it leaves.

        Raises NotFound, Conflict, naming the sandbox, while it is in one.
        """
        record = self._record
        forced = arguments.switch("force", force)
        place = self._directory.sandbox_of(record)
        if forced and place is not None:
            with suppress(Fault):  # what its driver cannot be told does not keep it
                await self._directory.library.sandboxes.leave(record.network, record.id, place.id)
        await self._directory.library.provisioning.delete_endpoint(record.network, record.id, force=forced)

    def info(self) -> EndpointInfo:
        """All that is known of it, of one moment."""
        record = self._record
        place = self._directory.sandbox_of(record)
        attachment = record.attachment if record.state is State.ATTACHED else None
        hops = (attachment.gateway4, attachment.gateway6) if attachment is not None else ()
        return EndpointInfo(
            addresses=tuple(interface for interface in (record.ipv4, record.ipv6) if interface is not None),
            mac=record.mac,
            state=record.state,
            gateways=tuple(hop for hop in hops if hop is not None),
            routes=attachment.routes if attachment is not None else (),
            interface=record.interface,
            sandbox=place.id if place is not None else "",
            published=record.published,
            priority=record.priority,
        )

    async def driver_info(self) -> dict[str, str]:
        """The driver's operational data, for people. Raises NotFound, Unavailable."""
        record = self._record
        return await self._directory.library.endpoints.info(record.network, record.id)

    def _place(self, sandbox: object) -> SandboxRecord:
        if not isinstance(sandbox, Sandbox) or sandbox._directory is not self._directory:
            raise BadRequest("sandbox must be a Sandbox of the same controller")
        return sandbox._record


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One container's network stack. Get one from a Controller."""

    _directory: Directory = field(repr=False, compare=False)
    id: str

    def __repr__(self) -> str:
        return _printed("Sandbox", self.id, lambda: (self.name, self.kind, self.path))

    @property
    def _record(self) -> SandboxRecord:
        return self._directory.sandbox(self.id)

    @property
    def name(self) -> str:
        """Unique in the controller."""
        return self._record.name

    @property
    def path(self) -> str:
        """Of its namespace, for setns(2) and `nsenter --net=`; "" until an external one is told."""
        return self._record.path

    @property
    def kind(self) -> Kind:
        """Whose namespace it is."""
        return self._record.kind

    @property
    def labels(self) -> dict[str, str]:
        """A copy."""
        return dict(self._record.labels)

    @property
    def hosts_path(self) -> str:
        """Its hosts file, to be mounted at /etc/hosts."""
        return self._record.hosts_path

    @property
    def resolv_conf_path(self) -> str:
        """Its resolv.conf, to be mounted at /etc/resolv.conf."""
        return self._record.resolv_conf_path

    def endpoints(self) -> list[Endpoint]:
        """The endpoints in it, the one that should be the gateway first (libnetwork/sandbox.go, Endpoint.Less)."""
        members = self._directory.library.sandboxes.members(self._record)
        return [Endpoint(self._directory, member.network.id, member.endpoint.id) for member in members]

    def gateway(self, version: int) -> Endpoint | None:
        """The endpoint through which it reaches everything else over IPv4 (4) or IPv6 (6). Raises BadRequest."""
        if version not in (4, 6):
            raise BadRequest("version must be 4 or 6")
        found = gateway(self._directory.library.sandboxes.members(self._record), version)
        return None if found is None else Endpoint(self._directory, found.network.id, found.endpoint.id)

    async def refresh(self, **changes: Unpack[SandboxSettings]) -> None:
        """Its files, names, interfaces and routes are made anew; what is changed counts from now on, the rest stays.

        Raises NotFound, BadRequest, Unavailable.
        """
        record = self._record
        spec = arguments.with_settings(arguments.spec_of(record), changes) if changes else None
        await self._directory.library.sandboxes.refresh(record.id, spec)

    async def set_key(self, path: str) -> None:
        """An external sandbox's namespace is at the path; endpoints that joined before get their interfaces in it.

        Raises NotFound when there is no such namespace, Conflict when it is another sandbox's or this one is not
        external, BadRequest.
        """
        where = arguments.path("path", path)
        if not where:
            raise BadRequest("path is empty")
        await self._directory.library.sandboxes.set_key(self._record.id, where)

    async def delete(self) -> None:
        """It is gone, with its namespace if that was ours; its endpoints have left it and keep their addresses.

        Raises NotFound, Unavailable.
        """
        await self._directory.library.sandboxes.delete(self._record.id)

    async def statistics(self) -> Mapping[str, Counters]:
        """What its interfaces have carried, by their names inside. Raises NotFound, Unavailable."""
        return await self._directory.library.sandboxes.statistics(self._record.id)
