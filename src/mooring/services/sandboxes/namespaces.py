"""Making namespaces look as the records of their members say.

Rules: what is there already is not touched; an interface that is missing, because a crash came between the record and
the kernel, is made anew by its driver; one that has to be returned goes to the host before its driver is told; a link
counts as ours when it claims an endpoint that we have put there, or are to put there, and goes where our records say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.requests import JoinRequest
from mooring.core.sandboxes import (
    Kind,
    Member,
    NamespaceFact,
    NamespaceLink,
    NamespaceOp,
    NamespaceRemove,
    NamespaceState,
    Sandbox,
    choose_name,
    mark_of,
    namespace_facts,
    namespace_link,
    only_of,
    plan_namespace,
)
from mooring.ports import Namespaces
from mooring.services.networking.endpoints import Endpoints

NOTHING = NamespaceState(frozenset(), frozenset())


class NamespaceReconciler:
    """The namespaces of sandboxes, for those who hold the sandbox's lock."""

    def __init__(self, namespaces: Namespaces, endpoints: Endpoints) -> None:
        self._namespaces = namespaces
        self._endpoints = endpoints
        # Sandbox id -> the interfaces that were put there and have not been seen gone since: mark -> name.
        self._put: dict[str, dict[str, str]] = {}

    async def observe(self, sandbox: Sandbox) -> NamespaceState:
        """What is in the sandbox's namespace; nothing of ours while it has none, and never in the host's.

        Raises Conflict when the namespace is gone.
        """
        if not is_applied(sandbox):
            return NOTHING
        try:
            return await self._see(sandbox)
        except NotFound as fault:
            raise Conflict(
                f"the namespace of sandbox {sandbox.name} was removed: {fault.what}", hint="delete the sandbox"
            ) from fault

    async def apply(
        self, sandbox: Sandbox, members: Sequence[Member], namespace_state: NamespaceState | None = None
    ) -> None:
        """The namespace is as its members want it. namespace_state: what was seen a moment ago, by the same holder.

        Raises NotFound when the namespace is gone, Conflict for a name that somebody else has there.
        """
        if namespace_state is None:
            namespace_state = await self._see(sandbox, members)
        self._put.setdefault(sandbox.id, {}).update(_marks(members))
        try:
            await self._apply(sandbox, _plan(await self._told(members, namespace_state), namespace_state.facts))
        except NotFound:
            reconnected = await self._reconnect(sandbox, members)
            if not reconnected:
                raise
            again = await self._see(sandbox, reconnected)
            await self._apply(sandbox, _plan(await self._told(reconnected, again), again.facts))

    async def bring_home(self, sandbox: Sandbox, leaving: Sequence[Member], staying: Sequence[Member]) -> None:
        """Interfaces of the leaving that their drivers want back are on the host again, and the staying have taken over
        from them. A namespace that is gone has none."""
        if sandbox.deleting:
            self._put.pop(sandbox.id, None)
        if not is_applied(sandbox):
            return
        homes = [member for member in leaving if member.link and await self._returns(member)]
        if not homes:
            return
        try:
            namespace_state = await self._see(sandbox, [*leaving, *staying])
        except NotFound:
            return
        ops = _plan(await self._told(staying, namespace_state), _going_home(homes, namespace_state))
        try:
            await self._apply(sandbox, ops)
        except Fault:  # the staying are settled when the other has left, or it is said then
            await self._apply(sandbox, [op for op in ops if isinstance(op, NamespaceRemove)])

    async def rename_taken(self, sandbox: Sandbox, members: Sequence[Member]) -> None:
        """Members whose names somebody else has in the namespace are called otherwise, in their records."""
        namespace_state = await self._see(sandbox, members)
        names = foreign(namespace_state)
        taken = set(names) | {member.endpoint.interface for member in members}
        there = {fact.key for fact in namespace_state.facts}
        for member in members:
            if member.endpoint.attachment is None or namespace_link(member).key in there:
                continue
            if member.endpoint.interface in names:
                name = choose_name(member.endpoint.attachment.prefix, taken)
                taken.add(name)
                await self._endpoints.rename_inside(member.network.id, member.endpoint.id, name)

    async def _told(self, members: Sequence[Member], namespace_state: NamespaceState) -> list[Member]:
        """The members, and of those whose interfaces come now whether they go back, so are made on the host."""
        return [
            replace(member, returns=await self._returns(member))
            if member.link and namespace_link(member) not in namespace_state.facts
            else member
            for member in members
        ]

    async def identify(self, path: str) -> str:
        """Which namespace is at the path, for a sandbox that is to have it. Raises NotFound, BadRequest for the host's
        own: its routes are not ours to change."""
        try:
            found = await self._namespaces.identify(path)
        except NotFound:
            raise NotFound(f"there is no network namespace at {path}") from None
        if found == await self._namespaces.identify(""):
            raise BadRequest(f"{path} is the host's own namespace", hint="create the sandbox of the host instead")
        return found

    async def is_gone(self, sandbox: Sandbox) -> bool:
        """Whether the sandbox had a namespace that is not there any more."""
        if not is_applied(sandbox):
            return False
        try:
            found = await self._namespaces.identify(sandbox.path)
        except NotFound:
            return True
        return sandbox.identity not in ("", found)

    async def _see(self, sandbox: Sandbox, members: Sequence[Member] = ()) -> NamespaceState:
        """What is in the namespace, of these members and of others that were put there. Raises NotFound when it is
        gone, also when another has its path."""
        namespace_state = await self._namespaces.observe(sandbox.path)
        if sandbox.identity not in ("", namespace_state.identity):
            raise NotFound(f"{sandbox.path} is now a different namespace")
        known = self._put.get(sandbox.id, {}) | _marks(members)
        seen = only_of(namespace_state, known)
        if sandbox.id in self._put:
            there = {fact.endpoint for fact in seen.facts if isinstance(fact, NamespaceLink)}
            self._put[sandbox.id] = {mark: known[mark] for mark in there}
        return seen

    async def _returns(self, member: Member) -> bool:
        try:
            return await self._endpoints.returns(member.network.id)
        except (NotFound, Unavailable):
            return True  # a plugin that is not there; those that are built in always are

    async def _apply(self, sandbox: Sandbox, ops: Sequence[NamespaceOp]) -> None:
        if not all(_is_idle(op) for op in ops):
            await self._namespaces.apply(sandbox.path, ops)

    async def _reconnect(self, sandbox: Sandbox, members: Sequence[Member]) -> list[Member]:
        """The members as they are after the drivers of those whose interfaces are not in the namespace made them anew;
        none when no interface was missing. Raises NotFound when the namespace itself is gone."""
        namespace_state = await self._see(sandbox, members)
        there = {fact.key for fact in namespace_state.facts}
        now: list[Member] = []
        missing = False
        for member in members:
            if member.link and namespace_link(member).key not in there:
                attachment = await self._endpoints.reconnect(
                    member.network.id, member.endpoint.id, join_request(sandbox)
                )
                member = replace(member, endpoint=replace(member.endpoint, attachment=attachment))
                missing = True
            now.append(member)
        return now if missing else []


