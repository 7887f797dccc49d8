"""The proxy's hook: Docker's bodies decoded, one call of the admission controller, and its answer put into the body.

Rules: a body that cannot be read passes as it is, since the engine says better what is wrong with it; what the engine
did is taken from its reply only where a full id proves it, and asked of it otherwise; a settlement that fails holds up
no reply, and is left to the reconciler. START and RENAME are recognised and pass: what follows from them comes by the
plugin's calls and by the engine's events.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from mooring.core.docker_requests import ContainerSpec, EndpointConfig, NetworkSpec
from mooring.core.faults import BadRequest, Fault
from mooring.core.intents import Intent
from mooring.core.networks import Subnet
from mooring.servers.large_bodies import read
from mooring.servers.proxy.hooks import LARGEST_REQUEST, ROOM, Decision, Reader, Reply
from mooring.services.containers.admission import Admission
from mooring.services.containers.container_specs import unheeded
from mooring.services.containers.fixed_allocator import Grant
from mooring.wire import docker_bodies, long_bodies, network_bodies
from mooring.wire.docker_api import Call, Verb
from mooring.wire.docker_bodies import AddressGrant
from mooring.wire.go_json import LARGEST
from mooring.wire.json_sieve import CREATE, Sieve, Wanted
from mooring.wire.long_bodies import Readable

log = logging.getLogger(__name__)

PASS = Decision()
T = TypeVar("T")


class Controller(Protocol):
    """What the hook needs of containers.admission."""

    @property
    def guards(self) -> bool:
        """Whether anybody holds a fixed address."""
        ...

    @property
    def serves(self) -> bool:
        """Whether there is any network in which somebody could."""
        ...

    async def create(self, name: str, spec: ContainerSpec, version: tuple[int, int] | None) -> Admission | None:
        """Addresses for a container that is about to be made."""
        ...

    async def connect(
        self, reference: str, container: str, endpoint: EndpointConfig, version: tuple[int, int] | None
    ) -> Admission | None:
        """Addresses for a container that is about to be connected."""
        ...

    async def concerns(self, networks: Sequence[str], labels: Mapping[str, str] | None) -> bool:
        """Whether a container with these labels (None: not known) might get addresses in one of the networks."""
        ...

    async def complete(self, intent: Intent, container: str) -> None:
        """It was."""
        ...

    async def roll_back(self, intent: Intent) -> None:
        """It was not."""
        ...

    def leave_open(self, intent: Intent) -> None:
        """Nobody knows."""
        ...

    async def removal(self, reference: str) -> Intent | None:
        """A container is about to be removed."""
        ...

    async def disconnection(self, reference: str, container: str) -> Intent | None:
        """A container is about to be disconnected."""
        ...

    async def departed(self, intent: Intent) -> bool:
        """The engine has answered that."""
        ...

    async def pruned(self, containers: Sequence[str]) -> None:
        """The engine has removed these."""
        ...


class NetworkAdmission(Protocol):
    """What the hook needs of networking.network_requests."""

    def concerns(self, spec: NetworkSpec) -> bool:
        """Whether the network will be one of ours."""
        ...

    async def returning(self, spec: NetworkSpec) -> Sequence[Subnet]:
        """Subnets for the network that is about to be made."""
        ...

    async def made(self, network: str, name: str) -> None:
        """It was."""
        ...


class Nameservers(Protocol):
    """What the hook needs of containers.nameservers."""

    @property
    def serves(self) -> bool:
        """Whether any network's containers are to have nameservers of ours."""
        ...

    async def of_container(self, spec: ContainerSpec) -> Sequence[str]:
        """Those that the container is to have, empty to leave it as it is."""
        ...


