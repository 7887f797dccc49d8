"""Which names a sandbox knows, for its resolver and its hosts file.

Rules: a question costs as much in a network of a thousand endpoints as in one of two, because names are found in an
index that follows the cache; a file is written only when it has to change; a resolv.conf that somebody edited is his
from then on, and of a hosts file only our own lines are; no two sandboxes share a file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from mooring.core import host_files, names
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict
from mooring.core.file_notes import (
    Texts,
    hosts_changes,
    hosts_removal,
    note_of,
    resolv_conf_changes,
    resolv_conf_removal,
)
from mooring.core.names import Answer, Question, View
from mooring.core.networks import Address
from mooring.core.sandboxes import Kind, Member, Sandbox, in_gateway_order
from mooring.ports import Files, Lookup
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import Record, RecordCache


class DnsNames:
    """Looks names up in the records as they are at the moment of the question. Build it before the cache is loaded.

    host_hosts, host_resolv_conf: the host's own files.
    """

    def __init__(
        self,
        cache: RecordCache,
        endpoint_index: EndpointIndex,
        files: Files,
        host_hosts: str = host_files.HOSTS,
        host_resolv_conf: str = host_files.RESOLV_CONF,
    ) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._files = files
        self._host_hosts = host_hosts
        self._host_resolv_conf = host_resolv_conf
        self._host_text: str | None = None
        self._index: dict[tuple[str, str], dict[str, Endpoint]] = {}
        # Whose a file or note is: by the records, and of those that are about to be recorded.
        self._used: dict[str, Sandbox] = {}
        self._reserved: dict[str, Sandbox] = {}
        cache.listen(self._follow, Sandbox, Endpoint)

    def lookup(self, sandbox_id: str) -> Lookup:
        """What answers the sandbox's questions, from now on. A sandbox that is gone is refused everything."""
        return partial(self._answer, sandbox_id)

    def upstreams(self, sandbox_id: str) -> Sequence[Address]:
        """Nameservers to ask for what is not known here; empty when the sandbox has no way out.

        The host's are those of the last time that files of any sandbox were written.
        """
        sandbox = self._cache.sandbox(sandbox_id)
        if sandbox is None or not names.leads_out(self._members(sandbox)):
            return ()
        return host_files.upstreams(sandbox, self._host_text)

    @asynccontextmanager
    async def reserved(self, *sandboxes: Sandbox) -> AsyncIterator[None]:
        """While inside, the files of the sandboxes, which may all be versions of one, are nobody else's.

        The records have them from the commit on. Raises Conflict naming the sandbox that has one already.
        """
        wanted = {path: sandbox for sandbox in sandboxes for path in _paths(sandbox)}
        for path, sandbox in wanted.items():
            holder = self._reserved.get(path) or self._used.get(path) or sandbox
            if holder.id != sandbox.id:
                raise Conflict(
                    f"{path} is in use", holder=f"sandbox {holder.name}", hint="give each sandbox files of its own"
                )
        self._reserved.update(wanted)
        try:
            yield
        finally:
            for path in wanted:
                del self._reserved[path]

    async def write_files(self, sandbox: Sandbox) -> None:
        """The sandbox's hosts file and resolv.conf are as the records say. Raises BadRequest when something else is in
        their place, Unavailable."""
        self._host_text = await self._files.read_host(self._host_resolv_conf)
        new_hosts = host_files.NEW_HOSTS
        if sandbox.kind is Kind.HOST:
            new_hosts = await self._files.read_host(self._host_hosts) or ""
        members = self._members(sandbox)
        lines = host_files.host_lines(sandbox, [each for member in members for each in member.endpoint.addresses])
        ipv6 = any(member.endpoint.ipv6 is not None for member in members)
        text = host_files.resolv_conf(sandbox, self._host_text, ipv6=ipv6)

        def changes(texts: Texts) -> dict[str, str | None]:
            hosts = hosts_changes(sandbox.hosts_path, texts, new_hosts, lines) if sandbox.hosts_path else {}
            path = sandbox.resolv_conf_path
            return hosts | (resolv_conf_changes(path, texts, text) if path else {})

        if paths := _paths(sandbox):
            await self._files.update(paths, changes)

    async def remove_files(self, sandbox: Sandbox) -> None:
        """They are gone, or as they were before the sandbox. What is no file of ours any more stays. Raises
        Unavailable."""
        await self._remove(sandbox, ())

    async def remove_unused(self, before: Sandbox, after: Sandbox) -> None:
        """As `remove_files`, of the files that only the earlier one of two versions of a sandbox has."""
        await self._remove(before, _paths(after))

    async def _remove(self, sandbox: Sandbox, kept: Sequence[str]) -> None:
        for path, removal in ((sandbox.hosts_path, hosts_removal), (sandbox.resolv_conf_path, resolv_conf_removal)):
            if path and path not in kept:
                # Who can write into the folder must not be able to keep the sandbox from being deleted.
                with suppress(BadRequest):
                    await self._files.update((path, note_of(path)), partial(removal, path))

    def _answer(self, sandbox_id: str, question: Question) -> Answer:
        sandbox = self._cache.sandbox(sandbox_id)
        members = self._members(sandbox) if sandbox is not None else []
        ndots = sandbox is not None and host_files.ndots(sandbox.dns_options) is not None
        return names.lookup(
            question, View(members, self._named, self._endpoint_index.at, names.leads_out(members), ndots)
        )

    def _members(self, sandbox: Sandbox) -> list[Member]:
        found = [
            (self._cache.network(endpoint.network), endpoint)
            for endpoint in self._endpoint_index.in_sandbox(sandbox.key)
        ]
        return in_gateway_order(Member(network, endpoint) for network, endpoint in found if network is not None)

    def _named(self, network_id: str, name: str) -> Sequence[Endpoint]:
        return tuple(self._index.get((network_id, name), {}).values())

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Sandbox):
            for path in _paths(before):
                self._used.pop(path, None)
        if isinstance(after, Sandbox):
            self._used |= dict.fromkeys(_paths(after), after)
        if isinstance(before, Endpoint):
            for name in names.names_of(before):
                holders = self._index[before.network, name]
                del holders[before.id]
                if not holders:
                    del self._index[before.network, name]
        if isinstance(after, Endpoint):
            for name in names.names_of(after):
                self._index.setdefault((after.network, name), {})[after.id] = after


def _paths(sandbox: Sandbox) -> tuple[str, ...]:
    """Its files, each with its note."""
    paths = (sandbox.hosts_path, sandbox.resolv_conf_path)
    return tuple(each for path in paths if path for each in (path, note_of(path)))
