"""The cluster and its hosts, as an operator sees them, and the end of a host that is gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import msgspec

from mooring.core.cluster_views import ClusterHostRow, ClusterView
from mooring.core.faults import Conflict, NotFound, StaleRevision, Unavailable
from mooring.core.filters import ClusterHostFilter, Page
from mooring.ports import Clock
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.cluster.shared_values import ATTEMPTS
from mooring.services.networking.cluster_runtime import ClusterRuntime
from mooring.services.operations.pages import page_of


class ClusterRows:
    """`mooring cluster status` and `hosts`. Where this host is in no cluster, everything but `view` raises NotFound."""

    def __init__(self, membership: ClusterMembership, clock: Clock, runtime: ClusterRuntime) -> None:
        self._member, self._clock, self._runtime = membership, clock, runtime

    async def view(self) -> ClusterView:
        """How it is; within seconds, whatever the servers do."""
        member = self._member
        if member.membership is None or member.cluster is None:
            return ClusterView("", unreached=member.unreached)
        now, access = member.membership, member.membership.access
        view = ClusterView(
            access.cluster, now.host, now.name, list(access.endpoints), access.prefix,
            confirmed=self._clock.boot() - member.confirmed if member.confirmed is not None else None,
            unreached=member.unreached,
            unreached_for=self._clock.boot() - member.unreached_at if member.unreached_at is not None else None,
            waiting=self._runtime.waiting(), drained=member.drained,
        )  # fmt: skip
        records = HostRecords(member.cluster)
        complaints, found = await asyncio.gather(
            member.cluster.complaints(),
            asyncio.gather(records.cluster(), records.hosts(), records.heard(), return_exceptions=True),
        )
        view = msgspec.structs.replace(view, complaints=list(complaints))
        record, hosts, heard = found
        for each in found:
            if isinstance(each, Unavailable):
                return msgspec.structs.replace(view, unreached=member.unreached or str(each))
            if isinstance(each, BaseException):
                raise each
        assert not isinstance(hosts, BaseException)
        assert not isinstance(heard, BaseException)
        if record is not None and not isinstance(record, BaseException):
            view = msgspec.structs.replace(view, made=record.made, by=record.by)
        return msgspec.structs.replace(view, hosts=len(hosts), heard=sum(host.id in heard for host in hosts))

    async def page(self, query: ClusterHostFilter) -> Page[ClusterHostRow]:
        """The hosts that match, by name. Raises Unavailable."""
        return await page_of(
            await self._rows(),
            query,
            lambda row: (0.0, row.name, 0, b"", row.id),
            lambda row: row,
            lambda row: query.heard in (None, row.heard),
        )

    async def host(self, which: str) -> ClusterHostRow:
        """The host of that id or name. Raises NotFound, Unavailable."""
        rows = await self._rows()
        for row in rows:
            if which in (row.id, row.name):
                return row
        there = ", ".join(sorted(row.name for row in rows)[:10])
        raise NotFound(f"no host {which[:64]!r} is in the cluster", hint=f"there are {there}" if there else "")

    async def forget(self, which: str, dry: bool) -> ClusterHostRow:
        """The host is not in the cluster any more, nor has anything there; what it was. Raises Conflict for this host,
        and for one that is heard, or has only just gone silent; NotFound, Unavailable."""
        _, cluster = self._member.entered()
        records, row = HostRecords(cluster), await self.host(which)
        if row.here:
            raise Conflict(f"{row.name} is this host", hint="`mooring cluster leave` takes it out")
        if row.heard:
            raise Conflict(f"host {row.name} is heard", hint="`mooring cluster leave` there takes it out")
        if (plan := self._runtime.plan) is not None:
            await plan.forget(row.id, dry)
        if dry:
            return row
        if held := await records.held(row.id):
            raise Conflict(f"host {row.name} has {len(held)} keys in the cluster, such as {held[0]}, and keeps them")
        _, revision = await records.host(row.id)
        if revision:
            await records.delete_host(row.id, revision)
        return row

    async def drain(self, which: str, drained: bool, dry: bool) -> ClusterHostRow:
        """The host takes no new addresses of the cluster's networks, or does again; as it is then, or was. It knows
        within seconds, where it is heard. Raises NotFound, Unavailable."""
        _, cluster = self._member.entered()
        records, row = HostRecords(cluster), await self.host(which)
        for _ in range(ATTEMPTS if not dry else 0):
            found, revision = await records.host(row.id)
            if found is None or found.drained is drained:
                break
            with suppress(StaleRevision):
                await records.put_host(replace(found, drained=drained), revision)
        return await self.host(row.id)

    async def _rows(self) -> list[ClusterHostRow]:
        membership, cluster = self._member.entered()
        records = HostRecords(cluster)
        hosts, heard = await records.hosts(), await records.heard()
        return [
            ClusterHostRow(
                id=host.id, name=host.name, address=host.underlay.address, link=host.underlay.link,
                mtu=host.underlay.mtu, version=host.version, joined=host.joined, heard=host.id in heard,
                here=host.id == membership.host, drained=host.drained,
            )
            for host in hosts
        ]  # fmt: skip