class AddressHook:
    """A Gate. ready: returns when the store is read; a create waits for it."""

    def __init__(
        self,
        controller: Controller,
        ready: Callable[[], Awaitable[None]],
        networks: NetworkAdmission | None = None,
        nameservers: Nameservers | None = None,
    ) -> None:
        self._controller = controller
        self._networks = networks
        self._nameservers = nameservers
        self._ready = ready

    def wants(self, call: Call) -> bool:
        """See Gate."""
        match call.verb:
            case Verb.CREATE:
                return True  # whether it has labels is in its body
            case Verb.NETWORK:
                return self._networks is not None
            case Verb.CONNECT:
                return self._controller.serves
            case Verb.REMOVE | Verb.PRUNE | Verb.DISCONNECT:
                return self._controller.guards
            case _:
                return False

    async def decide(self, call: Call, body: bytes) -> Decision:
        """See Gate."""
        match call.verb:
            case Verb.CREATE:
                return await self._create(call, body)
            case Verb.NETWORK:
                return await self._network(body)
            case Verb.CONNECT:
                return await self._connect(call, body)
            case Verb.REMOVE:
                return self._departure(await self._controller.removal(call.subject))
            case Verb.DISCONNECT:
                spec = await read(partial(docker_bodies.disconnect_spec, body), len(body))
                if spec is None:
                    return PASS
                return self._departure(await self._controller.disconnection(call.subject, spec.container))
            case Verb.PRUNE:
                return Decision(settle=self._pruned)
            case _:
                return PASS

    def reader(self, call: Call) -> Reader | None:
        """See Gate."""
        return Sieve(CREATE) if call.verb is Verb.CREATE else None

    async def outsize(self, call: Call, document: bytes | None) -> None:
        """See Gate. What only gives something up passes: its end is learnt from the engine's events."""
        if call.verb is Verb.CONNECT:
            await self._ready()
            if await self._controller.concerns([call.subject], None):
                raise BadRequest(_too_large("a connect"))
        elif call.verb is Verb.CREATE:
            spec = None
            if document is not None:
                spec = await read(partial(docker_bodies.container_spec, document), len(document))
            if spec is None or spec.crowd:
                raise BadRequest(_too_large("a create"))
            if spec.endpoints:
                await self._ready()
                if await self._controller.concerns([endpoint.network for endpoint in spec.endpoints], spec.labels):
                    raise BadRequest(_too_large("a create of a container with fixed addresses"))

    async def _create(self, call: Call, body: bytes) -> Decision:
        whole = await _readable(body, long_bodies.CREATED)
        spec = await _requested(docker_bodies.container_spec, whole)
        if spec is None or whole is None:
            return await self._unread(call, body)
        if not spec.endpoints and not spec.crowd:
            return _warned(await _remarked(spec, whole, kept=False))
        await self._ready()
        servers = await self._servers(spec)
        admission = await self._controller.create(call.query.get("name", "").lstrip("/"), spec, call.version)
        named = partial(docker_bodies.with_nameservers, nameservers=servers) if servers else None
        if admission is None:
            decision = _warned(await _remarked(spec, whole, kept=False))
            return (
                decision
                if named is None
                else replace(decision, body=await read(partial(whole.changed, named), len(body)))
            )
        grants = {written: _text(grant, written == admission.main) for written, grant in admission.grants.items()}
        patched = await self._patch(
            admission.intent,
            whole,
            lambda text: docker_bodies.with_grants(
                named(text) if named is not None else text, grants, admission.version, admission.spellings
            ),
        )
        remarks = await _remarked(spec, whole, kept=True)
        return Decision(patched, partial(self._created, admission.intent, remarks))

    async def _servers(self, spec: ContainerSpec) -> Sequence[str]:
        serves = self._nameservers is not None and self._nameservers.serves
        return await self._nameservers.of_container(spec) if self._nameservers is not None and serves else ()

    async def _connect(self, call: Call, body: bytes) -> Decision:
        whole = await _readable(body, long_bodies.CONNECTED)
        spec = await _requested(docker_bodies.connect_spec, whole)
        if spec is None or whole is None:
            return await self._unread(call, body)
        await self._ready()
        admission = await self._controller.connect(call.subject, spec.container, spec.endpoint, call.version)
        if admission is None:
            return PASS
        grant = _text(next(iter(admission.grants.values())))
        patched = await self._patch(
            admission.intent, whole, lambda text: docker_bodies.connect_with_grant(text, grant, admission.version)
        )
        return Decision(patched, partial(self._connected, admission.intent))

    async def _unread(self, call: Call, body: bytes) -> Decision:
        """What the engine will refuse passes, and what is none of ours. Raises as `outsize` does."""
        if not await read(partial(_is_refused, body), len(body)):
            if (reader := self.reader(call)) is not None:
                await read(partial(reader.feed, body), len(body))
                if not (reader.done or reader.overflow):  # an object without an end
                    return PASS
            await self.outsize(call, reader.document if reader is not None and not reader.overflow else None)
        return PASS

    async def _network(self, body: bytes) -> Decision:
        whole = await _readable(body, long_bodies.NETWORK)
        spec = await _requested(network_bodies.network_spec, whole)
        if spec is None or whole is None or self._networks is None or not self._networks.concerns(spec):
            return PASS
        await self._ready()
        moved = spec.moved
        subnets = await self._networks.returning(replace(spec, ipam_options={**spec.ipam_options, **moved}))

        def changed(text: bytes) -> bytes:
            text = network_bodies.with_subnets(text, subnets) if subnets else text
            return network_bodies.with_ipam_options(text, moved) if moved else text

        patched = await read(partial(whole.changed, changed), len(body)) if subnets or moved else None
        return Decision(patched, partial(self._network_made, self._networks, spec.name))

    async def _network_made(self, networks: NetworkAdmission, name: str, reply: Reply | None) -> None:
        made = docker_bodies.created_id(reply.body) if reply is not None and reply.status == 201 else ""
        if made:  # of a reply that nobody heard the engine's events and list tell
            try:
                await networks.made(made, name)
            except Fault as fault:
                log.warning("could not restore the addresses of network %s yet, will retry: %s", name, fault)

    async def _patch(self, intent: Intent, whole: Readable, change: Callable[[bytes], bytes]) -> bytes:
        try:
            return await read(partial(whole.changed, change), len(whole.body))
        except BaseException:  # the intent is durable, and nobody will hear of it again
            self._controller.leave_open(intent)
            raise

    async def _created(self, intent: Intent, warnings: Sequence[str], reply: Reply | None) -> bytes | None:
        made = docker_bodies.created_id(reply.body) if reply is not None and reply.status == 201 else ""
        if made:
            await self._finish(intent, self._controller.complete(intent, made))
        elif reply is None or reply.status < 400:
            self._controller.leave_open(intent)
        else:
            await self._finish(intent, self._controller.roll_back(intent))
        return await _with_warnings(warnings, reply)

    async def _connected(self, intent: Intent, reply: Reply | None) -> bytes | None:
        if reply is None:
            self._controller.leave_open(intent)
        elif reply.status < 400:
            await self._finish(intent, self._controller.complete(intent, intent.container))
        else:
            await self._finish(intent, self._controller.roll_back(intent))
        return None

    def _departure(self, intent: Intent | None) -> Decision:
        return PASS if intent is None else Decision(settle=partial(self._departed, intent))

    async def _departed(self, intent: Intent, _reply: Reply | None) -> bytes | None:
        await self._finish(intent, self._controller.departed(intent))
        return None

    async def _pruned(self, reply: Reply | None) -> bytes | None:
        # Without a reply nothing is known: the engine's events name each container that went.
        if reply is not None and reply.status == 200:
            try:
                pruned = await read(partial(docker_bodies.pruned_ids, reply.body), len(reply.body))
                await self._controller.pruned(pruned)
            except Fault as fault:
                log.warning("could not release the addresses of pruned containers yet, will retry: %s", fault)
        return None

    async def _finish(self, intent: Intent, work: Awaitable[object]) -> None:
        try:
            await work
        except Fault as fault:
            log.warning("could not record the %s yet, will retry: %s", intent.purpose.value, fault)
            self._controller.leave_open(intent)


