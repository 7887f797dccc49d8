"""Attaching network namespaces that are no container's (`ip netns`, a process, a lab) to networks of Mooring's.

The daemon enters no namespace, and its unit may not. It makes the interface on the host and says what is to be inside,
as it does for an engine; what an engine does inside is done here, by a program that may: root.

Rules: what was not done to the end is undone, here or by the daemon's garbage collector; what is in a namespace that is
not ours stays: a default route that is there, too. Methods raise the daemon's faults, and Unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from mooring.client import Client, NamespaceView
from mooring.core.attached_namespaces import facts_of
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound
from mooring.core.sandboxes import (
    NamespaceFact,
    NamespaceLink,
    NamespaceOp,
    NamespaceRemove,
    NamespaceRoute,
    NamespaceState,
    only_of,
    plan_namespace,
)
from mooring.ports import Namespaces

# Where ip-netns(8) has them.
NAMED = "/run/netns"
# How the aliases of our interfaces inside begin.
MARK = "mooring-namespace"


@dataclass(frozen=True, slots=True)
class Target:
    """A network namespace. path: its file. name: what it is called in the network. words: for a fault."""

    path: str
    name: str
    words: str


def by_process(process: int, name: str = "") -> Target:
    """That of a process."""
    return Target(f"/proc/{process}/ns/net", name or f"pid-{process}", f"process {process}")


def by_netns(netns: str, name: str = "") -> Target:
    """That with the name, as `ip netns` lists it, or at an absolute path. Raises BadRequest."""
    path = PurePosixPath(netns if netns.startswith("/") else f"{NAMED}/{netns}")
    if not path.name or ".." in path.parts or (not netns.startswith("/") and path.parent.as_posix() != NAMED):
        raise BadRequest(f"{netns!r} is neither the name of a network namespace nor an absolute path")
    return Target(path.as_posix(), name or path.name, f"network namespace {netns}")


class Attaching:
    """`attach` and `detach`. namespaces: those of the host on which the daemon is, with MARK."""

    def __init__(self, client: Client, namespaces: Namespaces) -> None:
        self._client = client
        self._namespaces = namespaces

    async def attach(
        self, target: Target, network: str, addresses: Sequence[str] = (), containers: Sequence[str] = ()
    ) -> tuple[NamespaceView, list[str]]:
        """The namespace is in the network, with these addresses, or those reserved for its name there, or any; and the
        destinations for which it has routes of its own, which stay. containers: full ids of those whose processes are
        in it. On a fault it is not."""
        state = await self._look(target)
        taken = tuple(sorted(_foreign(state)))
        view = self._client.attach_namespace(
            state.identity, target.name, network, tuple(addresses), taken, tuple(containers)
        )
        try:
            facts = facts_of(view)
            wanted = _wanted(facts, state)
            try:
                await self._apply(target, wanted, state)
            except NotFound:  # somebody who attaches it, too, has put the interface in
                await self._apply(target, wanted, await self._look(target))
            self._client.confirm_namespace(state.identity, view.network)
        except BaseException:
            if view.changed:
                with suppress(Fault):
                    self._client.detach_namespace(view.name, view.network, state.identity, unconfirmed=True)
            raise
        return view, sorted(str(each.destination) for each in facts - wanted if isinstance(each, NamespaceRoute))

    async def detach(self, target: Target, network: str, *, dry_run: bool = False) -> NamespaceView:
        """The namespace is not in the network; one that is gone is meant by its name, also where a process of the host
        has its number by now. dry_run: only the answer."""
        state: NamespaceState | None = None
        with suppress(NotFound, Conflict):
            state = await self._look(target)
        identity = state.identity if state is not None else ""
        view = self._client.detach_namespace(target.name, network, namespace=identity, dry_run=dry_run)
        if state is not None and view.interfaces and not dry_run:  # another network may be its way out from now on
            await self._apply(target, _wanted(facts_of(view), state), state)
        return view

    async def close(self) -> None:
        """Let go of threads and sockets; namespaces stay."""
        await self._namespaces.close()

    async def _look(self, target: Target) -> NamespaceState:
        """What is in the namespace. Raises NotFound, Conflict for the host's own."""
        try:
            state = await self._namespaces.observe(target.path)
        except NotFound:
            raise NotFound(f"there is no {target.words}", hint="`ip netns` lists those that have a name") from None
        if state.identity == await self._namespaces.identify(""):
            raise Conflict(
                f"{target.words} is in the host's own network namespace",
                hint="`mooring expose NETWORK` gives the host an address in a network",
            )
        return state

    async def _apply(self, target: Target, wanted: frozenset[NamespaceFact], state: NamespaceState) -> None:
        ours = {fact.endpoint: fact.name for fact in wanted if isinstance(fact, NamespaceLink)}
        ops = plan_namespace(wanted, only_of(state, ours).facts)
        if ops := [op for op in ops if not _is_idle(op)]:
            await self._namespaces.apply(target.path, ops)


def _foreign(state: NamespaceState) -> frozenset[str]:
    return state.names - {fact.name for fact in state.facts if isinstance(fact, NamespaceLink)}


def _wanted(facts: frozenset[NamespaceFact], state: NamespaceState) -> frozenset[NamespaceFact]:
    """The facts, but for routes to where one leads already that is not ours."""
    return frozenset(
        fact for fact in facts if not (isinstance(fact, NamespaceRoute) and fact.destination in state.routed)
    )


def _is_idle(op: NamespaceOp) -> bool:
    """Whether it is about an interface that goes from the host's side."""
    return isinstance(op, NamespaceRemove) and isinstance(op.fact, NamespaceLink)
