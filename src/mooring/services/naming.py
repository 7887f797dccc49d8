"""Which names a sandbox knows, for its resolver and its hosts file."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.core.networks import Address
from mooring.core.sandboxes import Sandbox
from mooring.ports import Files, Lookup
from mooring.services.mirror import Mirror
from mooring.services.roster import Roster


class Naming:
    """Looks names up in the records as they are at the moment of the question. Build it before the mirror is loaded."""

    def __init__(self, mirror: Mirror, roster: Roster, files: Files) -> None:
        raise NotImplementedError

    def lookup(self, sandbox_id: str) -> Lookup:
        """What answers the sandbox's questions, from now on."""
        raise NotImplementedError

    def upstreams(self, sandbox_id: str) -> Sequence[Address]:
        """Nameservers to ask for what is not known here; empty when the sandbox has no way out."""
        raise NotImplementedError

    async def write_files(self, sandbox: Sandbox) -> None:
        """The sandbox's hosts file and resolv.conf are as the records say. Raises Unavailable."""
        raise NotImplementedError

    async def remove_files(self, sandbox: Sandbox) -> None:
        """They are gone. Raises Unavailable."""
        raise NotImplementedError
