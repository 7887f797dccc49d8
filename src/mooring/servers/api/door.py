"""The API's door: decode, one call of a service, encode.

Rules: every refusal is `{"message": ..., "kind": ...}` with the status of its kind; a question that comes before the
store is loaded waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.core.faults import HTTP_STATUS, Fault, Kind
from mooring.servers.http import Request, Response
from mooring.services.operations.operations import Operations
from mooring.wire import api

_KIND_OF_STATUS = {status: kind for kind, status in HTTP_STATUS.items()}


class ApiDoor:
    """Handler of the API socket."""

    def __init__(
        self,
        operations: Operations,
        backup: Callable[[str], Awaitable[None]],
        before_call: Callable[[], Awaitable[None]],
    ) -> None:
        """backup: writes a copy of the store to a new file. before_call: returns when questions may be answered."""
        self._inspection = operations.inspection
        self._lookup = operations.lookup
        self._reservations = operations.reservations
        self._doctor = operations.doctor
        self._names = operations.names
        self._holds = operations.holds
        self._upgrade_notes = operations.upgrade_notes
        self._backup = backup
        self._before_call = before_call

    async def __call__(self, request: Request) -> Response:
        """The answer; faults become refusals."""
        try:
            call = api.parse(request.method, request.path, request.query, request.body)
            await self._before_call()
            return Response(200, api.encode(await self._answer(call)))
        except Fault as fault:
            return Response(HTTP_STATUS[fault.kind], api.encode(api.error_of(fault)))

    async def _answer(self, call: api.Call) -> api.Reply:
        match call:
            case api.GetVersion():
                return api.VersionReply(self._inspection.version, [api.VERSION])
            case api.GetStatus():
                return self._inspection.status(self._upgrade_notes())
            case api.ListNetworks():
                return self._inspection.networks(await self._names())
            case api.GetNetwork(reference):
                return self._inspection.network(reference, await self._names())
            case api.ListPools():
                return self._inspection.pools(await self._names())
            case api.GetPool(which):
                return self._inspection.pool(which, await self._names())
            case api.ListLeases():
                return await self._inspection.leases(call, await self._names())
            case api.GetLease(address):
                return self._inspection.lease(address, await self._names())
            case api.Explain(what):
                return await self._lookup.explain(what)
            case api.Examine():
                return await self._doctor.examine()
            case api.Fix(dry_run):
                return await self._doctor.fix(dry_run)
            case api.Backup(path):
                await self._backup(path)
                return api.BackupReply(path)
            case _:
                return await self._change(call)

    async def _change(self, call: api.Reserve | api.Release | api.Hold | api.Fasten) -> api.ChangesReply:
        if isinstance(call, api.Fasten):
            return api.ChangesReply(await self._holds.fix(call.container, call.dry_run), call.dry_run)
        service, space, dry = self._reservations, call.space or None, call.dry_run
        match call:
            case api.Reserve(first, last):
                changes = await service.reserve(space, first, last, call.whom, call.note, call.until, dry)
            case api.Release(address):
                changes = await service.release(space, address, call.force, dry)
            case api.Hold(address):
                changes = await service.hold(space, address, call.key, call.hold, dry)
        return api.ChangesReply(changes, dry)


def refuse(status: int, text: str) -> Response:
    """What the server itself says when a request cannot be read at all."""
    kind = _KIND_OF_STATUS.get(status, Kind.BAD_REQUEST if status < 500 else Kind.UNAVAILABLE)
    return Response(status, api.encode(api.ErrorReply(text, kind.value)))
