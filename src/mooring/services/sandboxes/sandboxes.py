"""Making and ending sandboxes, and putting endpoints into them.

Rules: the record of the endpoint says in which sandbox it is, and the namespace is made to look as the records say, by
the same steps at a join, at a leave and at a start; operations on one sandbox queue; a sandbox goes when its last
endpoint has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from mooring.core.endpoints import Attachment, Endpoint, Event
from mooring.core.faults import Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.networks import Network
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Kind, Member, NamespaceState, Sandbox, gateway, in_gateway_order
from mooring.ports import Counters, Namespaces, Resolver
from mooring.services.ipam.allocator import ATTEMPTS
from mooring.services.networking.endpoints import Endpoints
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record
from mooring.services.sandboxes.dns_names import DnsNames
from mooring.services.sandboxes.namespaces import NamespaceReconciler, had_link, is_applied, join_request, namer
from mooring.services.sandboxes.sandbox_rules import blank, described, must_fit, not_in_host, place_of, requested


class Sandboxes:
    """Every sandbox of the library. Build it before the cache is loaded. folder: for files of sandboxes."""

    def __init__(
        self,
        records: Records,
        endpoints: Endpoints,
        namespaces: Namespaces,
        resolver: Resolver,
        naming: DnsNames,
        folder: str,
    ) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self._endpoints = endpoints
        self._namespaces = namespaces
        self._resolver = resolver
        self._naming = naming
        self._folder = folder
        self._namespace_reconciler = NamespaceReconciler(namespaces, endpoints)
        self._named: dict[str, str] = {}
        self._placed: dict[str, str] = {}
        self._identified: dict[str, str] = {}
        # Paths that the resolver answers in since this process began.
        self._served: set[str] = set()
        records.cache.listen(self._follow, Sandbox)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Sandbox):
            self._named.pop(before.name, None)
            self._placed.pop(place_of(before), None)
            self._identified.pop(before.identity, None)
        if isinstance(after, Sandbox):
            self._named[after.name] = after.id
            self._placed[place_of(after)] = after.id
            if after.identity:
                self._identified[after.identity] = after.id

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """The sandbox is there, with its namespace and files.

        Raises Conflict when the name is taken or the external namespace or a file is another sandbox's, NotFound when
        there is no such namespace, BadRequest for what cannot be. On a fault nothing is left.
        """
        ident = "".join(self._clock.token() for _ in range(6))[:64]
        asked = requested(blank(ident, spec, self._clock.now()), spec, self._folder)
        if asked.path:
            asked = replace(asked, identity=await self._namespace_reconciler.identify(asked.path))
        async with (
            self._locks.hold(f"sandbox name {asked.name}"),
            self._locks.hold(f"sandbox at {asked.identity or place_of(asked)}"),
            self._locks.hold(f"sandbox {ident}"),
            self._naming.reserved(asked),
        ):
            self._must_be_free(self._named.get(asked.name), f"sandbox name {asked.name!r} is in use")
            self._must_be_free(self._at(place_of(asked), asked.identity), f"{described(asked)} already has a sandbox")
            try:
                made = asked
                if asked.kind is Kind.OWN:
                    # A namespace without a record is a leftover, which a start removes; a record without one is stale.
                    path = await self._namespaces.create(ident)
                    made = replace(asked, path=path, identity=await self._namespaces.identify(path))
                await self._cache.commit(put=[made])
                await self._apply(made)
            except BaseException:
                with suppress(Fault):
                    await self._undo_create(ident, asked.kind is Kind.OWN)
                raise
            return made

    def _at(self, place: str, identity: str) -> str | None:
        """The sandbox that has the place, or the namespace by another path."""
        return self._placed.get(place) or (self._identified.get(identity) if identity else None)

    async def _undo_create(self, ident: str, own: bool) -> None:
        """Nothing is left. A namespace is made again first: who was cancelled does not know whether it came to be, and
        making it queues behind."""
        known = self._cache.sandbox(ident)
        if known is not None:
            await self._end(known)
        elif own:
            await self._namespaces.remove(await self._namespaces.create(ident))

    async def join(self, network_id: str, endpoint_id: str, sandbox_id: str, priority: int = 0) -> None:
        """The endpoint is in the sandbox: interface, addresses, routes, names, and the gateway if it is its turn.

        Joining the same sandbox again is fine. Raises NotFound, Conflict when it is in another sandbox (named) or the
        sandbox is being deleted or has no namespace that it could go to. On a fault it is not in the sandbox, and the
        sandbox is as before.
        """
        async with self._locks.hold(f"sandbox {sandbox_id}"):
            sandbox = self._standing(sandbox_id)
            network, endpoint = self._known(network_id, endpoint_id)
            must_fit(sandbox, network)
            if endpoint.sandbox == sandbox.key and endpoint.pending is None:
                await self._endpoints.confirm(network_id, endpoint_id, priority)
                await self._apply(sandbox)
                return
            if endpoint.sandbox not in ("", sandbox.key):
                raise Conflict(
                    f"{_named(endpoint)} is in another sandbox",
                    holder=self._holder(endpoint.sandbox),
                    hint="let it leave that sandbox first",
                )
            namespace_state = await self._namespace_reconciler.observe(sandbox)
            name = namer(namespace_state, lambda: self.members(sandbox))

            def interface_name(attachment: Attachment) -> str:
                if sandbox.kind is Kind.HOST:  # before it is recorded: asked only for what has an interface
                    raise not_in_host(network)
                return name(attachment)

            # Whether the ports are to be had is known last.
            request, late = join_request(sandbox), bool(sandbox.ports)
            await self._endpoints.attach(network_id, endpoint_id, request, priority, interface_name, provisional=late)
            try:
                await self._apply(sandbox, None if had_link(namespace_state, endpoint) else namespace_state)
                if late:
                    await self._endpoints.confirm(network_id, endpoint_id, priority)
            except BaseException:
                with suppress(Fault):
                    await self._take_out(sandbox, network_id, endpoint_id)
                raise

    async def leave(self, network_id: str, endpoint_id: str, sandbox_id: str) -> None:
        """The endpoint is in no sandbox; the next member takes over as gateway. Raises NotFound, Conflict when it is
        not in that sandbox, and what its driver raises. After a fault of the taking over it has left all the same."""
        async with self._locks.hold(f"sandbox {sandbox_id}"):
            sandbox = self._sandbox(sandbox_id)
            _, endpoint = self._known(network_id, endpoint_id)
            if endpoint.sandbox != sandbox.key:
                holder = self._holder(endpoint.sandbox) if endpoint.sandbox else ""
                raise Conflict(f"{_named(endpoint)} is not in sandbox {sandbox.name}", holder=holder)
            await self._take_out(sandbox, network_id, endpoint_id)

    async def _take_out(self, sandbox: Sandbox, network_id: str, endpoint_id: str) -> None:
        """The endpoint is detached, and the others are settled even when its driver cannot be told now."""
        members = self._attached(sandbox)
        leaving = [member for member in members if member.endpoint.id == endpoint_id]
        staying = [member for member in self.members(sandbox) if member.endpoint.id != endpoint_id]
        await self._namespace_reconciler.bring_home(sandbox, leaving, staying)
        try:
            await self._endpoints.detach(network_id, endpoint_id)
        except BaseException:
            # It may have left all the same, and nobody would come back for the others.
            with suppress(Fault):
                await self._apply(sandbox)
            raise
        with suppress(NotFound):  # the namespace died before its endpoints left: there is nobody to take over
            await self._apply(sandbox)

    async def refresh(self, sandbox_id: str, spec: SandboxSpec | None = None) -> None:
        """Files, names, interfaces and routes are made anew; with a spec its settings count from now on (kind, name and
        path stay). Raises NotFound, BadRequest, Conflict. On a fault the settings are as before."""
        async with self._locks.hold(f"sandbox {sandbox_id}"):
            before = self._standing(sandbox_id)
            after = requested(before, spec, self._folder) if spec is not None else before
            if await self.is_gone(before):
                raise NotFound(f"the namespace of sandbox {before.name} was removed", hint="delete the sandbox")
            async with self._naming.reserved(before, after):
                if after != before:
                    await self._cache.commit(put=[after])
                try:
                    if after.resolver:
                        self._served.discard(before.path)  # served anew, and never by nobody
                    else:
                        await self._silence(before)
                    await self._apply(after)
                    await self._naming.remove_unused(before, after)
                except BaseException:
                    if after != before:
                        with suppress(Fault):
                            await self._cache.commit(put=[before])
                            await self._apply(before)
                            await self._naming.remove_unused(after, before)
                    raise

    async def set_key(self, sandbox_id: str, path: str) -> None:
        """The external sandbox's namespace is at the path: endpoints that joined before get their interfaces in it, and
        it is left where it was before. Raises NotFound, Conflict; what a fault leaves undone is done when it is told
        again, or by `refresh`."""
        identity = await self._namespace_reconciler.identify(path)
        async with self._locks.hold(f"sandbox {sandbox_id}"), self._locks.hold(f"sandbox at {identity}"):
            sandbox = self._standing(sandbox_id)
            if sandbox.kind is not Kind.EXTERNAL:
                raise Conflict(f"sandbox {sandbox.name} has a namespace that cannot be changed")
            if self._at(path, identity) != sandbox_id:
                self._must_be_free(self._at(path, identity), f"{path} already has a sandbox")
            if (sandbox.path, sandbox.identity) != (path, identity):
                await self._namespace_reconciler.bring_home(sandbox, self._attached(sandbox), ())
                await self._silence(sandbox)
                sandbox = await self._move(sandbox, path, identity)
            await self._namespace_reconciler.rename_taken(sandbox, self.members(sandbox))
            await self._apply(sandbox)

    async def _move(self, sandbox: Sandbox, path: str, identity: str) -> Sandbox:
        """The sandbox and its endpoints are recorded at the path, in one commit. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            moved = replace(self._sandbox(sandbox.id), path=path, identity=identity)
            endpoints = [replace(member.endpoint, sandbox=path) for member in self._attached(sandbox)]
            with suppress(StaleRevision):
                await self._cache.commit(put=[moved, *endpoints])
                return moved
        raise Unavailable(f"the endpoints of sandbox {sandbox.name} were changed by other requests", hint="try again")

    async def delete(self, sandbox_id: str) -> None:
        """Its endpoints have left, and keep their addresses; the sandbox and its files are gone, its namespace if it
        was ours. Gone already is fine. After a fault or a crash it is marked, and deleting it again goes on."""
        async with self._locks.hold(f"sandbox {sandbox_id}"):
            sandbox = self._cache.sandbox(sandbox_id)
            if sandbox is not None:
                await self._end(sandbox)

    async def _end(self, sandbox: Sandbox) -> None:
        """As `delete`. Every step may be done again. A driver that cannot be told keeps no other endpoint inside."""
        if not sandbox.deleting:
            sandbox = replace(sandbox, deleting=True)
            await self._cache.commit(put=[sandbox])
        attached = self._attached(sandbox)
        await self._namespace_reconciler.bring_home(sandbox, attached, ())
        refused: Fault | None = None
        for member in attached:
            try:
                await self._endpoints.detach(member.network.id, member.endpoint.id)
            except Fault as fault:
                refused = refused or fault
        if refused is not None:
            raise refused
        await self._silence(sandbox)
        await self._naming.remove_files(sandbox)
        if sandbox.kind is Kind.OWN:
            await self._namespaces.remove(sandbox.path)
        await self._cache.commit(delete=[sandbox])

    async def statistics(self, sandbox_id: str) -> Mapping[str, Counters]:
        """Counters of the interfaces of the sandbox, by name; none where it has no namespace to itself. Raises
        NotFound, also when its namespace is gone."""
        sandbox = self._sandbox(sandbox_id)
        if await self.is_gone(sandbox):
            raise NotFound(f"the namespace of sandbox {sandbox.name} was removed", hint="delete the sandbox")
        return await self._namespaces.statistics(sandbox.path) if is_applied(sandbox) else {}

    async def is_gone(self, sandbox: Sandbox) -> bool:
        """Whether its namespace is not there any more; also when another one has its path."""
        return await self._namespace_reconciler.is_gone(sandbox)

    async def apply(self, sandbox_id: str) -> None:
        """The namespace, the files and the published ports are as the records say. One that is gone or on its way out
        is left alone. Raises NotFound when its namespace is gone."""
        async with self._locks.hold(f"sandbox {sandbox_id}"):
            sandbox = self._cache.sandbox(sandbox_id)
            if sandbox is not None and not sandbox.deleting:
                await self._apply(sandbox)

    async def _apply(self, sandbox: Sandbox, namespace_state: NamespaceState | None = None) -> None:
        members = self.members(sandbox)
        if is_applied(sandbox) and members:
            await self._namespace_reconciler.apply(sandbox, members, namespace_state)
        await self._naming.write_files(sandbox)
        if not is_applied(sandbox):
            return
        if sandbox.resolver and sandbox.path not in self._served:
            ident = sandbox.id
            await self._resolver.serve(sandbox.path, self._naming.lookup(ident), lambda: self._naming.upstreams(ident))
            self._served.add(sandbox.path)
        await self._publish(sandbox, members)

    async def _publish(self, sandbox: Sandbox, members: list[Member]) -> None:
        """The ports lead to the gateway, the IPv4 one before the IPv6 one, and to nobody else."""
        publisher = (gateway(members, 4) or gateway(members, 6)) if sandbox.ports else None
        for member in members:
            if member != publisher and (member.endpoint.ports or member.endpoint.published):
                await self._endpoints.unpublish(member.network.id, member.endpoint.id)
        if publisher is not None:
            await self._endpoints.publish(publisher.network.id, publisher.endpoint.id, sandbox.ports)

    async def _silence(self, sandbox: Sandbox) -> None:
        """Nothing answers names there."""
        if is_applied(sandbox):
            await self._resolver.stop(sandbox.path)
            self._served.discard(sandbox.path)

    def members(self, sandbox: Sandbox) -> list[Member]:
        """The endpoints that are attached to it and not on their way out, the gateway first."""
        going = (Event.DETACH, Event.DELETE)
        return in_gateway_order(m for m in self._attached(sandbox) if m.endpoint.pending not in going)

    def _attached(self, sandbox: Sandbox) -> list[Member]:
        found = [(self._cache.network(each.network), each) for each in self._endpoint_index.in_sandbox(sandbox.key)]
        return [Member(network, endpoint) for network, endpoint in found if network is not None]

    def _sandbox(self, sandbox_id: str) -> Sandbox:
        sandbox = self._cache.sandbox(sandbox_id)
        if sandbox is None:
            raise NotFound(f"sandbox {sandbox_id[:12]} is not known")
        return sandbox

    def _standing(self, sandbox_id: str) -> Sandbox:
        sandbox = self._sandbox(sandbox_id)
        if sandbox.deleting:
            raise Conflict(f"sandbox {sandbox.name} is being deleted")
        return sandbox

    def _known(self, network_id: str, endpoint_id: str) -> tuple[Network, Endpoint]:
        network, endpoint = self._cache.network(network_id), self._cache.endpoint(network_id, endpoint_id)
        if network is None or endpoint is None:
            raise NotFound(f"endpoint {endpoint_id[:12]} is not known in network {network_id[:12]}")
        return network, endpoint

    def _must_be_free(self, ident: str | None, what: str) -> None:
        if ident is not None:
            other = self._cache.sandbox(ident)
            raise Conflict(what, holder=f"sandbox {other.name if other is not None else ident[:12]}")

    def _holder(self, key: str) -> str:
        """The sandbox with the key, as a fault names it."""
        other = next((each for each in self._cache.every(Sandbox) if each.key == key), None)
        return f"sandbox {other.name if other is not None else key}"


def _named(endpoint: Endpoint) -> str:
    return f"endpoint {endpoint.name or endpoint.id[:12]}"
