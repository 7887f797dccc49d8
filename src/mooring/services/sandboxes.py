"""Making and ending sandboxes, and putting endpoints into them.

Rules: the record of the endpoint says in which sandbox it is, and the namespace is made to look as the records say, by
the same steps at a join, at a leave and at a start; operations on one sandbox queue; a sandbox goes when its last
endpoint has left.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.requests import SandboxWish
from mooring.core.sandboxes import Member, Sandbox
from mooring.ports import Clock, Counters, Files, Namespaces, Resolver
from mooring.services.endpoints import Endpoints
from mooring.services.locks import KeyedLocks
from mooring.services.mirror import Mirror
from mooring.services.naming import Naming
from mooring.services.roster import Roster


class Sandboxes:
    """Every sandbox of the library. folder: where files of sandboxes are kept."""

    def __init__(
        self,
        mirror: Mirror,
        roster: Roster,
        endpoints: Endpoints,
        namespaces: Namespaces,
        resolver: Resolver,
        files: Files,
        naming: Naming,
        clock: Clock,
        locks: KeyedLocks,
        folder: str,
    ) -> None:
        raise NotImplementedError

    async def create(self, wish: SandboxWish) -> Sandbox:
        """The sandbox is there, with its namespace and files.

        Raises Conflict when the name is taken or the external namespace is another sandbox's already, NotFound when
        there is no such namespace, BadRequest for what cannot be.
        """
        raise NotImplementedError

    async def join(self, network_id: str, endpoint_id: str, sandbox_id: str, priority: int = 0) -> None:
        """The endpoint is in the sandbox: interface, addresses, routes, names, and the gateway if it is its turn.

        Joining the same sandbox again is fine. Raises NotFound, Conflict when it is in another sandbox (named) or the
        sandbox is being deleted or has no namespace that it could go to. On a fault it is not in the sandbox, and the
        sandbox is as before.
        """
        raise NotImplementedError

    async def leave(self, network_id: str, endpoint_id: str, sandbox_id: str) -> None:
        """The endpoint is in no sandbox; the next member takes over as gateway. Raises NotFound, Conflict when it is
        not in that sandbox."""
        raise NotImplementedError

    async def refresh(self, sandbox_id: str, wish: SandboxWish | None = None) -> None:
        """Files, names, interfaces and routes are made anew; with a wish its settings count from now on (kind, name and
        path stay). Raises NotFound."""
        raise NotImplementedError

    async def set_key(self, sandbox_id: str, path: str) -> None:
        """The external sandbox's namespace is at the path: endpoints that joined before get their interfaces in it, and
        it is left where it was before. Raises NotFound, Conflict."""
        raise NotImplementedError

    async def delete(self, sandbox_id: str) -> None:
        """Its endpoints have left, and keep their addresses; the sandbox and its files are gone, its namespace if it
        was ours. Gone already is fine."""
        raise NotImplementedError

    async def statistics(self, sandbox_id: str) -> Mapping[str, Counters]:
        """Counters of the interfaces of the sandbox, by name. Raises NotFound."""
        raise NotImplementedError

    async def settle(self, sandbox_id: str) -> None:
        """The namespace, the files and the published ports are as the records say."""
        raise NotImplementedError

    def members(self, sandbox: Sandbox) -> list[Member]:
        """The endpoints that are attached to it, the gateway first."""
        raise NotImplementedError
