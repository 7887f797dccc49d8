"""Which names a sandbox knows, for its resolver and its hosts file.

Rules: a question costs as much in a network of a thousand endpoints as in one of two, because names are found in an
index that follows the mirror; a file is written only when it has to change; a resolv.conf that somebody edited is his
from then on, and of a hosts file only our own lines are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mooring.core import host_files, names
from mooring.core.endpoints import Endpoint
from mooring.core.names import Answer, Question, View
from mooring.core.networks import Address
from mooring.core.sandboxes import Kind, Member, Sandbox, in_gateway_order
from mooring.ports import Files, Lookup
from mooring.services.mirror import Mirror, Record
from mooring.services.roster import Roster


class Naming:
    """Looks names up in the records as they are at the moment of the question. Build it before the mirror is loaded.

    host_hosts, host_resolv_conf: the host's own files.
    """

    def __init__(
        self,
        mirror: Mirror,
        roster: Roster,
        files: Files,
        host_hosts: str = host_files.HOSTS,
        host_resolv_conf: str = host_files.RESOLV_CONF,
    ) -> None:
        self._mirror = mirror
        self._roster = roster
        self._files = files
        self._host_hosts = host_hosts
        self._host_resolv_conf = host_resolv_conf
        self._host_text: str | None = None
        self._index: dict[tuple[str, str], dict[str, Endpoint]] = {}
        # What the notes beside our files say, by the file's path: only we write them.
        self._notes: dict[str, tuple[str, ...]] = {}
        mirror.listen(self._follow)

    def lookup(self, sandbox_id: str) -> Lookup:
        """What answers the sandbox's questions, from now on. A sandbox that is gone is refused everything."""
        return partial(self._answer, sandbox_id)

    def upstreams(self, sandbox_id: str) -> Sequence[Address]:
        """Nameservers to ask for what is not known here; empty when the sandbox has no way out.

        The host's are those of the last time that files of any sandbox were written.
        """
        sandbox = self._mirror.sandbox(sandbox_id)
        if sandbox is None or not names.leads_out(self._members(sandbox)):
            return ()
        return host_files.upstreams(sandbox, self._host_text)

    async def write_files(self, sandbox: Sandbox) -> None:
        """The sandbox's hosts file and resolv.conf are as the records say. Raises Unavailable."""
        self._host_text = await self._files.read(self._host_resolv_conf)
        members = self._members(sandbox)
        if sandbox.hosts_path:
            addresses = [address for member in members for address in member.endpoint.addresses]
            await self._write_hosts(sandbox, host_files.host_lines(sandbox, addresses))
        if sandbox.resolv_conf_path:
            ipv6 = any(member.endpoint.ipv6 is not None for member in members)
            text = host_files.resolv_conf(sandbox, self._host_text, ipv6=ipv6)
            await self._write_resolv_conf(sandbox.resolv_conf_path, text)

    async def remove_files(self, sandbox: Sandbox) -> None:
        """They are gone. Raises Unavailable."""
        for path in (sandbox.hosts_path, sandbox.resolv_conf_path):
            if path:
                await self._files.remove(path)
                await self._files.remove(_note_of(path))
                self._notes.pop(path, None)

    def _answer(self, sandbox_id: str, question: Question) -> Answer:
        sandbox = self._mirror.sandbox(sandbox_id)
        members = self._members(sandbox) if sandbox is not None else []
        ndots = sandbox is not None and host_files.ndots(sandbox.dns_options) is not None
        return names.lookup(question, View(members, self._named, self._roster.at, names.leads_out(members), ndots))

    def _members(self, sandbox: Sandbox) -> list[Member]:
        found = [
            (self._mirror.network(endpoint.network), endpoint) for endpoint in self._roster.in_sandbox(sandbox.key)
        ]
        return in_gateway_order(Member(network, endpoint) for network, endpoint in found if network is not None)

    def _named(self, network_id: str, name: str) -> Sequence[Endpoint]:
        return tuple(self._index.get((network_id, name), {}).values())

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Endpoint):
            for name in names.names_of(before):
                holders = self._index[before.network, name]
                del holders[before.id]
                if not holders:
                    del self._index[before.network, name]
        if isinstance(after, Endpoint):
            for name in names.names_of(after):
                self._index.setdefault((after.network, name), {})[after.id] = after

    async def _write_hosts(self, sandbox: Sandbox, lines: Sequence[str]) -> None:
        """Our lines are in the file, and none that was ours. The note says which may be ours; it is written first, so
        that a line is never left without one."""
        path = sandbox.hosts_path
        text = await self._files.read(path)
        start = text or (await self._new_hosts(sandbox))
        noted = await self._note(path)
        wanted = host_files.merge(start, noted, lines)
        if wanted == text:
            return
        present = start.split("\n")
        ours = [line for line in lines if line in noted or line not in present]
        leaving = [line for line in noted if line in present and line not in lines]
        await self._write_note(path, (*ours, *leaving))
        await self._files.write(path, wanted)

    async def _new_hosts(self, sandbox: Sandbox) -> str:
        if sandbox.kind is not Kind.HOST:
            return host_files.NEW_HOSTS
        return await self._files.read(self._host_hosts) or ""

    async def _write_resolv_conf(self, path: str, wanted: str) -> None:
        """The file has the text unless somebody edited it. The note has the digests of the text and of that which it
        takes the place of, so that a crash between note and file does not look like an edit."""
        text = await self._files.read(path)
        if text == wanted:
            return
        noted = await self._note(path)
        if text and noted and host_files.digest(text) not in noted:
            return
        await self._write_note(path, (host_files.digest(wanted), host_files.digest(text or "")))
        await self._files.write(path, wanted)

    async def _note(self, path: str) -> tuple[str, ...]:
        if path not in self._notes:
            text = await self._files.read(_note_of(path))
            self._notes[path] = tuple((text or "").split("\n")) if text else ()
        return self._notes[path]

    async def _write_note(self, path: str, lines: tuple[str, ...]) -> None:
        if lines != await self._note(path):
            self._notes.pop(path)
            await self._files.write(_note_of(path), "\n".join(lines))
            self._notes[path] = lines


def _note_of(path: str) -> str:
    """Where we note what of a file is ours (libnetwork/sandbox_dns_unix.go does so for resolv.conf)."""
    return f"{path}.hash"