async def _readable(body: bytes, wanted: Wanted) -> Readable | None:
    return await read(partial(long_bodies.readable, body, wanted), len(body) if len(body) > LARGEST else 0)


async def _requested(reads: Callable[[bytes], T | None], whole: Readable | None) -> T | None:
    return await read(partial(reads, whole.text), len(whole.text)) if whole is not None else None


async def _remarked(spec: ContainerSpec, whole: Readable, *, kept: bool) -> tuple[str, ...]:
    return await read(partial(unheeded, spec, kept=kept), len(whole.text))


def _warned(warnings: Sequence[str]) -> Decision:
    """It passes as it is, and its reply has the warnings."""
    return Decision(settle=partial(_with_warnings, warnings)) if warnings else PASS


async def _with_warnings(warnings: Sequence[str], reply: Reply | None) -> bytes | None:
    """How Docker says such things: the commands print them."""
    if not warnings or reply is None or reply.status != 201:
        return None
    told = [f"mooring: {warning}" for warning in warnings]
    return await read(partial(docker_bodies.with_warnings, reply.body, told), len(reply.body))


def _is_refused(body: bytes) -> bool:
    """Whether the engine will refuse the body, so that it says why. False for what it might carry out although it is
    not read here: a size or a depth that few clients send, bytes after the object."""
    if len(body) > LARGEST:
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return not body.strip()
    return True


def _too_large(what: str) -> str:
    return (
        f"the request is too large: {what} may be one JSON document of up to {LARGEST_REQUEST >> 20} MiB, of that up to"
        f" {LARGEST >> 20} MiB about networks and labels; large requests in progress may have {ROOM >> 20} MiB together"
    )


def _text(grant: Grant, main: bool = False) -> AddressGrant:
    return AddressGrant(
        str(grant.ipv4) if grant.ipv4 in grant.nameable else "",
        str(grant.ipv6) if grant.ipv6 in grant.nameable else "",
        grant.mac,
        main,
    )