def is_applied(sandbox: Sandbox) -> bool:
    """Whether there is a namespace that is ours to apply anything to."""
    return bool(sandbox.path) and sandbox.kind is not Kind.HOST


def join_request(sandbox: Sandbox) -> JoinRequest:
    """What drivers are told of the sandbox."""
    return JoinRequest(sandbox.key, is_applied(sandbox), sandbox.ports, sandbox.exposed)


def foreign(namespace_state: NamespaceState) -> frozenset[str]:
    """Names of links that are not ours: an interface of ours that is just going makes room for one that comes."""
    return namespace_state.names - {fact.name for fact in namespace_state.facts if isinstance(fact, NamespaceLink)}


def had_link(namespace_state: NamespaceState, endpoint: Endpoint) -> bool:
    """Whether an interface of the endpoint was seen: before it joins, that is one of before which is just going."""
    seen = {
        fact.endpoint for fact in namespace_state.facts if isinstance(fact, NamespaceLink)
    } | namespace_state.strangers
    return mark_of(endpoint) in seen


def namer(namespace_state: NamespaceState, members: Callable[[], Sequence[Member]]) -> Callable[[Attachment], str]:
    """Says what an interface is called inside, when its driver has answered."""

    def name(attachment: Attachment) -> str:
        return choose_name(
            attachment.prefix, foreign(namespace_state) | {member.endpoint.interface for member in members()}
        )

    return name


def _marks(members: Sequence[Member]) -> dict[str, str]:
    """What the members' interfaces bear, and what they are called."""
    return {mark_of(member.endpoint): member.endpoint.interface for member in members if member.link}


def _going_home(homes: Sequence[Member], namespace_state: NamespaceState) -> frozenset[NamespaceFact]:
    """The facts; those of the links of these members say, from their records, that they go back to the host."""
    marks = _marks(homes)
    links = {fact for fact in namespace_state.facts if isinstance(fact, NamespaceLink) and fact.endpoint in marks}
    there = {link.endpoint for link in links}
    back = {namespace_link(replace(member, returns=True)) for member in homes if mark_of(member.endpoint) in there}
    return (namespace_state.facts - links) | back


def _plan(members: Sequence[Member], facts: frozenset[NamespaceFact]) -> list[NamespaceOp]:
    return plan_namespace(namespace_facts(members), facts)


def _is_idle(op: NamespaceOp) -> bool:
    """Whether it only says that a link is going, which its driver ends from the other side: of use to what comes in its
    place, and to nothing else."""
    return isinstance(op, NamespaceRemove) and isinstance(op.fact, NamespaceLink) and not op.fact.returns
